/* SPDX-License-Identifier: MIT */
/*
 * slab_ext.h, in bulk: slab_alloc_bulk and slab_free_bulk give and take what so many single calls would, and
 * slab_prefill what it promises: that so many allocations neither fail nor take a lock.
 */
#include "alignment.h"
#include "child_process.h"
#include "cmocka_case.h"
#include "iterations.h"
#include "live_objects.h"
#include "must.h"
#include "os_requests.h"
#include "slab.h"
#include "slab_ext.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { item_size = 96, num_items = 64, many = 3000 };
/* A chunk has room for about as many of them on machines of either width. */
enum { large = sizeof(void *) == 8 ? 1000 : 250 };

static void *objects[many];

static struct slab_parent_stats
stats_of(struct slab_parent_pool *parent)
{
   struct slab_parent_stats stats;

   stats.struct_size = sizeof(stats);
   MUST(slab_get_parent_stats(parent, &stats) == 0);
   return stats;
}

/* Whether children of the pool cache nothing: it has modes. */
static bool
is_uncached(struct slab_parent_pool *parent)
{
   return stats_of(parent).objects_per_child == 0;
}

static void
allocate(struct live_objects *live, struct slab_child_pool *child, unsigned count)
{
   size_t size = child->parent->item_size;
   unsigned i;

   MUST(count <= many);
   assert_int_equal(slab_alloc_bulk(child, count, objects), count);
   for (i = 0; i < count; i++) {
      assert_int_equal((uintptr_t)objects[i] % promised_alignment(size), 0);
      live_add(live, objects[i], size);
   }
}

/* Those from an index on, with NULLs among them. */
static void
release(struct live_objects *live, struct slab_child_pool *child, size_t first, unsigned count)
{
   unsigned i;

   for (i = 0; i < count; i++) {
      objects[i] = i % 11 == 3 ? NULL : live_take(live, first);
      assert_true(objects[i] || i % 11 == 3);
   }
   slab_free_bulk(child, count, objects);
}

static void
objects_of_all_sizes_come_and_go_in_bulk(void **state)
{
   static const unsigned sizes[] = {1, 8, 24, 96, 300, 1000, 4096, 5000, 40000, 66632, 300000};
   static const unsigned counts[] = {1, 2, 3, 7, 8, 63, 64, 65, 126, 127, 128, 254, 300, 511, 600, 1000};
   unsigned i, k;

   (void)state;
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
      struct slab_parent_pool parent;
      struct slab_child_pool child, sibling;
      struct live_objects live;

      live_create(&live, 8 * many);
      slab_create_parent(&parent, sizes[i], num_items);
      slab_create_child(&child, &parent);
      slab_create_child(&sibling, &parent);
      for (k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
         unsigned count = counts[k];

         if ((size_t)count * sizes[i] > (size_t)ITERATIONS(16 << 20, 300 << 10))
            break;
         allocate(&live, &child, count);
         allocate(&live, &sibling, count / 2);
         live_add(&live, slab_alloc(&child), sizes[i]);
         assert_true(live_intact(&live) && live_apart(&live));
         release(&live, &sibling, live.count / 3, count);
         slab_free(&child, live_take(&live, 0));
         release(&live, &child, 0, (unsigned)live.count / 2);
         assert_int_equal(slab_validate(&parent), 0);
      }
      assert_true(live_intact(&live));
      while (live.count) {
         unsigned count = live.count < 700 ? (unsigned)live.count : 700;
         release(&live, &sibling, 0, count);
      }
      slab_destroy_child(&child);
      assert_int_equal(slab_validate(&parent), 0);
      slab_destroy_child(&sibling);
      slab_trim_parent(&parent);
      assert_int_equal(stats_of(&parent).objects_out, 0);
      slab_destroy_parent(&parent);
      live_destroy(&live);
   }
}

