/* SPDX-License-Identifier: MIT */
/*
 * Not a test: prints what bulk calls cost against single ones, for batches of several sizes. Each figure is the median
 * of interleaved rounds; the loop itself is part of it.
 */
#define _POSIX_C_SOURCE 199309L

#include "slab.h"
#include "slab_ext.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { item_size = 96, num_items = 64, most = 1000, rounds = 51, objects_per_round = 1 << 18 };

static void *objects[most];

static double
now(void)
{
   struct timespec time;

   clock_gettime(CLOCK_MONOTONIC, &time);
   return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void
by_one(struct slab_child_pool *maker, struct slab_child_pool *user, unsigned count)
{
   unsigned i;

   for (i = 0; i < count; i++) {
      objects[i] = slab_alloc(maker);
      if (!objects[i])
         abort();
   }
   for (i = 0; i < count; i++)
      slab_free(user, objects[i]);
}

static void
in_bulk(struct slab_child_pool *maker, struct slab_child_pool *user, unsigned count)
{
   if (slab_alloc_bulk(maker, count, objects) != count)
      abort();
   slab_free_bulk(user, count, objects);
}

/* Nanoseconds for each object. */
static double
time_of(void (*batch)(struct slab_child_pool *, struct slab_child_pool *, unsigned), struct slab_child_pool *maker,
        struct slab_child_pool *user, unsigned count)
{
   unsigned i, batches = objects_per_round / count;
   double start = now();

   for (i = 0; i < batches; i++)
      batch(maker, user, count);
   return (now() - start) / ((double)batches * count);
}

static int
compare(const void *a, const void *b)
{
   double x = *(const double *)a, y = *(const double *)b;

   return x < y ? -1 : x > y;
}

int
main(void)
{
   static const unsigned counts[] = {4, 16, 64, 256, 1000};
   static const char *const names[] = {"same child", "through another"};
   struct slab_parent_pool parent;
   struct slab_child_pool children[2];
   unsigned k, c, i;

   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&children[0], &parent);
   slab_create_child(&children[1], &parent);
   printf("%-18s %6s %10s %10s %7s   (ns for an object's life; ratio with its quartiles)\n", "freed", "batch", "single",
          "bulk", "ratio");
   for (k = 0; k < 2; k++) {
      for (c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
         double single[rounds], bulk[rounds], ratio[rounds];

         for (i = 0; i < rounds; i++) {
            single[i] = time_of(by_one, &children[0], &children[k], counts[c]);
            bulk[i] = time_of(in_bulk, &children[0], &children[k], counts[c]);
            ratio[i] = bulk[i] / single[i];
         }
         qsort(single, rounds, sizeof(single[0]), compare);
         qsort(bulk, rounds, sizeof(bulk[0]), compare);
         qsort(ratio, rounds, sizeof(ratio[0]), compare);
         printf("%-18s %6u %10.2f %10.2f %7.2f   %.2f to %.2f\n", names[k], counts[c], single[rounds / 2],
                bulk[rounds / 2], ratio[rounds / 2], ratio[rounds / 4], ratio[3 * rounds / 4]);
      }
   }
   slab_destroy_child(&children[0]);
   slab_destroy_child(&children[1]);
   slab_destroy_parent(&parent);
   return 0;
}
