/* SPDX-License-Identifier: MIT */
/*
 * An object is freed through its child, and again through a sibling: two contexts of a share group
 * both unmap a buffer.
 */
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
   slab_free(&scenario.sibling, object);
   misuse_ends();
   return scenario_end(&scenario);
}
