/* SPDX-License-Identifier: MIT */
/*
 * What the library holds of the system's memory once everything was freed. Each case is a process of
 * its own and counts the library's requests; the heap may keep some of it for the next pool, but not
 * in proportion to what was in use.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "iterations.h"
#include "must.h"
#include "os_requests.h"
#include "slab.h"

#include <string.h>

enum { count = 50000, item_size = 1200 };

/* Of 60 MB: 6 MiB for a while, in whole chunks of 4 MiB, and a chunk with the next child's magazines. */
static const size_t most_kept = (size_t)16 << 20;

static void
fill(struct slab_child_pool *child, void **objects, int number)
{
   int i;

   for (i = 0; i < number; i++) {
      objects[i] = slab_alloc(child);
      MUST(objects[i]);
      memset(objects[i], i, child->parent->item_size);
   }
}

static void
free_all(struct slab_child_pool *child, void **objects, int number)
{
   int i;

   for (i = 0; i < number; i++)
      slab_free(child, objects[i]);
}

static void
run(void (*body)(void *arg))
{
   struct child_process child;

   os_count_from_here();
   assert_true(child_run(&child, body, NULL));
}

static void
destroyed_pool_body(void *arg)
{
   static void *objects[count];
   struct slab_mempool pool;

   (void)arg;
   slab_create(&pool, item_size, 64);
   fill(&pool.child, objects, count);
   MUST(os_bytes_held() >= (size_t)count * item_size);
   free_all(&pool.child, objects, count);
   slab_destroy(&pool);
   MUST(os_bytes_held() <= most_kept);
}

static void
destroyed_pool_gives_its_memory_back(void **state)
{
   (void)state;
   run(destroyed_pool_body);
}

static void
parent_never_destroyed_body(void *arg)
{
   static void *objects[count];
   static struct slab_parent_pool parents[3];
   struct slab_child_pool child;
   int i;

   (void)arg;
   for (i = 0; i < 3; i++) {
      slab_create_parent(&parents[i], item_size, 64);
      slab_create_child(&child, &parents[i]);
      fill(&child, objects, count);
      free_all(&child, objects, count);
      slab_destroy_child(&child);
      MUST(os_bytes_held() <= most_kept);
   }
}

static void
parent_without_children_and_objects_keeps_nothing(void **state)
{
   (void)state;
   run(parent_never_destroyed_body);
}

static void
last_objects_after_the_last_child_body(void *arg)
{
   static void *objects[count];
   static struct slab_parent_pool parent;
   struct slab_child_pool child;

   (void)arg;
   slab_create_parent(&parent, item_size, 64);
   slab_create_child(&child, &parent);
   fill(&child, objects, count);
   slab_destroy_child(&child);
   MUST(os_bytes_held() >= (size_t)count * item_size);
   free_all(&child, objects, count);
   MUST(os_bytes_held() <= most_kept);
}

static void
objects_freed_after_the_last_child_give_their_memory_back(void **state)
{
   (void)state;
   run(last_objects_after_the_last_child_body);
}

static void
last_objects_after_the_parent_body(void *arg)
{
   static void *objects[count];
   struct slab_mempool pool;

   (void)arg;
   slab_create(&pool, item_size, 64);
   fill(&pool.child, objects, count);
   slab_destroy(&pool);
   MUST(os_bytes_held() >= (size_t)count * item_size);
   free_all(&pool.child, objects, count);
   MUST(os_bytes_held() <= most_kept);
}

static void
objects_freed_after_the_parent_give_their_memory_back(void **state)
{
   (void)state;
   run(last_objects_after_the_parent_body);
}

static void
live_child_body(void *arg)
{
   static void *objects[count];
   struct slab_mempool pool;
   size_t full;

   (void)arg;
   slab_create(&pool, item_size, 64);
   fill(&pool.child, objects, count);
   full = os_bytes_held();
   free_all(&pool.child, objects, count);
   MUST(os_bytes_held() < full / 2);
   slab_destroy(&pool);
}

/* How much of it, and how soon, is the library's choice. */
static void
live_child_gives_memory_back_too(void **state)
{
   (void)state;
   run(live_child_body);
}

