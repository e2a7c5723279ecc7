/* SPDX-License-Identifier: MIT */
/* An object is freed while its child lives, and again through the child when that is destroyed. */
#include "scenario.h"

int
main(void)
{
   struct scenario scenario;
   void *object;

   scenario_begin(&scenario);
   object = object_of(&scenario.child);
   slab_free(&scenario.child, object);
   slab_destroy_child(&scenario.child);
   misuse_begins();
   slab_free(&scenario.child, object);
   misuse_ends();
   return scenario_end(&scenario);
}
