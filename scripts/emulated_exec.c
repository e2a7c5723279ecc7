/* SPDX-License-Identifier: MIT */
/*
 * Linked into the C tests of a machine that is emulated, with --wrap=execl and --wrap=execv: the kernel cannot run a
 * program of that machine, so that one that a test starts has to go through the emulator as well.
 */
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

enum { most = 16 };

int __wrap_execl(const char *path, const char *argument, ...);
int __wrap_execv(const char *path, char *const arguments[]);

/* The first argument is left out: the emulator passes the path on as the program's own name. */
int
__wrap_execv(const char *path, char *const arguments[])
{
   const char *emulated[most + 4] = {EMULATOR, "-L", EMULATED_ROOT, path};
   size_t count;

   for (count = 1; arguments[count]; count++) {
      if (count == most)
         return -1;
      emulated[3 + count] = arguments[count];
   }
   return execvp(EMULATOR, (char *const *)emulated);
}

int
__wrap_execl(const char *path, const char *argument, ...)
{
   const char *arguments[most + 1] = {argument};
   size_t count = 1;
   va_list rest;

   va_start(rest, argument);
   do {
      if (count > most)
         return -1;
      arguments[count] = va_arg(rest, const char *);
   } while (arguments[count++]);
   va_end(rest);
   return __wrap_execv(path, (char *const *)arguments);
}
