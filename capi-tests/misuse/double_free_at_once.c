/* SPDX-License-Identifier: MIT */
/* An object is freed twice in a row: two owners each think that it is theirs. */
#include "scenario.h"

int
main(void)
{
   struct scenario scenario;
   void *object;

   scenario_begin(&scenario);
   object = object_of(&scenario.child);
   slab_free(&scenario.child, object);
   misuse_begins();
   slab_free(&scenario.child, object);
   misuse_ends();
   return scenario_end(&scenario);
}
