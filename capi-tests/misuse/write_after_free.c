/* SPDX-License-Identifier: MIT */
/* An object is written after it was freed. */
#include "scenario.h"

#include <string.h>

int
main(void)
{
   struct scenario scenario;
   unsigned char *object;

   scenario_begin(&scenario);
   object = (unsigned char *)object_of(&scenario.child);
   memset(object, 1, item_size);
   slab_free(&scenario.child, object);
   misuse_begins();
   ((volatile unsigned char *)object)[40] = 2;
   misuse_ends();
   return scenario_end(&scenario);
}
