/* SPDX-License-Identifier: MIT */

/* What SLAB_DEBUG=trace records of the share group can be replayed, and every object is checked then. */

#include "check.h"

#include <stdlib.h>
#include <string.h>

static void
runs(const char *driver, const char *arguments, const char *expected)
{
   char command[4096], output[8192];

   CHECK((size_t)snprintf(command, sizeof(command), "'%s' %s 2>&1", driver, arguments) < sizeof(command));
   FILE *pipe = popen(command, "r");
   CHECK(pipe);
   size_t size = fread(output, 1, sizeof(output) - 1, pipe);
   output[size] = '\0';
   int status = pclose(pipe);

   if (status != 0 || !strstr(output, expected)) {
      fprintf(stderr, "%s: status %d, \"%s\" expected, but:\n%s", command, status, expected, output);
      exit(1);
   }
}

int
main(int argc, char **argv)
{
   CHECK(argc == 2);
   CHECK(setenv("SLAB_DEBUG", "trace", 1) == 0);
   CHECK(setenv("SLAB_TRACE", "recorded.bin", 1) == 0);
   runs(argv[1], "share-group", "every byte arrived");
   CHECK(unsetenv("SLAB_DEBUG") == 0);
   runs(argv[1], "check recorded.bin", "distinct, aligned, contents kept");
   return 0;
}
