/* SPDX-License-Identifier: MIT */
/*
 * Two threads allocate from one child and free into it, as fast as they can, for a while: a context is
 * used by the application's thread and by the driver's. Here nothing makes the calls overlap.
 */
#include "scenario.h"

#include <pthread.h>

enum { rounds = 200000, at_a_time = 8 };

static struct slab_child_pool *shared_child;

static void *
work(void *unused)
{
   int i, j;

   for (i = 0; i < rounds; i++) {
      void *objects[at_a_time];

      for (j = 0; j < at_a_time; j++)
         objects[j] = slab_alloc(shared_child);
      for (j = 0; j < at_a_time; j++)
         slab_free(shared_child, objects[j]);
   }
   return unused;
}

int
main(void)
{
   struct scenario scenario;
   pthread_t other;

   scenario_begin(&scenario);
   shared_child = &scenario.child;
   misuse_begins();
   if (pthread_create(&other, NULL, work, NULL) != 0)
      return 1;
   work(NULL);
   if (pthread_join(other, NULL) != 0)
      return 1;
   misuse_ends();
   return scenario_end(&scenario);
}
