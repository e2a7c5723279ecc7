/* SPDX-License-Identifier: MIT */
/* Every function of slab.h once, and what its documentation says about NULL and about destroyed pools. */
#include "cmocka_case.h"
#include "slab.h"

#include <string.h>

static void
create_parent_sets_the_public_fields(void **state)
{
   struct slab_parent_pool parent;

   (void)state;
   slab_create_parent(&parent, 80, 64);
   assert_int_equal(parent.item_size, 80);
   assert_int_equal(parent.num_elements, 64);
   assert_int_equal(parent.element_size, 80);
   slab_destroy_parent(&parent);
}

static void
destroy_parent_sets_num_elements_to_0(void **state)
{
   struct slab_parent_pool parent;

   (void)state;
   slab_create_parent(&parent, 80, 64);
   slab_destroy_parent(&parent);
   assert_int_equal(parent.num_elements, 0);
}

static void
destroy_parent_of_null_zeroed_or_destroyed_does_nothing(void **state)
{
   struct slab_parent_pool parent;

   (void)state;
   slab_destroy_parent(NULL);

   memset(&parent, 0, sizeof(parent));
   slab_destroy_parent(&parent);
   assert_int_equal(parent.num_elements, 0);

   slab_create_parent(&parent, 80, 64);
   slab_destroy_parent(&parent);
   slab_destroy_parent(&parent);
   assert_int_equal(parent.num_elements, 0);
}

