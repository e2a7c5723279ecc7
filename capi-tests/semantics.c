/* SPDX-License-Identifier: MIT */
/* What the drivers' code relies on beyond the plain use of the functions: one case for each habit. */
#include "cmocka_case.h"
#include "live_objects.h"
#include "must.h"
#include "slab.h"

#include <pthread.h>
#include <string.h>

#include "iterations.h"

enum { item_size = 96, num_items = 16, many = 1000 };

/* Allocates until live holds count objects. */
static void
allocate_up_to(struct live_objects *live, struct slab_child_pool *child, size_t count)
{
   while (live->count < count) {
      void *object = slab_alloc(child);
      assert_non_null(object);
      live_add(live, object, item_size);
   }
   assert_true(live_apart(live));
}

static void
free_all(struct live_objects *live, struct slab_child_pool *child)
{
   while (live->count > 0) {
      void *object = live_take(live, live->count - 1);
      assert_non_null(object);
      slab_free(child, object);
   }
}

/* Whether the objects of the parent go out once each: what a double or a lost free would break. */
static void
assert_pool_works(struct slab_parent_pool *parent)
{
   struct live_objects live;
   struct slab_child_pool child;

   live_create(&live, many);
   slab_create_child(&child, parent);
   allocate_up_to(&live, &child, many);
   assert_true(live_intact(&live));
   free_all(&live, &child);
   slab_destroy_child(&child);
   live_destroy(&live);
}

static void
num_elements_tells_a_created_parent_from_zeroed_memory(void **state)
{
   struct slab_parent_pool parent;

   (void)state;
   memset(&parent, 0, sizeof(parent));
   assert_int_equal(parent.num_elements, 0);
   slab_create_parent(&parent, item_size, 0);
   assert_int_not_equal(parent.num_elements, 0);
   slab_destroy_parent(&parent);
   assert_int_equal(parent.num_elements, 0);
   slab_create_parent(&parent, item_size, num_items);
   assert_int_not_equal(parent.num_elements, 0);
   slab_destroy_parent(&parent);
}

static void
destroy_child_of_a_never_created_pool_does_nothing(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool zeroed;

   (void)state;
   memset(&zeroed, 0, sizeof(zeroed));
   slab_destroy_child(&zeroed);
   slab_destroy_child(&zeroed);
   assert_null(zeroed.parent);

   /* The memory is then good for a real child. */
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&zeroed, &parent);
   slab_free(&zeroed, slab_alloc(&zeroed));
   slab_destroy_child(&zeroed);
   assert_pool_works(&parent);
   slab_destroy_parent(&parent);
}

static void
free_through_a_destroyed_child_while_its_parent_lives(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct live_objects live;

   (void)state;
   live_create(&live, many);
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&child, &parent);
   allocate_up_to(&live, &child, many);
   slab_destroy_child(&child);
   assert_true(live_intact(&live));
   free_all(&live, &child);
   assert_null(child.parent);
   assert_pool_works(&parent);
   slab_destroy_parent(&parent);
   live_destroy(&live);
}

static void
free_through_a_destroyed_child_while_the_allocating_child_lives(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool allocating, destroyed;
   struct live_objects live;

   (void)state;
   live_create(&live, many);
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&allocating, &parent);
   slab_create_child(&destroyed, &parent);
   allocate_up_to(&live, &allocating, many);
   slab_destroy_child(&destroyed);
   while (live.count > many / 2)
      slab_free(&destroyed, live_take(&live, live.count / 2));
   /* The allocating child goes on with what came back, and its other objects are untouched. */
   allocate_up_to(&live, &allocating, many);
   assert_true(live_intact(&live));
   free_all(&live, &allocating);
   slab_destroy_child(&allocating);
   slab_destroy_parent(&parent);
   live_destroy(&live);
}

static void
free_through_a_destroyed_child_after_the_parent_is_gone(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct live_objects live;

   (void)state;
   live_create(&live, many);
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&child, &parent);
   allocate_up_to(&live, &child, many);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   assert_true(live_intact(&live));
   free_all(&live, &child);
   live_destroy(&live);
}

