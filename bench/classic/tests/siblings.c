/* SPDX-License-Identifier: MIT */
/*
 * Four threads pass objects on to each other, each freeing the others' through its own child, and
 * destroying and creating that child while objects of it are out. Unlike threads_ring.c, this stays
 * with what the classic design allows: a child that frees exists, and is of the object's parent.
 */
#include "cmocka_case.h"
#include "iterations.h"
#include "live_objects.h"
#include "must.h"
#include "slab.h"

#include <pthread.h>

enum { threads = 4, slots = 64, item_size = 88, num_items = 16 };

static struct slab_parent_pool parent;

/* Where objects change hands; the id of an object is the number of its slot. */
static struct {
   pthread_mutex_t mutex;
   void *object;
} exchange[slots];

/* Puts an object into a slot, and takes what was there. */
static void *
swap(unsigned slot, void *object)
{
   void *before;

   pthread_mutex_lock(&exchange[slot].mutex);
   before = exchange[slot].object;
   exchange[slot].object = object;
   pthread_mutex_unlock(&exchange[slot].mutex);
   return before;
}

static void *
work(void *arg)
{
   unsigned first = *(const unsigned *)arg;
   struct slab_child_pool child;
   unsigned step;

   slab_create_child(&child, &parent);
   for (step = 0; step < ITERATIONS(200000, 20000); step++) {
      unsigned slot = (first + step * 7) % slots;
      void *object = slab_alloc(&child);

      MUST(object);
      contents_write(object, item_size, slot);
      object = swap(slot, object);
      if (object) {
         MUST(contents_hold(object, item_size, slot));
         slab_free(&child, object);
      }
      if (step % 97 == 96) {
         slab_destroy_child(&child);
         slab_create_child(&child, &parent);
      }
   }
   slab_destroy_child(&child);
   return NULL;
}

static void
siblings_free_each_others_objects(void **state)
{
   pthread_t running[threads];
   unsigned first[threads];
   struct slab_child_pool child;
   unsigned i;

   (void)state;
   slab_create_parent(&parent, item_size, num_items);
   for (i = 0; i < slots; i++)
      pthread_mutex_init(&exchange[i].mutex, NULL);
   for (i = 0; i < threads; i++) {
      first[i] = i * 5;
      assert_int_equal(pthread_create(&running[i], NULL, work, &first[i]), 0);
   }
   for (i = 0; i < threads; i++)
      assert_int_equal(pthread_join(running[i], NULL), 0);

   slab_create_child(&child, &parent);
   for (i = 0; i < slots; i++) {
      assert_non_null(exchange[i].object);
      slab_free(&child, exchange[i].object);
      pthread_mutex_destroy(&exchange[i].mutex);
   }
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {cmocka_unit_test(siblings_free_each_others_objects)};

   return cmocka_run_group_tests(tests, NULL, NULL);
}
