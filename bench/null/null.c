/* SPDX-License-Identifier: MIT */
/*
 * Takes the calls of slab.h and does nothing: what a workload costs with it is what the harness costs. It is loaded
 * like the other libraries, as a call that leads to another library costs more than one within the program. An object
 * is the child's own address: nobody looks into it.
 */
#include "slab.h"
#include "slab_ext.h"

#define UNUSED(parameter) ((void)(parameter))

void
slab_create_parent(struct slab_parent_pool *parent, unsigned item_size, unsigned num_items)
{
   UNUSED(parent);
   UNUSED(item_size);
   UNUSED(num_items);
}

void
slab_destroy_parent(struct slab_parent_pool *parent)
{
   UNUSED(parent);
}

void
slab_create_child(struct slab_child_pool *pool, struct slab_parent_pool *parent)
{
   UNUSED(pool);
   UNUSED(parent);
}

void
slab_destroy_child(struct slab_child_pool *pool)
{
   UNUSED(pool);
}

void *
slab_alloc(struct slab_child_pool *pool)
{
   return pool;
}

void *
slab_zalloc(struct slab_child_pool *pool)
{
   return pool;
}

void
slab_free(struct slab_child_pool *pool, void *ptr)
{
   UNUSED(pool);
   UNUSED(ptr);
}

void
slab_create(struct slab_mempool *mempool, unsigned item_size, unsigned num_items)
{
   UNUSED(mempool);
   UNUSED(item_size);
   UNUSED(num_items);
}

void
slab_destroy(struct slab_mempool *mempool)
{
   UNUSED(mempool);
}

void *
slab_alloc_st(struct slab_mempool *mempool)
{
   return mempool;
}

void
slab_free_st(struct slab_mempool *mempool, void *ptr)
{
   UNUSED(mempool);
   UNUSED(ptr);
}

struct slab_sizes *
slab_create_sizes(const struct slab_options *options)
{
   return (struct slab_sizes *)(uintptr_t)options;
}

void
slab_destroy_sizes(struct slab_sizes *sizes)
{
   UNUSED(sizes);
}

struct slab_sizes_child *
slab_create_sizes_child(struct slab_sizes *sizes)
{
   return (struct slab_sizes_child *)sizes;
}

void
slab_destroy_sizes_child(struct slab_sizes_child *child)
{
   UNUSED(child);
}

void *
slab_sizes_alloc(struct slab_sizes_child *child, size_t bytes)
{
   UNUSED(bytes);
   return child;
}

void
slab_sizes_free(struct slab_sizes_child *child, void *ptr)
{
   UNUSED(child);
   UNUSED(ptr);
}

struct slab_shared_pool *
slab_create_shared(const struct slab_options *options)
{
   return (struct slab_shared_pool *)(uintptr_t)options;
}

void
slab_destroy_shared(struct slab_shared_pool *pool)
{
   UNUSED(pool);
}

void *
slab_shared_alloc(struct slab_shared_pool *pool)
{
   return pool;
}

void
slab_shared_free(struct slab_shared_pool *pool, void *ptr)
{
   UNUSED(pool);
   UNUSED(ptr);
}
