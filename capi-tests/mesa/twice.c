/* SPDX-License-Identifier: MIT */
/*
 * A fault to try the comparison with: loaded before the shared library, it hands out an object twice in a thousand
 * allocations of the process. The second time it is the object that the same thread was given before, if that was of the
 * same pool; nobody has freed it then but its user.
 */

#include "slab.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ONE_IN 1000

static atomic_uint allocations;
static _Thread_local struct slab_parent_pool *last_parent;
static _Thread_local void *last_object;

static void *
alloc_with(const char *function, struct slab_child_pool *pool)
{
   void *(*library)(struct slab_child_pool *);
   void *found = dlsym(RTLD_NEXT, function);

   if (!found)
      abort();
   if (atomic_fetch_add(&allocations, 1) % ONE_IN == ONE_IN - 1 && last_object && last_parent == pool->parent)
      return last_object;
   memcpy(&library, &found, sizeof library);
   last_parent = pool->parent;
   last_object = library(pool);
   return last_object;
}

void *
slab_alloc(struct slab_child_pool *pool)
{
   return alloc_with("slab_alloc", pool);
}

void *
slab_zalloc(struct slab_child_pool *pool)
{
   void *object = alloc_with("slab_zalloc", pool);

   if (object)
      memset(object, 0, pool->item_size);
   return object;
}
