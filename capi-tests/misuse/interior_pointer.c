/* SPDX-License-Identifier: MIT */
/* A pointer to a member is freed, in place of one to the object. */
#include "scenario.h"

int
main(void)
{
   struct scenario scenario;
   char *object;

   scenario_begin(&scenario);
   object = (char *)object_of(&scenario.child);
   misuse_begins();
   slab_free(&scenario.child, object + item_size / 2);
   misuse_ends();
   slab_free(&scenario.child, object);
   return scenario_end(&scenario);
}
