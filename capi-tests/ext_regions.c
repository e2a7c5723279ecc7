/* SPDX-License-Identifier: MIT */
/*
 * slab_ext.h: heaps in regions that the program gives. Pools in one use it up without a call of the system, get NULL,
 * and go on after frees; objects of all sizes, sets of sizes and shared pools; what is refused; when a heap may go.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "iterations.h"
#include "last_report.h"
#include "lent_memory.h"
#include "live_objects.h"
#include "must.h"
#include "os_requests.h"
#include "slab.h"
#include "slab_ext.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

enum { pieces = 4, region_bytes = pieces * piece };

static bool
is_in(const void *object, size_t size, const unsigned char *region, size_t bytes)
{
   uintptr_t start = (uintptr_t)region, at = (uintptr_t)object;

   return at >= start && size <= bytes && at - start <= bytes - size;
}

static struct slab_heap *
heap_of(unsigned char *region, size_t bytes)
{
   struct slab_heap *heap = slab_create_heap(NULL);

   MUST(heap);
   MUST(slab_add_region(heap, region, bytes) > 0);
   return heap;
}

static void
create_in(struct slab_parent_pool *parent, struct slab_heap *heap, unsigned item_size)
{
   struct slab_options options = options_in(heap, item_size, 64);

   MUST(slab_create_parent_with(parent, &options) == 0);
}

/* Allocates until there is no more, and returns the bytes of the objects. */
static size_t
use_up(struct slab_child_pool *child, struct live_objects *live, unsigned item_size, const unsigned char *region,
       size_t bytes)
{
   size_t used = 0;
   void *object;

   while ((object = slab_alloc(child))) {
      MUST(is_in(object, item_size, region, bytes));
      live_add(live, object, item_size);
      used += item_size;
   }
   return used;
}

static void
a_pool_uses_its_region_up_without_a_call_of_the_system_and_goes_on_after_frees(void **state)
{
   unsigned char *region = region_of(region_bytes);
   struct slab_parent_pool parent;
   struct slab_child_pool child, sibling;
   struct live_objects live;
   struct slab_parent_stats stats;
   struct slab_options options;
   struct slab_heap *heap;
   size_t usable, used, count, fewer, i;
   unsigned round;
   const unsigned size = ITERATIONS(96, 1008);

   (void)state;
   live_create(&live, region_bytes / size);
   os_count_from_here();

   heap = slab_create_heap(NULL);
   assert_non_null(heap);
   usable = slab_add_region(heap, region, region_bytes);
   assert_int_equal(usable, region_bytes - pieces * piece_header);
   options = options_in(heap, size, 64);
   options.name = "in a region";
   assert_int_equal(slab_create_parent_with(&parent, &options), 0);
   slab_create_child(&child, &parent);
   slab_create_child(&sibling, &parent);

   used = use_up(&child, &live, size, region, region_bytes);
   assert_true(used > usable / 100 * (keeps_records() ? 40 : 98));
   assert_null(slab_alloc(&child));
   assert_null(slab_zalloc(&sibling));
   assert_int_equal(slab_validate(&parent), 0);
   assert_true(live_intact(&live) && live_apart(&live));

   /*
    * Every second one, through the other child; as many are there again, however often. On 32-bit machines magazines
    * have half the size, so that those which come and go need not fill the pages that others had, and may lie where a
    * slab was.
    */
   count = live.count;
   stats.struct_size = sizeof(stats);
   assert_int_equal(slab_get_parent_stats(&parent, &stats), 0);
   fewer = sizeof(void *) == 8 ? 0 : stats.objects_per_slab;
   for (round = 0; round < ITERATIONS(6, 2); round++) {
      for (i = 0; i < live.count; i++)
         slab_free(&sibling, live_take(&live, i));
      slab_trim_child(&sibling);
      assert_int_equal(slab_validate(&parent), 0);
      use_up(&child, &live, size, region, region_bytes);
      assert_true(round == 0 && !fewer ? live.count == count : live.count + fewer >= count);
      assert_null(slab_alloc(&child));
      assert_true(live_intact(&live) && live_apart(&live));
   }

   while (live.count)
      slab_free(&child, live_take(&live, 0));
   slab_destroy_child(&child);
   slab_destroy_child(&sibling);
   os_pass_time(100);
   slab_trim_heap();
   slab_destroy_parent(&parent);

   /* Another pool has exactly what the first one had. */
   assert_int_equal(slab_create_parent_with(&parent, &options), 0);
   slab_create_child(&child, &parent);
   use_up(&child, &live, size, region, region_bytes);
   assert_int_equal(live.count, count);
   while (live.count)
      slab_free(&child, live_take(&live, 0));
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   assert_int_equal(slab_destroy_heap(heap), 0);

   if (!keeps_records()) {
      assert_int_equal(os_calls_made(os_mmap), 0);
      assert_int_equal(os_calls_made(os_munmap), 0);
      assert_int_equal(os_calls_made(os_madvise), 0);
   }
   live_destroy(&live);
   free(region);
}

