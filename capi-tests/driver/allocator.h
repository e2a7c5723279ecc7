/* SPDX-License-Identifier: MIT */
#ifndef ALLOCATOR_H
#define ALLOCATOR_H

#include "slab.h"

/*
 * The functions of slab.h as a table, so that one and the same loop drives the library, an
 * allocator that does nothing (its time is the cost of the loop), and in the tests one that
 * misbehaves. A driver calls the functions of slab.h directly.
 */
struct allocator {
   void (*create_parent)(struct slab_parent_pool *parent, unsigned item_size, unsigned num_items);
   void (*destroy_parent)(struct slab_parent_pool *parent);
   void (*create_child)(struct slab_child_pool *pool, struct slab_parent_pool *parent);
   void (*destroy_child)(struct slab_child_pool *pool);
   void *(*alloc)(struct slab_child_pool *pool);
   void *(*zalloc)(struct slab_child_pool *pool);
   void (*free)(struct slab_child_pool *pool, void *object);
   void (*create)(struct slab_mempool *mempool, unsigned item_size, unsigned num_items);
   void (*destroy)(struct slab_mempool *mempool);
   void *(*alloc_st)(struct slab_mempool *mempool);
   void (*free_st)(struct slab_mempool *mempool, void *object);
};

extern const struct allocator library_allocator;
extern const struct allocator null_allocator;

#endif
