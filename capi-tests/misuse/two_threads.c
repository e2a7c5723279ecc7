/* SPDX-License-Identifier: MIT */
/*
 * Two threads allocate from one child at the same time. The first one is held where the library asks
 * the system for memory, so that the calls overlap on every machine.
 */
#include "memory_gate.h"
#include "scenario.h"

#include <pthread.h>

/* Large enough that each object is memory of its own. */
enum { large_size = 5 << 20 };

static struct slab_mempool pool;
static void *object_of_first;

static void *
first_thread(void *unused)
{
   (void)unused;
   gate_arm();
   object_of_first = slab_alloc_st(&pool);
   gate_open();
   return NULL;
}

int
main(void)
{
   struct scenario scenario;
   pthread_t first;
   void *object;

   scenario_begin(&scenario);
   slab_create(&pool, large_size, 1);
   if (pthread_create(&first, NULL, first_thread, NULL) != 0)
      return 1;
   gate_wait();
   misuse_begins();
   gate_other_begins();
   object = slab_alloc_st(&pool);
   gate_other_ends();
   misuse_ends();
   if (pthread_join(first, NULL) != 0)
      return 1;
   if (!object || !object_of_first)
      say("gets NULL");
   if (object == object_of_first)
      say("the object has two users");
   slab_free_st(&pool, object);
   slab_free_st(&pool, object_of_first);
   slab_destroy(&pool);
   return scenario_end(&scenario);
}
