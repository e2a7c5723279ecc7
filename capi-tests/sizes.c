/* SPDX-License-Identifier: MIT */
/* Objects of every size: distinct, aligned, wholly usable, and the same again after they were freed. */
#include "alignment.h"
#include "cmocka_case.h"
#include "iterations.h"
#include "live_objects.h"
#include "slab.h"

#include <limits.h>

/* Allocates count objects of a size, frees every second, fills up again, frees all. */
static void
exercise(unsigned item_size, unsigned num_items, size_t count)
{
   size_t size = item_size ? item_size : 1;
   struct slab_mempool pool;
   struct live_objects live;
   int round;
   size_t i;

   live_create(&live, count);
   slab_create(&pool, item_size, num_items);
   assert_int_equal(pool.parent.item_size, item_size);
   assert_true(pool.parent.element_size >= size);
   assert_int_equal(pool.parent.element_size % (size <= 8 ? 8 : 16), 0);

   for (round = 0; round < 2; round++) {
      while (live.count < count) {
         void *object = slab_alloc_st(&pool);
         assert_non_null(object);
         assert_int_equal((uintptr_t)object % promised_alignment(size), 0);
         live_add(&live, object, size);
      }
      assert_true(live_apart(&live));
      assert_true(live_intact(&live));
      for (i = 0; i < live.count; i++) {
         void *object = live_take(&live, i);
         assert_non_null(object);
         slab_free_st(&pool, object);
      }
   }
   while (live.count > 0) {
      void *object = live_take(&live, live.count - 1);
      assert_non_null(object);
      slab_free_st(&pool, object);
   }
   slab_destroy(&pool);
   live_destroy(&live);
}

static void
every_size_up_to_a_page_and_a_little_more(void **state)
{
   unsigned size;

   (void)state;
   for (size = 1; size <= 4200; size += ITERATIONS(1, 7))
      exercise(size, 16, ITERATIONS(40, 20));
}

/* The item types of real drivers. */
static void
sizes_that_drivers_use(void **state)
{
   static const unsigned items[][2] = {
      {80, 64}, {128, 64}, {136, 64}, {88, 16}, {96, 16},   {104, 16},  {128, 16},
      {72, 16}, {56, 16},  {96, 16},  {32, 16}, {40, 4096}, {66632, 4},
   };
   size_t i;

   (void)state;
   for (i = 0; i < sizeof(items) / sizeof(items[0]); i++)
      exercise(items[i][0], items[i][1], items[i][0] > 4096 ? 20 : ITERATIONS(10000, 1000));
}

static void
sizes_around_powers_of_two(void **state)
{
   unsigned exponent;

   (void)state;
   for (exponent = 12; exponent <= 20; exponent++) {
      unsigned power = 1u << exponent;
      exercise(power - 17, 4, 20);
      exercise(power - 16, 4, 20);
      exercise(power - 1, 4, 20);
      exercise(power, 4, 20);
      exercise(power + 1, 4, 20);
      exercise(power + 16, 4, 20);
      exercise(power / 2 * 3, 4, 20);
   }
}

static void
sizes_of_several_megabytes(void **state)
{
   static const unsigned mib = 1u << 20;
   const unsigned sizes[] = {
      2 * mib - 4096, 2 * mib - 1, 2 * mib,     2 * mib + 1,    3 * mib, 4 * mib - 65536, 4 * mib - 4096,
      4 * mib - 1,    4 * mib,     4 * mib + 1, 4 * mib + 4096, 8 * mib, 9 * mib,         33 * mib + 5,
   };
   size_t i;

   (void)state;
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
      exercise(sizes[i], 2, 5);
}

/* A large object among small ones of the same process, in all orders of freeing. */
static void
large_objects_beside_small_ones(void **state)
{
   struct slab_mempool small, large;
   struct live_objects live;
   unsigned i;

   (void)state;
   live_create(&live, 200);
   slab_create(&small, 48, 16);
   slab_create(&large, 5u << 20, 1);
   for (i = 0; i < 100; i++) {
      void *object = slab_alloc_st(i % 10 ? &small : &large);
      assert_non_null(object);
      live_add(&live, object, i % 10 ? 48 : 5u << 20);
   }
   assert_true(live_apart(&live));
   while (live.count > 0) {
      size_t index = live.count * 7919u % 101 % live.count;
      bool is_small = live.objects[index].size == 48;
      void *object = live_take(&live, index);
      assert_non_null(object);
      slab_free_st(is_small ? &small : &large, object);
      assert_true(live_intact(&live));
   }
   slab_destroy(&small);
   slab_destroy(&large);
   live_destroy(&live);
}

static void
item_size_0_counts_as_1(void **state)
{
   (void)state;
   exercise(0, 16, 1000);
   exercise(0, 0, 1000);
}

/* Four gigabytes are address space that may or may not be there: either answer is right. */
static void
largest_item_size_works_or_is_null(void **state)
{
   static const unsigned sizes[] = {UINT_MAX, UINT_MAX - 15, UINT_MAX - 16, 1u << 31};
   struct slab_mempool other;
   struct live_objects live;
   size_t i;

   (void)state;
   live_create(&live, 100);
   slab_create(&other, 48, 16);
   for (i = 0; i < 100; i++)
      live_add(&live, slab_alloc_st(&other), 48);

   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
      struct slab_mempool pool;
      unsigned char *object;

      slab_create(&pool, sizes[i], 4);
      assert_int_equal(pool.parent.item_size, sizes[i]);
      object = (unsigned char *)slab_alloc_st(&pool);
      if (object) {
         object[0] = 1;
         object[sizes[i] - 1] = 2;
         assert_int_equal(object[0], 1);
         assert_int_equal(object[sizes[i] - 1], 2);
      }
      slab_free_st(&pool, object);
      slab_destroy(&pool);
   }

   assert_true(live_intact(&live));
   while (live.count > 0)
      slab_free_st(&other, live_take(&live, 0));
   slab_destroy(&other);
   live_destroy(&live);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_size_up_to_a_page_and_a_little_more),
      cmocka_unit_test(sizes_that_drivers_use),
      cmocka_unit_test(sizes_around_powers_of_two),
      cmocka_unit_test(sizes_of_several_megabytes),
      cmocka_unit_test(large_objects_beside_small_ones),
      cmocka_unit_test(item_size_0_counts_as_1),
      cmocka_unit_test(largest_item_size_works_or_is_null),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
