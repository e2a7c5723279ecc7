/* SPDX-License-Identifier: MIT */

/* A driver with a copy of the library of its own. */

#include <slab.h>
#include <slab_ext.h>

void *driver_allocate(const char *name, unsigned size);

static struct slab_mempool pool;

void *
driver_allocate(const char *name, unsigned size)
{
   slab_create(&pool, size, 16);
   slab_set_name(&pool.parent, name);
   return slab_alloc_st(&pool);
}
