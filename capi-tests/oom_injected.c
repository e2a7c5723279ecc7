/* SPDX-License-Identifier: MIT */
/*
 * Memory runs out at each point where the library asks the system for some: in every scenario the
 * first request fails, then the second, and so on until one more than the scenario makes; each once
 * with only that request failing and once with all later ones failing as well. Every run is in a
 * process of its own, in which the library has not been used before.
 *
 * Whenever slab_alloc() gives NULL, every object must still have its contents; the failing is then
 * switched off and the same call must succeed.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "live_objects.h"
#include "must.h"
#include "os_requests.h"
#include "slab.h"

#include <string.h>

enum { most_objects = 40000 };

struct run {
   void (*scenario)(struct run *run);
   unsigned fail_number; /* 0: nothing fails */
   bool sticky;
   struct live_objects live;
   unsigned nulls;
};

/* What a run found out, written to stderr for the parent process. */
struct outcome {
   unsigned made, failed, nulls;
   size_t bytes_held;
};

static void
allocate(struct run *run, struct slab_child_pool *child, bool zeroed)
{
   unsigned size = child->parent->item_size;
   void *object = zeroed ? slab_zalloc(child) : slab_alloc(child);

   if (!object) {
      run->nulls++;
      MUST(os_requests_failed() > 0);
      MUST(live_intact(&run->live));
      os_fail_nothing();
      object = zeroed ? slab_zalloc(child) : slab_alloc(child);
      MUST(object);
   }
   if (zeroed) {
      const unsigned char *bytes = (const unsigned char *)object;
      MUST(bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
   }
   live_add(&run->live, object, size);
}

static void
release(struct run *run, struct slab_child_pool *child, size_t index)
{
   void *object = live_take(&run->live, index);

   MUST(object);
   slab_free(child, object);
}

static void
release_all(struct run *run, struct slab_child_pool *child)
{
   MUST(live_apart(&run->live));
   while (run->live.count > 0)
      release(run, child, run->live.count - 1);
}

static void
one_allocation(struct run *run)
{
   struct slab_mempool pool;

   slab_create(&pool, 96, 16);
   allocate(run, &pool.child, false);
   release_all(run, &pool.child);
   slab_destroy(&pool);
}

static void
growth_over_many_slabs(struct run *run)
{
   struct slab_mempool pool;
   size_t i;

   slab_create(&pool, 240, 64);
   while (run->live.count < most_objects)
      allocate(run, &pool.child, run->live.count % 64 == 0);
   MUST(live_intact(&run->live));
   for (i = 0; i < run->live.count; i++)
      release(run, &pool.child, i);
   while (run->live.count < most_objects)
      allocate(run, &pool.child, false);
   release_all(run, &pool.child);
   slab_destroy(&pool);
}

static void
objects_of_several_megabytes(struct run *run)
{
   struct slab_mempool pool;
   unsigned size, i;

   for (size = 1; size <= 9; size += 4) {
      slab_create(&pool, size << 20, 2);
      for (i = 0; i < 4; i++)
         allocate(run, &pool.child, size == 5 && i == 0);
      release(run, &pool.child, 2);
      allocate(run, &pool.child, false);
      release_all(run, &pool.child);
      slab_destroy(&pool);
   }
}

static void
two_parents_by_turns(struct run *run)
{
   struct slab_mempool small, large;

   slab_create(&small, 80, 64);
   slab_create(&large, 66632, 4);
   while (run->live.count < 400) {
      allocate(run, &large.child, false);
      allocate(run, &small.child, true);
   }
   MUST(live_intact(&run->live));
   release_all(run, &small.child);
   slab_destroy(&small);
   slab_destroy(&large);
}

/* The objects of each child are freed by the next but one. */
static void
children_created_and_destroyed(struct run *run)
{
   struct slab_parent_pool parent;
   unsigned cycle, i;

   slab_create_parent(&parent, 4000, 8);
   for (cycle = 0; cycle < 40; cycle++) {
      struct slab_child_pool child;

      slab_create_child(&child, &parent);
      for (i = 0; i < 60; i++)
         allocate(run, &child, false);
      for (i = 0; cycle >= 2 && i < 40; i++)
         release(run, &child, i);
      slab_destroy_child(&child);
   }
   MUST(live_intact(&run->live));
   slab_destroy_parent(&parent);
   {
      struct slab_child_pool zeroed;
      memset(&zeroed, 0, sizeof(zeroed));
      release_all(run, &zeroed);
   }
}

static void
run_body(void *arg)
{
   struct run *run = (struct run *)arg;

   live_create(&run->live, most_objects);
   os_count_from_here();
   if (run->fail_number)
      os_fail_request(run->fail_number, run->sticky);
   run->scenario(run);
   MUST(run->live.count == 0);
   live_destroy(&run->live);
   fprintf(stderr, "%u %u %u %zu\n", os_requests_made(), os_requests_failed(), run->nulls,
           os_bytes_held());
}

static struct outcome
run_scenario(void (*scenario)(struct run *run), unsigned fail_number, bool sticky)
{
   struct child_process child;
   struct outcome outcome;
   struct run run;

   memset(&run, 0, sizeof(run));
   run.scenario = scenario;
   run.fail_number = fail_number;
   run.sticky = sticky;
   if (!child_run(&child, run_body, &run))
      fail_msg("request %u%s was failed", fail_number, sticky ? " and all after it" : "");
   assert_int_equal(sscanf(child.said, "%u %u %u %zu", &outcome.made, &outcome.failed, &outcome.nulls,
                           &outcome.bytes_held),
                    4);
   return outcome;
}

static void
fail_each_request_of(void (*scenario)(struct run *run))
{
   struct outcome plain = run_scenario(scenario, 0, false);
   unsigned number;

   /* Otherwise the library does not ask through mmap and nothing below would be a test. */
   assert_true(plain.made > 0);
   assert_int_equal(plain.failed, 0);

   for (number = 1; number <= plain.made; number++) {
      struct outcome once = run_scenario(scenario, number, false);
      struct outcome all = run_scenario(scenario, number, true);

      assert_int_equal(once.failed, 1);
      assert_true(all.failed >= 1);
      /* With nothing to be had from the system, some call must have said so. */
      assert_true(all.nulls >= 1);
      /* A failed request leaves nothing behind that a run without failures would not keep. */
      assert_true(once.bytes_held <= plain.bytes_held);
      assert_true(all.bytes_held <= plain.bytes_held);
   }
   assert_int_equal(run_scenario(scenario, plain.made + 1, true).failed, 0);
}

static void
first_allocation_of_a_child(void **state)
{
   (void)state;
   fail_each_request_of(one_allocation);
}

static void
growth(void **state)
{
   (void)state;
   fail_each_request_of(growth_over_many_slabs);
}

static void
large_objects(void **state)
{
   (void)state;
   fail_each_request_of(objects_of_several_megabytes);
}

static void
two_parents(void **state)
{
   (void)state;
   fail_each_request_of(two_parents_by_turns);
}

static void
child_cycles(void **state)
{
   (void)state;
   fail_each_request_of(children_created_and_destroyed);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(first_allocation_of_a_child),
      cmocka_unit_test(growth),
      cmocka_unit_test(large_objects),
      cmocka_unit_test(two_parents),
      cmocka_unit_test(child_cycles),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
