/* SPDX-License-Identifier: MIT */
/* A context allocates from a child that is zeroed and was never created. */
#include "scenario.h"

#include <string.h>

int
main(void)
{
   struct scenario scenario;
   struct slab_child_pool zeroed;
   void *object;

   scenario_begin(&scenario);
   memset(&zeroed, 0, sizeof(zeroed));
   misuse_begins();
   object = slab_alloc(&zeroed);
   misuse_ends();
   say(object ? "gets an object" : "gets NULL");
   return scenario_end(&scenario);
}
