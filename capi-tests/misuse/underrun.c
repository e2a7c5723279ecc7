/* SPDX-License-Identifier: MIT */
/* The byte before an object is written. */
#include "scenario.h"

#include <string.h>

int
main(void)
{
   struct scenario scenario;
   unsigned char *three[3];

   scenario_begin(&scenario);
   three_in_a_row(&scenario.child, three);
   memset(three[1], 1, item_size);
   misuse_begins();
   three[1][-1] = 2;
   misuse_ends();
   free_three(&scenario.child, three);
   return scenario_end(&scenario);
}
