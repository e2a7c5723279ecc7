/* SPDX-License-Identifier: MIT */
/* A context allocates after it has destroyed its child. */
#include "scenario.h"

int
main(void)
{
   struct scenario scenario;
   void *object;

   scenario_begin(&scenario);
   slab_destroy_child(&scenario.child);
   misuse_begins();
   object = slab_alloc(&scenario.child);
   misuse_ends();
   say(object ? "gets an object" : "gets NULL");
   if (object)
      slab_free(&scenario.sibling, object);
   return scenario_end(&scenario);
}
