/* SPDX-License-Identifier: MIT */
#ifndef CHILD_PROCESS_H
#define CHILD_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Parts of tests that need a process of their own: because they fork, because they may die, or
 * because they need a process in which the library has not been used yet.
 *
 * A watchdog ends a child that hangs. It is generous and no test depends on how long a child takes.
 */

struct child_process {
   pid_t pid;
   int stderr_file;
   int status;      /* as of waitpid() */
   char said[8192]; /* what it wrote to stderr, ended by a 0; longer output is cut */
};

/*
 * Runs body(arg) in a forked child, which ends with status 0 when body returns. Other threads may run meanwhile, but none
 * that has ended may be left to be joined: ThreadSanitizer takes it for one that the child, which cannot join it, leaks.
 */
void child_start(struct child_process *child, void (*body)(void *arg), void *arg);

/* Waits for it. Returns whether it ended with status 0; if not, repeats on stderr what it said. */
bool child_wait(struct child_process *child);

/* Waits for it, whatever its status: for children that are meant to fail. */
void child_wait_quietly(struct child_process *child);

/* Both in one. */
bool child_run(struct child_process *child, void (*body)(void *arg), void *arg);

#endif
