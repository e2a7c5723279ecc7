/* SPDX-License-Identifier: MIT */
/* One byte is written behind an object: an index is one too large. */
#include "scenario.h"

#include <string.h>

int
main(void)
{
   struct scenario scenario;
   unsigned char *object;
   struct neighbour before, after;

   scenario_begin(&scenario);
   neighbour_fill(&before, object_of(&scenario.child));
   object = (unsigned char *)object_of(&scenario.child);
   neighbour_fill(&after, object_of(&scenario.child));
   memset(object, 1, item_size);
   misuse_begins();
   object[item_size] = 2;
   misuse_ends();
   neighbour_look(&before);
   neighbour_look(&after);
   slab_free(&scenario.child, object);
   slab_free(&scenario.child, before.ptr);
   slab_free(&scenario.child, after.ptr);
   return scenario_end(&scenario);
}
