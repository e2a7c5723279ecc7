/* SPDX-License-Identifier: MIT */
/*
 * Linked into the C tests of a machine that is emulated, with --wrap=execl: the kernel cannot run a
 * program of that machine, so that one that a test starts has to go through the emulator as well.
 */
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

int __wrap_execl(const char *path, const char *argument, ...);

int
__wrap_execl(const char *path, const char *argument, ...)
{
   /* Not argument: the emulator passes the path on as the program's own name. */
   const char *arguments[16] = {EMULATOR, "-L", EMULATED_ROOT, path};
   size_t count = 4;
   va_list rest;

   va_start(rest, argument);
   do {
      if (count == sizeof(arguments) / sizeof(arguments[0]))
         return -1;
      arguments[count] = va_arg(rest, const char *);
   } while (arguments[count++]);
   va_end(rest);
   return execvp(EMULATOR, (char *const *)arguments);
}
