/* SPDX-License-Identifier: MIT */
#ifndef REPLAY_H
#define REPLAY_H

#include "allocator.h"
#include "trace.h"

enum { REPLAY_ERROR_SIZE = 240 };

struct replay_result {
   /* Bytes of memory that the library holds: the most after any record, and after the last one. */
   size_t peak_bytes;
   size_t final_bytes;
};

/*
 * Makes the calls of a trace in their recorded order, in one thread, and checks all the way that
 * every live object is aligned, shares no byte with another one, and has at its free the contents
 * that it was given. Returns false with one line in `error` at the first thing that is wrong.
 */
bool replay_checked(const struct trace *trace, const struct allocator *allocator, struct replay_result *result,
                    char error[REPLAY_ERROR_SIZE]);

#endif
