/* SPDX-License-Identifier: MIT */
#include "allocator.h"

#include <stdint.h>

/*
 * Takes the calls and does nothing: an object is the next number, which nobody may dereference.
 * What a loop costs with it is what the loop costs by itself.
 */

static uintptr_t last;

static void
null_create_parent(struct slab_parent_pool *parent, unsigned item_size, unsigned num_items)
{
   (void)parent, (void)item_size, (void)num_items;
}

static void
null_destroy_parent(struct slab_parent_pool *parent)
{
   (void)parent;
}

static void
null_create_child(struct slab_child_pool *pool, struct slab_parent_pool *parent)
{
   (void)pool, (void)parent;
}

static void
null_destroy_child(struct slab_child_pool *pool)
{
   (void)pool;
}

static void *
null_alloc(struct slab_child_pool *pool)
{
   (void)pool;
   return (void *)(last += 16);
}

static void
null_free(struct slab_child_pool *pool, void *object)
{
   (void)pool, (void)object;
}

static void
null_create(struct slab_mempool *mempool, unsigned item_size, unsigned num_items)
{
   (void)mempool, (void)item_size, (void)num_items;
}

static void
null_destroy(struct slab_mempool *mempool)
{
   (void)mempool;
}

static void *
null_alloc_st(struct slab_mempool *mempool)
{
   (void)mempool;
   return (void *)(last += 16);
}

static void
null_free_st(struct slab_mempool *mempool, void *object)
{
   (void)mempool, (void)object;
}

const struct allocator null_allocator = {
   null_create_parent, null_destroy_parent, null_create_child, null_destroy_child, null_alloc,   null_alloc,
   null_free,          null_create,         null_destroy,      null_alloc_st,      null_free_st,
};
