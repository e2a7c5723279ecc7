/* SPDX-License-Identifier: MIT */

/* A program for slabtool to look at while it runs: four threads allocate and free from shared pools, and create and
 * destroy pools and children, until the input ends. The pool "quiet" does not change; of the pools "busy" each thread has
 * LEAST to MOST objects at any time.
 */

#include "let_look.h"

#include <slab.h>
#include <slab_ext.h>

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 4
#define BUSY 3
#define QUIET 1234
#define LEAST 100
#define MOST 3000

static const unsigned sizes[BUSY] = {64, 200, 3000};
static struct slab_parent_pool busy[BUSY], quiet;
static volatile int ends;
static pthread_barrier_t filled;

static uint64_t
draw(uint64_t *state)
{
   *state ^= *state << 13;
   *state ^= *state >> 7;
   *state ^= *state << 17;
   return *state;
}

/* A pool of a scene's, and a child for a submit. */
static void
short_lives(uint64_t *state)
{
   struct slab_parent_pool pool;
   struct slab_child_pool child;
   void *objects[200];

   slab_create_parent(&pool, 16 + (unsigned)(draw(state) % 500), 16);
   slab_create_child(&child, &pool);
   for (int i = 0; i < 200; i++)
      objects[i] = slab_alloc(&child);
   for (int i = 0; i < 200; i++)
      slab_free(&child, objects[i]);
   slab_destroy_child(&child);
   slab_destroy_parent(&pool);
}

static void *
run(void *number)
{
   uint64_t state = 0x9e3779b97f4a7c15u * ((uintptr_t)number + 1);
   struct slab_child_pool children[BUSY];
   void **objects[BUSY];
   size_t counts[BUSY];

   for (int pool = 0; pool < BUSY; pool++) {
      slab_create_child(&children[pool], &busy[pool]);
      objects[pool] = (void **)malloc(MOST * sizeof(void *));
      for (counts[pool] = 0; counts[pool] < LEAST; counts[pool]++)
         objects[pool][counts[pool]] = slab_alloc(&children[pool]);
   }
   pthread_barrier_wait(&filled);
   while (!ends) {
      int pool = (int)(draw(&state) % BUSY);
      size_t wanted = LEAST + draw(&state) % (MOST - LEAST);

      while (counts[pool] < wanted)
         objects[pool][counts[pool]++] = slab_alloc(&children[pool]);
      while (counts[pool] > wanted)
         slab_free(&children[pool], objects[pool][--counts[pool]]);
      if (draw(&state) % 16 == 0)
         short_lives(&state);
      if (draw(&state) % 256 == 0)
         slab_trim_parent(&busy[pool]);
   }
   for (int pool = 0; pool < BUSY; pool++) {
      while (counts[pool])
         slab_free(&children[pool], objects[pool][--counts[pool]]);
      slab_destroy_child(&children[pool]);
      free(objects[pool]);
   }
   return NULL;
}

int
main(void)
{
   pthread_t threads[THREADS];
   struct slab_child_pool child;
   void *kept[QUIET];

   let_look();
   slab_create_parent(&quiet, 48, 64);
   slab_set_name(&quiet, "quiet");
   slab_create_child(&child, &quiet);
   for (int i = 0; i < QUIET; i++)
      kept[i] = slab_alloc(&child);
   slab_trim_child(&child);
   for (int pool = 0; pool < BUSY; pool++) {
      slab_create_parent(&busy[pool], sizes[pool], 64);
      slab_set_name(&busy[pool], "busy");
   }
   pthread_barrier_init(&filled, NULL, THREADS + 1);
   for (uintptr_t thread = 0; thread < THREADS; thread++)
      pthread_create(&threads[thread], NULL, run, (void *)thread);
   pthread_barrier_wait(&filled);
   printf("ready\n");
   fflush(stdout);
   while (getchar() != EOF)
      ;
   ends = 1;
   for (int thread = 0; thread < THREADS; thread++)
      pthread_join(threads[thread], NULL);
   for (int i = 0; i < QUIET; i++)
      slab_free(&child, kept[i]);
   slab_destroy_child(&child);
   for (int pool = 0; pool < BUSY; pool++)
      slab_destroy_parent(&busy[pool]);
   slab_destroy_parent(&quiet);
   return 0;
}
