/* SPDX-License-Identifier: MIT */
#ifndef DEBUGGED_POOL_H
#define DEBUGGED_POOL_H

#include "slab.h"
#include "slab_ext.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * A pool with modes and what is reported of it, for the tests of the modes. Each case is a process of its own, once
 * with the words in the environment and once with the same words given to the pool.
 */

enum { size = 96, hint = 64, most_waiting = 1 << 20, poison_free = 0x6b, poison_fresh = 0x5a };

/* With musl the library finds stacks only in a process that has an unwinder. */
#ifdef __GLIBC__
enum { has_stacks = 1 };
#else
enum { has_stacks = 0 };
#endif

extern struct slab_parent_pool parent;
extern struct slab_child_pool child;

/* What was reported since it was looked at last. */
struct heard {
   int reports;
   size_t length;
   char text[20000];
};
extern struct heard heard;

/* For slab_set_report_handler(). */
void hear(void *data, const char *line);

/* So many reports since the last look, and these words in them; NULL for any. */
void must_hear(int reports, const char *format, ...);
void must_be_quiet(void);

/* Words, and what is done in the pool that has them. */
struct run {
   const char *words;
   bool by_function; /* else by the environment */
   void (*use)(void);
};

/* Runs use() in a process that has the pool, named queries, and its child. */
void run_debugged(const char *words, void (*use)(void));

/* What it runs there, for child_run(): of a struct run. */
void run_body(void *run);

/* An object of the child's. */
char *allocate(void);

struct slab_parent_stats stats_of(struct slab_parent_pool *pool);

/* Whether a pool has modes. */
bool is_debugged(struct slab_parent_pool *pool);

/* All was freed, whichever way, and nothing is left to report. */
void must_end_well(void);

#endif
