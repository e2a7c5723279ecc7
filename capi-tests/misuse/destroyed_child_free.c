/* SPDX-License-Identifier: MIT */
/* A context frees an object through its child after it has destroyed that. */
#include "scenario.h"

int
main(void)
{
   struct scenario scenario;
   void *object;

   scenario_begin(&scenario);
   object = object_of(&scenario.child);
   slab_destroy_child(&scenario.child);
   misuse_begins();
   slab_free(&scenario.child, object);
   misuse_ends();
   return scenario_end(&scenario);
}
