/* SPDX-License-Identifier: MIT */
/* A program that knows nothing of the library, and runs the test that is in a driver: DRIVER is its path. */
#include "must.h"

#include <dlfcn.h>
#include <string.h>

int
main(void)
{
   void *handle = dlopen(DRIVER, RTLD_NOW | RTLD_LOCAL);
   int (*driver_main)(void);
   void *address;

   if (!handle)
      fprintf(stderr, "%s\n", dlerror());
   MUST(handle);
   address = dlsym(handle, "driver_main");
   MUST(address);
   memcpy(&driver_main, &address, sizeof(address));
   return driver_main();
}