static void
a_region_is_used_again_by_pools_of_other_sizes(void **state)
{
   static const unsigned sizes[] = {ITERATIONS(8, 800),  300,          5000, 66632, piece / 2,
                                    ITERATIONS(24, 600), piece / 4 + 1};
   unsigned char *region = region_of(region_bytes);
   struct slab_heap *heap = heap_of(region, region_bytes);
   unsigned i;

   (void)state;
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i += ITERATIONS(1, 2)) {
      struct slab_parent_pool parent;
      struct slab_child_pool child;
      struct live_objects live;

      live_create(&live, region_bytes / sizes[i]);
      create_in(&parent, heap, sizes[i]);
      slab_create_child(&child, &parent);
      /* Of the largest, one fits beside the header of each piece, and one piece has the pool's body. */
      use_up(&child, &live, sizes[i], region, region_bytes);
      assert_true(live.count >= pieces - 1);
      assert_true(live_intact(&live) && live_apart(&live));
      assert_int_equal(slab_validate(&parent), 0);
      while (live.count)
         slab_free(&child, live_take(&live, live.count - 1));
      slab_destroy_child(&child);
      slab_destroy_parent(&parent);
      live_destroy(&live);
   }
   assert_int_equal(slab_validate(NULL), 0);
   assert_int_equal(slab_destroy_heap(heap), 0);
   free(region);
}

static void
a_large_object_takes_pieces_side_by_side(void **state)
{
   enum { size = piece + piece / 2, bytes = 2 * region_bytes, most = 2 * pieces };
   unsigned char *region = region_of(bytes);
   struct slab_heap *heap = heap_of(region, bytes);
   struct slab_parent_pool large, small;
   struct slab_child_pool child, small_child;
   struct live_objects live;
   void *objects[most], *beside, *first;
   unsigned round, count;

   (void)state;
   live_create(&live, bytes / 4096);
   create_in(&small, heap, 4096);
   slab_create_child(&small_child, &small);
   create_in(&large, heap, size);
   slab_create_child(&child, &large);
   first = slab_alloc(&small_child);
   assert_non_null(first);
   for (round = 0; round < 3; round++) {
      /* Few pieces have what is small; each two of the others that lie side by side are for one. */
      for (count = 0; (objects[count] = slab_alloc(&child)); count++) {
         assert_true(is_in(objects[count], size, region, bytes));
         memset(objects[count], 0x5a, size);
         assert_int_equal(slab_object_size(objects[count]), size);
      }
      assert_true(count >= 2 && count < most / 2);
      assert_int_equal(slab_validate(&large), 0);
      /* The rest is for small ones. */
      use_up(&small_child, &live, 4096, region, bytes);
      assert_true(live.count > (size_t)piece / (keeps_records() ? 3 * 4096 : 4096));
      assert_null(slab_alloc(&child));
      assert_int_equal(slab_validate(&small), 0);
      while (count)
         slab_free(&child, objects[--count]);
      slab_trim_child(&child);
      slab_trim_parent(&large);
      /* What they were in is pieces again. */
      beside = slab_alloc(&small_child);
      assert_non_null(beside);
      slab_free(&small_child, beside);
      assert_true(live_intact(&live) && live_apart(&live));
      while (live.count)
         slab_free(&small_child, live_take(&live, 0));
      slab_trim_child(&small_child);
      slab_trim_parent(&small);
      assert_int_equal(slab_validate(NULL), 0);
   }
   slab_free(&small_child, first);
   slab_destroy_child(&child);
   slab_destroy_child(&small_child);
   slab_destroy_parent(&large);
   slab_destroy_parent(&small);
   assert_int_equal(slab_destroy_heap(heap), 0);
   live_destroy(&live);
   free(region);
}

