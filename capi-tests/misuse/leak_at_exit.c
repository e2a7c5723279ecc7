/* SPDX-License-Identifier: MIT */
/*
 * The program ends with three objects out, which nobody has the address of, in a pool that is
 * never destroyed.
 */
#include "scenario.h"

#include <stdlib.h>

enum { leaked_size = 112 };

/* memcheck looks for lost objects of pools only if there is also one of malloc, as programs have. */
static void *volatile of_malloc;

/* Static, so that it is still there when the program ends. */
static struct slab_mempool pool;

int
main(void)
{
   struct scenario scenario;
   int i;

   scenario_begin(&scenario);
   of_malloc = malloc(1);
   slab_create(&pool, leaked_size, num_items);
   misuse_begins();
   for (i = 0; i < 3; i++)
      object_of(&pool.child);
   misuse_ends();
   return scenario_end(&scenario);
}