static void
bulk_gives_what_single_calls_would(void **state)
{
   struct slab_mempool one, many_at_once;
   void *single[200];
   int i;

   (void)state;
   slab_create(&one, item_size, num_items);
   slab_create(&many_at_once, item_size, num_items);
   for (i = 0; i < 200; i++)
      single[i] = slab_alloc_st(&one);
   assert_int_equal(slab_alloc_bulk(&many_at_once.child, 200, objects), 200);
#ifndef HARDENED
   /* From the lowest address of a slab up, in both. */
   for (i = 1; i < 40; i++)
      assert_int_equal((char *)objects[i] - (char *)objects[0], (char *)single[i] - (char *)single[0]);
#endif
   for (i = 0; i < 200; i++)
      slab_free_st(&one, single[i]);
   slab_free_bulk(&many_at_once.child, 200, objects);
   /* And then the last one that was freed first. */
   if (!is_uncached(&one.parent)) {
      single[0] = objects[199];
      assert_int_equal(slab_alloc_bulk(&many_at_once.child, 3, objects), 3);
      assert_ptr_equal(objects[0], single[0]);
      slab_free_bulk(&many_at_once.child, 3, objects);
   }
   slab_destroy(&one);
   slab_destroy(&many_at_once);
}

static void
nothing_in_bulk_is_nothing(void **state)
{
   struct slab_mempool pool;
   void *marked = &pool;

   (void)state;
   slab_create(&pool, item_size, num_items);
   assert_int_equal(slab_alloc_bulk(&pool.child, 0, NULL), 0);
   slab_free_bulk(&pool.child, 0, NULL);
   objects[0] = objects[1] = NULL;
   slab_free_bulk(&pool.child, 2, objects);
   slab_destroy(&pool);
   /* Through a destroyed child. */
   assert_int_equal(slab_alloc_bulk(&pool.child, 1, &marked), 0);
   assert_int_equal(slab_prefill(&pool.child, 1), 0);
   slab_free_bulk(&pool.child, 2, objects);
}

/* Objects of other pools, of pools that are gone, and through a child that is destroyed. */
static void
what_is_freed_in_bulk_may_be_of_any_pool(void **state)
{
   struct slab_mempool a, b, c;
   int i;

   (void)state;
   slab_create(&a, item_size, num_items);
   slab_create(&b, item_size, num_items);
   slab_create(&c, 600, num_items);
   for (i = 0; i < 600; i++) {
      objects[i] = slab_alloc_st(i % 3 == 0 ? &a : i % 3 == 1 ? &b : &c);
      assert_non_null(objects[i]);
   }
   slab_destroy(&c);
   slab_free_bulk(&a.child, 300, objects);
   slab_destroy_child(&a.child);
   slab_free_bulk(&a.child, 300, objects + 300);
   slab_trim_child(&b.child);
   slab_trim_parent(&b.parent);
   assert_int_equal(stats_of(&b.parent).objects_out, 0);
   assert_true(stats_of(&b.parent).foreign_frees >= 200);
   slab_destroy_parent(&a.parent);
   slab_destroy(&b);
   assert_int_equal(slab_validate(NULL), 0);
}

static void
double_frees_in_bulk_are_reported(void *arg)
{
   struct slab_mempool pool;

   (void)arg;
   slab_create(&pool, item_size, num_items);
   MUST(slab_alloc_bulk(&pool.child, 10, objects) == 10);
   objects[10] = objects[4];
   slab_free_bulk(&pool.child, 11, objects);
   slab_destroy(&pool);
}

static void
misuse_in_bulk_is_reported(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, double_frees_in_bulk_are_reported, NULL));
   assert_non_null(strstr(child.said, ": double free"));
   assert_non_null(strstr(child.said, "mesa-slab: slab_"));
}

