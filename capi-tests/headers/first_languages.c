/* SPDX-License-Identifier: MIT */
/*
 * A driver in the language of older drivers, C89 as gcc extends it, and C++98. With SLAB_INLINE and clang's check of
 * pointer arithmetic it takes every path of slab_inline.h; the first free goes through a child without magazines.
 */
#include <slab.h>
#include <slab_ext.h>

#include <stdio.h>
#include <string.h>

#if SLAB_VERSION < 1000
#error "no version"
#endif

struct transfer {
   unsigned level, usage;
};

static struct slab_parent_pool transfers;

static int
count(void *data, void *object)
{
   *(int *)data += slab_is_object(&transfers, object);
   return 0;
}

static int
use(struct slab_child_pool *maker, struct slab_child_pool *user)
{
   struct transfer *objects[1000];
   int i;

   for (i = 0; i < 1000; i++) {
      objects[i] = (struct transfer *)(i % 2 ? slab_alloc(maker) : slab_zalloc(maker));
      if (!objects[i])
         return 1;
      memset(objects[i], i, sizeof(*objects[i]));
   }
   for (i = 0; i < 1000; i++)
      slab_free(i % 3 ? user : maker, objects[i]);
   if (slab_prefill(maker, 10) != 10 || slab_alloc_bulk(maker, 100, (void **)objects) != 100)
      return 1;
   slab_free_bulk(user, 100, (void *const *)objects);
   slab_free(user, NULL);
   return 0;
}

int
main(void)
{
   struct slab_child_pool maker, user;
   struct slab_parent_stats stats;
   struct slab_options options;
   void *object;
   int bad, counted = 0;

   memset(&options, 0, sizeof(options));
   options.struct_size = sizeof(options);
   options.item_size = sizeof(struct transfer);
   options.alignment = 64;
   options.name = "aligned";
   if (slab_create_parent_with(&transfers, &options))
      return 1;
   slab_destroy_parent(&transfers);

   slab_create_parent(&transfers, sizeof(struct transfer), 16);
   slab_create_child(&maker, &transfers);
   slab_create_child(&user, &transfers);
   object = slab_alloc(&maker);
   bad = slab_object_size(object) != sizeof(struct transfer) || slab_object_size(&object) != 0;
   slab_trim_child(&maker);
   bad |= slab_for_each_object(&transfers, count, &counted) != 1 || counted != 1;
   bad |= slab_shrink(&transfers, count, &counted) != 0;
   slab_free(&user, object);
   bad |= !object || use(&maker, &user) || slab_set_name(&transfers, "transfers");

   slab_destroy_child(&maker);
   slab_destroy_child(&user);
   stats.struct_size = sizeof(stats);
   bad |= slab_get_parent_stats(&transfers, &stats) || stats.objects_out != stats.objects_in_depot;
   slab_destroy_parent(&transfers);
   if (bad)
      fprintf(stderr, "first_languages: failed\n");
   return bad;
}
