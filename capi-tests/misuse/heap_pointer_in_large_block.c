/* SPDX-License-Identifier: MIT */
/*
 * A pointer into a large block of malloc() is freed into a pool. What the library would read as
 * its own bookkeeping is mapped there, and holds something else.
 */
#include "scenario.h"

#include <stdlib.h>
#include <string.h>

static const size_t block_size = (size_t)12 << 20;

int
main(void)
{
   struct scenario scenario;
   char *block;

   scenario_begin(&scenario);
   block = (char *)malloc(block_size);
   if (!block)
      return 1;
   memset(block, 0x41, block_size);
   misuse_begins();
   slab_free(&scenario.child, block + block_size - 4096);
   misuse_ends();
   free(block);
   return scenario_end(&scenario);
}