/* What there is is given, and nothing is lost. */
static void
memory_runs_out_within_a_bulk(void *arg)
{
   struct slab_mempool pool;
   struct live_objects live;
   unsigned given, i, all = 0, rounds = 0;

   (void)arg;
   live_create(&live, 100000);
   slab_trim_heap();
   slab_create(&pool, large, num_items);
   slab_free_st(&pool, slab_alloc_st(&pool));
   os_fail_request(1, true);
   do {
      memset(objects, 0, sizeof(objects));
      given = slab_alloc_bulk(&pool.child, 1000, objects);
      for (i = 0; i < given; i++)
         live_add(&live, objects[i], large);
      for (; i < 1000; i++)
         MUST(objects[i] == NULL);
      all += given;
      MUST(++rounds < 100);
   } while (given == 1000);
   MUST(os_requests_failed() > 0);
   MUST(slab_alloc_bulk(&pool.child, 5, objects) == 0);
   MUST(slab_alloc_st(&pool) == NULL);
   MUST(live_intact(&live) && live_apart(&live));
   MUST(slab_validate(&pool.parent) == 0);
   os_fail_nothing();
   MUST(slab_alloc_bulk(&pool.child, 1000, objects) == 1000);
   slab_free_bulk(&pool.child, 1000, objects);
   while (live.count) {
      unsigned count = live.count < 900 ? (unsigned)live.count : 900;
      release(&live, &pool.child, 0, count);
   }
   slab_destroy(&pool);
   slab_trim_heap();
   MUST(all > 1000);
   live_destroy(&live);
}

static void
without_memory_fewer_are_given(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, memory_runs_out_within_a_bulk, NULL));
}

/* In a pool of this size, for a child that has done nothing yet or was busy: what is promised holds while mmap fails. */
static void
check_prefill(unsigned size, unsigned count, bool is_busy)
{
   struct slab_mempool pool;
   struct slab_child_pool sibling;
   struct slab_parent_stats stats;
   struct live_objects live;
   unsigned promised, calls[os_functions], i;

   live_create(&live, 2 * many);
   slab_create(&pool, size, num_items);
   slab_create_child(&sibling, &pool.parent);
   if (is_busy) {
      /* The depot has full magazines, and the child some objects. */
      allocate(&live, &pool.child, many);
      release(&live, &sibling, 0, many);
      allocate(&live, &pool.child, 5);
      while (live.count > 5)
         slab_free(&sibling, live_take(&live, 5));
   }
   promised = slab_prefill(&pool.child, count);
   stats = stats_of(&pool.parent);
   assert_int_equal(promised, count < stats.objects_per_child ? count : stats.objects_per_child);
   assert_int_equal(slab_validate(&pool.parent), 0);

   os_fail_request(1, true);
   for (i = 0; i < os_functions; i++)
      calls[i] = os_calls_made((enum os_function)i);
   for (i = 0; i < promised;) {
      unsigned k, at_once = i % 40 == 7 && promised - i > 20 ? 20 : 1;

      if (at_once == 1)
         objects[0] = i % 3 ? slab_alloc_st(&pool) : slab_zalloc(&pool.child);
      else
         assert_int_equal(slab_alloc_bulk(&pool.child, at_once, objects), at_once);
      for (k = 0; k < at_once; k++, i++) {
         assert_non_null(objects[k]);
         live_add(&live, objects[k], size);
      }
   }
   /* No call of the system, and none to the parent. */
   for (i = 0; i < os_functions; i++)
      assert_int_equal(os_calls_made((enum os_function)i), calls[i]);
   assert_int_equal(stats_of(&pool.parent).exchanges, stats.exchanges);
   assert_int_equal(stats_of(&pool.parent).objects_out, stats.objects_out);
   os_fail_nothing();
   assert_true(live_intact(&live) && live_apart(&live));
   while (live.count)
      slab_free(&sibling, live_take(&live, 0));
   slab_destroy_child(&sibling);
   slab_destroy(&pool);
   live_destroy(&live);
}

