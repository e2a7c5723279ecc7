/* SPDX-License-Identifier: MIT */
#include <stdio.h>

unsigned driver_run(void);

int
main(void)
{
   unsigned parent_size = driver_run();

   printf("a parent pool has %u bytes\n", parent_size);
   return parent_size == 0;
}
