/* SPDX-License-Identifier: MIT */
#include "pool_ops.h"

#include "slab.h"

static void
create_screen_pool(void *screen_pool, unsigned item_size, unsigned num_items)
{
   slab_create_parent((struct slab_parent_pool *)screen_pool, item_size, num_items);
}

static void
destroy_screen_pool(void *screen_pool)
{
   slab_destroy_parent((struct slab_parent_pool *)screen_pool);
}

static void
create_context_pool(void *context_pool, void *screen_pool, unsigned item_size, unsigned num_items)
{
   (void)item_size;
   (void)num_items;
   slab_create_child((struct slab_child_pool *)context_pool, (struct slab_parent_pool *)screen_pool);
}

static void
destroy_context_pool(void *context_pool)
{
   slab_destroy_child((struct slab_child_pool *)context_pool);
}

static void *
alloc(void *context_pool)
{
   return slab_alloc((struct slab_child_pool *)context_pool);
}

static void
release(void *context_pool, void *object)
{
   slab_free((struct slab_child_pool *)context_pool, object);
}

const struct pool_ops slab_pool_ops = {
   "slab",
   sizeof(struct slab_parent_pool),
   sizeof(struct slab_child_pool),
   create_screen_pool,
   destroy_screen_pool,
   create_context_pool,
   destroy_context_pool,
   alloc,
   release,
};
