/* SPDX-License-Identifier: MIT */
/* A pool allocator that asks malloc for each object. */

#ifndef SLAB_H
#define SLAB_H

#include "simple_mtx.h"

struct slab_parent_pool {
   simple_mtx_t mutex;
   unsigned item_size;
   unsigned num_elements;
};

struct slab_child_pool {
   struct slab_parent_pool *parent;
};

void slab_create_parent(struct slab_parent_pool *parent, unsigned item_size, unsigned num_items);
void slab_destroy_parent(struct slab_parent_pool *parent);
void slab_create_child(struct slab_child_pool *pool, struct slab_parent_pool *parent);
void slab_destroy_child(struct slab_child_pool *pool);
void *slab_alloc(struct slab_child_pool *pool);
void slab_free(struct slab_child_pool *pool, void *ptr);

#endif
