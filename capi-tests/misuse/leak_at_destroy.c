/* SPDX-License-Identifier: MIT */
/* A pool is destroyed while three objects of it are out, which nobody has the address of. */
#include "scenario.h"

#include <stdlib.h>

enum { leaked_size = 112 };

/* memcheck looks for lost objects of pools only if there is also one of malloc, as programs have. */
static void *volatile of_malloc;

int
main(void)
{
   struct scenario scenario;
   struct slab_mempool pool;
   int i;

   scenario_begin(&scenario);
   of_malloc = malloc(1);
   slab_create(&pool, leaked_size, num_items);
   for (i = 0; i < 3; i++)
      object_of(&pool.child);
   misuse_begins();
   slab_destroy(&pool);
   misuse_ends();
   return scenario_end(&scenario);
}
