/* SPDX-License-Identifier: MIT */
#include "screen.h"

#include <stdlib.h>

/* How many transfers the pool gets from the system at a time. */
enum { TRANSFERS_PER_SLAB = 16 };

void
screen_create(struct screen *screen)
{
   slab_create_parent(&screen->transfer_pool, sizeof(struct transfer), TRANSFERS_PER_SLAB);
}

void
screen_destroy(struct screen *screen)
{
   slab_destroy_parent(&screen->transfer_pool);
}

bool
buffer_create(struct buffer *buffer, size_t size)
{
   buffer->storage = (unsigned char *)calloc(1, size);
   buffer->size = size;
   return buffer->storage;
}

void
buffer_destroy(struct buffer *buffer)
{
   free(buffer->storage);
}
