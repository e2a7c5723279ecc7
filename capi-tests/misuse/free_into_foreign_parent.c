/* SPDX-License-Identifier: MIT */
/* An object is freed through a child of another pool, of objects of another size. */
#include "scenario.h"

int
main(void)
{
   struct scenario scenario;
   void *object;

   scenario_begin(&scenario);
   object = object_of(&scenario.child);
   misuse_begins();
   slab_free(&scenario.stranger, object);
   misuse_ends();
   return scenario_end(&scenario);
}
