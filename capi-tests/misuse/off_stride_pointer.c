/* SPDX-License-Identifier: MIT */
/* A pointer that is off by one byte is freed. */
#include "scenario.h"

int
main(void)
{
   struct scenario scenario;
   char *object;

   scenario_begin(&scenario);
   object = (char *)object_of(&scenario.child);
   misuse_begins();
   slab_free(&scenario.child, object + 1);
   misuse_ends();
   slab_free(&scenario.child, object);
   return scenario_end(&scenario);
}
