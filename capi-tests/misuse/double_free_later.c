/* SPDX-License-Identifier: MIT */
/*
 * An object is freed by a context that goes, and again, much later, by one that still knows its
 * address: a double free at the teardown of contexts.
 */
#include "scenario.h"

int
main(void)
{
   struct scenario scenario;
   void *object, *others[300];
   int i;

   scenario_begin(&scenario);
   object = object_of(&scenario.child);
   slab_free(&scenario.child, object);
   for (i = 0; i < 300; i++)
      others[i] = object_of(&scenario.child);
   for (i = 0; i < 300; i++)
      slab_free(&scenario.child, others[i]);
   slab_destroy_child(&scenario.child);
   slab_create_child(&scenario.child, &scenario.parent);
   misuse_begins();
   slab_free(&scenario.sibling, object);
   misuse_ends();
   return scenario_end(&scenario);
}
