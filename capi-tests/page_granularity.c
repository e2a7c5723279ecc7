/* SPDX-License-Identifier: MIT */
/*
 * Systems whose pages have 16 KiB or 64 KiB: the library's own pages have 4 KiB, but what it asks of the system is
 * in whole pages of the system's, and memory goes back in those.
 */
#include "cmocka_case.h"
#include "coarse_pages.h"
#include "iterations.h"
#include "live_objects.h"
#include "slab.h"
#include "slab_ext.h"

#include <string.h>

static const size_t page_sizes[] = {4 << 10, 16 << 10, 64 << 10};

static void
trim(struct slab_parent_pool *parent, struct slab_child_pool *child)
{
   slab_trim_child(child);
   slab_trim_parent(parent);
   slab_trim_heap();
   assert_int_equal(slab_validate(parent), 0);
}

static void
begin(size_t page_size, enum coarse_purge purge)
{
   coarse_pages_begin(0, PURGE_TO_ZEROES);
   slab_trim_heap();
   coarse_pages_begin(page_size, purge);
}

/* What must hold when all pools are gone. */
static void
end(void)
{
   slab_trim_heap();
   assert_int_equal(slab_validate(NULL), 0);
   assert_true(coarse_pages_calls() > 0);
   assert_int_equal(coarse_pages_broken(), 0);
   assert_int_equal(coarse_pages_mapped(), 0);
   coarse_pages_begin(0, PURGE_TO_ZEROES);
}

/* Objects come and go; every third one stays until the memory of the others went back. */
static void
use(unsigned item_size, unsigned count)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct live_objects live;
   unsigned i, round;

   live_create(&live, count);
   slab_create_parent(&parent, item_size, 16);
   slab_create_child(&child, &parent);
   for (round = 0; round < 2; round++) {
      while (live.count < count) {
         void *object = slab_alloc(&child);

         assert_non_null(object);
         live_add(&live, object, item_size);
      }
      for (i = count; i-- > 0;) {
         if (i % 3 != 0)
            slab_free(&child, live_take(&live, i));
      }
      trim(&parent, &child);
      assert_true(live_intact(&live));
   }
   while (live.count > 0)
      slab_free(&child, live_take(&live, live.count - 1));
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   live_destroy(&live);
}

static void
what_is_asked_of_the_system_is_in_whole_pages(void **state)
{
   static const struct {
      unsigned item_size, count;
   } pools[] = {
      {8, 20000},   {96, 20000}, {700, 5000},  {4096, 1000}, {5000, 1000},
      {20000, 200}, {66632, 60}, {200001, 20}, {2097153, 5}, {5000001, 3},
   };
   size_t i, j;

   (void)state;
   for (i = 0; i < sizeof(page_sizes) / sizeof(page_sizes[0]); i++) {
      begin(page_sizes[i], PURGE_TO_ZEROES);
      for (j = 0; j < sizeof(pools) / sizeof(pools[0]); j++)
         use(pools[j].item_size, ITERATIONS(pools[j].count, (pools[j].count + 9) / 10));
      end();
   }
}

static bool
is_odd(const void *object, size_t unit)
{
   return (uintptr_t)object / unit % 2 != 0;
}

/* Frees what is in every second stretch of `unit` bytes. Returns how many bytes that were. */
static size_t
free_odd(struct slab_child_pool *child, struct live_objects *live, size_t unit)
{
   size_t i, freed = 0;

   for (i = live->count; i-- > 0;) {
      if (is_odd(live->objects[i].ptr, unit)) {
         freed += live->objects[i].size;
         slab_free(child, live_take(live, i));
      }
   }
   return freed;
}

static void
memory_goes_back_page_by_page(void **state)
{
   const unsigned item_size = 256, count = 20000;
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct live_objects live;
   size_t i, freed, purged;

   (void)state;
   live_create(&live, count);
   for (i = 0; i < sizeof(page_sizes) / sizeof(page_sizes[0]); i++) {
      const size_t page = page_sizes[i];

      begin(page, PURGE_TO_ZEROES);
      /* One page of the library's for each slab. */
      slab_create_parent(&parent, item_size, 16);
      slab_create_child(&child, &parent);
      while (live.count < count) {
         void *object = slab_alloc(&child);

         assert_non_null(object);
         live_add(&live, object, item_size);
      }

      /*
       * Half of each page of the system's is in use: no object's memory can go, only that of magazines, full and
       * empty ones of each size, which is a fraction of it. If the memory of objects went, it would be all of it.
       */
      if (page > 4096) {
         freed = free_odd(&child, &live, page / 2);
         trim(&parent, &child);
         assert_true(freed > 0);
         assert_true(coarse_pages_purged() < freed / 2);
         assert_true(live_intact(&live));
      }

      /* Every second page is free: the memory of all but the outermost goes. */
      freed = free_odd(&child, &live, page);
      if (page > 4096)
         freed *= 2;
      trim(&parent, &child);
      purged = coarse_pages_purged();
      assert_true(purged % page == 0);
      assert_true(purged + 4 * page >= freed);
      assert_true(live_intact(&live));

      while (live.count > 0)
         slab_free(&child, live_take(&live, live.count - 1));
      slab_destroy_child(&child);
      slab_destroy_parent(&parent);
      end();
   }
   live_destroy(&live);
}

static void
what_was_purged_may_be_used_again_whatever_is_in_it(void **state)
{
   static unsigned char zeroes[700];
   const unsigned item_size = sizeof(zeroes), count = ITERATIONS(4000, 1000);
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct live_objects live;
   size_t i;
   unsigned round;

   (void)state;
   live_create(&live, count);
   for (i = 0; i < sizeof(page_sizes) / sizeof(page_sizes[0]); i++) {
      begin(page_sizes[i], PURGE_TO_GARBAGE);
      slab_create_parent(&parent, item_size, 16);
      slab_create_child(&child, &parent);
      assert_int_equal(slab_set_name(&parent, "garbage"), 0);
      for (round = 0; round < 3; round++) {
         while (live.count < count) {
            void *object = slab_zalloc(&child);

            assert_non_null(object);
            assert_memory_equal(object, zeroes, item_size);
            live_add(&live, object, item_size);
         }
         free_odd(&child, &live, 256 << 10);
         trim(&parent, &child);
         assert_true(coarse_pages_purged() > 0);
         assert_true(live_intact(&live));
      }
      while (live.count > 0)
         slab_free(&child, live_take(&live, live.count - 1));
      slab_destroy_child(&child);
      slab_destroy_parent(&parent);
      end();
   }
   live_destroy(&live);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_asked_of_the_system_is_in_whole_pages),
      cmocka_unit_test(memory_goes_back_page_by_page),
      cmocka_unit_test(what_was_purged_may_be_used_again_whatever_is_in_it),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
