/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

#include <stddef.h>
#include <stdint.h>

/*
 * The loops that workloads are made of. They are compiled twice from the same source: once with calls
 * through a table of function pointers, for every allocator, and once with slab_inline.h.
 *
 * bench_api is api.rs's Api, bench_loops its Loops.
 */

struct slab_parent_pool;
struct slab_child_pool;
struct slab_mempool;

struct bench_api {
   void (*create_parent)(struct slab_parent_pool *, unsigned, unsigned);
   void (*destroy_parent)(struct slab_parent_pool *);
   void (*create_child)(struct slab_child_pool *, struct slab_parent_pool *);
   void (*destroy_child)(struct slab_child_pool *);
   void *(*alloc)(struct slab_child_pool *);
   void *(*zalloc)(struct slab_child_pool *);
   void (*free)(struct slab_child_pool *, void *);
   void (*create)(struct slab_mempool *, unsigned, unsigned);
   void (*destroy)(struct slab_mempool *);
   void *(*alloc_st)(struct slab_mempool *);
   void (*free_st)(struct slab_mempool *, void *);
};

struct bench_loops {
   /* Allocates an object and frees it, so many times. */
   void (*pairs)(const struct bench_api *, struct slab_child_pool *, size_t count);
   /* The same, where each call needs the address that the one before has given or taken. */
   void (*chained_pairs)(const struct bench_api *, struct slab_child_pool *, size_t count);
   /* Allocates the objects and frees them, the last one first; each call needs the address of the one before. */
   void (*chained_batch)(const struct bench_api *, struct slab_child_pool *, void **objects, size_t count);
   void (*alloc)(const struct bench_api *, struct slab_child_pool *, void **objects, size_t count);
   /* Frees the last one first. */
   void (*free_lifo)(const struct bench_api *, struct slab_child_pool *, void *const *objects, size_t count);
   /* Frees the first one first. */
   void (*free_fifo)(const struct bench_api *, struct slab_child_pool *, void *const *objects, size_t count);
   /* Frees the object at each index and allocates another in its place. */
   void (*churn)(const struct bench_api *, struct slab_child_pool *, void **objects, const uint32_t *indices,
                 size_t count);
   /* Creates the child, allocates and frees the objects, and destroys it, so many times. */
   void (*lives)(const struct bench_api *, struct slab_child_pool *, struct slab_parent_pool *, void **objects,
                 size_t objects_count, size_t count);
};

#ifdef __cplusplus
extern "C" const struct bench_loops bench_loops;
#else
extern const struct bench_loops bench_loops;
#endif

#endif
