/* SPDX-License-Identifier: MIT */
/* How threads of the soak begin, end, and fork. */
#include "program.h"

#include "must.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { stack_bytes = 256 << 10 };

struct soak *soak;
__thread struct soak_thread *self;
__thread bool forks_in_signal;
volatile sig_atomic_t is_forked;

bool
stopped(void)
{
   return __atomic_load_n(&soak->stop, __ATOMIC_RELAXED) != 0;
}

static char stacks[soak_places][stack_bytes] __attribute__((aligned(4096)));

static void *(*bodies[soak_places])(void *);

static void *
thread_main(void *arg)
{
   struct soak_thread *thread = (struct soak_thread *)arg;

   self = thread;
   thread->id = (pid_t)syscall(SYS_gettid);
   return bodies[thread - soak->threads](thread);
}

void
soak_start(struct soak *all, pthread_t *thread, enum soak_place place, void *(*body)(void *))
{
   pthread_attr_t attributes;

   bodies[place] = body;
   all->threads[place].doing = soak_nothing;
   all->threads[place].steps = 0;
   __atomic_store_n(&all->threads[place].exists, 1, __ATOMIC_RELEASE);
   MUST(pthread_attr_init(&attributes) == 0);
   MUST(pthread_attr_setstack(&attributes, stacks[place], stack_bytes) == 0);
   MUST(pthread_create(thread, &attributes, thread_main, &all->threads[place]) == 0);
   MUST(pthread_attr_destroy(&attributes) == 0);
}

void
soak_join(struct soak *all, pthread_t thread, enum soak_place place, bool cancelled)
{
   void *result;

   MUST(pthread_join(thread, &result) == 0);
   MUST((result == PTHREAD_CANCELED) == cancelled);
   if (cancelled)
      soak_count(all, soak_cancellations, 1);
   __atomic_store_n(&all->threads[place].exists, 0, __ATOMIC_RELEASE);
}

void
soak_wait(struct soak_thread *thread, pid_t child)
{
   int status, before;
   pid_t ended;

   MUST(child > 0);
   before = soak_does(thread, soak_waits_for_fork);
   do {
      ended = waitpid(child, &status, 0);
   } while (ended < 0 && errno == EINTR);
   MUST(ended == child && status == 0);
   soak_does(thread, (enum soak_doing)before);
}

/*
 * From version 2.36 on, glibc holds nothing that keeps a handler of fork() while it is called: a driver that has any may
 * not be unloaded meanwhile. So forks and dlclose() keep out of each other's way: a thread that unloads waits for the
 * forks; a signal handler does not wait, and does without its fork.
 */
static int forks_now, unloads_now;

bool
may_fork(void)
{
   __atomic_add_fetch(&forks_now, 1, __ATOMIC_SEQ_CST);
   if (!__atomic_load_n(&unloads_now, __ATOMIC_SEQ_CST))
      return true;
   __atomic_sub_fetch(&forks_now, 1, __ATOMIC_SEQ_CST);
   return false;
}

/*
 * Forks of two threads may wait for each other for half a second, where each has a lock of one of two copies of the
 * library. So that this does not take all of the time, mostly there is one at a time.
 */
bool
now_and_then_or_alone(void)
{
   return __atomic_load_n(&forks_now, __ATOMIC_RELAXED) == 0 || soak_random(self, 32) == 0;
}

void
has_forked(void)
{
   __atomic_sub_fetch(&forks_now, 1, __ATOMIC_SEQ_CST);
}

void
hold_forks_back(void)
{
   __atomic_store_n(&unloads_now, 1, __ATOMIC_SEQ_CST);
   while (__atomic_load_n(&forks_now, __ATOMIC_SEQ_CST))
      sched_yield();
}

void
let_forks_go_on(void)
{
   __atomic_store_n(&unloads_now, 0, __ATOMIC_SEQ_CST);
}

bool
soak_forks_in_signal(void)
{
   return forks_in_signal;
}
