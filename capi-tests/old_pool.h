/* SPDX-License-Identifier: MIT */
#ifndef OLD_POOL_H
#define OLD_POOL_H

/*
 * The pool as drivers had it before 2016, as a baseline: one pool per context, used by one thread,
 * and destroyed with the context together with every object that is still out. The share-group
 * tests show what goes wrong with it, the benchmarks compare against its cost.
 */

#ifdef __cplusplus
extern "C" {
#endif

struct old_pool_page;
struct old_pool_element;

struct old_pool {
   struct old_pool_page *pages;   /* every page, newest first */
   struct old_pool_element *free; /* every free element of every page, last freed first */
   unsigned element_size;         /* header and item, rounded up to whole pointers */
   unsigned num_items;            /* elements in a page */
};

/*
 * Makes an empty pool of items of item_size bytes. Gets no memory yet: the first allocation gets a
 * page of num_items elements. Both numbers must be at least 1.
 */
void old_pool_create(struct old_pool *pool, unsigned item_size, unsigned num_items);

/*
 * Returns all pages to the system. Objects that are still out die with them: touching or freeing
 * one afterwards, through any pool, is a use after free.
 */
void old_pool_destroy(struct old_pool *pool);

/* Returns an object aligned to a pointer, contents undefined, or NULL if there is no memory. */
void *old_pool_alloc(struct old_pool *pool);

/*
 * Puts an object on the free list of this pool, whichever pool it came from: nothing in the object
 * tells. An object that came from another pool lives only as long as that one.
 */
void old_pool_free(struct old_pool *pool, void *object);

#ifdef __cplusplus
}
#endif

#endif