/* The same in a region that has no room for it, or in none. */
static void
an_object_that_is_too_large_is_null_and_nothing_is_lost(void **state)
{
   static const unsigned sizes[] = {region_bytes, region_bytes - piece_header + 1, 1u << 30, 0xffffffffu};
   unsigned char *region = region_of(region_bytes);
   struct slab_heap *heap = heap_of(region, region_bytes);
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   unsigned i;

   (void)state;
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
      create_in(&parent, heap, sizes[i]);
      slab_create_child(&child, &parent);
      assert_null(slab_alloc(&child));
      assert_null(slab_zalloc(&child));
      slab_destroy_child(&child);
      slab_destroy_parent(&parent);
   }
   assert_int_equal(slab_destroy_heap(heap), 0);
   free(region);
}

static void
a_region_of_any_address_and_length_is_used_as_far_as_it_is_aligned(void **state)
{
   /* From where, how long, what is used. */
   static const size_t cases[][3] = {
      {0, piece, piece - piece_header},
      {1, 2 * piece, piece - piece_header},
      {piece - 4096, 4096 + piece_header + piece_step, piece_step},
      {piece - 4096, 4096 + piece_header + 3 * piece_step + 5, 3 * piece_step},
      {0, 2 * piece + piece_header + 2 * piece_step - 1, 2 * (piece - piece_header) + piece_step},
      {0, piece + piece_header, piece - piece_header},
   };
   unsigned char *region = region_of(region_bytes);
   unsigned i;

   (void)state;
   for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
      struct slab_heap *heap = slab_create_heap(NULL);
      struct slab_parent_pool parent;
      struct slab_child_pool child;
      struct live_objects live;

      live_create(&live, region_bytes / 200);
      assert_int_equal(slab_add_region(heap, region + cases[i][0], cases[i][1]), cases[i][2]);
      create_in(&parent, heap, 200);
      slab_create_child(&child, &parent);
      assert_true(use_up(&child, &live, 200, region + cases[i][0], cases[i][1]) > cases[i][2] / 100 * 80);
      assert_int_equal(slab_validate(&parent), 0);
      assert_true(live_intact(&live) && live_apart(&live));
      while (live.count)
         slab_free(&child, live_take(&live, 0));
      slab_destroy_child(&child);
      slab_destroy_parent(&parent);
      assert_int_equal(slab_validate(NULL), 0);
      assert_int_equal(slab_destroy_heap(heap), 0);
      live_destroy(&live);
   }
   free(region);
}

static void
regions_are_added_while_a_pool_is_used(void **state)
{
   unsigned char *regions[3];
   struct slab_heap *heap = slab_create_heap(NULL);
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct slab_options options = options_in(heap, 1000, 64);
   size_t before = 0;
   unsigned count = 0, i;
   void *last = NULL, *object;

   (void)state;
   /* Without one, nothing can be made in it. */
   assert_int_equal(slab_create_parent_with(&parent, &options), -1);
   assert_null(slab_create_sizes(&options));
   assert_null(slab_create_shared(&options));
   for (i = 0; i < 3; i++) {
      regions[i] = region_of(piece);
      assert_int_equal(slab_add_region(heap, regions[i], piece), piece - piece_header);
      if (i == 0) {
         assert_int_equal(slab_create_parent_with(&parent, &options), 0);
         slab_create_child(&child, &parent);
      }
      while ((object = slab_alloc(&child))) {
         /* Linked through themselves. */
         memcpy(object, &last, sizeof(last));
         last = object;
         count++;
      }
      assert_true(count > before + piece / (keeps_records() ? 2200 : 1100));
      before = count;
   }
   assert_int_equal(slab_validate(&parent), 0);
   while (last) {
      object = last;
      memcpy(&last, object, sizeof(last));
      slab_free(&child, object);
      count--;
   }
   assert_int_equal(count, 0);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   assert_int_equal(slab_destroy_heap(heap), 0);
   for (i = 0; i < 3; i++)
      free(regions[i]);
}

