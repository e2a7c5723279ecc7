/* SPDX-License-Identifier: MIT */

/* load PATH: runs the driver there. */

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int
main(int argc, char **argv)
{
   void *driver = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
   void *address = driver ? dlsym(driver, "driver_main") : NULL;
   int (*driver_main)(void);

   if (!address) {
      fprintf(stderr, "load: %s\n", dlerror());
      return 1;
   }
   memcpy(&driver_main, &address, sizeof(address));
   return driver_main();
}
