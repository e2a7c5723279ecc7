/* SPDX-License-Identifier: MIT */

/* What every build and install has to make possible: include slab.h, link, run. */

#include <slab.h>

#include <stdio.h>
#include <string.h>

int
main(void)
{
   struct slab_parent_pool parent;
   struct slab_child_pool maker, user;

   slab_create_parent(&parent, 96, 64);
   slab_create_child(&maker, &parent);
   slab_create_child(&user, &parent);

   char *object = (char *)slab_zalloc(&maker);
   slab_destroy_child(&maker);

   int ok = object && object[0] == 0 && object[95] == 0;
   if (ok) {
      memset(object, 1, 96);
      slab_free(&user, object);
   }
   slab_destroy_child(&user);
   slab_destroy_parent(&parent);

   if (!ok)
      fprintf(stderr, "consumer: slab_zalloc did not give 96 zeroed bytes\n");
   return !ok;
}
