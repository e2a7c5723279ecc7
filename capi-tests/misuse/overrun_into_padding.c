/* SPDX-License-Identifier: MIT */
/*
 * One byte is written behind an object whose size is no multiple of its alignment, so that unused
 * bytes follow it.
 */
#include "scenario.h"

#include <string.h>

enum { odd_size = 90 };

int
main(void)
{
   struct scenario scenario;
   struct slab_mempool pool;
   unsigned char *object;

   scenario_begin(&scenario);
   slab_create(&pool, odd_size, num_items);
   object = (unsigned char *)object_of(&pool.child);
   memset(object, 1, odd_size);
   misuse_begins();
   object[odd_size] = 2;
   misuse_ends();
   slab_free_st(&pool, object);
   slab_destroy(&pool);
   return scenario_end(&scenario);
}
