/* SPDX-License-Identifier: MIT */
/*
 * What MemorySanitizer is told: scripts/check-msan compiles this with it, beside a library that is not instrumented.
 * `msan right` must pass, `msan uninitialised` must be reported.
 */
#include "slab.h"

#include <string.h>

int
main(int argc, char **argv)
{
   struct slab_mempool pool;
   char *object;
   int i, sum = 0;

   slab_create(&pool, 96, 64);
   /* What the library has written of its structs is known, and an object that it has zeroed. */
   if (pool.parent.num_elements != 64 || pool.child.parent != &pool.parent)
      return 2;
   object = (char *)slab_zalloc(&pool.child);
   if (!object)
      return 2;
   for (i = 0; i < 96; i++)
      sum += object[i];
   if (sum != 0)
      return 2;
   memset(object, 1, 96);
   slab_free_st(&pool, object);

   /* What an object held before it was freed is not known any more. */
   object = (char *)slab_alloc_st(&pool);
   if (!object)
      return 2;
   if (argc > 1 && strcmp(argv[1], "uninitialised") == 0 && object[4])
      return 3;
   slab_free_st(&pool, object);
   slab_destroy(&pool);
   return 0;
}
