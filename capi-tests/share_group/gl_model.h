/* SPDX-License-Identifier: MIT */
#ifndef GL_MODEL_H
#define GL_MODEL_H

#include "pool_ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What of GL the story needs. A share group has one screen. Its contexts see the same buffers, so a
 * buffer that one context has mapped may be unmapped by another, also when the first is gone. While a
 * buffer is mapped it has a transfer: an object that the mapping context allocates and the unmapping
 * context frees.
 */

struct screen;
struct context;

/* A buffer's storage and its map, if it has one. One context at a time may use it. */
struct buffer {
   unsigned char *storage;
   unsigned size;
   struct transfer *transfer; /* NULL while not mapped */
};

struct screen *screen_create(const struct pool_ops *ops);
void screen_destroy(struct screen *screen);

struct context *context_create(struct screen *screen);
void context_destroy(struct context *context);

void buffer_create(struct buffer *buffer, unsigned size);

/* The buffer must not be mapped. */
void buffer_destroy(struct buffer *buffer);

/* Maps a range of the buffer and gives its address. The range must lie in the buffer. */
unsigned char *context_map(struct context *context, struct buffer *buffer, unsigned offset, unsigned size);

/* Unmaps it, through any context of the share group. Ends the process if the transfer is not as it was. */
void context_unmap(struct context *context, struct buffer *buffer);

/* What the calling thread is doing in the model, for whoever reports an error: "unmap", "map", ... */
const char *model_step(void);

#ifdef __cplusplus
}
#endif

#endif
