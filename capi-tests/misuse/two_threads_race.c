/* SPDX-License-Identifier: MIT */
/*
 * Two threads allocate from one child and free into it, as fast as they can: a context is used by the application's
 * thread and by the driver's. Here nothing makes the calls overlap; the threads go on until an allocation was reported,
 * or for a while.
 */
#include "scenario.h"

#ifndef MISUSE_CLASSIC
#include "slab_ext.h"
#endif

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { most_rounds = 200000, at_a_time = 8 };

static struct slab_child_pool *shared_child;
static int is_reported;

#ifndef MISUSE_CLASSIC
/* Where the library says it itself. */
static void
repeat(void *unused, const char *line)
{
   (void)unused;
   dprintf(STDERR_FILENO, "%s\n", line);
   if (strstr(line, "slab_alloc: ") && strstr(line, "child used by two threads"))
      __atomic_store_n(&is_reported, 1, __ATOMIC_RELAXED);
}
#endif

static void *
work(void *unused)
{
   int i, j;

   for (i = 0; i < most_rounds && !__atomic_load_n(&is_reported, __ATOMIC_RELAXED); i++) {
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
#ifndef MISUSE_CLASSIC
   slab_set_report_handler(repeat, NULL);
#endif
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
