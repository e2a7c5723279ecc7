/* SPDX-License-Identifier: MIT */
/* A local variable is freed. */
#include "scenario.h"

#include <string.h>

int
main(void)
{
   struct scenario scenario;
   char local[item_size];

   scenario_begin(&scenario);
   memset(local, 0x41, sizeof(local));
   misuse_begins();
   slab_free(&scenario.child, local);
   misuse_ends();
   return scenario_end(&scenario);
}
