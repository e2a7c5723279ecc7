/* SPDX-License-Identifier: MIT */

/* The driver program refuses what is not a trace with one line and exit code 1. */

#include "check.h"

#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

/* Runs the driver with one command and one argument and checks what it says. */
static void
says(const char *driver, const char *arguments, int exit_code, const char *expected, bool one_line)
{
   char command[4096], output[4096];

   CHECK((size_t)snprintf(command, sizeof(command), "'%s' %s 2>&1", driver, arguments) < sizeof(command));
   FILE *pipe = popen(command, "r");
   CHECK(pipe);
   size_t size = fread(output, 1, sizeof(output) - 1, pipe);
   output[size] = '\0';
   int status = pclose(pipe);

   bool as_expected = WIFEXITED(status) && WEXITSTATUS(status) == exit_code && strstr(output, expected) &&
                      (!one_line || strchr(output, '\n') == output + size - 1);
   if (!as_expected) {
      fprintf(stderr, "%s: status %d, \"%s\" expected, but:\n%s", command, status, expected, output);
      exit(1);
   }
}

static void
copy_beginning(const char *from, const char *to, size_t size)
{
   static unsigned char bytes[65536];
   FILE *source = fopen(from, "rb");
   FILE *copy = fopen(to, "wb");

   CHECK(source && copy && size <= sizeof(bytes));
   CHECK(fread(bytes, 1, size, source) == size);
   CHECK(fwrite(bytes, 1, size, copy) == size);
   CHECK(fclose(source) == 0 && fclose(copy) == 0);
}

int
main(int argc, char **argv)
{
   CHECK(argc == 3);
   const char *driver = argv[1];

   copy_beginning(argv[2], "truncated.bin", 40000);
   copy_beginning(argv[2], "torn.bin", 40007);
   copy_beginning(argv[2], "headless.bin", 0);

   says(driver, "check truncated.bin", 1, "truncated.bin: truncated: no end record", true);
   says(driver, "check torn.bin", 1, "torn.bin: truncated: record 2500 has 7 of its 16 bytes", true);
   says(driver, "check headless.bin", 1, "headless.bin: not a slab trace", true);
   says(driver, "check no-such-file.bin", 1, "no-such-file.bin: No such file", true);
   says(driver, "check .", 1, ".: Is a directory", true);
   says(driver, "", 2, "usage: driver", false);
   says(driver, "check", 2, "usage: driver", false);
   return 0;
}
