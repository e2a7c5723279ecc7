/* SPDX-License-Identifier: MIT */
#ifndef REPLAY_THREADS_H
#define REPLAY_THREADS_H

#include "replay.h"

/*
 * Makes the calls of a trace on as many threads as were recorded, each its own. The order of calls on
 * one child and on one object is kept, and a parent's life; all else may happen at the same time.
 * Checks of each object that it keeps its contents. Returns false with one line in `error` if one does
 * not, or if there is no memory.
 */
bool replay_threads(const struct trace *trace, char error[REPLAY_ERROR_SIZE]);

#endif
