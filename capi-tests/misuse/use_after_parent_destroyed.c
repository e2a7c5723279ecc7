/* SPDX-License-Identifier: MIT */
/*
 * A pool is destroyed before its two children, one of which then goes on allocating and freeing: it still has free
 * objects of the pool.
 */
#include "scenario.h"

int
main(void)
{
   struct scenario scenario;
   void *object;

   scenario_begin(&scenario);
   scenario_free_own(&scenario);
   slab_free(&scenario.child, object_of(&scenario.child));
   misuse_begins();
   slab_destroy_parent(&scenario.parent);
   object = slab_alloc(&scenario.child);
   misuse_ends();
   say(object ? "gets an object" : "gets NULL");
   if (object)
      slab_free(&scenario.child, object);
   return scenario_end(&scenario);
}
