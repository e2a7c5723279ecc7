/* SPDX-License-Identifier: MIT */
#ifndef CONTEXT_H
#define CONTEXT_H

#include "screen.h"

/*
 * One client of a screen. A thread has one context current at a time, and no context is current in
 * two threads: just what a child pool asks for.
 *
 * A driver that runs part of a context's work in a thread of its own keeps two children, one for
 * each of the two threads: the application's thread allocates from its child, the driver's
 * thread frees into the other, and neither waits.
 */
struct context {
   struct screen *screen;
   struct slab_child_pool transfer_pool;
};

void context_create(struct context *context, struct screen *screen);

/*
 * Buffers that are mapped stay mapped: any other context of the screen may unmap them. Destroying a
 * context that was zeroed and never created does nothing, so a failed creation needs no special case.
 */
void context_destroy(struct context *context);

/* Returns NULL if there is no memory. */
struct transfer *context_map(struct context *context, struct buffer *buffer, size_t offset, size_t size);

/* Writes the range back. `context` is the current one, not necessarily the one that mapped. */
void context_unmap(struct context *context, struct transfer *transfer);

#endif
