/* SPDX-License-Identifier: MIT */
/* An object of malloc() is freed into a pool. */
#include "scenario.h"

#include <stdlib.h>
#include <string.h>

int
main(void)
{
   struct scenario scenario;
   char *block;

   scenario_begin(&scenario);
   block = (char *)malloc(item_size);
   if (!block)
      return 1;
   memset(block, 0x41, item_size);
   misuse_begins();
   slab_free(&scenario.child, block);
   misuse_ends();
   free(block);
   return scenario_end(&scenario);
}