static void
what_cannot_be_a_region_is_reported_and_refused(void **state)
{
   unsigned char *region = region_of(2 * piece);
   struct slab_heap *heap = slab_create_heap(NULL), *other = slab_create_heap(NULL);
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct slab_options options = options_in(NULL, 96, 64);
   void *object;

   (void)state;
   slab_set_report_handler(hear, NULL);
   reports = 0;
   assert_int_equal(slab_add_region(NULL, region, piece), 0);
   assert_int_equal(slab_add_region(heap, NULL, piece), 0);
   assert_int_equal(reports, 0);
   assert_int_equal(slab_add_region(heap, region, piece_header), 0);
   assert_non_null(strstr(reported, "slab_add_region"));
   assert_non_null(strstr(reported, "without room"));
   assert_int_equal(slab_add_region(heap, region + 1, piece - 1), 0);
   assert_int_equal(slab_add_region(heap, region, 0), 0);
   assert_int_equal(reports, 3);

   /* What one heap has, no other one can have. */
   assert_true(slab_add_region(heap, region, piece) > 0);
   assert_int_equal(slab_add_region(heap, region, piece), 0);
   assert_int_equal(slab_add_region(other, region, 2 * piece), 0);
   assert_int_equal(slab_add_region(other, region + piece / 2, piece), 0);
   assert_int_equal(reports, 6);
   assert_non_null(strstr(reported, "has already"));

   /* Nor what the process's heap has. */
   assert_int_equal(slab_create_parent_with(&parent, &options), 0);
   slab_create_child(&child, &parent);
   object = slab_alloc(&child);
   assert_non_null(object);
   assert_int_equal(slab_add_region(heap, (void *)((uintptr_t)object & ~(uintptr_t)(piece - 1)), piece), 0);
   assert_int_equal(reports, 7);
   slab_free(&child, object);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);

   /* What is no heap is none for any call. */
   options.heap = (struct slab_heap *)region;
   assert_int_equal(slab_create_parent_with(&parent, &options), -1);
   assert_null(slab_create_sizes(&options));
   assert_null(slab_create_shared(&options));
   assert_int_equal(slab_add_region((struct slab_heap *)region, region + piece, piece), 0);
   assert_int_equal(slab_destroy_heap((struct slab_heap *)region), -1);
   assert_int_equal(reports, 12);
   assert_int_equal(slab_destroy_heap(NULL), 0);
   assert_int_equal(reports, 12);
   slab_set_report_handler(NULL, NULL);

   assert_int_equal(slab_destroy_heap(heap), 0);
   /* Now the other one can have it. */
   assert_true(slab_add_region(other, region, 2 * piece) > 0);
   assert_int_equal(slab_destroy_heap(other), 0);
   free(region);
}

static void
a_heap_does_not_go_while_something_is_in_it(void **state)
{
   unsigned char *region = region_of(region_bytes);
   struct slab_heap *heap = heap_of(region, region_bytes);
   struct slab_options options = options_in(heap, 96, 64);
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct slab_sizes *sizes;
   struct slab_shared_pool *shared;
   void *object;

   (void)state;
   create_in(&parent, heap, 96);
   assert_int_equal(slab_destroy_heap(heap), -1);
   slab_create_child(&child, &parent);
   object = slab_alloc(&child);
   assert_int_equal(slab_destroy_heap(heap), -1);
   slab_destroy_child(&child);
   assert_int_equal(slab_destroy_heap(heap), -1);
   slab_destroy_parent(&parent);
   /* The object is still out. */
   assert_int_equal(slab_destroy_heap(heap), -1);
   memset(object, 0x5a, 96);
   memset(&child, 0, sizeof(child));
   slab_free(&child, object);
   assert_int_equal(slab_validate(NULL), 0);

   sizes = slab_create_sizes(&options);
   assert_non_null(sizes);
   shared = slab_create_shared(&options);
   assert_non_null(shared);
   assert_int_equal(slab_destroy_heap(heap), -1);
   slab_destroy_shared(shared);
   slab_destroy_sizes(sizes);
   assert_int_equal(slab_destroy_heap(heap), 0);
   free(region);
}

