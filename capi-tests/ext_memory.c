/* SPDX-License-Identifier: MIT */
/*
 * slab_ext.h, giving memory back: what each trim call takes from where, that it says how much, and
 * that everything stays usable.
 */
#include "cmocka_case.h"
#include "os_requests.h"
#include "slab.h"
#include "slab_ext.h"

#include <stdlib.h>
#include <string.h>

enum { many = 20000, item_size = 96, num_items = 64 };

static void *objects[many];

static struct slab_parent_stats
stats_of(struct slab_parent_pool *parent)
{
   struct slab_parent_stats stats;

   stats.struct_size = sizeof(stats);
   assert_int_equal(slab_get_parent_stats(parent, &stats), 0);
   return stats;
}

static struct slab_heap_stats
heap_stats(void)
{
   struct slab_heap_stats stats;

   stats.struct_size = sizeof(stats);
   slab_get_heap_stats(&stats);
   return stats;
}

static void
allocate_some(struct slab_child_pool *child, int count)
{
   int i;

   for (i = 0; i < count; i++) {
      objects[i] = slab_alloc(child);
      assert_non_null(objects[i]);
      memset(objects[i], i, item_size);
   }
}

static void
free_some(struct slab_child_pool *child, int count)
{
   int i;

   for (i = 0; i < count; i++)
      slab_free(child, objects[i]);
}

static void
allocate_all(struct slab_child_pool *child)
{
   allocate_some(child, many);
}

static void
free_all(struct slab_child_pool *child)
{
   free_some(child, many);
}

static void
trim_child_hands_its_objects_to_the_parent(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct slab_parent_stats stats;
   size_t cached;

   (void)state;
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&child, &parent);
   slab_free(&child, slab_alloc(&child));
   cached = stats_of(&parent).objects_out;
   assert_true(cached > 0);

   assert_int_equal(slab_trim_child(&child), cached * item_size);
   stats = stats_of(&parent);
   assert_int_equal(stats.objects_out, 0);
   assert_int_equal(stats.children, 0);
   assert_int_equal(stats.bytes_held, 0);
   assert_int_equal(slab_trim_child(&child), 0);

   allocate_all(&child);
   free_all(&child);
   assert_int_equal(slab_validate(&parent), 0);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

static void
trim_parent_gives_the_depot_to_the_heap(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child, sibling;
   struct slab_parent_stats before, after;
   size_t bytes;

   (void)state;
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&child, &parent);
   slab_create_child(&sibling, &parent);
   allocate_all(&child);
   free_all(&sibling);

   before = stats_of(&parent);
   assert_true(before.objects_in_depot > 0);
   bytes = slab_trim_parent(&parent);
   after = stats_of(&parent);
   assert_true(bytes > 0);
   assert_int_equal(before.bytes_held - after.bytes_held, bytes);
   assert_int_equal(after.objects_in_depot, 0);
   assert_int_equal(after.slabs_empty, 0);
   assert_true(after.objects_out <= after.children * after.objects_per_child);
   assert_int_equal(slab_trim_parent(&parent), 0);
   assert_int_equal(slab_validate(&parent), 0);

   slab_destroy_child(&child);
   slab_destroy_child(&sibling);
   slab_destroy_parent(&parent);
}

static void
trim_heap_gives_everything_free_to_the_system(void **state)
{
   struct slab_mempool pool;
   struct slab_heap_stats before, after;
   size_t bytes;

   (void)state;
   slab_create(&pool, item_size, num_items);
   allocate_all(&pool.child);
   free_all(&pool.child);
   slab_destroy(&pool);

   before = heap_stats();
   assert_true(before.dirty > 0);
   bytes = slab_trim_heap();
   after = heap_stats();
   assert_true(bytes >= before.dirty);
   assert_int_equal(after.held, 0);
   assert_int_equal(after.mapped, 0);
   assert_int_equal(os_bytes_held(), 0);
   assert_int_equal(slab_trim_heap(), 0);

   slab_create(&pool, item_size, num_items);
   allocate_all(&pool.child);
   free_all(&pool.child);
   slab_destroy(&pool);
   assert_int_equal(slab_validate(NULL), 0);
}

/* A pool whose memory is gone without a word keeps nothing for good. */
static void
trim_heap_takes_what_pools_keep_that_nobody_calls(void **state)
{
   struct slab_parent_pool *gone = (struct slab_parent_pool *)malloc(sizeof(*gone)), asleep;
   struct slab_child_pool child, sibling, children[2];
   struct slab_parent_stats stats;
   size_t cached;
   int i;

   (void)state;
   assert_non_null(gone);
   slab_create_parent(gone, item_size, num_items);
   slab_create_parent(&asleep, item_size, num_items);
   for (i = 0; i < 2; i++)
      slab_create_child(&children[i], i ? &asleep : gone);
   slab_create_child(&sibling, gone);
   slab_create_child(&child, &asleep);
   allocate_all(&children[0]);
   free_all(&sibling);
   allocate_all(&children[1]);
   free_all(&child);
   assert_true(stats_of(gone).objects_in_depot > 0);
   assert_true(stats_of(&asleep).objects_in_depot > 0);

   /* The children keep what they have, and so their pools keep depots. */
   stats = stats_of(&asleep);
   cached = 2 * stats.children * stats.objects_per_child * stats.element_size;
   memset(gone, 0xa5, sizeof(*gone));
   free(gone);
   slab_trim_heap();
   assert_int_equal(stats_of(&asleep).objects_in_depot, 0);
   assert_true(heap_stats().object_slabs <= 2 * cached);
   assert_int_equal(slab_validate(&asleep), 0);

   allocate_all(&child);
   free_all(&children[1]);
   slab_destroy_child(&child);
   slab_destroy_child(&children[1]);
   slab_destroy_parent(&asleep);
}

