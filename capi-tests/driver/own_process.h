/* SPDX-License-Identifier: MIT */
#ifndef OWN_PROCESS_H
#define OWN_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Runs `work` in a process of its own, so that it meets a library that was never used before, and
 * waits for it. Returns what `work` returned, false if the process died.
 */
bool in_own_process(bool (*work)(void));

/* The same with an argument. What `work` writes reaches the caller only through shared_memory(). */
bool in_own_process_with(bool (*work)(void *data), void *data);

/* Zeroed memory common to this process and those it starts. Never NULL; lives until exit. */
void *shared_memory(size_t size);

#endif
