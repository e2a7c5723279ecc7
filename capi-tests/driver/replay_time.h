/* SPDX-License-Identifier: MIT */
#ifndef REPLAY_TIME_H
#define REPLAY_TIME_H

#include "allocator.h"
#include "samples.h"
#include "trace.h"

/* Nanoseconds per call of a trace, by rounds. */
struct replay_times {
   struct samples loop; /* of the replay with the null allocator: what the loop costs by itself */
   struct samples net;  /* of the replay with the library, less that */
};

/*
 * Replays a trace in one thread without any check or touch of an object, the null allocator and the
 * library in turns, in several rounds. Returns false if there is no memory.
 */
bool replay_time(const struct trace *trace, struct replay_times *times);

#endif
