/* SPDX-License-Identifier: MIT */
#include "gl_model.h"

#include "must.h"

#include <stdbool.h>

enum { items_per_page = 16 };

/* The fields of a driver's transfer, about 88 bytes of them. */
struct transfer {
   struct buffer *resource;
   unsigned level, usage;
   int x, y, z, width, height, depth;
   unsigned stride;
   size_t layer_stride;
   unsigned char *map;
   struct context *mapped_by;
   unsigned check;
};

struct screen {
   const struct pool_ops *ops;
   void *pool;
};

struct context {
   struct screen *screen;
   void *pool;
};

static __thread const char *step = "nothing";

const char *
model_step(void)
{
   return step;
}

/* Made from what the transfer says, so that a transfer that something else was written to shows. */
static unsigned
transfer_check(const struct transfer *transfer)
{
   return (unsigned)(size_t)transfer->resource * 31u + (unsigned)(size_t)transfer->map * 7u +
          (unsigned)transfer->x * 13u + (unsigned)transfer->width + 1u;
}

struct screen *
screen_create(const struct pool_ops *ops)
{
   struct screen *screen = (struct screen *)malloc(sizeof(*screen));

   MUST(screen);
   screen->ops = ops;
   screen->pool = malloc(ops->screen_pool_size);
   MUST(screen->pool);
   ops->create_screen_pool(screen->pool, sizeof(struct transfer), items_per_page);
   return screen;
}

void
screen_destroy(struct screen *screen)
{
   screen->ops->destroy_screen_pool(screen->pool);
   free(screen->pool);
   free(screen);
}

struct context *
context_create(struct screen *screen)
{
   struct context *context = (struct context *)malloc(sizeof(*context));

   MUST(context);
   context->screen = screen;
   context->pool = malloc(screen->ops->context_pool_size);
   MUST(context->pool);
   screen->ops->create_context_pool(context->pool, screen->pool, sizeof(struct transfer), items_per_page);
   return context;
}

void
context_destroy(struct context *context)
{
   step = "context_destroy";
   context->screen->ops->destroy_context_pool(context->pool);
   free(context->pool);
   free(context);
   step = "nothing";
}

void
buffer_create(struct buffer *buffer, unsigned size)
{
   buffer->storage = (unsigned char *)calloc(1, size);
   MUST(buffer->storage);
   buffer->size = size;
   buffer->transfer = NULL;
}

void
buffer_destroy(struct buffer *buffer)
{
   MUST(!buffer->transfer);
   free(buffer->storage);
}

unsigned char *
context_map(struct context *context, struct buffer *buffer, unsigned offset, unsigned size)
{
   struct transfer *transfer;

   step = "map";
   MUST(!buffer->transfer);
   MUST(offset + size <= buffer->size);
   transfer = (struct transfer *)context->screen->ops->alloc(context->pool);
   MUST(transfer);
   transfer->resource = buffer;
   transfer->level = 0;
   transfer->usage = 2;
   transfer->x = (int)offset;
   transfer->y = transfer->z = 0;
   transfer->width = (int)size;
   transfer->height = transfer->depth = 1;
   transfer->stride = size;
   transfer->layer_stride = 0;
   transfer->map = buffer->storage + offset;
   transfer->mapped_by = context;
   transfer->check = transfer_check(transfer);
   buffer->transfer = transfer;
   step = "nothing";
   return transfer->map;
}

void
context_unmap(struct context *context, struct buffer *buffer)
{
   struct transfer *transfer = buffer->transfer;

   step = "unmap";
   MUST(transfer);
   MUST(transfer->resource == buffer);
   MUST(transfer->check == transfer_check(transfer));
   buffer->transfer = NULL;
   context->screen->ops->release(context->pool, transfer);
   step = "nothing";
}
