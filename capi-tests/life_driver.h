/* SPDX-License-Identifier: MIT */
#ifndef LIFE_DRIVER_H
#define LIFE_DRIVER_H

#include "slab.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What a driver does at the edges of its life. Its constructor registers handlers for fork(), creates a pool and takes
 * objects from it; its destructor frees them. The program has one built in, and may load another one.
 */
enum { life_held_objects = 20 };

/* What a process does that a signal handler has forked. */
enum life_fork {
   fork_and_leave,       /* It leaves at once. */
   fork_and_go_on,       /* It leaves behind the handler, when it has freed all and destroyed the pool. */
   fork_without_handlers /* It leaves at once, and no handler of pthread_atfork() was called, as by _Fork(). */
};

struct life_driver {
   /*
    * Forks so often, while a worker uses a pool with a mutex locked. The handler before fork() waits for the worker
    * by that mutex, or, if own_use, uses a pool itself.
    */
   void (*fork_beside_worker)(int forks, bool own_use);
   /*
    * Forks so often in a signal handler, which interrupts slow paths. With a busy worker, another thread uses a pool of
    * its own meanwhile.
    */
   void (*fork_in_handler)(int forks, enum life_fork how, bool busy_worker);
};

void life_driver_open(struct life_driver *driver);

#ifdef __cplusplus
}
#endif

#endif
