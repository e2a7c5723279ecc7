/* SPDX-License-Identifier: MIT */
/* The fast paths as slab_inline.h has them, under names of their own. */
#define SLAB_INLINE
#include "slab.h"

void *
inlined_alloc(struct slab_child_pool *pool)
{
   return slab_alloc(pool);
}

void
inlined_free(struct slab_child_pool *pool, void *ptr)
{
   slab_free(pool, ptr);
}
