/* SPDX-License-Identifier: MIT */
#include "slab.h"

#include <stdlib.h>

void
slab_create_parent(struct slab_parent_pool *parent, unsigned item_size, unsigned num_items)
{
   parent->item_size = item_size;
   parent->num_elements = num_items;
}

void
slab_destroy_parent(struct slab_parent_pool *parent)
{
   parent->num_elements = 0;
}

void
slab_create_child(struct slab_child_pool *pool, struct slab_parent_pool *parent)
{
   pool->parent = parent;
}

void
slab_destroy_child(struct slab_child_pool *pool)
{
   pool->parent = NULL;
}

void *
slab_alloc(struct slab_child_pool *pool)
{
   return malloc(pool->parent->item_size);
}

void
slab_free(struct slab_child_pool *pool, void *ptr)
{
   (void)pool;
   free(ptr);
}
