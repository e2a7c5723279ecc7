/* SPDX-License-Identifier: MIT */
/* A pool is destroyed, and destroyed again. */
#include "scenario.h"

int
main(void)
{
   struct scenario scenario;

   scenario_begin(&scenario);
   scenario_free_own(&scenario);
   slab_destroy_child(&scenario.child);
   slab_destroy_child(&scenario.sibling);
   slab_destroy_parent(&scenario.parent);
   misuse_begins();
   slab_destroy_parent(&scenario.parent);
   misuse_ends();
   return scenario_end(&scenario);
}