/* What the old pool's depot kept is not lost, although the pool was never destroyed. */
static void
a_pool_created_over_another_gives_back_what_that_kept(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child, sibling;
   struct slab_parent_stats stats;
   size_t before = heap_stats().object_slabs, cached;

   (void)state;
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&child, &parent);
   slab_create_child(&sibling, &parent);
   allocate_all(&child);
   free_all(&sibling);
   /* What the two children have is lost, as slab.h says. */
   stats = stats_of(&parent);
   cached = stats.children * stats.objects_per_child * stats.element_size;
   assert_true(stats.objects_in_depot * stats.element_size > 2 * cached);
   slab_create_parent(&parent, item_size, num_items);
   assert_true(heap_stats().object_slabs - before <= 2 * cached);

   slab_create_child(&child, &parent);
   slab_free(&child, slab_alloc(&child));
   assert_int_equal(slab_validate(&parent), 0);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

static void
trim_heap_leaves_what_is_in_use(void **state)
{
   struct slab_mempool pool;
   int i;

   (void)state;
   slab_create(&pool, item_size, num_items);
   allocate_all(&pool.child);
   for (i = 0; i < many; i++)
      if (i % 1000)
         slab_free_st(&pool, objects[i]);
   slab_trim_child(&pool.child);
   slab_trim_parent(&pool.parent);
   slab_trim_heap();
   assert_int_equal(heap_stats().dirty, 0);
   for (i = 0; i < many; i += 1000) {
      assert_int_equal(((unsigned char *)objects[i])[0], (unsigned char)i);
      assert_int_equal(((unsigned char *)objects[i])[item_size - 1], (unsigned char)i);
      slab_free_st(&pool, objects[i]);
   }
   assert_int_equal(slab_validate(&pool.parent), 0);
   slab_destroy(&pool);
}

static void
a_decay_time_of_zero_gives_memory_back_without_a_call(void **state)
{
   struct slab_mempool pool;
   unsigned before = slab_set_decay(0);

   (void)state;
   slab_create(&pool, 66632, 4);
   slab_free_st(&pool, slab_alloc_st(&pool));
   assert_int_equal(heap_stats().dirty, 0);
   slab_destroy(&pool);
   assert_int_equal(slab_set_decay(before), 0);
   assert_int_equal(before, 10);
}

/* Six MiB may lie free in any case. What is above goes as it comes; what lay free for the decay time, in the first
 * calls after it, however few they are. */
static void
a_process_that_wakes_for_some_calls_gives_back_what_lay_free(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   size_t full, after;
   int call;

   (void)state;
   slab_trim_heap();
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&child, &parent);
   allocate_all(&child);
   full = heap_stats().held;
   free_all(&child);
   for (call = 0; call < 2; call++) {
      os_pass_time(30);
      allocate_some(&child, 300);
      free_some(&child, 300);
   }
   after = heap_stats().held;
   assert_true(after < full / 4);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

static void
trimming_nothing_is_harmless(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct slab_parent_stats stats;

   (void)state;
   memset(&parent, 0, sizeof(parent));
   memset(&child, 0, sizeof(child));
   stats.struct_size = sizeof(stats);
   assert_int_equal(slab_trim_child(&child), 0);
   assert_int_equal(slab_trim_child(NULL), 0);
   assert_int_equal(slab_trim_parent(&parent), 0);
   assert_int_equal(slab_trim_parent(NULL), 0);
   assert_int_equal(slab_get_parent_stats(&parent, &stats), -1);
   assert_int_equal(slab_set_name(&parent, "nobody"), -1);
   assert_int_equal(slab_validate(&parent), 0);
}

static void
trimming_destroys_nothing_of_large_objects(void **state)
{
   struct slab_mempool pool;
   char *object;

   (void)state;
   slab_create(&pool, 9u << 20, 1);
   object = (char *)slab_alloc_st(&pool);
   assert_non_null(object);
   object[0] = 1;
   object[(9u << 20) - 1] = 2;
   slab_trim_child(&pool.child);
   slab_trim_parent(&pool.parent);
   slab_trim_heap();
   assert_int_equal(heap_stats().large, 1);
   assert_int_equal(object[0], 1);
   assert_int_equal(object[(9u << 20) - 1], 2);
   slab_free_st(&pool, object);
   assert_int_equal(heap_stats().large, 1);
   assert_true(slab_trim_parent(&pool.parent) >= 9u << 20);
   assert_int_equal(heap_stats().large, 0);
   slab_destroy(&pool);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(trim_heap_gives_everything_free_to_the_system),
      cmocka_unit_test(trim_child_hands_its_objects_to_the_parent),
      cmocka_unit_test(trim_parent_gives_the_depot_to_the_heap),
      cmocka_unit_test(trim_heap_takes_what_pools_keep_that_nobody_calls),
      cmocka_unit_test(a_pool_created_over_another_gives_back_what_that_kept),
      cmocka_unit_test(trim_heap_leaves_what_is_in_use),
      cmocka_unit_test(a_decay_time_of_zero_gives_memory_back_without_a_call),
      cmocka_unit_test(a_process_that_wakes_for_some_calls_gives_back_what_lay_free),
      cmocka_unit_test(trimming_nothing_is_harmless),
      cmocka_unit_test(trimming_destroys_nothing_of_large_objects),
   };

   os_count_from_here();
   return cmocka_run_group_tests(tests, NULL, NULL);
}
