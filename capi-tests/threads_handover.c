/* SPDX-License-Identifier: MIT */
/*
 * A child belongs to no thread: it is used by one at a time, and who that is may change. Here one
 * thread creates it, a second uses it and a third destroys it, many such children at once.
 */
#include "cmocka_case.h"
#include "iterations.h"
#include "live_objects.h"
#include "must.h"
#include "slab.h"

#include <pthread.h>

enum { item_size = 104, num_items = 16, objects = 150, kept = 10 };

enum stage { created, used, destroyed, stages };

struct handed_child {
   struct slab_child_pool pool;
   unsigned number;
   void *out[kept]; /* objects that are still out when the child is destroyed */
};

struct handover {
   struct slab_parent_pool parent;
   pthread_mutex_t mutex;
   pthread_cond_t changed;
   struct handed_child *children;
   unsigned count;
   unsigned done[stages]; /* children through each stage so far; under mutex */
};

static void
stage_done(struct handover *handover, enum stage stage)
{
   pthread_mutex_lock(&handover->mutex);
   handover->done[stage]++;
   pthread_cond_broadcast(&handover->changed);
   pthread_mutex_unlock(&handover->mutex);
}

static void
wait_for_stage(struct handover *handover, enum stage stage, unsigned number)
{
   pthread_mutex_lock(&handover->mutex);
   while (handover->done[stage] <= number)
      pthread_cond_wait(&handover->changed, &handover->mutex);
   pthread_mutex_unlock(&handover->mutex);
}

static unsigned
contents_id(const struct handed_child *child, unsigned i)
{
   return child->number * objects + i;
}

static void *
create_children(void *arg)
{
   struct handover *handover = (struct handover *)arg;
   unsigned number;

   for (number = 0; number < handover->count; number++) {
      struct handed_child *child = &handover->children[number];
      child->number = number;
      slab_create_child(&child->pool, &handover->parent);
      /* Used a little here too: the magazines are then this thread's work. */
      slab_free(&child->pool, slab_alloc(&child->pool));
      stage_done(handover, created);
   }
   return NULL;
}

static void *
use_children(void *arg)
{
   struct handover *handover = (struct handover *)arg;
   unsigned number, i;

   for (number = 0; number < handover->count; number++) {
      struct handed_child *child = &handover->children[number];
      void *out[objects];

      wait_for_stage(handover, created, number);
      for (i = 0; i < objects; i++) {
         out[i] = slab_alloc(&child->pool);
         MUST(out[i]);
         contents_write(out[i], item_size, contents_id(child, i));
      }
      for (i = 0; i < objects; i++) {
         MUST(contents_hold(out[i], item_size, contents_id(child, i)));
         if (i < kept)
            child->out[i] = out[i];
         else
            slab_free(&child->pool, out[i]);
      }
      stage_done(handover, used);
   }
   return NULL;
}

static void *
destroy_children(void *arg)
{
   struct handover *handover = (struct handover *)arg;
   unsigned number, i;

   for (number = 0; number < handover->count; number++) {
      struct handed_child *child = &handover->children[number];

      wait_for_stage(handover, used, number);
      for (i = 0; i < kept / 2; i++) {
         MUST(contents_hold(child->out[i], item_size, contents_id(child, i)));
         slab_free(&child->pool, child->out[i]);
      }
      slab_destroy_child(&child->pool);
      for (; i < kept; i++) {
         MUST(contents_hold(child->out[i], item_size, contents_id(child, i)));
         slab_free(&child->pool, child->out[i]);
      }
      stage_done(handover, destroyed);
   }
   return NULL;
}

static void
created_used_and_destroyed_by_three_threads(void **state)
{
   static void *(*const work[stages])(void *) = {create_children, use_children, destroy_children};
   struct handover handover;
   pthread_t threads[stages];
   unsigned i;

   (void)state;
   handover.count = ITERATIONS(2000, 200);
   handover.children = (struct handed_child *)malloc(handover.count * sizeof(*handover.children));
   assert_non_null(handover.children);
   pthread_mutex_init(&handover.mutex, NULL);
   pthread_cond_init(&handover.changed, NULL);
   for (i = 0; i < stages; i++)
      handover.done[i] = 0;
   slab_create_parent(&handover.parent, item_size, num_items);
   for (i = 0; i < stages; i++)
      assert_int_equal(pthread_create(&threads[i], NULL, work[i], &handover), 0);
   for (i = 0; i < stages; i++)
      assert_int_equal(pthread_join(threads[i], NULL), 0);
   for (i = 0; i < stages; i++)
      assert_int_equal(handover.done[i], handover.count);
   slab_destroy_parent(&handover.parent);
   pthread_cond_destroy(&handover.changed);
   pthread_mutex_destroy(&handover.mutex);
   free(handover.children);
}

/* The same memory passed back and forth between two threads, as a driver's worker does with a context. */
struct pingpong {
   struct slab_mempool pool;
   pthread_mutex_t mutex;
   pthread_cond_t changed;
   unsigned turn;
   unsigned turns;
   struct live_objects live;
};

struct player {
   struct pingpong *game;
   unsigned number;
};

static void *
play(void *arg)
{
   const struct player *player = (const struct player *)arg;
   struct pingpong *game = player->game;
   unsigned i;

   pthread_mutex_lock(&game->mutex);
   while (game->turn < game->turns) {
      if (game->turn % 2 != player->number) {
         pthread_cond_wait(&game->changed, &game->mutex);
         continue;
      }
      for (i = 0; i < 7 + player->number; i++)
         live_add(&game->live, slab_alloc_st(&game->pool), item_size);
      for (i = 0; i < 7; i++) {
         void *object = live_take(&game->live, i % game->live.count);
         MUST(object);
         slab_free_st(&game->pool, object);
      }
      game->turn++;
      pthread_cond_broadcast(&game->changed);
   }
   pthread_mutex_unlock(&game->mutex);
   return NULL;
}

static void
two_threads_take_turns_with_one_child(void **state)
{
   struct pingpong game;
   struct player players[2];
   pthread_t threads[2];
   unsigned i;

   (void)state;
   game.turn = 0;
   game.turns = ITERATIONS(3000, 300);
   live_create(&game.live, game.turns + 100);
   pthread_mutex_init(&game.mutex, NULL);
   pthread_cond_init(&game.changed, NULL);
   slab_create(&game.pool, item_size, num_items);
   for (i = 0; i < 2; i++) {
      players[i].game = &game;
      players[i].number = i;
      assert_int_equal(pthread_create(&threads[i], NULL, play, &players[i]), 0);
   }
   for (i = 0; i < 2; i++)
      assert_int_equal(pthread_join(threads[i], NULL), 0);
   assert_true(live_apart(&game.live));
   assert_true(live_intact(&game.live));
   while (game.live.count > 0)
      slab_free_st(&game.pool, live_take(&game.live, game.live.count - 1));
   slab_destroy(&game.pool);
   pthread_cond_destroy(&game.changed);
   pthread_mutex_destroy(&game.mutex);
   live_destroy(&game.live);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(created_used_and_destroyed_by_three_threads),
      cmocka_unit_test(two_threads_take_turns_with_one_child),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
