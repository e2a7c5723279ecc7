/* SPDX-License-Identifier: MIT */
#ifndef SOAK_H
#define SOAK_H

#include "slab.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What the program of the soak and the drivers that it loads have in common. All of it is in memory that the process,
 * those that it forks, and the one that watches it share.
 */

/* What is counted. */
enum soak_kind {
   soak_allocations,
   soak_frees,
   soak_signals,
   soak_cancellations,
   soak_forks,
   soak_forks_in_signals,
   soak_forks_gone_on, /* the process went on behind the signal handler that had forked it */
   soak_forks_in_reports,
   soak_loads,
   soak_pipes_filled,
   soak_pipes_broken,
   soak_reports_begun,
   soak_reports_made,
   soak_reports_read,
   soak_reports_excused, /* may be lost, as they were made while the pipe was broken */
   soak_reports_to_handlers,
   soak_reports_of_forked,
   soak_reports_of_forked_read,
   soak_unexpected_reports,
   soak_bytes_left,
   soak_kinds
};

/* What a thread is in, for who watches it. */
enum soak_doing {
   soak_nothing,
   soak_alloc,
   soak_free,
   soak_child,
   soak_trim,
   soak_ask,
   soak_in_fork,
   soak_waits_for_fork,
   soak_in_report,
   soak_in_dlopen,
   soak_in_dlclose,
   soak_waits_for_thread,
   soak_fills_pipe,
   soak_reads_pipe,
   soak_doings
};

/* A thread: steps goes on while the thread does. */
struct soak_thread {
   int exists;
   int doing;
   pid_t id;
   uint64_t steps;
   uint64_t random;
};

enum soak_place {
   soak_user_0, /* use shared pools, and get signals */
   soak_user_1,
   soak_user_2,
   soak_alone, /* uses a pool of its own, and gets signals */
   soak_forker,
   soak_canceller,
   soak_victim,
   soak_loader,
   soak_of_driver_0,
   soak_of_driver_1,
   soak_of_driver_2,
   soak_reader,
   soak_sender,
   soak_planted,
   soak_main,
   soak_places
};

struct soak {
   uint64_t counts[soak_kinds];
   struct soak_thread threads[soak_places];
   int stop;
};

static inline void
soak_count(struct soak *soak, enum soak_kind kind, uint64_t more)
{
   __atomic_add_fetch(&soak->counts[kind], more, __ATOMIC_SEQ_CST);
}

static inline uint64_t
soak_counted(const struct soak *soak, enum soak_kind kind)
{
   return __atomic_load_n(&soak->counts[kind], __ATOMIC_SEQ_CST);
}

static inline int
soak_does(struct soak_thread *thread, enum soak_doing doing)
{
   __atomic_add_fetch(&thread->steps, 1, __ATOMIC_RELAXED);
   return __atomic_exchange_n(&thread->doing, (int)doing, __ATOMIC_RELAXED);
}

/* xorshift; the state is not 0. */
static inline unsigned
soak_random(struct soak_thread *thread, unsigned below)
{
   uint64_t x = thread->random;

   x ^= x << 13;
   x ^= x >> 7;
   x ^= x << 17;
   thread->random = x;
   return (unsigned)((x >> 32) % below);
}

/* The threads of the soak have stacks that are there from the start, so that none is mapped while it goes on. */
void soak_start(struct soak *soak, pthread_t *thread, enum soak_place place, void *(*body)(void *));
void soak_join(struct soak *soak, pthread_t thread, enum soak_place place, bool cancelled);

/* Waits for a forked process, which must leave with status 0. May be called in a signal handler. */
void soak_wait(struct soak_thread *thread, pid_t child);

/* Whether this thread is in fork() in a signal handler: for handlers of pthread_atfork(). The program has it. */
bool soak_forks_in_signal(void);

/* To be told how many bytes a driver's copy of the library holds at the end of its destructor. The program has it. */
void soak_driver_left(size_t bytes);

/* What else a driver needs of the program. */
struct soak_driver_job {
   struct soak *soak;
   struct soak_thread *loader;
   void (*start)(struct soak *, pthread_t *, enum soak_place, void *(*)(void *));
   void (*join)(struct soak *, pthread_t, enum soak_place, bool);
   void (*wait)(struct soak_thread *, pid_t);
};

/* Uses, misuses and destroys pools. */
void soak_driver_run(const struct soak_driver_job *job);

/* Frees an object twice, which is one report of a pool of this name. */
static inline void
soak_misuse(struct soak *soak, struct soak_thread *thread, struct slab_parent_pool *parent, enum soak_kind begun,
            enum soak_kind made)
{
   struct slab_child_pool child;
   void *object;

   soak_does(thread, soak_in_report);
   slab_create_child(&child, parent);
   object = slab_alloc(&child);
   if (object) {
      soak_count(soak, begun, 1);
      slab_free(&child, object);
      slab_free(&child, object);
   }
   slab_destroy_child(&child);
   if (object && made != begun)
      soak_count(soak, made, 1);
}

#endif