static void
prefilled_allocations_do_not_fail(void **state)
{
   static const unsigned sizes[] = {8, 96, 256, 600, 2000, 4096, 8192, 66632, 300000};
   static const unsigned counts[] = {0, 1, 2, 3, 8, 50, 127, 128, 200, 254, 255, 400, 511, 600, 1022, 1023, 5000};
   unsigned i, k;

   (void)state;
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
      for (k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
         if ((i + k) % ITERATIONS(1, 3) == 0)
            check_prefill(sizes[i], counts[k], false);
         if (sizes[i] < 3000 && (i + k) % ITERATIONS(1, 10) == 0)
            check_prefill(sizes[i], counts[k], true);
      }
   }
}

static void
what_is_put_by_counts_and_more_is_added(void **state)
{
   struct slab_mempool pool;
   unsigned i, out;

   (void)state;
   slab_create(&pool, item_size, num_items);
   if (is_uncached(&pool.parent)) {
      assert_int_equal(slab_prefill(&pool.child, 10), 0);
   } else {
      assert_int_equal(slab_prefill(&pool.child, 10), 10);
      out = (unsigned)stats_of(&pool.parent).objects_out;
      assert_int_equal(slab_prefill(&pool.child, 10), 10);
      assert_int_equal(stats_of(&pool.parent).objects_out, out);
      for (i = 10; i < 1200; i += 7)
         assert_int_equal(slab_prefill(&pool.child, i), i < 1022 ? i : 1022);
      assert_int_equal(stats_of(&pool.parent).objects_out, 1022);
      assert_int_equal(slab_alloc_bulk(&pool.child, 1022, objects), 1022);
      assert_int_equal(stats_of(&pool.parent).objects_out, 1022);
      slab_free_bulk(&pool.child, 1022, objects);
   }
   assert_int_equal(slab_validate(&pool.parent), 0);
   slab_destroy(&pool);
}

/* Memory for some of it only: that much is promised, and holds. */
static void
prefill_without_memory(void *arg)
{
   struct slab_mempool pool;
   struct slab_child_pool others[3000];
   unsigned promised, i, count = 0;
   void *last;

   (void)arg;
   slab_trim_heap();
   slab_create(&pool, item_size, num_items);
   os_fail_request(1, true);
   MUST(slab_prefill(&pool.child, 100) == 0);
   os_fail_nothing();
   slab_free_st(&pool, slab_alloc_st(&pool));
   slab_trim_child(&pool.child);
   if (is_uncached(&pool.parent)) {
      slab_destroy(&pool);
      return;
   }
   os_fail_request(1, true);
   /* All but a few objects. */
   do {
      slab_create_child(&others[count], &pool.parent);
      last = slab_alloc(&others[count]);
   } while (last && ++count < 3000);
   MUST(count > 10);
   for (i = 0; i < 5; i++)
      slab_trim_child(&others[i]);
   promised = slab_prefill(&pool.child, 1000);
   MUST(promised > 0 && promised < 1000);
   for (i = 0; i < promised; i++)
      MUST(objects[i] = slab_alloc_st(&pool));
   MUST(slab_validate(&pool.parent) == 0);
   os_fail_nothing();
   slab_free_bulk(&pool.child, promised, objects);
   MUST(slab_prefill(&pool.child, 1000) == 1000);
   while (count > 0)
      slab_destroy_child(&others[--count]);
   slab_destroy_child(&pool.child);
   MUST(slab_validate(&pool.parent) == 0);
}

static void
without_memory_less_is_promised(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, prefill_without_memory, NULL));
}

static int is_enough;

/* Allocates until the system is asked for memory, where the test lets it wait, with its pool locked. */
static void *
stall(void *arg)
{
   struct slab_child_pool *child = (struct slab_child_pool *)arg;

   while (!__atomic_load_n(&is_enough, __ATOMIC_RELAXED) && slab_alloc(child))
      ;
   return NULL;
}

