/* SPDX-License-Identifier: MIT */
/* An object is freed twice in a row, and the same context allocates before its pool is looked at. */
#include "scenario.h"

int
main(void)
{
   struct scenario scenario;
   void *object, *first, *second;

   scenario_begin(&scenario);
   object = object_of(&scenario.child);
   slab_free(&scenario.child, object);
   misuse_begins();
   slab_free(&scenario.child, object);
   misuse_ends();
   first = object_of(&scenario.child);
   second = object_of(&scenario.child);
   if (first == second)
      say("the object has two users");
   slab_free(&scenario.child, first);
   slab_free(&scenario.child, second);
   return scenario_end(&scenario);
}