static void
sets_of_sizes_and_shared_pools_lie_in_a_region(void **state)
{
   /* What children keep of each size is as much on machines of either width. */
   enum { whole = 16 << 20 };
   unsigned char *region = region_of(whole);
   struct slab_heap *heap;
   struct slab_options options;
   struct slab_sizes *sizes;
   struct slab_sizes_child *child, *sibling;
   struct slab_shared_pool *shared;
   struct live_objects live, of_shared;
   size_t bytes = 1, count;
   void *object;

   (void)state;
   live_create(&live, whole / 8);
   live_create(&of_shared, whole / 200);
   os_count_from_here();
   heap = heap_of(region, whole);
   options = options_in(heap, 200, 64);
   options.name = "all in one";
   sizes = slab_create_sizes(&options);
   assert_non_null(sizes);
   child = slab_create_sizes_child(sizes);
   sibling = slab_create_sizes_child(sizes);
   assert_true(child && sibling);
   shared = slab_create_shared(&options);
   assert_non_null(shared);
   while ((object = slab_sizes_alloc(child, bytes))) {
      assert_true(is_in(object, bytes, region, whole));
      live_add(&live, object, bytes);
      bytes = bytes * 5 / 3 + 1;
      if (bytes > 200000)
         bytes = live.count % 50 + 1;
      if ((object = slab_shared_alloc(shared))) {
         assert_true(is_in(object, 200, region, whole));
         live_add(&of_shared, object, 200);
      }
   }
   assert_true(live.count > 100);
   count = live.count;
   assert_true(live_intact(&live) && live_apart(&live));
   while (of_shared.count)
      slab_shared_free(shared, live_take(&of_shared, of_shared.count - 1));
   while (live.count)
      slab_sizes_free(sibling, live_take(&live, live.count - 1));
   /* Again, of one size. */
   while ((object = slab_sizes_alloc(sibling, 100)))
      live_add(&live, object, 100);
   assert_true(live.count > count);
   while (live.count)
      slab_sizes_free(child, live_take(&live, live.count - 1));
   slab_destroy_sizes_child(child);
   slab_destroy_sizes_child(sibling);
   slab_destroy_sizes(sizes);
   slab_destroy_shared(shared);
   assert_int_equal(slab_destroy_heap(heap), 0);
   if (!keeps_records())
      assert_int_equal(os_calls_made(os_mmap), 0);
   live_destroy(&live);
   live_destroy(&of_shared);
   free(region);
}

static int
count_one(void *data, void *object)
{
   (void)object;
   ++*(unsigned *)data;
   return 0;
}

static int
move_to(void *data, void *object)
{
   void **place = (void **)data;
   struct slab_child_pool *child = (struct slab_child_pool *)place[0];
   unsigned char *copy = (unsigned char *)slab_alloc(child);
   unsigned index;

   if (!copy)
      return 0;
   memcpy(copy, object, 96);
   memcpy(&index, copy, sizeof(index));
   ((void **)place[1])[index] = copy;
   return 1;
}

