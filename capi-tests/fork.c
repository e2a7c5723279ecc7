/* SPDX-License-Identifier: MIT */
/* fork(): the child process has its own copy of every pool, and the library's locks are free in it. */
#include "child_process.h"
#include "cmocka_case.h"
#include "iterations.h"
#include "live_objects.h"
#include "must.h"
#include "slab.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { item_size = 96, num_items = 16, inherited = 500 };

struct family {
   struct slab_parent_pool parent;
   struct slab_child_pool children[2];
   struct live_objects live;
};

static void
family_create(struct family *family)
{
   live_create(&family->live, 4 * inherited);
   slab_create_parent(&family->parent, item_size, num_items);
   slab_create_child(&family->children[0], &family->parent);
   slab_create_child(&family->children[1], &family->parent);
   while (family->live.count < inherited)
      live_add(&family->live, slab_alloc(&family->children[family->live.count % 2]), item_size);
}

static void
family_destroy(struct family *family)
{
   while (family->live.count > 0) {
      void *object = live_take(&family->live, family->live.count - 1);
      MUST(object);
      slab_free(&family->children[family->live.count % 2], object);
   }
   slab_destroy_child(&family->children[0]);
   slab_destroy_child(&family->children[1]);
   slab_destroy_parent(&family->parent);
   live_destroy(&family->live);
}

/* Frees and allocates all over the pools, so that slabs come and go. */
static void
family_use(struct family *family)
{
   size_t i;
   int round;

   for (round = 0; round < 10; round++) {
      for (i = 0; i < family->live.count; i += 1 + i % 3) {
         void *object = live_take(&family->live, i);
         MUST(object);
         slab_free(&family->children[i % 2], object);
      }
      while (family->live.count < 3 * inherited)
         live_add(&family->live, slab_alloc(&family->children[round % 2]), item_size);
      MUST(live_apart(&family->live));
      MUST(live_intact(&family->live));
   }
}

static void
use_and_destroy(void *arg)
{
   struct family *family = (struct family *)arg;

   family_use(family);
   family_destroy(family);
}

static void
child_process_uses_inherited_pools(void **state)
{
   struct child_process child;
   struct family family;

   (void)state;
   family_create(&family);
   assert_true(child_run(&child, use_and_destroy, &family));
   assert_true(live_intact(&family.live));
   family_use(&family);
   family_destroy(&family);
}

static void
both_processes_go_on_at_once(void **state)
{
   struct child_process children[3];
   struct family family;
   int i;

   (void)state;
   family_create(&family);
   for (i = 0; i < 3; i++) {
      child_start(&children[i], use_and_destroy, &family);
      family_use(&family);
   }
   for (i = 0; i < 3; i++)
      assert_true(child_wait(&children[i]));
   family_use(&family);
   family_destroy(&family);
}

static void
fork_again(void *arg)
{
   struct child_process grandchild;

   family_use((struct family *)arg);
   MUST(child_run(&grandchild, use_and_destroy, arg));
   family_use((struct family *)arg);
   family_destroy((struct family *)arg);
}

static void
grandchild_process_uses_inherited_pools(void **state)
{
   struct child_process child;
   struct family family;

   (void)state;
   family_create(&family);
   assert_true(child_run(&child, fork_again, &family));
   assert_true(live_intact(&family.live));
   family_destroy(&family);
}

static void
new_pool_body(void *arg)
{
   struct slab_mempool pool;
   void *objects[300];
   int i;

   (void)arg;
   slab_create(&pool, 1000, 16);
   for (i = 0; i < 300; i++) {
      objects[i] = slab_alloc_st(&pool);
      MUST(objects[i]);
      memset(objects[i], 0x77, 1000);
   }
   for (i = 0; i < 300; i++)
      slab_free_st(&pool, objects[i]);
   slab_destroy(&pool);
}

/*
 * An emulator of another machine may keep memory for each page that was ever mapped (qemu-user 7.2 keeps 9 GiB after a
 * hundred seconds of hammering): there, the hammers leave address space alone for most of the time.
 */
static void
rest(void)
{
#ifdef SLAB_TEST_EMULATED
   usleep(10000);
#endif
}

/* Large objects, and a pool that comes and goes with all its slabs: most calls need the heap. */
static void *
hammer(void *arg)
{
   const int *stop = (const int *)arg;

   while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
      struct slab_mempool pool;
      void *objects[32];
      int i;

      slab_create(&pool, 3000, 4);
      for (i = 0; i < 32; i++) {
         objects[i] = slab_alloc_st(&pool);
         MUST(objects[i]);
         memset(objects[i], i, 16);
      }
      for (i = 0; i < 32; i++)
         slab_free_st(&pool, objects[i]);
      slab_destroy(&pool);
      rest();
   }
   return NULL;
}

static void *
hammer_large(void *arg)
{
   const int *stop = (const int *)arg;

   while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
      struct slab_mempool pool;
      void *object;

      slab_create(&pool, 5u << 20, 1);
      object = slab_alloc_st(&pool);
      MUST(object);
      slab_free_st(&pool, object);
      slab_destroy(&pool);
      rest();
   }
   return NULL;
}

static void
fork_under_hammers(void *(*hammer_with)(void *), int forks, struct family *family)
{
   struct child_process child;
   pthread_t threads[3];
   int stop = 0;
   int i;

   for (i = 0; i < 3; i++)
      assert_int_equal(pthread_create(&threads[i], NULL, hammer_with, &stop), 0);
   for (i = 0; i < forks; i++) {
      assert_true(child_run(&child, new_pool_body, NULL));
      if (family)
         assert_true(child_run(&child, use_and_destroy, family));
   }
   __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
   for (i = 0; i < 3; i++)
      assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* Only the forking thread lives on in the child process. Whatever lock another thread held is held for
 * ever there unless the library sees to it; the watchdog ends a child that waits for one. */
static void
fork_while_other_threads_use_other_pools(void **state)
{
   struct family family;

   (void)state;
   family_create(&family);
   fork_under_hammers(hammer, ITERATIONS(30, 10), &family);
   family_use(&family);
   family_destroy(&family);
}

/* Goes first: the library has given out nothing but large objects so far, if anything. */
static void
fork_while_other_threads_use_their_first_large_objects(void **state)
{
   (void)state;
   fork_under_hammers(hammer_large, ITERATIONS(100, 20), NULL);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(fork_while_other_threads_use_their_first_large_objects),
      cmocka_unit_test(child_process_uses_inherited_pools),
      cmocka_unit_test(both_processes_go_on_at_once),
      cmocka_unit_test(grandchild_process_uses_inherited_pools),
      cmocka_unit_test(fork_while_other_threads_use_other_pools),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
