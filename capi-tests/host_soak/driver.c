/* SPDX-License-Identifier: MIT */
/*
 * A driver that the soak loads and unloads, with a copy of the library in it. Its constructor takes objects, which its
 * destructor frees, and its handlers of fork() use a pool. While it is loaded, a thread uses a pool, one reports, and one
 * that reports as well is cancelled; then a report handler forks.
 */
#include "soak.h"
#include "must.h"
#include "slab_ext.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

/* A copy says 100 reports, and it may stay loaded. */
enum { held_count = 20, at_a_time = 300, most_reports = 90, reports_of_each = 35, reports_to_handler = 5 };

static struct slab_mempool held, of_fork;
static void *held_objects[held_count];
static struct slab_parent_pool used, misused;
static const struct soak_driver_job *job;
static int reports;

static void
use(struct slab_child_pool *child, struct soak_thread *thread)
{
   void *objects[at_a_time];
   int i;

   soak_does(thread, soak_alloc);
   for (i = 0; i < at_a_time; i++) {
      objects[i] = slab_alloc(child);
      MUST(objects[i]);
      memset(objects[i], 0x5a, 16);
   }
   soak_does(thread, soak_free);
   for (i = 0; i < at_a_time; i++)
      slab_free(child, objects[i]);
   soak_count(job->soak, soak_allocations, at_a_time);
   soak_count(job->soak, soak_frees, at_a_time);
}

/* Two threads may fork at the same time. */
static pthread_mutex_t forking = PTHREAD_MUTEX_INITIALIZER;

/* A signal handler that has interrupted the library may use no pool, and wait for no thread that does. */
static void
before_fork(void)
{
   void *object;

   if (soak_forks_in_signal())
      return;
   MUST(pthread_mutex_lock(&forking) == 0);
   object = slab_alloc_st(&of_fork);
   MUST(object);
   slab_free_st(&of_fork, object);
}

static void
after_fork(void)
{
   if (!soak_forks_in_signal())
      MUST(pthread_mutex_unlock(&forking) == 0);
}

__attribute__((constructor)) static void
load(void)
{
   int i;

   slab_create(&of_fork, 64, 16);
   slab_free_st(&of_fork, slab_alloc_st(&of_fork));
   slab_create(&held, 96, 16);
   for (i = 0; i < held_count; i++) {
      held_objects[i] = slab_alloc_st(&held);
      MUST(held_objects[i]);
   }
   /* From here on, another thread may call them. */
   MUST(pthread_atfork(before_fork, after_fork, after_fork) == 0);
}

/* All that the driver's copy of the library holds. */
static size_t
held_bytes(void)
{
   struct slab_heap_stats stats;

   slab_trim_heap();
   stats.struct_size = sizeof(stats);
   slab_get_heap_stats(&stats);
   return stats.held;
}

__attribute__((destructor)) static void
unload(void)
{
   int i;

   for (i = 0; i < held_count; i++)
      slab_free_st(&held, held_objects[i]);
   slab_destroy(&held);
   slab_destroy(&of_fork);
   soak_driver_left(held_bytes());
}

static void
report(struct soak_thread *thread)
{
   if (__atomic_fetch_add(&reports, 1, __ATOMIC_RELAXED) < most_reports)
      soak_misuse(job->soak, thread, &misused, soak_reports_begun, soak_reports_made);
}

static void *
use_pool(void *arg)
{
   struct soak_thread *thread = (struct soak_thread *)arg;
   struct slab_child_pool child;
   int i, rounds = 3 + (int)soak_random(thread, 30);

   slab_create_child(&child, &used);
   for (i = 0; i < rounds; i++)
      use(&child, thread);
   slab_destroy_child(&child);
   return NULL;
}

static void *
make_reports(void *arg)
{
   struct soak_thread *thread = (struct soak_thread *)arg;
   int i, count = 1 + (int)soak_random(thread, reports_of_each);

   for (i = 0; i < count; i++)
      report(thread);
   return NULL;
}

/* Is cancelled wherever it is: in a report, or while it waits for stderr. */
static void *
report_until_cancelled(void *arg)
{
   struct soak_thread *thread = (struct soak_thread *)arg;
   int i;

   for (i = 0;; i++) {
      if (i < reports_of_each)
         report(thread);
      else
         soak_does(thread, soak_nothing);
      pthread_testcancel();
      sched_yield();
   }
   return NULL;
}

/* A report handler, of which the driver has its own. */
static void
fork_in_report(void *data, const char *line)
{
   struct soak_thread *thread = (struct soak_thread *)data;
   struct slab_child_pool child;
   pid_t forked;

   (void)line;
   slab_create_child(&child, &misused);
   use(&child, thread);
   soak_does(thread, soak_in_fork);
   forked = fork();
   if (forked == 0)
      _exit(0);
   job->wait(thread, forked);
   soak_count(job->soak, soak_forks_in_reports, 1);
   slab_destroy_child(&child);
}

void
soak_driver_run(const struct soak_driver_job *given)
{
   pthread_t threads[3];
   int i, steps;

   job = given;
   slab_create_parent(&used, 512, 16);
   slab_create_parent(&misused, 48, 16);
   slab_set_name(&misused, "misused");
   job->start(job->soak, &threads[0], soak_of_driver_0, use_pool);
   job->start(job->soak, &threads[1], soak_of_driver_1, make_reports);
   job->start(job->soak, &threads[2], soak_of_driver_2, report_until_cancelled);
   steps = (int)soak_random(job->loader, 60);
   while (__atomic_load_n(&job->soak->threads[soak_of_driver_2].steps, __ATOMIC_RELAXED) < (uint64_t)steps)
      sched_yield();
   MUST(pthread_cancel(threads[2]) == 0);
   for (i = 0; i < 3; i++)
      job->join(job->soak, threads[i], (enum soak_place)(soak_of_driver_0 + i), i == 2);
   slab_set_report_handler(fork_in_report, job->loader);
   for (i = 0; i < reports_to_handler; i++) {
      if (__atomic_fetch_add(&reports, 1, __ATOMIC_RELAXED) < most_reports)
         soak_misuse(job->soak, job->loader, &misused, soak_reports_to_handlers, soak_reports_to_handlers);
   }
   slab_set_report_handler(NULL, NULL);
   slab_destroy_parent(&misused);
   slab_destroy_parent(&used);
}
