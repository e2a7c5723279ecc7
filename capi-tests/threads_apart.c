/* SPDX-License-Identifier: MIT */
/*
 * Four threads that share a parent, or only the heap, and nothing else: whatever keeps them from each
 * other's objects is the library's own.
 */
#include "cmocka_case.h"
#include "iterations.h"
#include "live_objects.h"
#include "must.h"
#include "slab.h"

#include <pthread.h>

enum { threads = 4, most = 200 };

struct worker {
   struct slab_parent_pool *parent; /* NULL: each round has one of its own */
   unsigned item_size;
   unsigned number;
   unsigned rounds;
   pthread_t thread;
};

/* Fills up, frees part of it, fills up again and frees all, through a child that lives for this long. */
static void
one_round(const struct worker *worker, struct slab_parent_pool *parent, unsigned round)
{
   unsigned first_id = worker->number << 24 | (round & 0xff) << 16;
   unsigned count = most / 4 + round * 37 % (most * 3 / 4);
   struct slab_child_pool child;
   void *objects[most];
   unsigned i, pass;

   slab_create_child(&child, parent);
   for (pass = 0; pass < 2; pass++) {
      for (i = 0; i < count; i++) {
         if (pass && i % 3)
            continue;
         objects[i] = slab_alloc(&child);
         MUST(objects[i]);
         contents_write(objects[i], worker->item_size, first_id + i);
      }
      for (i = 0; i < count; i++) {
         MUST(contents_hold(objects[i], worker->item_size, first_id + i));
         if (pass || i % 3 == 0)
            slab_free(&child, objects[i]);
      }
   }
   slab_destroy_child(&child);
}

static void *
work(void *arg)
{
   const struct worker *worker = (const struct worker *)arg;
   unsigned round;

   for (round = 0; round < worker->rounds; round++) {
      if (worker->parent) {
         one_round(worker, worker->parent, round);
      } else {
         struct slab_parent_pool own;

         slab_create_parent(&own, worker->item_size, 8);
         one_round(worker, &own, round);
         slab_destroy_parent(&own);
      }
   }
   return NULL;
}

static void
run_workers(struct slab_parent_pool *parent, unsigned item_size, unsigned rounds)
{
   struct worker workers[threads];
   unsigned i;

   for (i = 0; i < threads; i++) {
      workers[i].parent = parent;
      workers[i].item_size = item_size;
      workers[i].number = i;
      workers[i].rounds = rounds;
      assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
   }
   for (i = 0; i < threads; i++)
      assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
}

static void
share_a_parent(unsigned item_size, unsigned num_items, unsigned rounds)
{
   struct slab_parent_pool parent;

   slab_create_parent(&parent, item_size, num_items);
   run_workers(&parent, item_size, rounds);
   slab_destroy_parent(&parent);
}

static void
small_objects_of_one_parent(void **state)
{
   (void)state;
   share_a_parent(16, 64, ITERATIONS(3000, 100));
   share_a_parent(96, 16, ITERATIONS(3000, 100));
}

/* Too large for a child to keep any: every call needs the parent's lock. */
static void
large_objects_of_one_parent(void **state)
{
   (void)state;
   share_a_parent(6000, 8, ITERATIONS(300, 30));
}

static void
parents_of_their_own(void **state)
{
   (void)state;
   run_workers(NULL, 600, ITERATIONS(2000, 60));
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(small_objects_of_one_parent),
      cmocka_unit_test(large_objects_of_one_parent),
      cmocka_unit_test(parents_of_their_own),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
