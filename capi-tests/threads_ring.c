/* SPDX-License-Identifier: MIT */
/*
 * Four threads in a ring, each with its own child of one parent. Each allocates objects, writes them and hands them to
 * the next, which checks them and hands them on or frees them, so most frees go through another child than the
 * allocating one, some through a child of another parent. Children are destroyed and created again all the time while
 * their objects are under way. The threads are synchronised by their queues alone; a sanitizer sees whether the library
 * adds what its own data needs.
 */
#include "cmocka_case.h"
#include "iterations.h"
#include "live_objects.h"
#include "must.h"
#include "slab.h"

#include <pthread.h>

enum { threads = 4, queue_room = 64, hops = 3 };

/* What a thread hands on: id tells the contents, hops how far it still goes. */
struct parcel {
   void *object;
   unsigned id;
   unsigned hops;
};

struct queue {
   pthread_mutex_t mutex;
   pthread_cond_t changed;
   struct parcel parcels[queue_room];
   unsigned count;
   bool closed;
};

struct ring;

struct member {
   struct ring *ring;
   unsigned number;
   unsigned allocated, freed;
   struct slab_child_pool foreign; /* frees every seventh */
   pthread_t thread;
};

struct ring {
   struct slab_parent_pool parent;
   struct slab_parent_pool foreign_parent;
   unsigned item_size;
   unsigned to_allocate; /* by each thread */
   struct queue queues[threads];
   struct member members[threads];
   pthread_mutex_t mutex;
   unsigned under_way; /* parcels neither freed nor still to be allocated; under mutex */
};

static bool
queue_put(struct queue *queue, struct parcel parcel)
{
   bool room;

   pthread_mutex_lock(&queue->mutex);
   room = queue->count < queue_room;
   if (room) {
      queue->parcels[queue->count++] = parcel;
      pthread_cond_signal(&queue->changed);
   }
   pthread_mutex_unlock(&queue->mutex);
   return room;
}

/* Waits for a parcel if wait is set. False if there is none and, when waited for, never will be. */
static bool
queue_get(struct queue *queue, struct parcel *parcel, bool wait)
{
   bool got;

   pthread_mutex_lock(&queue->mutex);
   while (wait && queue->count == 0 && !queue->closed)
      pthread_cond_wait(&queue->changed, &queue->mutex);
   got = queue->count > 0;
   if (got)
      *parcel = queue->parcels[--queue->count];
   pthread_mutex_unlock(&queue->mutex);
   return got;
}

static void
ring_close(struct ring *ring)
{
   unsigned i;

   for (i = 0; i < threads; i++) {
      pthread_mutex_lock(&ring->queues[i].mutex);
      ring->queues[i].closed = true;
      pthread_cond_broadcast(&ring->queues[i].changed);
      pthread_mutex_unlock(&ring->queues[i].mutex);
   }
}

static void
parcel_gone(struct ring *ring)
{
   bool last;

   pthread_mutex_lock(&ring->mutex);
   last = --ring->under_way == 0;
   pthread_mutex_unlock(&ring->mutex);
   if (last)
      ring_close(ring);
}

static void
free_parcel(struct member *member, struct slab_child_pool *child, struct parcel parcel)
{
   slab_free(member->freed % 7 ? child : &member->foreign, parcel.object);
   member->freed++;
   parcel_gone(member->ring);
}

/* Checks a parcel, and hands it on as another one: its contents are of the last who wrote them. */
static void
pass_on(struct member *member, struct slab_child_pool *child, struct parcel parcel)
{
   struct ring *ring = member->ring;

   MUST(contents_hold(parcel.object, ring->item_size, parcel.id));
   if (parcel.hops == 0) {
      free_parcel(member, child, parcel);
      return;
   }
   parcel.hops--;
   parcel.id += 1000003;
   contents_write(parcel.object, ring->item_size, parcel.id);
   if (!queue_put(&ring->queues[(member->number + 1) % threads], parcel))
      free_parcel(member, child, parcel);
}

static void *
member_run(void *arg)
{
   struct member *member = (struct member *)arg;
   struct ring *ring = member->ring;
   struct queue *queue = &ring->queues[member->number];
   struct slab_child_pool child;
   struct parcel parcel;
   unsigned steps;

   slab_create_child(&child, &ring->parent);
   slab_create_child(&member->foreign, &ring->foreign_parent);
   for (steps = 0; member->allocated < ring->to_allocate; steps++) {
      parcel.object = steps % 5 ? slab_alloc(&child) : slab_zalloc(&child);
      MUST(parcel.object);
      parcel.id = member->number * 100000000u + member->allocated;
      parcel.hops = steps % (hops + 1);
      contents_write(parcel.object, ring->item_size, parcel.id);
      member->allocated++;
      pass_on(member, &child, parcel);
      while (queue_get(queue, &parcel, false))
         pass_on(member, &child, parcel);
      if (steps % 97 == 96) {
         slab_destroy_child(&child);
         slab_create_child(&child, &ring->parent);
      }
   }
   /* Nothing more to allocate: hand on and free, half of the time through a destroyed child. */
   for (steps = 0; queue_get(queue, &parcel, true); steps++) {
      if (steps == 20)
         slab_destroy_child(&child);
      pass_on(member, &child, parcel);
   }
   slab_destroy_child(&child);
   slab_destroy_child(&member->foreign);
   return NULL;
}

static void
run_ring(unsigned item_size, unsigned num_items)
{
   static struct ring ring;
   unsigned allocated = 0, freed = 0;
   unsigned i;

   ring.item_size = item_size;
   ring.to_allocate = ITERATIONS(15000, 1500);
   ring.under_way = threads * ring.to_allocate;
   pthread_mutex_init(&ring.mutex, NULL);
   slab_create_parent(&ring.parent, item_size, num_items);
   slab_create_parent(&ring.foreign_parent, item_size, num_items);
   for (i = 0; i < threads; i++) {
      pthread_mutex_init(&ring.queues[i].mutex, NULL);
      pthread_cond_init(&ring.queues[i].changed, NULL);
      ring.queues[i].count = 0;
      ring.queues[i].closed = false;
   }
   for (i = 0; i < threads; i++) {
      struct member *member = &ring.members[i];
      member->ring = &ring;
      member->number = i;
      member->allocated = member->freed = 0;
      assert_int_equal(pthread_create(&member->thread, NULL, member_run, member), 0);
   }
   for (i = 0; i < threads; i++) {
      assert_int_equal(pthread_join(ring.members[i].thread, NULL), 0);
      allocated += ring.members[i].allocated;
      freed += ring.members[i].freed;
   }
   assert_int_equal(allocated, threads * ring.to_allocate);
   assert_int_equal(freed, allocated);
   for (i = 0; i < threads; i++) {
      pthread_cond_destroy(&ring.queues[i].changed);
      pthread_mutex_destroy(&ring.queues[i].mutex);
   }
   pthread_mutex_destroy(&ring.mutex);
   slab_destroy_parent(&ring.parent);
   slab_destroy_parent(&ring.foreign_parent);
}

static void
transfers_go_round(void **state)
{
   (void)state;
   run_ring(88, 16);
}

static void
tiny_objects_go_round(void **state)
{
   (void)state;
   run_ring(8, 64);
}

/* Too large for a child to keep any: every call goes to the parent. */
static void
large_objects_go_round(void **state)
{
   (void)state;
   run_ring(20000, 4);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(transfers_go_round),
      cmocka_unit_test(tiny_objects_go_round),
      cmocka_unit_test(large_objects_go_round),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
