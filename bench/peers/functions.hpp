/* SPDX-License-Identifier: MIT */
#ifndef PEERS_FUNCTIONS_HPP
#define PEERS_FUNCTIONS_HPP

/*
 * The rest of slab.h, for a peer that has defined the functions of parents and children. Each header of a peer is compiled
 * with the loops of the workloads, into which its functions are inlined, as they are where a program uses it.
 */

#include <cstddef>
#include <cstring>

/* For the loops and, as functions of their own, for the table. */
#define SLAB_FUNCTION extern "C" __attribute__((always_inline, used)) inline

struct slab_mempool {
   slab_parent_pool parent;
   slab_child_pool child;
};

/* The storage that the benchmark has for them. */
static_assert(sizeof(slab_parent_pool) <= 256 && sizeof(slab_child_pool) <= 256, "they fit");

SLAB_FUNCTION void *
slab_zalloc(slab_child_pool *child)
{
   void *object = slab_alloc(child);
   if (object)
      std::memset(object, 0, child->parent->item_size);
   return object;
}

SLAB_FUNCTION void
slab_create(slab_mempool *mempool, unsigned item_size, unsigned num_items)
{
   slab_create_parent(&mempool->parent, item_size, num_items);
   slab_create_child(&mempool->child, &mempool->parent);
}

SLAB_FUNCTION void
slab_destroy(slab_mempool *mempool)
{
   slab_destroy_child(&mempool->child);
   slab_destroy_parent(&mempool->parent);
}

SLAB_FUNCTION void *
slab_alloc_st(slab_mempool *mempool)
{
   return slab_alloc(&mempool->child);
}

SLAB_FUNCTION void
slab_free_st(slab_mempool *mempool, void *object)
{
   slab_free(&mempool->child, object);
}

#endif
