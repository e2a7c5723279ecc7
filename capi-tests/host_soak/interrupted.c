/* SPDX-License-Identifier: MIT */
/* Threads that are interrupted by signals, whose handlers use pools or fork, and the one that sends the signals. */
#include "program.h"

#include "must.h"
#include "slab_ext.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { most_of_pool = 100 << 20 };

struct slab_child_pool of_handlers[interrupted_count];
static uint64_t sent[interrupted_count][2], handled[interrupted_count][2];

void
block(int how, int signal)
{
   sigset_t set;

   sigemptyset(&set);
   sigaddset(&set, signal);
   MUST(pthread_sigmask(how, &set, NULL) == 0);
}

/* What was interrupted may be about to count, and goes on in both processes. */
static void
count_apart(void)
{
   struct soak so_far = *soak;

   MUST(mmap(soak, sizeof(*soak), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == soak);
   *soak = so_far;
}

/* Forks, whatever it has interrupted. Each other process of the thread that is alone goes on behind the handler. */
static void
fork_on_signal(int signal)
{
   ptrdiff_t place = self - soak->threads;
   int kept = errno, before = soak_does(self, soak_in_fork);
   bool goes_on = place == soak_alone && handled[place][0] % 2 == 0;

   (void)signal;
   if (may_fork()) {
      pid_t child;

      forks_in_signal = true;
      child = fork();
      forks_in_signal = false;
      if (child == 0 && !goes_on)
         _exit(0);
      if (child == 0) {
         is_forked = 1;
         count_apart();
         errno = kept;
         return;
      }
      soak_wait(self, child);
      has_forked();
      soak_count(soak, goes_on ? soak_forks_gone_on : soak_forks_in_signals, 1);
   }
   soak_does(self, (enum soak_doing)before);
   __atomic_add_fetch(&handled[place][0], 1, __ATOMIC_RELAXED);
   errno = kept;
}

/* Uses a pool: its thread blocks the signal while it is in the library. */
static void
use_on_signal(int signal)
{
   ptrdiff_t place = self - soak->threads;
   int kept = errno, before = self->doing, i;
   void *objects[20];

   (void)signal;
   for (i = 0; i < 20; i++)
      objects[i] = take(&of_handlers[place], 1);
   for (i = 0; i < 20; i++)
      drop(&of_handlers[place], objects[i], 1);
   if (handled[place][1] % 16 == 0) {
      slab_destroy_child(&of_handlers[place]);
      slab_create_child(&of_handlers[place], &pools[1]);
   }
   soak_count(soak, soak_signals, 1);
   soak_does(self, (enum soak_doing)before);
   __atomic_add_fetch(&handled[place][1], 1, __ATOMIC_RELAXED);
   errno = kept;
}

void
set_handlers(void)
{
   struct sigaction action;

   memset(&action, 0, sizeof(action));
   action.sa_flags = SA_RESTART;
   /* A process that goes on behind a handler may not have interrupted the use of a shared pool. */
   sigaddset(&action.sa_mask, SIGUSR1);
   sigaddset(&action.sa_mask, SIGUSR2);
   action.sa_handler = fork_on_signal;
   MUST(sigaction(SIGUSR1, &action, NULL) == 0);
   action.sa_handler = use_on_signal;
   MUST(sigaction(SIGUSR2, &action, NULL) == 0);
}

static void
ask(unsigned pool)
{
   struct slab_parent_stats stats;

   soak_does(self, soak_ask);
   stats.struct_size = sizeof(stats);
   MUST(slab_get_parent_stats(&pools[pool], &stats) == 0);
   MUST(stats.bytes_held < most_of_pool);
   MUST(slab_validate(&pools[pool]) == 0);
   MUST(slab_print_stats_fd(nowhere, SLAB_STATS_TABLE) == 0);
}

void *
use_shared_pools(void *arg)
{
   struct slab_child_pool children[pool_count];
   unsigned pool;

   (void)arg;
   for (pool = 0; pool < pool_count; pool++)
      slab_create_child(&children[pool], &pools[pool]);
   block(SIG_UNBLOCK, SIGUSR1);
   while (!stopped()) {
      pool = soak_random(self, pool_count);
      use(&children[pool], pool);
      if (soak_random(self, 16) == 0) {
         soak_does(self, soak_child);
         slab_destroy_child(&children[pool]);
         slab_create_child(&children[pool], &pools[pool]);
      } else if (soak_random(self, 64) == 0) {
         soak_does(self, soak_trim);
         slab_trim_parent(&pools[pool]);
         slab_trim_heap();
      } else if (soak_random(self, 256) == 0) {
         ask(pool);
      }
      /* Here it is in no function of the library. */
      block(SIG_UNBLOCK, SIGUSR2);
      block(SIG_BLOCK, SIGUSR2);
   }
   block(SIG_BLOCK, SIGUSR1);
   for (pool = 0; pool < pool_count; pool++)
      slab_destroy_child(&children[pool]);
   return NULL;
}

void *
use_own_pool(void *arg)
{
   struct slab_mempool own;

   (void)arg;
   slab_create(&own, sizes[2], 16);
   block(SIG_UNBLOCK, SIGUSR1);
   while (!stopped() && !is_forked) {
      void *objects[objects_at_a_time];
      int i;

      for (i = 0; i < objects_at_a_time; i++)
         objects[i] = take(&own.child, 2);
      for (i = 0; i < objects_at_a_time; i++)
         drop(&own.child, objects[i], 2);
      soak_does(self, soak_child);
      slab_destroy_child(&own.child);
      slab_create_child(&own.child, &own.parent);
      if (soak_random(self, 8) == 0) {
         soak_does(self, soak_trim);
         slab_trim_heap();
      }
      if (!is_forked) {
         block(SIG_UNBLOCK, SIGUSR2);
         block(SIG_BLOCK, SIGUSR2);
      }
   }
   block(SIG_BLOCK, SIGUSR1);
   slab_destroy(&own);
   if (is_forked) {
      slab_trim_heap();
      _exit(0);
   }
   return NULL;
}

/* One signal of a kind at a time for each thread: it would never get on if there were always a further one. */
pthread_t interrupted[interrupted_count];

void *
send_signals(void *arg)
{
   (void)arg;
   while (!stopped()) {
      unsigned place = soak_random(self, interrupted_count), kind = soak_random(self, 2);

      usleep(soak_random(self, 400));
      soak_does(self, soak_nothing);
      if (__atomic_load_n(&handled[place][kind], __ATOMIC_RELAXED) == sent[place][kind] &&
          (kind || now_and_then_or_alone())) {
         sent[place][kind]++;
         MUST(pthread_kill(interrupted[place], kind ? SIGUSR2 : SIGUSR1) == 0);
      }
   }
   return NULL;
}
