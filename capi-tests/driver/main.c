/* SPDX-License-Identifier: MIT */
#include "demo.h"
#include "mappings.h"
#include "measure.h"
#include "own_process.h"
#include "share_group.h"

#include <stdio.h>
#include <string.h>

static bool
measure_all(void)
{
   return in_own_process(mappings_work) && in_own_process(measure_memory) && in_own_process(measure_free) &&
          in_own_process(measure_child);
}

static int
usage(void)
{
   fprintf(stderr, "usage: driver share-group       contexts that unmap each other's buffers\n"
                   "       driver check TRACE...    replay recorded calls and check every object\n"
                   "       driver threads TRACE...  replay them on the threads that made them\n"
                   "       driver demo TRACE...     both, with a table of counts, memory and time\n"
                   "       driver measure           memory per object, cost of frees and children\n");
   return 2;
}

int
main(int argc, char **argv)
{
   const char *command = argc > 1 ? argv[1] : "";
   bool good;

   if (strcmp(command, "share-group") == 0 && argc == 2)
      good = share_group_run();
   else if (strcmp(command, "check") == 0 && argc > 2)
      good = check_traces(argc - 2, argv + 2);
   else if (strcmp(command, "threads") == 0 && argc > 2)
      good = check_traces_with_threads(argc - 2, argv + 2);
   else if (strcmp(command, "demo") == 0 && argc > 2)
      good = demo(argc - 2, argv + 2);
   else if (strcmp(command, "measure") == 0 && argc == 2)
      good = measure_all();
   else
      return usage();
   return good ? 0 : 1;
}
