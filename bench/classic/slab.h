/* SPDX-License-Identifier: MIT */
#ifndef CLASSIC_SLAB_H
#define CLASSIC_SLAB_H

#include "lock.h"

/*
 * The baseline of the benchmark: the pool design of 2016, behind the functions of slab.h.
 *
 * Each child carves its own pages, of num_items elements each, and owns the elements. An element
 * has a header that names its owner. A child frees its own elements onto a list of its own; one of
 * another child goes, under the parent's mutex, onto that child's list of migrated elements, which
 * it takes over when its own list is empty. Destroying a child makes its pages orphans, each of
 * which counts the elements that are still out and goes with the last of them.
 */

struct classic_element;
struct classic_page;

struct slab_parent_pool {
   struct classic_lock lock; /* of the migrated lists, and of the owners of elements */
   unsigned element_size;    /* with the header */
   unsigned num_elements;
   unsigned item_size;
};

struct slab_child_pool {
   struct slab_parent_pool *parent;
   struct classic_page *pages;
   struct classic_element *free;
   struct classic_element *migrated; /* under the parent's lock */
};

struct slab_mempool {
   struct slab_parent_pool parent;
   struct slab_child_pool child;
};

#ifdef __cplusplus
extern "C" {
#endif

void slab_create_parent(struct slab_parent_pool *parent, unsigned item_size, unsigned num_items);
void slab_destroy_parent(struct slab_parent_pool *parent);
void slab_create_child(struct slab_child_pool *pool, struct slab_parent_pool *parent);
void slab_destroy_child(struct slab_child_pool *pool);
void *slab_alloc(struct slab_child_pool *pool);
void *slab_zalloc(struct slab_child_pool *pool);
void slab_free(struct slab_child_pool *pool, void *object);
void slab_create(struct slab_mempool *mempool, unsigned item_size, unsigned num_items);
void slab_destroy(struct slab_mempool *mempool);
void *slab_alloc_st(struct slab_mempool *mempool);
void slab_free_st(struct slab_mempool *mempool, void *object);

#ifdef __cplusplus
}
#endif

#endif
