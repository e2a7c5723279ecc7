/* SPDX-License-Identifier: MIT */
/* slab_zalloc() clears every byte of the item, however dirty the object came back. */
#include "cmocka_case.h"
#include "iterations.h"
#include "slab.h"

#include <stdbool.h>
#include <string.h>

enum { count = 80 };

static bool
all_zero(const unsigned char *bytes, size_t size)
{
   return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* Dirties count objects, frees them through freeing, and looks whether as many new ones are clear. */
static void
dirty_and_look(struct slab_child_pool *child, struct slab_child_pool *freeing, unsigned size)
{
   unsigned char *objects[count];
   int round, i;

   for (round = 0; round < 2; round++) {
      for (i = 0; i < count; i++) {
         objects[i] = (unsigned char *)slab_zalloc(child);
         assert_non_null(objects[i]);
         assert_true(all_zero(objects[i], size));
         memset(objects[i], 0xff, size);
      }
      for (i = 0; i < count; i++)
         slab_free(freeing, objects[i]);
   }
}

static void
dirty_reuse_is_clear(unsigned size)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child, sibling;

   slab_create_parent(&parent, size, 16);
   slab_create_child(&child, &parent);
   slab_create_child(&sibling, &parent);
   dirty_and_look(&child, &child, size);
   dirty_and_look(&child, &sibling, size);
   slab_destroy_child(&sibling);
   dirty_and_look(&child, &sibling, size);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

static void
every_small_size_is_clear_after_dirty_reuse(void **state)
{
   unsigned size;

   (void)state;
   for (size = 1; size <= 600; size += ITERATIONS(1, 7))
      dirty_reuse_is_clear(size);
}

static void
item_size_0_is_one_clear_byte(void **state)
{
   struct slab_mempool pool;
   unsigned char *objects[count];
   int i;

   (void)state;
   slab_create(&pool, 0, 16);
   for (i = 0; i < count; i++) {
      objects[i] = (unsigned char *)slab_alloc_st(&pool);
      assert_non_null(objects[i]);
      *objects[i] = 0xff;
   }
   for (i = 0; i < count; i++)
      slab_free_st(&pool, objects[i]);
   for (i = 0; i < count; i++) {
      objects[i] = (unsigned char *)slab_zalloc(&pool.child);
      assert_non_null(objects[i]);
      assert_int_equal(*objects[i], 0);
   }
   for (i = 0; i < count; i++)
      slab_free_st(&pool, objects[i]);
   slab_destroy(&pool);
}

static void
page_sizes_are_clear_after_dirty_reuse(void **state)
{
   static const unsigned sizes[] = {1023, 1024, 2047, 2048, 2049, 4095, 4096, 4097, 8191, 8192};
   size_t i;

   (void)state;
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
      dirty_reuse_is_clear(sizes[i]);
}

static void
large_objects_are_clear_after_dirty_reuse(void **state)
{
   static const unsigned sizes[] = {66632, 300000, (1u << 20) + 1, 5u << 20};
   size_t i;
   int round;

   (void)state;
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
      struct slab_mempool pool;

      slab_create(&pool, sizes[i], 4);
      for (round = 0; round < 3; round++) {
         unsigned char *first = (unsigned char *)slab_zalloc(&pool.child);
         unsigned char *second = (unsigned char *)slab_zalloc(&pool.child);
         assert_non_null(first);
         assert_non_null(second);
         assert_true(all_zero(first, sizes[i]));
         assert_true(all_zero(second, sizes[i]));
         memset(first, 0xff, sizes[i]);
         memset(second, 0xff, sizes[i]);
         slab_free(&pool.child, first);
         slab_free(&pool.child, second);
      }
      slab_destroy(&pool);
   }
}

/* Memory that another pool has dirtied and given back. */
static void
memory_of_another_pool_is_clear(void **state)
{
   struct slab_mempool first, second;
   unsigned char *objects[count];
   int i;

   (void)state;
   slab_create(&first, 1000, 16);
   for (i = 0; i < count; i++) {
      objects[i] = (unsigned char *)slab_alloc_st(&first);
      assert_non_null(objects[i]);
      memset(objects[i], 0xff, 1000);
   }
   for (i = 0; i < count; i++)
      slab_free_st(&first, objects[i]);
   slab_destroy(&first);

   slab_create(&second, 700, 16);
   for (i = 0; i < count; i++) {
      objects[i] = (unsigned char *)slab_zalloc(&second.child);
      assert_non_null(objects[i]);
      assert_true(all_zero(objects[i], 700));
   }
   for (i = 0; i < count; i++)
      slab_free_st(&second, objects[i]);
   slab_destroy(&second);
}

/* It clears its own item and nothing beside it. */
static void
neighbours_are_not_cleared(void **state)
{
   struct slab_mempool pool;
   unsigned char *objects[2 * count];
   int i;

   (void)state;
   slab_create(&pool, 33, 16);
   for (i = 0; i < 2 * count; i++) {
      objects[i] = (unsigned char *)slab_alloc_st(&pool);
      assert_non_null(objects[i]);
      memset(objects[i], 0xee, 33);
   }
   for (i = 0; i < 2 * count; i += 2)
      slab_free_st(&pool, objects[i]);
   for (i = 0; i < 2 * count; i += 2)
      objects[i] = (unsigned char *)slab_zalloc(&pool.child);
   for (i = 0; i < 2 * count; i++) {
      assert_int_equal(objects[i][0], i % 2 ? 0xee : 0);
      assert_memory_equal(objects[i], objects[i] + 1, 32);
      slab_free_st(&pool, objects[i]);
   }
   slab_destroy(&pool);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_small_size_is_clear_after_dirty_reuse),
      cmocka_unit_test(item_size_0_is_one_clear_byte),
      cmocka_unit_test(page_sizes_are_clear_after_dirty_reuse),
      cmocka_unit_test(large_objects_are_clear_after_dirty_reuse),
      cmocka_unit_test(memory_of_another_pool_is_clear),
      cmocka_unit_test(neighbours_are_not_cleared),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
