/* SPDX-License-Identifier: MIT */

/* A program with two drivers that carry the static library each, and the library that it is linked with itself, for
 * slabtool to look at: three copies. Waits until its input ends.
 *
 *    two_drivers DRIVER DRIVER
 */

#include "let_look.h"

#include <slab.h>
#include <slab_ext.h>

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

int
main(int argc, char **argv)
{
   struct slab_mempool own;

   let_look();
   slab_create(&own, 32, 16);
   slab_set_name(&own.parent, "program");
   void *object = slab_alloc_st(&own);
   printf("program %p\n", object);
   for (int i = 1; i < argc; i++) {
      void *driver = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
      void *(*allocate)(const char *name, unsigned size) = NULL;

      if (!driver) {
         fprintf(stderr, "%s\n", dlerror());
         return 1;
      }
      *(void **)&allocate = dlsym(driver, "driver_allocate");
      if (!allocate)
         return 1;
      printf("driver-%d %p\n", i, allocate(i == 1 ? "first" : "second", 100 * (unsigned)i));
   }
   printf("ready\n");
   fflush(stdout);
   while (getchar() != EOF)
      ;
   return 0;
}