static void
large_objects_body(void *arg)
{
   void *objects[4];
   struct slab_mempool pool, small;
   int round;

   (void)arg;
   slab_create(&pool, 9u << 20, 2);
   for (round = 0; round < 5; round++) {
      fill(&pool.child, objects, 4);
      free_all(&pool.child, objects, 4);
      /* They are used again, and not piled up. */
      MUST(os_bytes_held() <= most_kept + 4 * (9u << 20));
   }
   slab_destroy(&pool);
   /* It waits for the next ones for the decay time. Then calls give it back, a part each. */
   os_pass_time(11);
   for (round = 0; round < 200; round++) {
      slab_create(&small, 96, 4);
      slab_free_st(&small, slab_alloc_st(&small));
      slab_destroy(&small);
   }
   MUST(os_bytes_held() <= most_kept);
}

static void
large_objects_give_their_memory_back(void **state)
{
   (void)state;
   run(large_objects_body);
}

static void
steady_use_body(void *arg)
{
   static void *objects[5000];
   size_t held = 0;
   int round;

   (void)arg;
   for (round = 0; round < ITERATIONS(100, 20); round++) {
      struct slab_mempool pool;

      slab_create(&pool, 100 + 16 * (unsigned)(round % 7), 64);
      fill(&pool.child, objects, 5000);
      free_all(&pool.child, objects, 5000);
      slab_destroy(&pool);
      if (round == 9)
         held = os_bytes_held();
   }
   MUST(os_bytes_held() <= held);
}

static void
pools_that_come_and_go_do_not_pile_up(void **state)
{
   (void)state;
   run(steady_use_body);
}

static void
create_without_use_body(void *arg)
{
   static struct slab_mempool pools[100];
   int i;

   (void)arg;
   for (i = 0; i < 100; i++)
      slab_create(&pools[i], 96, 64);
   MUST(os_requests_made() == 0);
   slab_free_st(&pools[0], slab_alloc_st(&pools[0]));
   MUST(os_requests_made() > 0);
   for (i = 0; i < 100; i++)
      slab_destroy(&pools[i]);
}

static void
create_gets_no_memory(void **state)
{
   (void)state;
   run(create_without_use_body);
}

/* Freed in an order in which pages come back one by one, faster than calls give them to the system. */
static void
destroyed_pools_leave_nothing_over_body(void *arg)
{
   enum { pools_count = 8, of_each = count / pools_count };
   static void *objects[pools_count][of_each];
   struct slab_mempool pools[pools_count];
   unsigned random = 1;
   int i, j, left;

   (void)arg;
   for (i = 0; i < pools_count; i++) {
      slab_create(&pools[i], 400 + 200 * (unsigned)i, 64);
      fill(&pools[i].child, objects[i], of_each);
   }
   for (left = of_each; left > 0; left--) {
      random = random * 1664525 + 1013904223;
      j = (int)(random >> 8) % left;
      for (i = 0; i < pools_count; i++) {
         slab_free(&pools[i].child, objects[i][j]);
         objects[i][j] = objects[i][left - 1];
      }
   }
   for (i = 0; i < pools_count; i++)
      slab_destroy(&pools[i]);
   MUST(os_bytes_held() <= most_kept);
}

static void
destroyed_pools_leave_nothing_over(void **state)
{
   (void)state;
   run(destroyed_pools_leave_nothing_over_body);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(destroyed_pool_gives_its_memory_back),
      cmocka_unit_test(parent_without_children_and_objects_keeps_nothing),
      cmocka_unit_test(objects_freed_after_the_last_child_give_their_memory_back),
      cmocka_unit_test(objects_freed_after_the_parent_give_their_memory_back),
      cmocka_unit_test(live_child_gives_memory_back_too),
      cmocka_unit_test(large_objects_give_their_memory_back),
      cmocka_unit_test(pools_that_come_and_go_do_not_pile_up),
      cmocka_unit_test(destroyed_pools_leave_nothing_over),
      cmocka_unit_test(create_gets_no_memory),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