static void
allocate_beside_a_locked_pool(void *arg)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child, sibling;
   pthread_t thread;
   unsigned promised, i;

   (void)arg;
   slab_create_parent(&parent, item_size, num_items);
   if (is_uncached(&parent))
      return;
   slab_create_child(&child, &parent);
   slab_create_child(&sibling, &parent);
   promised = slab_prefill(&child, 1000);
   MUST(promised == 1000);
   os_stall_call(os_mmap);
   MUST(pthread_create(&thread, NULL, stall, &sibling) == 0);
   os_wait_for_stall();
   /* Who needs the pool waits now, and the process is ended as it hangs. */
   for (i = 0; i < promised; i++)
      MUST(objects[i] = i % 2 ? slab_alloc(&child) : slab_zalloc(&child));
   slab_free_bulk(&child, promised / 2, objects);
   MUST(slab_prefill(&child, promised / 4) == promised / 4);
   MUST(slab_alloc_bulk(&child, promised / 4, objects) == promised / 4);
   __atomic_store_n(&is_enough, 1, __ATOMIC_RELAXED);
   os_go_on();
   MUST(pthread_join(thread, NULL) == 0);
   MUST(slab_validate(&parent) == 0);
}

static void
prefilled_allocations_wait_for_no_lock(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, allocate_beside_a_locked_pool, NULL));
}

static void
in_pools_with_modes(void *arg)
{
   struct live_objects live;
   struct slab_mempool pool;
   int i;

   MUST(setenv("SLAB_DEBUG", (const char *)arg, 1) == 0);
   live_create(&live, 1000);
   slab_create(&pool, item_size, num_items);
   MUST(slab_prefill(&pool.child, 10) == 0);
   MUST(slab_alloc_bulk(&pool.child, 500, objects) == 500);
   for (i = 0; i < 500; i++)
      live_add(&live, objects[i], item_size);
   MUST(live_intact(&live) && live_apart(&live));
   for (i = 0; i < 500; i++)
      MUST(objects[i] = live_take(&live, 0));
   slab_free_bulk(&pool.child, 500, objects);
   slab_destroy(&pool);
   live_destroy(&live);
}

static void
with_sampling(void *arg)
{
   struct slab_mempool pool;
   unsigned promised, round;

   (void)arg;
   slab_create(&pool, item_size, num_items);
   slab_set_sampling(2);
   for (round = 0; round < 20; round++) {
      promised = slab_prefill(&pool.child, 2000);
      MUST(promised == 127 || is_uncached(&pool.parent));
      os_fail_request(1, true);
      MUST(slab_alloc_bulk(&pool.child, promised, objects) == promised);
      os_fail_nothing();
      MUST(slab_alloc_bulk(&pool.child, 300, objects + promised) == 300);
      slab_free_bulk(&pool.child, promised + 300, objects);
   }
   slab_destroy(&pool);
}

static void
in_all_modes_and_with_sampling(void **state)
{
   static const char *const modes[] = {"checks", "redzone,poison", "users", "quarantine", "leaks", "guard"};
   struct child_process child;
   unsigned i;

   (void)state;
   for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
      assert_true(child_run(&child, in_pools_with_modes, (void *)(uintptr_t)modes[i]));
   assert_true(child_run(&child, with_sampling, NULL));
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      /* First, as only so many reports are said. */
      cmocka_unit_test(misuse_in_bulk_is_reported),
      cmocka_unit_test(objects_of_all_sizes_come_and_go_in_bulk),
      cmocka_unit_test(bulk_gives_what_single_calls_would),
      cmocka_unit_test(nothing_in_bulk_is_nothing),
      cmocka_unit_test(what_is_freed_in_bulk_may_be_of_any_pool),
      cmocka_unit_test(without_memory_fewer_are_given),
      cmocka_unit_test(prefilled_allocations_do_not_fail),
      cmocka_unit_test(what_is_put_by_counts_and_more_is_added),
      cmocka_unit_test(without_memory_less_is_promised),
      cmocka_unit_test(prefilled_allocations_wait_for_no_lock),
      cmocka_unit_test(in_all_modes_and_with_sampling),
   };

   os_count_from_here();
   return cmocka_run_group_tests(tests, NULL, NULL);
}
