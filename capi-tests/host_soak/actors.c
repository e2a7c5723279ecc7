/* SPDX-License-Identifier: MIT */
/* Threads that fork, that cancel others, and that load and unload drivers. */
#include "program.h"

#include "must.h"
#include "slab_ext.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* Held where the reading end of stderr's pipe is replaced: a forked process has to close it, or no pipe would break. */
pthread_mutex_t pipe_change = PTHREAD_MUTEX_INITIALIZER;

static void
use_forked(struct slab_mempool *inherited, void *object)
{
   struct slab_parent_pool own;
   struct slab_child_pool child;
   void *objects[objects_at_a_time];
   int i;

   close(reading_end);
   slab_free_st(inherited, object);
   slab_create_parent(&own, sizes[0], 16);
   slab_set_name(&own, "forked");
   slab_create_child(&child, &own);
   for (i = 0; i < objects_at_a_time; i++)
      objects[i] = take(&child, 0);
   for (i = 0; i < objects_at_a_time; i++)
      drop(&child, objects[i], 0);
   soak_misuse(soak, self, &own, soak_reports_of_forked, soak_reports_of_forked);
   slab_destroy_child(&child);
   slab_destroy_parent(&own);
   slab_destroy(inherited);
   slab_trim_heap();
   _exit(0);
}

void *
fork_in_thread(void *arg)
{
   struct slab_mempool own;

   (void)arg;
   slab_create(&own, sizes[1], 16);
   while (!stopped()) {
      void *object;
      pid_t child;

      if (!now_and_then_or_alone() || !may_fork()) {
         soak_does(self, soak_nothing);
         usleep(200);
         continue;
      }
      soak_does(self, soak_alloc);
      object = slab_alloc_st(&own);
      MUST(object);
      MUST(pthread_mutex_lock(&pipe_change) == 0);
      soak_does(self, soak_in_fork);
      child = fork();
      if (child == 0)
         use_forked(&own, object);
      MUST(pthread_mutex_unlock(&pipe_change) == 0);
      soak_wait(self, child);
      has_forked();
      soak_count(soak, soak_forks, 1);
      slab_free_st(&own, object);
   }
   slab_destroy(&own);
   return NULL;
}

struct victim {
   struct slab_child_pool child;
   void *object;
   unsigned pool;
};

static void
clean_up(void *arg)
{
   struct victim *victim = (struct victim *)arg;

   if (victim->object)
      drop(&victim->child, victim->object, victim->pool);
   soak_does(self, soak_child);
   slab_destroy_child(&victim->child);
}

static void *
be_cancelled(void *arg)
{
   struct victim victim = {{NULL, NULL, NULL, 0, 0}, NULL, soak_random((struct soak_thread *)arg, pool_count)};

   slab_create_child(&victim.child, &pools[victim.pool]);
   pthread_cleanup_push(clean_up, &victim);
   for (;;) {
      use(&victim.child, victim.pool);
      victim.object = take(&victim.child, victim.pool);
      pthread_testcancel();
      drop(&victim.child, victim.object, victim.pool);
      victim.object = NULL;
   }
   pthread_cleanup_pop(1);
   return NULL;
}

void *
cancel(void *arg)
{
   struct soak_thread *victim = &soak->threads[soak_victim];

   (void)arg;
   while (!stopped()) {
      uint64_t steps = soak_random(self, 2000);
      pthread_t thread;

      soak_start(soak, &thread, soak_victim, be_cancelled);
      soak_does(self, soak_waits_for_thread);
      while (__atomic_load_n(&victim->steps, __ATOMIC_RELAXED) < steps)
         usleep(100);
      MUST(pthread_cancel(thread) == 0);
      soak_join(soak, thread, soak_victim, true);
   }
   return NULL;
}

void
soak_driver_left(size_t bytes)
{
   if (bytes)
      fprintf(stderr, "a driver leaves %zu bytes\n", bytes);
   soak_count(soak, soak_bytes_left, bytes);
}

void *
load_drivers(void *arg)
{
   struct soak_driver_job job = {soak, self, soak_start, soak_join, soak_wait};

   (void)arg;
   while (!stopped()) {
      void (*run_driver)(const struct soak_driver_job *);
      void *handle, *address;

      soak_does(self, soak_in_dlopen);
      handle = dlopen(SOAK_DRIVER, RTLD_NOW | RTLD_LOCAL);
      MUST(handle);
      address = dlsym(handle, "soak_driver_run");
      MUST(address);
      memcpy(&run_driver, &address, sizeof(run_driver));
      run_driver(&job);
      soak_does(self, soak_waits_for_fork);
      hold_forks_back();
      soak_does(self, soak_in_dlclose);
      MUST(dlclose(handle) == 0);
      let_forks_go_on();
      soak_count(soak, soak_loads, 1);
   }
   return NULL;
}