static void
free_through_a_zeroed_child(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child, zeroed;
   struct live_objects live;

   (void)state;
   memset(&zeroed, 0, sizeof(zeroed));
   live_create(&live, many);
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&child, &parent);
   allocate_up_to(&live, &child, many);
   free_all(&live, &zeroed);
   assert_null(zeroed.parent);
   assert_null(slab_alloc(&zeroed));
   slab_destroy_child(&child);
   assert_pool_works(&parent);
   slab_destroy_parent(&parent);
   live_destroy(&live);
}

static void
free_through_a_sibling_child(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool allocating, freeing;
   struct live_objects live;
   int round;

   (void)state;
   live_create(&live, many);
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&allocating, &parent);
   slab_create_child(&freeing, &parent);
   for (round = 0; round < 10; round++) {
      allocate_up_to(&live, &allocating, many);
      free_all(&live, &freeing);
   }
   slab_destroy_child(&allocating);
   slab_destroy_child(&freeing);
   assert_pool_works(&parent);
   slab_destroy_parent(&parent);
   live_destroy(&live);
}

/* Each object goes back to its own parent, which shows in the sizes: 24 and 480 byte objects mixed
 * up in one parent would overlap. */
static void
free_to_a_pool_of_another_parent(void **state)
{
   struct slab_mempool small, large;
   struct live_objects live;
   int round;
   size_t i;

   (void)state;
   live_create(&live, many);
   slab_create(&small, 24, 64);
   slab_create(&large, 480, 8);
   for (round = 0; round < 10; round++) {
      while (live.count < many) {
         void *object = slab_alloc_st(&small);
         assert_non_null(object);
         live_add(&live, object, 24);
         object = slab_alloc_st(&large);
         assert_non_null(object);
         live_add(&live, object, 480);
      }
      assert_true(live_apart(&live));
      assert_true(live_intact(&live));
      for (i = 0; i < live.count; i += 2) {
         bool is_small = live.objects[i].size == 24;
         void *object = live_take(&live, i);
         assert_non_null(object);
         slab_free_st(is_small ? &large : &small, object);
      }
   }
   while (live.count > 0) {
      bool is_small = live.objects[live.count - 1].size == 24;
      slab_free_st(is_small ? &large : &small, live_take(&live, live.count - 1));
   }
   slab_destroy(&small);
   slab_destroy(&large);
   live_destroy(&live);
}

/* However full the child's own magazines are, and whichever it has just swapped. Every other object stays, so that no
 * slab of the other parent runs empty and comes to this one. */
static void
free_to_another_parent_at_every_fill_of_a_child(void **state)
{
   enum { objects = 600 };
   struct slab_mempool own, other;
   void *owns[objects], *others[2 * objects];
   int round;
   size_t i;

   (void)state;
   slab_create(&own, item_size, num_items);
   slab_create(&other, item_size, num_items);
   for (round = 0; round < 3; round++) {
      for (i = 0; i < objects; i++) {
         owns[i] = slab_alloc_st(&own);
         assert_non_null(owns[i]);
      }
      for (i = 0; i < 2 * objects; i++) {
         others[i] = slab_alloc_st(&other);
         assert_non_null(others[i]);
      }
      for (i = 0; i < objects; i++) {
         uintptr_t freed = (uintptr_t)others[2 * i];
         void *next;

         slab_free_st(&own, others[2 * i]);
         next = slab_alloc_st(&own);
         assert_int_not_equal((uintptr_t)next, freed);
         slab_free_st(&own, next);
         slab_free_st(&own, owns[i]);
      }
      for (i = 0; i < objects; i++)
         slab_free_st(&other, others[2 * i + 1]);
   }
   slab_destroy(&own);
   slab_destroy(&other);
}

