/* SPDX-License-Identifier: MIT */
#ifndef FAULT_RUN_H
#define FAULT_RUN_H

#include "live_objects.h"
#include "os_requests.h"
#include "slab.h"

#include <stdbool.h>

/*
 * Runs a scenario over and over, each time with another call of the library to the system failing. Every run is in a
 * process of its own, in which the library has not been used before.
 *
 * A call of the library may then be refused (NULL, or -1), which must not change anything: every object still has its
 * contents, and with the failing switched off the same call must succeed. In the end nothing may be left: no object,
 * no mapping.
 */

struct run;

struct scenario {
   const char *name;
   void (*body)(struct run *run);
   const char *debug; /* SLAB_DEBUG; NULL: as it is */
   bool needs_memory; /* without any, some call is refused */
   bool way_out;      /* the calls that fail are those behind the body, when the process ends */
   unsigned pools;    /* how many there are at the same time, at most */
   size_t kept;       /* bytes that the library keeps for as long as the process, however often it is loaded */
};

/* What a run found out, in memory that it shares with the process that started it. */
struct outcome {
   unsigned made, failed, refused;
   size_t held; /* bytes that were mapped when the process had ended */
};

struct run {
   const struct scenario *scenario;
   enum os_function function;
   unsigned fail_number; /* 0: nothing fails */
   bool sticky;
   struct live_objects live;
   struct outcome *outcome;
   int null_file; /* to write to */
   struct slab_child_pool *visitor;
};

/* Called once, before all others. */
void runs_begin(void);

/* Bytes that may stay mapped when all pools are gone, of which so many were there at the same time. */
size_t most_kept(unsigned pools);

/* For scenarios: after a refusal, before the call is made again. */
void refused(struct run *run);

/* Allocates an object, if need be twice, and keeps it in run->live. */
void allocate(struct run *run, struct slab_child_pool *child, bool zeroed);

/* Frees the object at an index of run->live. */
void release(struct run *run, struct slab_child_pool *child, size_t index);
void release_all(struct run *run, struct slab_child_pool *child);

/* Every second object of those from first on, the others staying. */
void release_half(struct run *run, struct slab_child_pool *child, size_t first);

/* The child process has the pools as they were, and leaves them so for its parent. */
void use_in_a_child_process(struct run *run, struct slab_parent_pool *parent);

/* One run, in a process of its own. */
struct outcome run_scenario(const struct scenario *scenario, enum os_function function, unsigned fail_number,
                            bool sticky);

/* A process of its own for something else: a run in which a body is called as it is. */
void run_alone(void (*body)(struct run *run));

/*
 * The runs of a scenario, as cmocka assertions: first without a failure, then with the first call of the function
 * failing, then the second, and so on; each once with only that call failing and once with all later ones failing as
 * well. Of many calls, some are chosen; the first of each call site is always among them.
 */
void fail_each_call(enum os_function function, const struct scenario *scenario);

/* Adds to the table a run of which the caller has made sure itself. */
void note_unaffected_run(enum os_function function);

/* Prints what all runs have come to, a line for each function, and asserts that each call site has failed. */
void runs_end(void **state);

#endif
