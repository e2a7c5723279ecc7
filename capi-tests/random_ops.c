/* SPDX-License-Identifier: MIT */
/*
 * Many random calls on several parents of different sizes, one thread, against the simplest model
 * there is: the set of live objects with their contents. The seed is fixed; a failure comes back. For every
 * compiler, sanitizer and machine; the thorough one is in fuzz/.
 */
#include "alignment.h"
#include "cmocka_case.h"
#include "iterations.h"
#include "live_objects.h"
#include "slab.h"
#ifndef SLAB_TEST_BASELINE
#include "slab_ext.h"
#endif

#include <string.h>

enum { parent_count = 6, child_count = 4, most_live = 6000 };

static const unsigned item_sizes[parent_count] = {1, 24, 96, 256, 1500, 40000};
static const unsigned num_items[parent_count] = {512, 64, 16, 32, 8, 2};

struct world {
   uint64_t random;
   struct slab_parent_pool parents[parent_count];
   struct slab_child_pool pools[parent_count][child_count]; /* some of them destroyed */
   struct live_objects live;
};

static unsigned
random_below(struct world *world, unsigned end)
{
   world->random ^= world->random << 13;
   world->random ^= world->random >> 7;
   world->random ^= world->random << 17;
   return (unsigned)(world->random >> 33) % end;
}

static struct slab_child_pool *
any_pool(struct world *world)
{
   return &world->pools[random_below(world, parent_count)][random_below(world, child_count)];
}

/* Large objects are rarer, so that most steps are of the sizes that drivers use. */
static void
allocate(struct world *world)
{
   unsigned parent = random_below(world, parent_count);
   struct slab_child_pool *pool;
   unsigned char *object;
   bool zeroed = random_below(world, 8) == 0;

   if (item_sizes[parent] > 1000 && random_below(world, 8))
      return;
   if (world->live.count == most_live)
      return;
   pool = &world->pools[parent][random_below(world, child_count)];
   object = (unsigned char *)(zeroed ? slab_zalloc(pool) : slab_alloc(pool));
   if (!pool->parent) {
      assert_null(object);
      return;
   }
   assert_non_null(object);
   assert_int_equal((uintptr_t)object % promised_alignment(item_sizes[parent]), 0);
   if (zeroed) {
      assert_int_equal(object[0], 0);
      assert_memory_equal(object, object + 1, item_sizes[parent] - 1);
   }
   live_add(&world->live, object, item_sizes[parent]);
}

/* Through any child at all: own, sibling, foreign, destroyed. */
static void
release(struct world *world)
{
   void *object;

   if (world->live.count == 0)
      return;
   object = live_take(&world->live, random_below(world, (unsigned)world->live.count));
   assert_non_null(object);
   slab_free(any_pool(world), object);
}

static void
create_or_destroy_child(struct world *world)
{
   unsigned parent = random_below(world, parent_count);
   struct slab_child_pool *pool = &world->pools[parent][random_below(world, child_count)];

   if (pool->parent)
      slab_destroy_child(pool);
   else
      slab_create_child(pool, &world->parents[parent]);
}

/* Its objects stay out; the new pool at the same place gets none of them. */
static void
recreate_parent(struct world *world)
{
   unsigned parent = random_below(world, parent_count);
   unsigned child;

   for (child = 0; child < child_count; child++)
      slab_destroy_child(&world->pools[parent][child]);
   if (random_below(world, 2))
      slab_destroy_parent(&world->parents[parent]);
   slab_create_parent(&world->parents[parent], item_sizes[parent], num_items[parent]);
}

/* The number of live objects swings up and down, so that slabs fill up and become free. */
static void
step(struct world *world, unsigned number)
{
   unsigned kind = random_below(world, 1000);
   unsigned allocations = number / 20000 % 2 ? 600 : 400;

   if (kind < allocations)
      allocate(world);
   else if (kind < 985)
      release(world);
   else if (kind < 999)
      create_or_destroy_child(world);
   else
      recreate_parent(world);
}

static void
random_calls_from_seed(uint64_t seed)
{
   static struct world world;
   unsigned steps = ITERATIONS(400000, 60000);
   unsigned number, parent, child;

   memset(&world, 0, sizeof(world));
   world.random = seed;
   live_create(&world.live, most_live);
   for (parent = 0; parent < parent_count; parent++)
      slab_create_parent(&world.parents[parent], item_sizes[parent], num_items[parent]);
   for (number = 0; number < steps; number++) {
      step(&world, number);
      if (number % (steps / 20) == 0) {
         assert_true(live_apart(&world.live));
         assert_true(live_intact(&world.live));
#ifndef SLAB_TEST_BASELINE
         for (parent = 0; parent < parent_count; parent++)
            assert_int_equal(slab_validate(&world.parents[parent]), 0);
#endif
      }
   }
   assert_true(live_apart(&world.live));
   for (parent = 0; parent < parent_count; parent += 2) {
      for (child = 0; child < child_count; child++)
         slab_destroy_child(&world.pools[parent][child]);
      slab_destroy_parent(&world.parents[parent]);
   }
   while (world.live.count > 0)
      release(&world);
   for (parent = 1; parent < parent_count; parent += 2) {
      for (child = 0; child < child_count; child++)
         slab_destroy_child(&world.pools[parent][child]);
      slab_destroy_parent(&world.parents[parent]);
   }
   live_destroy(&world.live);
}

static void
random_calls_first_seed(void **state)
{
   (void)state;
   random_calls_from_seed(0x123456789abcdefu);
}

static void
random_calls_second_seed(void **state)
{
   (void)state;
   random_calls_from_seed(0xfedcba987654321u);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_calls_first_seed),
      cmocka_unit_test(random_calls_second_seed),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
