/* SPDX-License-Identifier: MIT */

/*
 * The functions of slab.h over a class for one thread that has no children: a parent is a pool, and each child only says
 * which. The header that includes this defines `Peer` with a constructor of item size and number, `allocate` and `free`, of
 * which the first two throw when there is no memory: nothing is thrown into what is not C++.
 */

#include <new>

#include "failure.hpp"

extern "C" {

struct slab_parent_pool {
   alignas(alignof(std::max_align_t)) unsigned char pool[sizeof(Peer)];
   std::size_t item_size; /* 0: there is no pool */
};

struct slab_child_pool {
   Peer *pool;
   slab_parent_pool *parent;
};
}

#define SLAB_FUNCTION extern "C" __attribute__((always_inline, used)) inline

SLAB_FUNCTION void
slab_create_parent(slab_parent_pool *parent, unsigned item_size, unsigned num_items)
{
   parent->item_size = 0;
   try {
      new (parent->pool) Peer(item_size, num_items);
      parent->item_size = item_size;
   } catch (...) {
      fail("a pool cannot be made");
   }
}

SLAB_FUNCTION void
slab_destroy_parent(slab_parent_pool *parent)
{
   if (parent->item_size)
      reinterpret_cast<Peer *>(parent->pool)->~Peer();
   parent->item_size = 0;
}

SLAB_FUNCTION void
slab_create_child(slab_child_pool *child, slab_parent_pool *parent)
{
   child->pool = reinterpret_cast<Peer *>(parent->pool);
   child->parent = parent;
}

SLAB_FUNCTION void
slab_destroy_child(slab_child_pool *)
{
}

SLAB_FUNCTION void *
slab_alloc(slab_child_pool *child)
{
   try {
      return child->pool->allocate();
   } catch (...) {
      fail("a pool has no more memory");
      return nullptr;
   }
}

/* Through a destroyed child as well, whose parent is still there. */
SLAB_FUNCTION void
slab_free(slab_child_pool *child, void *object)
{
   child->pool->free(object);
}

#undef SLAB_FUNCTION
#include "functions.hpp"
