/* SPDX-License-Identifier: MIT */
/*
 * Objects that outlive their parent pool: it is destroyed, or created again over the same memory,
 * while they are out. They stay valid, may be freed through any child there is, and a new pool at
 * the old address must never take them for its own.
 */
#include "cmocka_case.h"
#include "live_objects.h"
#include "slab.h"

#include <string.h>

enum { old_size = 96, old_items = 16, old_count = 1000 };

/* A place for a parent, and objects of a pool that stood there and whose child is destroyed. */
struct place {
   struct slab_parent_pool parent;
   struct slab_child_pool old_child;
   struct live_objects live;
   void *old[old_count]; /* all addresses, also of those freed since */
};

static void
place_create(struct place *place)
{
   int i;

   live_create(&place->live, 4 * old_count);
   slab_create_parent(&place->parent, old_size, old_items);
   slab_create_child(&place->old_child, &place->parent);
   for (i = 0; i < old_count; i++) {
      place->old[i] = slab_alloc(&place->old_child);
      assert_non_null(place->old[i]);
      live_add(&place->live, place->old[i], old_size);
   }
   slab_destroy_child(&place->old_child);
}

/* Frees every second old object from first to end through child: each slab keeps some that are out. */
static void
free_every_second(struct place *place, struct slab_child_pool *child, int first, int end)
{
   int i;

   for (i = first; i < end; i += 2) {
      void *object = live_take_at(&place->live, place->old[i]);
      assert_non_null(object);
      slab_free(child, object);
   }
   assert_true(live_intact(&place->live));
}

static void
free_rest(struct place *place, struct slab_child_pool *child)
{
   while (place->live.count > 0) {
      void *object = live_take(&place->live, place->live.count - 1);
      assert_non_null(object);
      slab_free(child, object);
   }
   live_destroy(&place->live);
}

static bool
lies_in_an_old_object(const struct place *place, const void *ptr, size_t size)
{
   uintptr_t start = (uintptr_t)ptr;
   int i;

   for (i = 0; i < old_count; i++) {
      uintptr_t old = (uintptr_t)place->old[i];
      if (start < old + old_size && old < start + size)
         return true;
   }
   return false;
}

static void
dead_child_frees_the_objects_of_a_destroyed_parent(void **state)
{
   struct place place;

   (void)state;
   place_create(&place);
   slab_destroy_parent(&place.parent);
   assert_true(live_intact(&place.live));
   free_every_second(&place, &place.old_child, 0, old_count);
   free_rest(&place, &place.old_child);
}

static void
foreign_child_frees_the_objects_of_a_destroyed_parent(void **state)
{
   struct slab_mempool foreign;
   struct place place;
   int i;

   (void)state;
   place_create(&place);
   slab_create(&foreign, 200, 16);
   slab_destroy_parent(&place.parent);
   free_every_second(&place, &foreign.child, 0, old_count);
   for (i = 0; i < old_count; i++) {
      void *object = slab_alloc_st(&foreign);
      assert_non_null(object);
      assert_false(lies_in_an_old_object(&place, object, 200));
      live_add(&place.live, object, 200);
   }
   assert_true(live_intact(&place.live));
   free_rest(&place, &foreign.child);
   slab_destroy(&foreign);
}

static void
destroyed_parent_may_be_overwritten(void **state)
{
   struct place place;

   (void)state;
   place_create(&place);
   slab_destroy_parent(&place.parent);
   memset(&place.parent, 0xa5, sizeof(place.parent));
   free_every_second(&place, &place.old_child, 0, old_count);
   free_rest(&place, &place.old_child);
}

/* Puts a pool of size-byte objects where the old one was, frees old objects through a child of it and
 * looks where its own objects are. */
static void
new_pool_leaves_old_objects_alone(bool destroy_first, unsigned size)
{
   struct slab_child_pool child;
   struct place place;
   int i;

   place_create(&place);
   if (destroy_first)
      slab_destroy_parent(&place.parent);
   slab_create_parent(&place.parent, size, 16);
   slab_create_child(&child, &place.parent);
   assert_true(live_intact(&place.live));

   /* Once before the child has objects of its own, and again when it has. */
   for (i = 0; i < 2; i++) {
      int j;

      free_every_second(&place, &child, i * old_count / 2, (i + 1) * old_count / 2);
      for (j = 0; j < old_count; j++) {
         void *object = slab_alloc(&child);
         assert_non_null(object);
         assert_false(lies_in_an_old_object(&place, object, size));
         live_add(&place.live, object, size);
      }
      assert_true(live_apart(&place.live));
      assert_true(live_intact(&place.live));
   }
   free_rest(&place, &child);
   slab_destroy_child(&child);
   slab_destroy_parent(&place.parent);
}