static void
what_is_asked_and_done_elsewhere_is_so_in_a_region(void **state)
{
   enum { many = 4000, kept = many / 40 };
   unsigned char *region = region_of(region_bytes);
   struct slab_heap *heap = heap_of(region, region_bytes);
   struct slab_parent_pool parent, own;
   struct slab_child_pool child;
   struct slab_parent_stats stats;
   void *objects[many], *places[2];
   unsigned i, count = 0, one = 0;

   (void)state;
   create_in(&parent, heap, 96);
   slab_create_parent(&own, 96, 64);
   slab_create_child(&child, &parent);
   assert_int_equal(slab_alloc_bulk(&child, many, objects), many);
   for (i = 0; i < many; i++) {
      assert_true(slab_is_object(&parent, objects[i]));
      assert_false(slab_is_object(&own, objects[i]));
      assert_int_equal(slab_object_size(objects[i]), 96);
   }
   assert_false(slab_is_object(NULL, region));
   assert_false(slab_is_object(NULL, region + 1));
   for (i = 0; i < many; i++) {
      if (i % (many / kept))
         slab_free(&child, objects[i]);
      else
         objects[i / (many / kept)] = objects[i];
   }
   for (i = 0; i < kept; i++)
      memcpy(objects[i], &i, sizeof(i));
   slab_trim_child(&child);
   assert_int_equal(slab_for_each_object(&parent, count_one, &count), kept);
   assert_int_equal(count, kept);
   places[0] = &child;
   places[1] = objects;
   assert_true(slab_shrink(&parent, move_to, places) > 0);
   assert_int_equal(slab_validate(&parent), 0);
   for (i = 0; i < kept; i++) {
      unsigned index;

      memcpy(&index, objects[i], sizeof(index));
      assert_int_equal(index, i);
   }
   stats.struct_size = sizeof(stats);
   assert_int_equal(slab_get_parent_stats(&parent, &stats), 0);
   assert_true(stats.objects_out >= kept);
   for (i = 0; i < kept; i++)
      slab_free(&child, objects[i]);
   assert_int_equal(slab_prefill(&child, 100), keeps_records() ? 0 : 100);
   one = slab_alloc_bulk(&child, 100, objects);
   slab_free_bulk(&child, one, objects);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   slab_destroy_parent(&own);
   assert_int_equal(slab_destroy_heap(heap), 0);
   free(region);
}

static void
no_object_of_a_region_is_guarded(void **state)
{
   unsigned char *region = region_of(region_bytes);
   struct slab_heap *heap = heap_of(region, region_bytes);
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   void *objects[500];
   unsigned before, i;

   (void)state;
   before = slab_set_sampling(1);
   create_in(&parent, heap, 96);
   slab_create_child(&child, &parent);
   for (i = 0; i < 500; i++) {
      objects[i] = slab_alloc(&child);
      assert_true(is_in(objects[i], 96, region, region_bytes));
   }
   for (i = 0; i < 500; i++)
      slab_free(&child, objects[i]);
   slab_set_sampling(before);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   assert_int_equal(slab_destroy_heap(heap), 0);
   free(region);
}

static void
a_pool_that_is_created_over_one_in_a_region_leaves_its_objects_valid(void **state)
{
   unsigned char *region = region_of(region_bytes);
   struct slab_heap *heap = heap_of(region, region_bytes);
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   unsigned char *object;
   unsigned i;

   (void)state;
   create_in(&parent, heap, 96);
   slab_create_child(&child, &parent);
   object = (unsigned char *)slab_alloc(&child);
   assert_non_null(object);
   memset(object, 0x5a, 96);
   slab_destroy_child(&child);
   /* Never destroyed. */
   slab_create_parent(&parent, 96, 64);
   slab_create_child(&child, &parent);
   for (i = 0; i < 96; i++)
      assert_int_equal(object[i], 0x5a);
   assert_int_equal(slab_destroy_heap(heap), -1);
   slab_free(&child, object);
   assert_int_equal(slab_destroy_heap(heap), 0);
   object = (unsigned char *)slab_alloc(&child);
   assert_false(is_in(object, 96, region, region_bytes));
   slab_free(&child, object);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   free(region);
}

static void
there_may_be_many_heaps(void **state)
{
   enum { many = 30 };
   struct slab_heap *heaps[many];
   unsigned char *region = region_of(piece);
   unsigned round, i;

   (void)state;
   for (round = 0; round < 2; round++) {
      for (i = 0; i < many; i++) {
         heaps[i] = slab_create_heap(NULL);
         assert_non_null(heaps[i]);
      }
      assert_true(slab_add_region(heaps[many - 1], region, piece) > 0);
      /* In another order. */
      for (i = 0; i < many; i++)
         assert_int_equal(slab_destroy_heap(heaps[i * 7 % many]), 0);
   }
   free(region);
}

struct worker {
   struct slab_parent_pool *parent;
   unsigned seed;
   unsigned nulls;
};

