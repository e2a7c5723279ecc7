/* SPDX-License-Identifier: MIT */
#ifndef SOAK_PROGRAM_H
#define SOAK_PROGRAM_H

#include "soak.h"

#include <signal.h>
#include <time.h>

/* What the files of the program share. */

enum {
   interrupted_count = 4, /* the users and the one that is alone */
   pool_count = 4,
   slot_count = 64,
   objects_at_a_time = 200,
   reading_end = 100 /* the descriptor of stderr's pipe that is read */
};

/* Threads: threads.c */
extern struct soak *soak;
extern __thread struct soak_thread *self;
extern __thread bool forks_in_signal;
/* This process was forked by a signal handler, and went on behind it. */
extern volatile sig_atomic_t is_forked;

bool stopped(void);
bool may_fork(void);
void has_forked(void);
void hold_forks_back(void);
void let_forks_go_on(void);
bool now_and_then_or_alone(void);

/* Pools that threads share, and objects that any thread may free: objects.c */
extern const unsigned sizes[pool_count];
extern struct slab_parent_pool pools[pool_count];
extern void *slots[pool_count][slot_count];

void *take(struct slab_child_pool *child, unsigned pool);
void drop(struct slab_child_pool *child, void *object, unsigned pool);
/* Allocates some, hands some of them to other threads, and frees the others and those that it gets in return. */
void use(struct slab_child_pool *child, unsigned pool);

/* Threads that are interrupted: interrupted.c */
extern pthread_t interrupted[interrupted_count];
extern struct slab_child_pool of_handlers[interrupted_count];

void block(int how, int signal);
void set_handlers(void);
void *use_shared_pools(void *arg);
void *use_own_pool(void *arg);
void *send_signals(void *arg);

/* Others: actors.c */

/* Held where the reading end of stderr's pipe is replaced: a forked process has to close it, or no pipe would break. */
extern pthread_mutex_t pipe_change;

void *fork_in_thread(void *arg);
void *cancel(void *arg);
void *load_drivers(void *arg);

/* Stderr: reader.c */
extern int program_stderr;
extern int reader_may_end;

/* Makes a new pipe stderr, and returns the reading end of the old one, which is none the first time. */
int change_pipe(bool first);
void *read_stderr(void *arg);

/* All of it: run.c */
extern int nowhere;
extern enum plant { plant_nothing, plant_hang, plant_crash, plant_leak, plant_report } plant;

/* The process that is watched. Returns its status. */
int be_watched(time_t seconds, uint64_t seed);

#endif
