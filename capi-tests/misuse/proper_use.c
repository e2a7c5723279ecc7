/* SPDX-License-Identifier: MIT */
/*
 * No misuse: the scenario alone, and an object that is allocated, written and freed. Nothing may
 * be said of it in any mode.
 */
#include "scenario.h"

#include <string.h>

int
main(void)
{
   struct scenario scenario;
   void *object;

   scenario_begin(&scenario);
   object = object_of(&scenario.child);
   misuse_begins();
   memset(object, 1, item_size);
   slab_free(&scenario.sibling, object);
   slab_free(&scenario.child, object_of(&scenario.sibling));
   misuse_ends();
   return scenario_end(&scenario);
}
