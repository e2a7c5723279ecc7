/* SPDX-License-Identifier: MIT */
/* An object is read after it was freed. */
#include "scenario.h"

#include <string.h>

int
main(void)
{
   struct scenario scenario;
   unsigned char *object, byte;

   scenario_begin(&scenario);
   object = (unsigned char *)object_of(&scenario.child);
   memset(object, 1, item_size);
   slab_free(&scenario.child, (void *)object);
   misuse_begins();
   byte = ((volatile unsigned char *)object)[40];
   misuse_ends();
   say(byte == 1 ? "reads the old contents" : "reads other bytes");
   return scenario_end(&scenario);
}
