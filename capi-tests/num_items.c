/* SPDX-License-Identifier: MIT */
/* num_items is a hint: any value works, and none limits how many objects there can be. */
#include "cmocka_case.h"
#include "iterations.h"
#include "live_objects.h"
#include "slab.h"

#include <limits.h>

enum { item_size = 24 };

/* Allocates count objects, frees every third through one child and the rest through another. */
static void
exercise(unsigned num_items, size_t count)
{
   struct slab_mempool pool;
   struct slab_child_pool sibling;
   struct live_objects live;
   size_t i;

   live_create(&live, count);
   slab_create(&pool, item_size, num_items);
   slab_create_child(&sibling, &pool.parent);
   assert_int_equal(pool.parent.num_elements, num_items ? num_items : 1);
   for (i = 0; i < count; i++) {
      void *object = slab_alloc_st(&pool);
      assert_non_null(object);
      live_add(&live, object, item_size);
   }
   assert_true(live_intact(&live));
   for (i = 0; live.count > 0; i++) {
      void *object = live_take(&live, live.count - 1);
      assert_non_null(object);
      slab_free(i % 3 ? &sibling : &pool.child, object);
   }
   slab_destroy_child(&sibling);
   slab_destroy(&pool);
   live_destroy(&live);
}

static void
every_num_items_from_1_to_4096(void **state)
{
   unsigned num_items;

   (void)state;
   for (num_items = 1; num_items <= 4096; num_items++)
      exercise(num_items, ITERATIONS(num_items + 1, num_items / 16 + 10));
}

static void
num_items_0_counts_as_1(void **state)
{
   (void)state;
   exercise(0, 5000);
}

static void
num_items_beyond_any_memory(void **state)
{
   (void)state;
   exercise(UINT_MAX, 5000);
   exercise(UINT_MAX / item_size, 5000);
   exercise(1u << 31, 5000);
   exercise(1u << 20, 5000);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_num_items_from_1_to_4096),
      cmocka_unit_test(num_items_0_counts_as_1),
      cmocka_unit_test(num_items_beyond_any_memory),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
