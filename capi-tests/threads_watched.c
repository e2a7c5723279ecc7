/* SPDX-License-Identifier: MIT */
/*
 * Threads that share a pool in each mode, with sampling, and with another thread that counts, or have pools of their own
 * that come and go: what helgrind, drd and ThreadSanitizer say of a right program is a fault of the library.
 */
#include "cmocka_case.h"
#include "iterations.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { threads = 3, objects = 20 };

static const unsigned size = 96;

static struct slab_parent_pool parent;
static void *shared[threads][objects];
static pthread_barrier_t barrier;

/* Each thread frees what the next one has allocated. */
static void *
pass_on(void *arg)
{
   int self = *(const int *)arg, round, i;
   struct slab_child_pool child;

   for (round = 0; round < ITERATIONS(200, 10); round++) {
      slab_create_child(&child, &parent);
      for (i = 0; i < objects; i++) {
         shared[self][i] = slab_alloc(&child);
         MUST(shared[self][i]);
         memset(shared[self][i], self, size);
      }
      pthread_barrier_wait(&barrier);
      for (i = 0; i < objects; i++)
         slab_free(&child, shared[(self + 1) % threads][i]);
      pthread_barrier_wait(&barrier);
      slab_destroy_child(&child);
   }
   return NULL;
}

static void *
count(void *arg)
{
   struct slab_parent_stats stats;
   struct slab_heap_stats heap;
   int round;

   (void)arg;
   stats.struct_size = sizeof(stats);
   heap.struct_size = sizeof(heap);
   for (round = 0; round < ITERATIONS(200, 10); round++) {
      MUST(slab_get_parent_stats(&parent, &stats) == 0);
      MUST(stats.item_size == size);
      slab_get_heap_stats(&heap);
      MUST(slab_validate(NULL) == 0);
      slab_trim_heap();
   }
   return NULL;
}

static void
use(const char *words)
{
   pthread_t users[threads], counter;
   int numbers[threads], i;

   slab_create_parent(&parent, size, 16);
   assert_int_equal(slab_set_debug(&parent, words), 0);
   assert_int_equal(pthread_barrier_init(&barrier, NULL, threads), 0);
   for (i = 0; i < threads; i++) {
      numbers[i] = i;
      assert_int_equal(pthread_create(&users[i], NULL, pass_on, &numbers[i]), 0);
   }
   assert_int_equal(pthread_create(&counter, NULL, count, NULL), 0);
   for (i = 0; i < threads; i++)
      pthread_join(users[i], NULL);
   pthread_join(counter, NULL);
   pthread_barrier_destroy(&barrier);
   assert_int_equal(slab_validate(&parent), 0);
   slab_destroy_parent(&parent);
}

/* A pool, a child and its objects of this thread's own. What the last child leaves, the next one of another pool of
 * such objects takes over, whichever thread that is in. */
static void *
come_and_go(void *arg)
{
   struct slab_parent_pool own;
   struct slab_child_pool child;
   void *mine[objects];
   int round, i, self = *(const int *)arg;

   for (round = 0; round < ITERATIONS(2000, 100); round++) {
      int count = 1 + round % objects;

      slab_create_parent(&own, size, 16);
      slab_create_child(&child, &own);
      for (i = 0; i < count; i++) {
         mine[i] = slab_alloc(&child);
         MUST(mine[i]);
         memset(mine[i], self, size);
      }
      for (i = 0; i < count; i++)
         slab_free(&child, mine[i]);
      slab_destroy_child(&child);
      slab_destroy_parent(&own);
   }
   return NULL;
}

static void
pools_that_come_and_go(void **state)
{
   pthread_t users[threads];
   int numbers[threads], i;

   (void)state;
   for (i = 0; i < threads; i++) {
      numbers[i] = i;
      assert_int_equal(pthread_create(&users[i], NULL, come_and_go, &numbers[i]), 0);
   }
   for (i = 0; i < threads; i++)
      pthread_join(users[i], NULL);
   assert_int_equal(slab_validate(NULL), 0);
}

static void
in_every_mode(void **state)
{
   static const char *const words[] = {"",
                                       "checks",
                                       "checks,redzone,poison,quarantine",
                                       "users,leaks",
                                       "guard",
                                       "checks,redzone,poison,quarantine,users,leaks,guard"};
   size_t i;

   (void)state;
   for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
      use(words[i]);
}

static void
with_sampling(void **state)
{
   (void)state;
   slab_set_sampling(5);
   use("");
   slab_set_sampling(0);
   use("");
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(in_every_mode),
      cmocka_unit_test(with_sampling),
      cmocka_unit_test(pools_that_come_and_go),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
