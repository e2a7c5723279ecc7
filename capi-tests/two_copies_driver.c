/* SPDX-License-Identifier: MIT */
/*
 * A driver with the static library inside, of which nothing is hidden by how it is linked. It is built several times:
 * with the ordinary library and the hardened one if there is one, inlined and not. NAME is its function.
 */
#include "slab.h"
#include "slab_ext.h"

#include <string.h>

enum { count = 3000, item_size = 96 };

int NAME(void);

/* Returns 0 if all is well. */
int
NAME(void)
{
   static unsigned char *objects[count];
   struct slab_parent_stats stats;
   struct slab_parent_pool parent;
   struct slab_child_pool a, b;
   unsigned problems;
   int round, i;

   slab_create_parent(&parent, item_size, 16);
   slab_set_name(&parent, "of a copy");
   slab_create_child(&a, &parent);
   slab_create_child(&b, &parent);
   for (round = 0; round < 20; round++) {
      for (i = 0; i < count; i++) {
         objects[i] = (unsigned char *)slab_alloc(&a);
         if (!objects[i])
            return 1;
         memset(objects[i], i & 255, item_size);
      }
      for (i = 0; i < count; i++) {
         if (objects[i][0] != (i & 255) || objects[i][item_size - 1] != (i & 255))
            return 2;
      }
      for (i = 0; i < count; i++)
         slab_free(&b, objects[i]);
   }
   slab_destroy_child(&a);
   slab_destroy_child(&b);
   memset(&stats, 0, sizeof(stats));
   stats.struct_size = sizeof(stats);
   slab_get_parent_stats(&parent, &stats);
   problems = slab_validate(&parent);
   slab_destroy_parent(&parent);
   if (stats.objects_out != 0)
      return 3;
   return problems == 0 ? 0 : 4;
}
