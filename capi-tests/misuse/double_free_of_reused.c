/* SPDX-License-Identifier: MIT */
/*
 * An object is freed, another user gets it, and the first one frees it again: the second one now
 * has an object that is free.
 */
#include "scenario.h"

int
main(void)
{
   struct scenario scenario;
   void *object, *second, *third;

   scenario_begin(&scenario);
   object = object_of(&scenario.child);
   slab_free(&scenario.child, object);
   second = object_of(&scenario.child);
   misuse_begins();
   slab_free(&scenario.child, object);
   misuse_ends();
   third = object_of(&scenario.child);
   if (second == third)
      say("the object has two users");
   else
      slab_free(&scenario.child, third);
   slab_free(&scenario.child, second);
   return scenario_end(&scenario);
}