static void
destroyed_then_created_with_larger_objects(void **state)
{
   (void)state;
   new_pool_leaves_old_objects_alone(true, 4 * old_size);
}

static void
destroyed_then_created_with_smaller_objects(void **state)
{
   (void)state;
   new_pool_leaves_old_objects_alone(true, 16);
}

static void
destroyed_then_created_with_the_same_size(void **state)
{
   (void)state;
   new_pool_leaves_old_objects_alone(true, old_size);
}

static void
created_over_a_live_parent_with_larger_objects(void **state)
{
   (void)state;
   new_pool_leaves_old_objects_alone(false, 4 * old_size);
}

static void
created_over_a_live_parent_with_smaller_objects(void **state)
{
   (void)state;
   new_pool_leaves_old_objects_alone(false, 16);
}

static void
created_over_a_live_parent_with_the_same_size(void **state)
{
   (void)state;
   new_pool_leaves_old_objects_alone(false, old_size);
}

/* A child that held free objects when its parent was created over: it is not used again, and what it
 * held does not reach the new pool. */
static void
created_over_a_parent_whose_child_was_never_destroyed(void **state)
{
   struct slab_child_pool child;
   struct place place;
   void *held[40];
   int i;

   (void)state;
   place_create(&place);
   slab_create_child(&place.old_child, &place.parent);
   for (i = 0; i < 40; i++)
      held[i] = slab_alloc(&place.old_child);
   for (i = 0; i < 40; i++)
      slab_free(&place.old_child, held[i]);

   slab_create_parent(&place.parent, 400, 8);
   slab_create_child(&child, &place.parent);
   for (i = 0; i < old_count; i++) {
      void *object = slab_alloc(&child);
      assert_non_null(object);
      assert_false(lies_in_an_old_object(&place, object, 400));
      live_add(&place.live, object, 400);
   }
   assert_true(live_apart(&place.live));
   free_rest(&place, &child);
   slab_destroy_child(&child);
   slab_destroy_parent(&place.parent);
}

/* Generation after generation at one address, objects of all of them alive at once. */
static void
many_pools_at_one_address(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct live_objects live;
   unsigned generation, i;

   (void)state;
   live_create(&live, 100 * 50);
   for (generation = 0; generation < 100; generation++) {
      unsigned size = 16 + generation * 24 % 400;

      slab_create_parent(&parent, size, 16);
      slab_create_child(&child, &parent);
      for (i = 0; i < 50; i++) {
         void *object = slab_alloc(&child);
         assert_non_null(object);
         live_add(&live, object, size);
      }
      /* Some objects of every generation so far. */
      for (i = 0; i < 20; i++) {
         void *object = live_take(&live, (i * 7919u + generation * 31u) % live.count);
         assert_non_null(object);
         slab_free(&child, object);
      }
      slab_destroy_child(&child);
      if (generation % 2)
         slab_destroy_parent(&parent);
   }
   assert_true(live_apart(&live));
   assert_true(live_intact(&live));
   while (live.count > 0) {
      void *object = live_take(&live, 0);
      assert_non_null(object);
      slab_free(&child, object);
   }
   live_destroy(&live);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(dead_child_frees_the_objects_of_a_destroyed_parent),
      cmocka_unit_test(foreign_child_frees_the_objects_of_a_destroyed_parent),
      cmocka_unit_test(destroyed_parent_may_be_overwritten),
      cmocka_unit_test(destroyed_then_created_with_larger_objects),
      cmocka_unit_test(destroyed_then_created_with_smaller_objects),
      cmocka_unit_test(destroyed_then_created_with_the_same_size),
      cmocka_unit_test(created_over_a_live_parent_with_larger_objects),
      cmocka_unit_test(created_over_a_live_parent_with_smaller_objects),
      cmocka_unit_test(created_over_a_live_parent_with_the_same_size),
      cmocka_unit_test(created_over_a_parent_whose_child_was_never_destroyed),
      cmocka_unit_test(many_pools_at_one_address),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