static void
create_child_sets_its_parent(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;

   (void)state;
   slab_create_parent(&parent, 80, 64);
   slab_create_child(&child, &parent);
   assert_ptr_equal(child.parent, &parent);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

static void
destroy_child_sets_its_parent_to_null(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;

   (void)state;
   slab_create_parent(&parent, 80, 64);
   slab_create_child(&child, &parent);
   slab_free(&child, slab_alloc(&child));
   slab_destroy_child(&child);
   assert_null(child.parent);
   slab_destroy_parent(&parent);
}

static void
destroy_child_of_null_does_nothing(void **state)
{
   (void)state;
   slab_destroy_child(NULL);
}

static void
child_destroyed_twice_is_destroyed_once(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child, other;
   void *first, *second, *third;

   (void)state;
   slab_create_parent(&parent, 80, 64);
   slab_create_child(&child, &parent);
   slab_create_child(&other, &parent);
   slab_free(&child, slab_alloc(&child));
   slab_destroy_child(&child);
   slab_destroy_child(&child);
   assert_null(child.parent);

   /* Had its free object been handed back twice, it would go out twice. */
   first = slab_alloc(&other);
   second = slab_alloc(&other);
   third = slab_alloc(&other);
   assert_non_null(first);
   assert_non_null(second);
   assert_non_null(third);
   assert_ptr_not_equal(first, second);
   assert_ptr_not_equal(first, third);
   assert_ptr_not_equal(second, third);
   slab_free(&other, first);
   slab_free(&other, second);
   slab_free(&other, third);
   slab_destroy_child(&other);
   slab_destroy_parent(&parent);
}

static void
alloc_gives_a_writable_object(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   unsigned char *object;
   int i;

   (void)state;
   slab_create_parent(&parent, 80, 64);
   slab_create_child(&child, &parent);
   object = (unsigned char *)slab_alloc(&child);
   assert_non_null(object);
   memset(object, 0x5a, 80);
   for (i = 0; i < 80; i++)
      assert_int_equal(object[i], 0x5a);
   slab_free(&child, object);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

static void
zalloc_gives_zeroes(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   unsigned char *object;
   int i;

   (void)state;
   slab_create_parent(&parent, 80, 64);
   slab_create_child(&child, &parent);
   object = (unsigned char *)slab_zalloc(&child);
   assert_non_null(object);
   for (i = 0; i < 80; i++)
      assert_int_equal(object[i], 0);
   slab_free(&child, object);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

/* How soon is the library's choice; that it happens is what a pool is for. */
static void
freed_object_is_handed_out_again(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   void *first, *object;
   int i;

   (void)state;
   slab_create_parent(&parent, 80, 64);
   slab_create_child(&child, &parent);
   first = slab_alloc(&child);
   assert_non_null(first);
   slab_free(&child, first);
   for (i = 0; i < 10000; i++) {
      object = slab_alloc(&child);
      assert_non_null(object);
      slab_free(&child, object);
      if (object == first)
         break;
   }
   assert_true(i < 10000);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

static void
free_of_null_does_nothing(void **state)
{
   struct slab_mempool pool;
   struct slab_child_pool child, zeroed;
   void *first, *second;

   (void)state;
   memset(&zeroed, 0, sizeof(zeroed));
   slab_create(&pool, 80, 64);
   slab_create_child(&child, &pool.parent);
   slab_free(&child, NULL);
   slab_free(&child, slab_alloc(&child));
   slab_free(&child, NULL);
   slab_destroy_child(&child);
   slab_free(&child, NULL);
   slab_free(&zeroed, NULL);
   slab_free_st(&pool, NULL);

   /* Had NULL been kept as a free object, this would hand it out. */
   slab_create_child(&child, &pool.parent);
   first = slab_alloc(&child);
   second = slab_alloc(&child);
   assert_non_null(first);
   assert_non_null(second);
   slab_free(&child, first);
   slab_free(&child, second);
   slab_destroy_child(&child);
   slab_destroy(&pool);
}

static void
alloc_from_destroyed_child_is_null(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;

   (void)state;
   slab_create_parent(&parent, 80, 64);
   slab_create_child(&child, &parent);
   slab_free(&child, slab_alloc(&child));
   slab_destroy_child(&child);
   assert_null(slab_alloc(&child));
   assert_null(slab_zalloc(&child));
   slab_destroy_parent(&parent);
}

static void
alloc_from_zeroed_child_is_null(void **state)
{
   struct slab_child_pool child;

   (void)state;
   memset(&child, 0, sizeof(child));
   assert_null(slab_alloc(&child));
   assert_null(slab_zalloc(&child));
   assert_null(child.parent);
}

static void
mempool_creates_parent_and_child(void **state)
{
   struct slab_mempool pool;

   (void)state;
   slab_create(&pool, 32, 16);
   assert_int_equal(pool.parent.item_size, 32);
   assert_int_equal(pool.parent.num_elements, 16);
   assert_ptr_equal(pool.child.parent, &pool.parent);
   slab_destroy(&pool);
}

static void
mempool_allocates_and_frees(void **state)
{
   struct slab_mempool pool;
   unsigned char *objects[100];
   unsigned char expected[32];
   int i;

   (void)state;
   slab_create(&pool, 32, 16);
   for (i = 0; i < 100; i++) {
      objects[i] = (unsigned char *)slab_alloc_st(&pool);
      assert_non_null(objects[i]);
      memset(objects[i], i, 32);
   }
   for (i = 0; i < 100; i++) {
      memset(expected, i, sizeof(expected));
      assert_memory_equal(objects[i], expected, sizeof(expected));
      slab_free_st(&pool, objects[i]);
   }
   slab_destroy(&pool);
}

static void
mempool_parent_takes_further_children(void **state)
{
   struct slab_mempool pool;
   struct slab_child_pool child;
   void *mine, *childs;

   (void)state;
   slab_create(&pool, 32, 16);
   slab_create_child(&child, &pool.parent);
   mine = slab_alloc_st(&pool);
   childs = slab_alloc(&child);
   assert_non_null(mine);
   assert_non_null(childs);
   assert_ptr_not_equal(mine, childs);
   slab_free(&child, mine);
   slab_free_st(&pool, childs);
   slab_destroy_child(&child);
   slab_destroy(&pool);
}

static void
mempool_destroy_of_null_zeroed_or_destroyed_does_nothing(void **state)
{
   struct slab_mempool pool;

   (void)state;
   slab_destroy(NULL);

   memset(&pool, 0, sizeof(pool));
   slab_destroy(&pool);
   assert_int_equal(pool.parent.num_elements, 0);

   slab_create(&pool, 32, 16);
   slab_free_st(&pool, slab_alloc_st(&pool));
   slab_destroy(&pool);
   assert_int_equal(pool.parent.num_elements, 0);
   assert_null(pool.child.parent);
   assert_null(slab_alloc_st(&pool));
   slab_destroy(&pool);
}

static void
pools_can_be_created_again(void **state)
{
   struct slab_mempool pool;
   unsigned round;

   (void)state;
   for (round = 1; round <= 100; round++) {
      slab_create(&pool, 8 * round, round);
      assert_int_equal(pool.parent.item_size, 8 * round);
      assert_int_equal(pool.parent.num_elements, round);
      slab_free_st(&pool, slab_alloc_st(&pool));
      slab_destroy(&pool);
   }
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(create_parent_sets_the_public_fields),
      cmocka_unit_test(destroy_parent_sets_num_elements_to_0),
      cmocka_unit_test(destroy_parent_of_null_zeroed_or_destroyed_does_nothing),
      cmocka_unit_test(create_child_sets_its_parent),
      cmocka_unit_test(destroy_child_sets_its_parent_to_null),
      cmocka_unit_test(destroy_child_of_null_does_nothing),
      cmocka_unit_test(child_destroyed_twice_is_destroyed_once),
      cmocka_unit_test(alloc_gives_a_writable_object),
      cmocka_unit_test(zalloc_gives_zeroes),
      cmocka_unit_test(freed_object_is_handed_out_again),
      cmocka_unit_test(free_of_null_does_nothing),
      cmocka_unit_test(alloc_from_destroyed_child_is_null),
      cmocka_unit_test(alloc_from_zeroed_child_is_null),
      cmocka_unit_test(mempool_creates_parent_and_child),
      cmocka_unit_test(mempool_allocates_and_frees),
      cmocka_unit_test(mempool_parent_takes_further_children),
      cmocka_unit_test(mempool_destroy_of_null_zeroed_or_destroyed_does_nothing),
      cmocka_unit_test(pools_can_be_created_again),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
