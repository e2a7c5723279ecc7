/* SPDX-License-Identifier: MIT */
#ifndef SCREEN_H
#define SCREEN_H

#include "slab.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * What all contexts of a share group have in common: the screen of the device, and the buffers.
 *
 * The screen owns the pool that transfers come from, so a transfer does not depend on the
 * context that made it.
 */
struct screen {
   struct slab_parent_pool transfer_pool;
};

struct buffer {
   unsigned char *storage;
   size_t size;
};

/* A mapped range of a buffer, from context_map() to context_unmap(). */
struct transfer {
   struct buffer *buffer;
   size_t offset;
   size_t size;
   unsigned char *staging; /* where the application reads and writes the range */
};

void screen_create(struct screen *screen);

/* All contexts are destroyed and all transfers unmapped by now. */
void screen_destroy(struct screen *screen);

/* Returns false if there is no memory. The buffer starts as zeros. */
bool buffer_create(struct buffer *buffer, size_t size);
void buffer_destroy(struct buffer *buffer);

#endif
