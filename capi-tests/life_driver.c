/* SPDX-License-Identifier: MIT */
#include "life_driver.h"

#include "gone_threads.h"
#include "must.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { objects_at_a_time = 400, large_item = 20000 };

/* Held from the constructor to the destructor. */
static struct slab_mempool held;
static void *held_objects[life_held_objects];

static pthread_mutex_t job = PTHREAD_MUTEX_INITIALIZER;
static struct slab_parent_pool shared;
static struct slab_child_pool forking_child;
static enum { not_forking, forking_for_job, forking_with_own_use } mode;
static int stop;

/* Takes the heap's lock many times. */
static void
use_heap(struct slab_child_pool *child)
{
   void *objects[objects_at_a_time];
   int i;

   for (i = 0; i < objects_at_a_time; i++) {
      objects[i] = slab_alloc(child);
      MUST(objects[i]);
   }
   for (i = 0; i < objects_at_a_time; i++)
      slab_free(child, objects[i]);
}

static void
before_fork(void)
{
   if (mode == forking_for_job)
      MUST(pthread_mutex_lock(&job) == 0);
   else if (mode == forking_with_own_use)
      use_heap(&forking_child);
}

static void
after_fork(void)
{
   if (mode == forking_for_job)
      MUST(pthread_mutex_unlock(&job) == 0);
}

__attribute__((constructor)) static void
load(void)
{
   int i;

   MUST(pthread_atfork(before_fork, after_fork, after_fork) == 0);
   slab_create(&held, 96, 16);
   for (i = 0; i < life_held_objects; i++) {
      held_objects[i] = slab_alloc_st(&held);
      MUST(held_objects[i]);
   }
}

__attribute__((destructor)) static void
unload(void)
{
   int i;

   for (i = 0; i < life_held_objects; i++)
      slab_free_st(&held, held_objects[i]);
   slab_destroy(&held);
}

static void *
work(void *arg)
{
   struct slab_child_pool child;

   (void)arg;
   while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
      MUST(pthread_mutex_lock(&job) == 0);
      slab_create_child(&child, &shared);
      use_heap(&child);
      slab_destroy_child(&child);
      MUST(pthread_mutex_unlock(&job) == 0);
      usleep(50);
   }
   return NULL;
}

static void
wait_for(pid_t child)
{
   int status;
   pid_t ended;

   MUST(child > 0);
   do {
      ended = waitpid(child, &status, 0);
   } while (ended < 0 && errno == EINTR);
   MUST(ended == child && status == 0);
}

static void
fork_beside_worker(int forks, bool own_use)
{
   pthread_t worker;

   stop = 0;
   slab_create_parent(&shared, 4096, 16);
   slab_create_child(&forking_child, &shared);
   MUST(pthread_create(&worker, NULL, work, NULL) == 0);
   mode = own_use ? forking_with_own_use : forking_for_job;
   while (forks-- > 0) {
      pid_t child = fork();
      if (child == 0) {
         THREADS_ARE_GONE();
         _exit(0);
      }
      wait_for(child);
   }
   mode = not_forking;
   __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
   MUST(pthread_join(worker, NULL) == 0);
   slab_destroy_child(&forking_child);
   slab_destroy_parent(&shared);
}

static enum life_fork how_to_fork;
static volatile sig_atomic_t is_child;
static int handled;
static pthread_t interrupted;

/* Not by _exit(): ThreadSanitizer would report the threads of the parent process, which are not joined here. */
static void
leave(void)
{
   syscall(SYS_exit_group, 0);
}

static void
on_signal(int signal)
{
   int kept = errno;
   pid_t child =
      how_to_fork == fork_without_handlers ? (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) : fork();

   (void)signal;
   if (child == 0)
      THREADS_ARE_GONE();
   if (child == 0 && how_to_fork == fork_and_go_on)
      is_child = 1;
   else if (child == 0)
      leave();
   else
      wait_for(child);
   if (!is_child)
      __atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED);
   errno = kept;
}

static void *
interrupt(void *arg)
{
   int sent = 0;

   (void)arg;
   while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
      usleep(300);
      /* One at a time: the thread would never get on if there were always a further one. */
      if (__atomic_load_n(&handled, __ATOMIC_RELAXED) == sent) {
         pthread_kill(interrupted, SIGUSR1);
         sent++;
      }
   }
   return NULL;
}

static void *
use_another_pool(void *arg)
{
   struct slab_mempool pool;

   (void)arg;
   slab_create(&pool, large_item, 1);
   while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
      use_heap(&pool.child);
   slab_destroy(&pool);
   return NULL;
}

static void
fork_in_handler(int forks, enum life_fork how, bool busy_worker)
{
   struct slab_mempool pool;
   struct sigaction action;
   pthread_t sender, worker;

   memset(&action, 0, sizeof(action));
   action.sa_handler = on_signal;
   action.sa_flags = SA_RESTART;
   MUST(sigaction(SIGUSR1, &action, NULL) == 0);
   is_child = 0;
   __atomic_store_n(&handled, 0, __ATOMIC_RELAXED);
   how_to_fork = how;
   interrupted = pthread_self();
   stop = 0;
   slab_create(&pool, large_item, 1);
   MUST(pthread_create(&sender, NULL, interrupt, NULL) == 0);
   if (busy_worker)
      MUST(pthread_create(&worker, NULL, use_another_pool, NULL) == 0);
   while (__atomic_load_n(&handled, __ATOMIC_RELAXED) < forks && !is_child) {
      use_heap(&pool.child);
      slab_destroy_child(&pool.child);
      slab_create_child(&pool.child, &pool.parent);
   }
   if (is_child) {
      use_heap(&pool.child);
      slab_destroy(&pool);
      leave();
   }
   __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
   MUST(pthread_join(sender, NULL) == 0);
   if (busy_worker)
      MUST(pthread_join(worker, NULL) == 0);
   slab_destroy(&pool);
}

void
life_driver_open(struct life_driver *driver)
{
   driver->fork_beside_worker = fork_beside_worker;
   driver->fork_in_handler = fork_in_handler;
}