/* Fills what is left, and frees, many times; others do the same. */
static void *
work(void *arg)
{
   enum { most = 3000 };
   struct worker *worker = (struct worker *)arg;
   struct slab_child_pool child;
   struct live_objects live;
   int round;

   live_create(&live, most);
   for (round = 0; round < ITERATIONS(60, 5); round++) {
      slab_create_child(&child, worker->parent);
      while (live.count < most) {
         void *object = slab_alloc(&child);

         if (!object) {
            worker->nulls++;
            break;
         }
         live_add(&live, object, 1000);
      }
      MUST(live_intact(&live));
      while (live.count > worker->seed % 50)
         slab_free(&child, live_take(&live, (worker->seed = worker->seed * 1103515245 + 12345) / 65536 % live.count));
      slab_destroy_child(&child);
   }
   slab_create_child(&child, worker->parent);
   while (live.count)
      slab_free(&child, live_take(&live, 0));
   slab_destroy_child(&child);
   live_destroy(&live);
   return NULL;
}

static void
threads_use_a_region_up_together(void **state)
{
   enum { threads = 4 };
   unsigned char *region = region_of(2 * piece);
   struct slab_heap *heap = heap_of(region, 2 * piece);
   struct slab_parent_pool parents[2];
   struct worker workers[threads];
   pthread_t ids[threads];
   int i;

   (void)state;
   create_in(&parents[0], heap, 1000);
   create_in(&parents[1], heap, 1000);
   for (i = 0; i < threads; i++) {
      workers[i].parent = &parents[i % 2];
      workers[i].seed = (unsigned)i;
      workers[i].nulls = 0;
      MUST(pthread_create(&ids[i], NULL, work, &workers[i]) == 0);
   }
   for (i = 0; i < threads; i++)
      MUST(pthread_join(ids[i], NULL) == 0);
   assert_int_equal(slab_validate(&parents[0]), 0);
   slab_destroy_parent(&parents[0]);
   slab_destroy_parent(&parents[1]);
   assert_int_equal(slab_destroy_heap(heap), 0);
   free(region);
}

static void
use_in_child(void *arg)
{
   struct slab_parent_pool *parent = (struct slab_parent_pool *)arg;
   struct slab_child_pool child;
   void *objects[500];

   slab_create_child(&child, parent);
   MUST(slab_alloc_bulk(&child, 500, objects) == 500);
   slab_free_bulk(&child, 500, objects);
   slab_destroy_child(&child);
   MUST(slab_validate(parent) == 0);
}

static void
a_forked_process_uses_a_pool_in_a_region(void **state)
{
   unsigned char *region = region_of(region_bytes);
   struct slab_heap *heap = heap_of(region, region_bytes);
   struct slab_parent_pool parent;
   struct child_process child;

   (void)state;
   create_in(&parent, heap, 96);
   use_in_child(&parent);
   assert_true(child_run(&child, use_in_child, &parent));
   use_in_child(&parent);
   slab_destroy_parent(&parent);
   assert_int_equal(slab_destroy_heap(heap), 0);
   free(region);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_pool_uses_its_region_up_without_a_call_of_the_system_and_goes_on_after_frees),
      cmocka_unit_test(a_region_is_used_again_by_pools_of_other_sizes),
      cmocka_unit_test(a_large_object_takes_pieces_side_by_side),
      cmocka_unit_test(an_object_that_is_too_large_is_null_and_nothing_is_lost),
      cmocka_unit_test(a_region_of_any_address_and_length_is_used_as_far_as_it_is_aligned),
      cmocka_unit_test(regions_are_added_while_a_pool_is_used),
      cmocka_unit_test(what_cannot_be_a_region_is_reported_and_refused),
      cmocka_unit_test(a_heap_does_not_go_while_something_is_in_it),
      cmocka_unit_test(sets_of_sizes_and_shared_pools_lie_in_a_region),
      cmocka_unit_test(what_is_asked_and_done_elsewhere_is_so_in_a_region),
      cmocka_unit_test(no_object_of_a_region_is_guarded),
      cmocka_unit_test(a_pool_that_is_created_over_one_in_a_region_leaves_its_objects_valid),
      cmocka_unit_test(there_may_be_many_heaps),
      cmocka_unit_test(threads_use_a_region_up_together),
      cmocka_unit_test(a_forked_process_uses_a_pool_in_a_region),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
