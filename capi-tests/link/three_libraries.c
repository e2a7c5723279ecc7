/* SPDX-License-Identifier: MIT */

/* Calls libmesa_slab.a and two other Rust static libraries linked beside it. */

#include <slab.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

bool with_std_catches_a_panic(uint32_t divisor);
uint32_t no_std_divide(uint32_t dividend, uint32_t divisor);

static bool
slab_works(void)
{
   struct slab_mempool pool;
   char *objects[1000];
   bool ok = true;

   slab_create(&pool, 96, 64);
   for (int i = 0; i < 1000; i++) {
      objects[i] = (char *)slab_alloc_st(&pool);
      if (!objects[i])
         return false;
      memset(objects[i], i & 0xff, 96);
   }
   for (int i = 0; i < 1000; i++) {
      ok &= objects[i][0] == (char)(i & 0xff) && objects[i][95] == (char)(i & 0xff);
      slab_free_st(&pool, objects[i]);
   }
   slab_destroy(&pool);
   return ok;
}

static int
report(const char *what, bool ok)
{
   if (!ok)
      fprintf(stderr, "three_libraries: %s\n", what);
   return !ok;
}

int
main(void)
{
   return report("the pool does not work", slab_works()) |
          report("std did not catch a panic", with_std_catches_a_panic(0)) |
          report("the no_std library divides wrongly", no_std_divide(91, 7) == 13) |
          report("the pool does not work after a panic", slab_works());
}
