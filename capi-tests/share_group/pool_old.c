/* SPDX-License-Identifier: MIT */
#include "pool_ops.h"

#include "old_pool.h"

static void
create_screen_pool(void *screen_pool, unsigned item_size, unsigned num_items)
{
   (void)screen_pool;
   (void)item_size;
   (void)num_items;
}

static void
destroy_screen_pool(void *screen_pool)
{
   (void)screen_pool;
}

static void
create_context_pool(void *context_pool, void *screen_pool, unsigned item_size, unsigned num_items)
{
   (void)screen_pool;
   old_pool_create((struct old_pool *)context_pool, item_size, num_items);
}

static void
destroy_context_pool(void *context_pool)
{
   old_pool_destroy((struct old_pool *)context_pool);
}

static void *
alloc(void *context_pool)
{
   return old_pool_alloc((struct old_pool *)context_pool);
}

static void
release(void *context_pool, void *object)
{
   old_pool_free((struct old_pool *)context_pool, object);
}

const struct pool_ops old_pool_ops = {
   "old",
   sizeof(char), /* nothing is kept there */
   sizeof(struct old_pool),
   create_screen_pool,
   destroy_screen_pool,
   create_context_pool,
   destroy_context_pool,
   alloc,
   release,
};
