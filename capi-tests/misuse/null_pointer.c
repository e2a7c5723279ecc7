/* SPDX-License-Identifier: MIT */
/* NULL is freed, which is legal and does nothing. */
#include "scenario.h"

int
main(void)
{
   struct scenario scenario;

   scenario_begin(&scenario);
   misuse_begins();
   slab_free(&scenario.child, NULL);
   misuse_ends();
   return scenario_end(&scenario);
}