/* The memory of a parent that is never destroyed goes away with the screen that embeds it. */
static void
parents_that_are_never_destroyed(void **state)
{
   struct live_objects live;
   int i;

   (void)state;
   live_create(&live, many);
   for (i = 0; i < 100; i++) {
      struct slab_parent_pool *parent = (struct slab_parent_pool *)malloc(sizeof(*parent));
      struct slab_child_pool child;

      assert_non_null(parent);
      slab_create_parent(parent, item_size, num_items);
      slab_create_child(&child, parent);
      allocate_up_to(&live, &child, 100);
      free_all(&live, &child);
      slab_destroy_child(&child);
      /* Whoever still looked into the parent would now find nonsense. */
      memset(parent, 0xa5, sizeof(*parent));
      free(parent);
   }
   live_destroy(&live);
}

static void
create_on_uninitialised_memory(void **state)
{
   static const unsigned char garbage[] = {0xff, 0xa5, 0x01, 0x80};
   struct slab_mempool *pool = (struct slab_mempool *)malloc(sizeof(*pool));
   struct slab_child_pool *child = (struct slab_child_pool *)malloc(sizeof(*child));
   size_t i;

   (void)state;
   assert_non_null(pool);
   assert_non_null(child);
   for (i = 0; i < sizeof(garbage); i++) {
      memset(pool, garbage[i], sizeof(*pool));
      memset(child, garbage[i], sizeof(*child));
      slab_create(pool, item_size, num_items);
      slab_create_child(child, &pool->parent);
      slab_free(child, slab_alloc_st(pool));
      slab_free_st(pool, slab_alloc(child));
      slab_destroy_child(child);
      assert_pool_works(&pool->parent);
      slab_destroy(pool);
   }
   free(child);
   free(pool);
}

/* valgrind sees here if create reads what malloc gave. */
static void
create_reads_nothing_of_the_old_memory(void **state)
{
   struct slab_parent_pool *parent = (struct slab_parent_pool *)malloc(sizeof(*parent));
   struct slab_child_pool *child = (struct slab_child_pool *)malloc(sizeof(*child));

   (void)state;
   assert_non_null(parent);
   assert_non_null(child);
   slab_create_parent(parent, item_size, num_items);
   slab_create_child(child, parent);
   slab_free(child, slab_alloc(child));
   slab_destroy_child(child);
   slab_destroy_parent(parent);
   free(child);
   free(parent);
}

static void
create_again_without_destroy(void **state)
{
   struct slab_mempool pool;
   struct live_objects live;
   int round;

   (void)state;
   live_create(&live, many);
   for (round = 0; round < 10; round++) {
      slab_create(&pool, item_size, num_items);
      allocate_up_to(&live, &pool.child, (size_t)(round + 1) * (many / 10));
      slab_destroy_child(&pool.child);
   }
   assert_true(live_intact(&live));
   slab_create_child(&pool.child, &pool.parent);
   free_all(&live, &pool.child);
   slab_destroy(&pool);
   live_destroy(&live);
}

/* The other half, NULL for want of memory, is in oom_rlimit.c and faults.c. */
static void
alloc_may_return_null_and_the_pool_goes_on(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;

   (void)state;
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&child, &parent);
   slab_free(&child, slab_alloc(&child));
   slab_destroy_child(&child);
   assert_null(slab_alloc(&child));
   slab_free(&child, slab_alloc(&child));
   assert_pool_works(&parent);
   slab_destroy_parent(&parent);
}

struct submits {
   struct slab_parent_pool parent;
   struct live_objects in_flight;
   unsigned rate;
};

/* Each submit has its own child; what it allocates is freed by the submit two later, through that
 * one's child, so most objects outlive the child they came from. */
static void *
submit_many(void *arg)
{
   struct submits *submits = (struct submits *)arg;
   unsigned i, j;

   for (i = 0; i < submits->rate; i++) {
      struct slab_child_pool child;

      slab_create_child(&child, &submits->parent);
      for (j = 0; j < 3; j++) {
         void *object = slab_alloc(&child);
         MUST(object);
         live_add(&submits->in_flight, object, item_size);
      }
      while (submits->in_flight.count > 6) {
         void *object = live_take(&submits->in_flight, 0);
         MUST(object);
         slab_free(&child, object);
      }
      slab_destroy_child(&child);
   }
   return NULL;
}

