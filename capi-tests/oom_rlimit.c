/* SPDX-License-Identifier: MIT */
/*
 * Memory runs out for real: a child process limits its address space and allocates until it gets
 * NULL. Under valgrind and the sanitizers the limit would hit their own memory first, so CMake leaves
 * this test out of such builds (SLAB_TEST_RLIMIT); faults.c is in all of them.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "live_objects.h"
#include "must.h"
#include "slab.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* How much address space a child process may use beyond what it has. */
static const size_t room = (size_t)32 << 20;

static size_t
address_space_used(void)
{
   unsigned long pages;
   FILE *file = fopen("/proc/self/statm", "r");

   MUST(file);
   MUST(fscanf(file, "%lu", &pages) == 1);
   fclose(file);
   return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void
limit_address_space(size_t bytes)
{
   struct rlimit limit;

   MUST(getrlimit(RLIMIT_AS, &limit) == 0);
   limit.rlim_cur = bytes;
   MUST(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void
unlimit_address_space(void)
{
   struct rlimit limit;

   MUST(getrlimit(RLIMIT_AS, &limit) == 0);
   limit.rlim_cur = limit.rlim_max;
   MUST(setrlimit(RLIMIT_AS, &limit) == 0);
}

static size_t
allocate_until_null(struct live_objects *live, struct slab_child_pool *child)
{
   size_t before = live->count;
   void *object;

   while ((object = slab_alloc(child)) != NULL)
      live_add(live, object, child->parent->item_size);
   return live->count - before;
}

static void
exhaust(unsigned item_size)
{
   struct slab_mempool pool;
   struct live_objects live;
   size_t freed, i;

   live_create(&live, room / item_size + 100);
   slab_create(&pool, item_size, 64);
   limit_address_space(address_space_used() + room);

   MUST(allocate_until_null(&live, &pool.child) > 0);
   MUST(live.count * item_size <= room);
   MUST(slab_alloc(&pool.child) == NULL);
   MUST(slab_zalloc(&pool.child) == NULL);
   MUST(live_apart(&live));
   MUST(live_intact(&live));

   /* What was freed can be allocated again, though the system gives nothing more. */
   freed = 0;
   for (i = live.count; i >= 2; i -= 2, freed++) {
      void *object = live_take(&live, i - 1);
      MUST(object);
      slab_free(&pool.child, object);
   }
   MUST(live_intact(&live));
   MUST(allocate_until_null(&live, &pool.child) >= freed);
   MUST(live_apart(&live));
   MUST(live_intact(&live));

   /* And more once there is. */
   unlimit_address_space();
   for (i = 0; i < 50; i++) {
      void *object = slab_zalloc(&pool.child);
      MUST(object);
      live_add(&live, object, item_size);
   }
   MUST(live_apart(&live));
   while (live.count > 0) {
      void *object = live_take(&live, live.count - 1);
      MUST(object);
      slab_free_st(&pool, object);
   }
   slab_destroy(&pool);
   live_destroy(&live);
}

static void
exhaust_body(void *arg)
{
   exhaust(*(unsigned *)arg);
}

static void
exhaust_in_child(unsigned item_size)
{
   struct child_process child;

   assert_true(child_run(&child, exhaust_body, &item_size));
}

static void
small_objects(void **state)
{
   (void)state;
   exhaust_in_child(40);
   exhaust_in_child(96);
}

static void
page_sized_objects(void **state)
{
   (void)state;
   exhaust_in_child(4096);
   exhaust_in_child(66632);
}

static void
objects_larger_than_a_slab(void **state)
{
   (void)state;
   exhaust_in_child(1u << 20);
   exhaust_in_child(5u << 20);
}

/* A process that has no room at all before the library's first request. */
static void
nothing_from_the_start_body(void *arg)
{
   struct slab_mempool pool;
   void *object;

   (void)arg;
   slab_create(&pool, 96, 16);
   limit_address_space(address_space_used());
   MUST(slab_alloc_st(&pool) == NULL);
   MUST(slab_zalloc(&pool.child) == NULL);
   unlimit_address_space();
   object = slab_alloc_st(&pool);
   MUST(object);
   memset(object, 1, 96);
   slab_free_st(&pool, object);
   slab_destroy(&pool);
}

static void
nothing_from_the_start(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, nothing_from_the_start_body, NULL));
}

/* One parent takes everything; the other gets nothing until the first has freed. */
static void
one_pool_starves_another_body(void *arg)
{
   struct slab_mempool greedy, starved;
   struct live_objects live;
   void *object;

   (void)arg;
   live_create(&live, room / 1000);
   slab_create(&greedy, 4000, 16);
   slab_create(&starved, 100000, 16);
   limit_address_space(address_space_used() + room);
   allocate_until_null(&live, &greedy.child);
   while (slab_alloc_st(&starved) != NULL) {
      /* Takes what room the last chunk has for its larger objects. */
   }
   MUST(live_intact(&live));
   while (live.count > 0) {
      object = live_take(&live, live.count - 1);
      MUST(object);
      slab_free_st(&greedy, object);
   }
   slab_destroy(&greedy);
   object = slab_alloc_st(&starved);
   MUST(object);
   memset(object, 1, 100000);
   slab_free_st(&starved, object);
   slab_destroy(&starved);
   live_destroy(&live);
}

static void
one_pool_starves_another(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, one_pool_starves_another_body, NULL));
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(small_objects),
      cmocka_unit_test(page_sized_objects),
      cmocka_unit_test(objects_larger_than_a_slab),
      cmocka_unit_test(nothing_from_the_start),
      cmocka_unit_test(one_pool_starves_another),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
