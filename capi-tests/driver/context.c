/* SPDX-License-Identifier: MIT */
#include "context.h"

#include <stdlib.h>
#include <string.h>

void
context_create(struct context *context, struct screen *screen)
{
   context->screen = screen;
   slab_create_child(&context->transfer_pool, &screen->transfer_pool);
}

void
context_destroy(struct context *context)
{
   slab_destroy_child(&context->transfer_pool);
}

struct transfer *
context_map(struct context *context, struct buffer *buffer, size_t offset, size_t size)
{
   struct transfer *transfer = (struct transfer *)slab_zalloc(&context->transfer_pool);
   if (!transfer)
      return NULL;

   transfer->staging = (unsigned char *)malloc(size);
   if (!transfer->staging) {
      slab_free(&context->transfer_pool, transfer);
      return NULL;
   }

   memcpy(transfer->staging, buffer->storage + offset, size);
   transfer->buffer = buffer;
   transfer->offset = offset;
   transfer->size = size;
   return transfer;
}

void
context_unmap(struct context *context, struct transfer *transfer)
{
   memcpy(transfer->buffer->storage + transfer->offset, transfer->staging, transfer->size);
   free(transfer->staging);
   slab_free(&context->transfer_pool, transfer);
}
