/* SPDX-License-Identifier: MIT */

/*
 * A driver whose constructor registers a handler for fork(), which waits for a worker that needs memory from a pool: the
 * library's own handler has to run behind it, as that of a shared library does, however the driver is built. The other
 * handlers use a pool themselves. With MODULE it is a driver that load.c loads.
 */

#include <slab.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { forks = 300, objects = 400 };

#define MUST(condition)                                             \
   do {                                                             \
      if (!(condition)) {                                           \
         fprintf(stderr, "forks: does not hold: " #condition "\n"); \
         abort();                                                   \
      }                                                             \
   } while (0)

static struct slab_parent_pool parent;
static struct slab_child_pool of_worker, of_handler;
static pthread_mutex_t job = PTHREAD_MUTEX_INITIALIZER;
static bool is_over, is_used;

static void
use(struct slab_child_pool *child)
{
   void *held[objects];

   for (int i = 0; i < objects; i++)
      MUST(held[i] = slab_alloc(child));
   for (int i = 0; i < objects; i++)
      slab_free(child, held[i]);
}

static void
before_fork(void)
{
   if (!is_used)
      return;
   use(&of_handler);
   MUST(pthread_mutex_lock(&job) == 0);
}

static void
after_fork(void)
{
   if (is_used)
      MUST(pthread_mutex_unlock(&job) == 0);
}

__attribute__((constructor)) static void
load(void)
{
   MUST(pthread_atfork(before_fork, after_fork, after_fork) == 0);
}

static void *
work(void *arg)
{
   (void)arg;
   while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
      MUST(pthread_mutex_lock(&job) == 0);
      use(&of_worker);
      slab_destroy_child(&of_worker);
      slab_create_child(&of_worker, &parent);
      MUST(pthread_mutex_unlock(&job) == 0);
      usleep(50);
   }
   return NULL;
}

#ifdef MODULE
#define ENTRY driver_main
__attribute__((visibility("default"))) int driver_main(void);
#else
#define ENTRY main
#endif

int
ENTRY(void)
{
   pthread_t worker;

   alarm(300);
   slab_create_parent(&parent, 4096, 16);
   slab_create_child(&of_worker, &parent);
   slab_create_child(&of_handler, &parent);
   is_used = true;
   MUST(pthread_create(&worker, NULL, work, NULL) == 0);
   for (int i = 0; i < forks; i++) {
      int status;
      pid_t child = fork();

      if (child == 0)
         _exit(0);
      MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
   }
   __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
   MUST(pthread_join(worker, NULL) == 0);
   slab_destroy_child(&of_worker);
   slab_destroy_child(&of_handler);
   slab_destroy_parent(&parent);
   return 0;
}
