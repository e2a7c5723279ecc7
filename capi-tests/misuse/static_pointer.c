/* SPDX-License-Identifier: MIT */
/* A static variable is freed. */
#include "scenario.h"

#include <string.h>

static char variable[item_size];

int
main(void)
{
   struct scenario scenario;

   scenario_begin(&scenario);
   memset(variable, 0x41, sizeof(variable));
   misuse_begins();
   slab_free(&scenario.child, variable);
   misuse_ends();
   return scenario_end(&scenario);
}