static void
child_per_submit_on_one_thread_after_the_other(void **state)
{
   struct submits submits;
   pthread_t thread;
   int i;

   (void)state;
   submits.rate = ITERATIONS(5000, 300);
   live_create(&submits.in_flight, 16);
   slab_create_parent(&submits.parent, item_size, num_items);
   for (i = 0; i < 8; i++) {
      assert_int_equal(pthread_create(&thread, NULL, submit_many, &submits), 0);
      assert_int_equal(pthread_join(thread, NULL), 0);
   }
   submit_many(&submits);
   assert_true(live_intact(&submits.in_flight));
   assert_true(live_apart(&submits.in_flight));
   assert_pool_works(&submits.parent);
   while (submits.in_flight.count > 0) {
      struct slab_child_pool zeroed;

      memset(&zeroed, 0, sizeof(zeroed));
      slab_free(&zeroed, live_take(&submits.in_flight, 0));
   }
   slab_destroy_parent(&submits.parent);
   live_destroy(&submits.in_flight);
}

/* Every second object stays allocated, so that no slab becomes wholly free and no page of it may go
 * back to the system; the others are more than a child keeps for itself. */
static void
bytes_survive_free(struct slab_parent_pool *parent, struct slab_child_pool *freeing)
{
   struct live_objects live;
   struct slab_child_pool child;
   size_t i;

   live_create(&live, many);
   slab_create_child(&child, parent);
   allocate_up_to(&live, &child, many);
   for (i = 0; i < many; i += 2)
      slab_free(freeing ? freeing : &child, live.objects[i].ptr);
   assert_true(live_intact(&live));
   slab_destroy_child(&child);
   assert_true(live_intact(&live));
   for (i = 1; i < many; i += 2)
      slab_free(&child, live.objects[i].ptr);
   live_destroy(&live);
}

static void
bytes_survive_free_until_reuse(void **state)
{
   struct slab_parent_pool parent;
   struct slab_mempool foreign;
   struct slab_child_pool sibling, destroyed;

   (void)state;
   slab_create_parent(&parent, item_size, num_items);
   slab_create(&foreign, 24, 64);
   slab_create_child(&sibling, &parent);
   memset(&destroyed, 0, sizeof(destroyed));

   bytes_survive_free(&parent, NULL);
   bytes_survive_free(&parent, &sibling);
   bytes_survive_free(&parent, &foreign.child);
   bytes_survive_free(&parent, &destroyed);

   slab_destroy_child(&sibling);
   slab_destroy(&foreign);
   slab_destroy_parent(&parent);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(num_elements_tells_a_created_parent_from_zeroed_memory),
      cmocka_unit_test(destroy_child_of_a_never_created_pool_does_nothing),
      cmocka_unit_test(free_through_a_destroyed_child_while_its_parent_lives),
      cmocka_unit_test(free_through_a_destroyed_child_while_the_allocating_child_lives),
      cmocka_unit_test(free_through_a_destroyed_child_after_the_parent_is_gone),
      cmocka_unit_test(free_through_a_zeroed_child),
      cmocka_unit_test(free_through_a_sibling_child),
      cmocka_unit_test(free_to_a_pool_of_another_parent),
      cmocka_unit_test(free_to_another_parent_at_every_fill_of_a_child),
      cmocka_unit_test(parents_that_are_never_destroyed),
      cmocka_unit_test(create_on_uninitialised_memory),
      cmocka_unit_test(create_reads_nothing_of_the_old_memory),
      cmocka_unit_test(create_again_without_destroy),
      cmocka_unit_test(alloc_may_return_null_and_the_pool_goes_on),
      cmocka_unit_test(child_per_submit_on_one_thread_after_the_other),
      cmocka_unit_test(bytes_survive_free_until_reuse),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
