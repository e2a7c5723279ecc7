/* SPDX-License-Identifier: MIT */
#ifndef KEEPS_ERRNO_H
#define KEEPS_ERRNO_H

#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <errno.h>

/*
 * Behind this header, calls of the library are checked to leave errno as it was, whatever the system answered.
 */

enum { errno_before = 12345 };

static inline void
errno_kept_by_slab_create_parent(struct slab_parent_pool *parent, unsigned item_size, unsigned num_items)
{
   errno = errno_before;
   slab_create_parent(parent, item_size, num_items);
   MUST(errno == errno_before);
}

static inline void
errno_kept_by_slab_destroy_parent(struct slab_parent_pool *parent)
{
   errno = errno_before;
   slab_destroy_parent(parent);
   MUST(errno == errno_before);
}

static inline void
errno_kept_by_slab_create_child(struct slab_child_pool *pool, struct slab_parent_pool *parent)
{
   errno = errno_before;
   slab_create_child(pool, parent);
   MUST(errno == errno_before);
}

static inline void
errno_kept_by_slab_destroy_child(struct slab_child_pool *pool)
{
   errno = errno_before;
   slab_destroy_child(pool);
   MUST(errno == errno_before);
}

static inline void *
errno_kept_by_slab_alloc(struct slab_child_pool *pool)
{
   void *result;

   errno = errno_before;
   result = slab_alloc(pool);
   MUST(errno == errno_before);
   return result;
}

static inline void *
errno_kept_by_slab_zalloc(struct slab_child_pool *pool)
{
   void *result;

   errno = errno_before;
   result = slab_zalloc(pool);
   MUST(errno == errno_before);
   return result;
}

static inline void
errno_kept_by_slab_free(struct slab_child_pool *pool, void *object)
{
   errno = errno_before;
   slab_free(pool, object);
   MUST(errno == errno_before);
}

static inline void
errno_kept_by_slab_create(struct slab_mempool *pool, unsigned item_size, unsigned num_items)
{
   errno = errno_before;
   slab_create(pool, item_size, num_items);
   MUST(errno == errno_before);
}

static inline void
errno_kept_by_slab_destroy(struct slab_mempool *pool)
{
   errno = errno_before;
   slab_destroy(pool);
   MUST(errno == errno_before);
}

static inline void *
errno_kept_by_slab_alloc_st(struct slab_mempool *pool)
{
   void *result;

   errno = errno_before;
   result = slab_alloc_st(pool);
   MUST(errno == errno_before);
   return result;
}

static inline void
errno_kept_by_slab_free_st(struct slab_mempool *pool, void *object)
{
   errno = errno_before;
   slab_free_st(pool, object);
   MUST(errno == errno_before);
}

static inline size_t
errno_kept_by_slab_trim_child(struct slab_child_pool *pool)
{
   size_t result;

   errno = errno_before;
   result = slab_trim_child(pool);
   MUST(errno == errno_before);
   return result;
}

static inline size_t
errno_kept_by_slab_trim_parent(struct slab_parent_pool *parent)
{
   size_t result;

   errno = errno_before;
   result = slab_trim_parent(parent);
   MUST(errno == errno_before);
   return result;
}

static inline size_t
errno_kept_by_slab_trim_heap(void)
{
   size_t result;

   errno = errno_before;
   result = slab_trim_heap();
   MUST(errno == errno_before);
   return result;
}

static inline unsigned
errno_kept_by_slab_set_decay(unsigned seconds)
{
   unsigned result;

   errno = errno_before;
   result = slab_set_decay(seconds);
   MUST(errno == errno_before);
   return result;
}

static inline int
errno_kept_by_slab_set_name(struct slab_parent_pool *parent, const char *name)
{
   int result;

   errno = errno_before;
   result = slab_set_name(parent, name);
   MUST(errno == errno_before);
   return result;
}

static inline int
errno_kept_by_slab_get_parent_stats(struct slab_parent_pool *parent, struct slab_parent_stats *stats)
{
   int result;

   errno = errno_before;
   result = slab_get_parent_stats(parent, stats);
   MUST(errno == errno_before);
   return result;
}

static inline void
errno_kept_by_slab_get_heap_stats(struct slab_heap_stats *stats)
{
   errno = errno_before;
   slab_get_heap_stats(stats);
   MUST(errno == errno_before);
}

static inline unsigned
errno_kept_by_slab_validate(struct slab_parent_pool *parent)
{
   unsigned result;

   errno = errno_before;
   result = slab_validate(parent);
   MUST(errno == errno_before);
   return result;
}

static inline int
errno_kept_by_slab_set_debug(struct slab_parent_pool *parent, const char *words)
{
   int result;

   errno = errno_before;
   result = slab_set_debug(parent, words);
   MUST(errno == errno_before);
   return result;
}

static inline unsigned
errno_kept_by_slab_set_sampling(unsigned rate)
{
   unsigned result;

   errno = errno_before;
   result = slab_set_sampling(rate);
   MUST(errno == errno_before);
   return result;
}

static inline int
errno_kept_by_slab_create_parent_with(struct slab_parent_pool *parent, const struct slab_options *options)
{
   int result;

   errno = errno_before;
   result = slab_create_parent_with(parent, options);
   MUST(errno == errno_before);
   return result;
}

static inline unsigned
errno_kept_by_slab_alloc_bulk(struct slab_child_pool *pool, unsigned count, void **objects)
{
   unsigned result;

   errno = errno_before;
   result = slab_alloc_bulk(pool, count, objects);
   MUST(errno == errno_before);
   return result;
}

static inline void
errno_kept_by_slab_free_bulk(struct slab_child_pool *pool, unsigned count, void *const *objects)
{
   errno = errno_before;
   slab_free_bulk(pool, count, objects);
   MUST(errno == errno_before);
}

static inline unsigned
errno_kept_by_slab_prefill(struct slab_child_pool *pool, unsigned count)
{
   unsigned result;

   errno = errno_before;
   result = slab_prefill(pool, count);
   MUST(errno == errno_before);
   return result;
}

static inline size_t
errno_kept_by_slab_shrink(struct slab_parent_pool *parent, int (*move)(void *data, void *object), void *data)
{
   size_t result;

   errno = errno_before;
   result = slab_shrink(parent, move, data);
   MUST(errno == errno_before);
   return result;
}

static inline size_t
errno_kept_by_slab_object_size(const void *object)
{
   size_t result;

   errno = errno_before;
   result = slab_object_size(object);
   MUST(errno == errno_before);
   return result;
}

static inline int
errno_kept_by_slab_is_object(struct slab_parent_pool *parent, const void *object)
{
   int result;

   errno = errno_before;
   result = slab_is_object(parent, object);
   MUST(errno == errno_before);
   return result;
}

static inline size_t
errno_kept_by_slab_for_each_object(struct slab_parent_pool *parent, int (*visit)(void *data, void *object), void *data)
{
   size_t result;

   errno = errno_before;
   result = slab_for_each_object(parent, visit, data);
   MUST(errno == errno_before);
   return result;
}

/* But for what could not be written, of which it says why. */
static inline int
errno_kept_by_slab_print_stats_fd(int fd, unsigned format)
{
   int result;

   errno = errno_before;
   result = slab_print_stats_fd(fd, format);
   MUST(result != 0 || errno == errno_before);
   return result;
}

static inline struct slab_sizes *
errno_kept_by_slab_create_sizes(const struct slab_options *options)
{
   struct slab_sizes *result;

   errno = errno_before;
   result = slab_create_sizes(options);
   MUST(errno == errno_before);
   return result;
}

static inline void
errno_kept_by_slab_destroy_sizes(struct slab_sizes *sizes)
{
   errno = errno_before;
   slab_destroy_sizes(sizes);
   MUST(errno == errno_before);
}

static inline struct slab_sizes_child *
errno_kept_by_slab_create_sizes_child(struct slab_sizes *sizes)
{
   struct slab_sizes_child *result;

   errno = errno_before;
   result = slab_create_sizes_child(sizes);
   MUST(errno == errno_before);
   return result;
}

static inline void
errno_kept_by_slab_destroy_sizes_child(struct slab_sizes_child *child)
{
   errno = errno_before;
   slab_destroy_sizes_child(child);
   MUST(errno == errno_before);
}

static inline void *
errno_kept_by_slab_sizes_alloc(struct slab_sizes_child *child, size_t bytes)
{
   void *result;

   errno = errno_before;
   result = slab_sizes_alloc(child, bytes);
   MUST(errno == errno_before);
   return result;
}

static inline void *
errno_kept_by_slab_sizes_zalloc(struct slab_sizes_child *child, size_t bytes)
{
   void *result;

   errno = errno_before;
   result = slab_sizes_zalloc(child, bytes);
   MUST(errno == errno_before);
   return result;
}

static inline void
errno_kept_by_slab_sizes_free(struct slab_sizes_child *child, void *ptr)
{
   errno = errno_before;
   slab_sizes_free(child, ptr);
   MUST(errno == errno_before);
}

static inline size_t
errno_kept_by_slab_sizes_size(const void *ptr)
{
   size_t result;

   errno = errno_before;
   result = slab_sizes_size(ptr);
   MUST(errno == errno_before);
   return result;
}

static inline struct slab_shared_pool *
errno_kept_by_slab_create_shared(const struct slab_options *options)
{
   struct slab_shared_pool *result;

   errno = errno_before;
   result = slab_create_shared(options);
   MUST(errno == errno_before);
   return result;
}

static inline void
errno_kept_by_slab_destroy_shared(struct slab_shared_pool *pool)
{
   errno = errno_before;
   slab_destroy_shared(pool);
   MUST(errno == errno_before);
}

static inline void *
errno_kept_by_slab_shared_alloc(struct slab_shared_pool *pool)
{
   void *result;

   errno = errno_before;
   result = slab_shared_alloc(pool);
   MUST(errno == errno_before);
   return result;
}

static inline void *
errno_kept_by_slab_shared_zalloc(struct slab_shared_pool *pool)
{
   void *result;

   errno = errno_before;
   result = slab_shared_zalloc(pool);
   MUST(errno == errno_before);
   return result;
}

static inline void
errno_kept_by_slab_shared_free(struct slab_shared_pool *pool, void *ptr)
{
   errno = errno_before;
   slab_shared_free(pool, ptr);
   MUST(errno == errno_before);
}

#define slab_create_parent errno_kept_by_slab_create_parent
#define slab_destroy_parent errno_kept_by_slab_destroy_parent
#define slab_create_child errno_kept_by_slab_create_child
#define slab_destroy_child errno_kept_by_slab_destroy_child
#define slab_alloc errno_kept_by_slab_alloc
#define slab_zalloc errno_kept_by_slab_zalloc
#define slab_free errno_kept_by_slab_free
#define slab_create errno_kept_by_slab_create
#define slab_destroy errno_kept_by_slab_destroy
#define slab_alloc_st errno_kept_by_slab_alloc_st
#define slab_free_st errno_kept_by_slab_free_st
#define slab_trim_child errno_kept_by_slab_trim_child
#define slab_trim_parent errno_kept_by_slab_trim_parent
#define slab_trim_heap errno_kept_by_slab_trim_heap
#define slab_set_decay errno_kept_by_slab_set_decay
#define slab_set_name errno_kept_by_slab_set_name
#define slab_get_parent_stats errno_kept_by_slab_get_parent_stats
#define slab_get_heap_stats errno_kept_by_slab_get_heap_stats
#define slab_validate errno_kept_by_slab_validate
#define slab_set_debug errno_kept_by_slab_set_debug
#define slab_set_sampling errno_kept_by_slab_set_sampling
#define slab_create_parent_with errno_kept_by_slab_create_parent_with
#define slab_alloc_bulk errno_kept_by_slab_alloc_bulk
#define slab_free_bulk errno_kept_by_slab_free_bulk
#define slab_prefill errno_kept_by_slab_prefill
#define slab_shrink errno_kept_by_slab_shrink
#define slab_object_size errno_kept_by_slab_object_size
#define slab_is_object errno_kept_by_slab_is_object
#define slab_for_each_object errno_kept_by_slab_for_each_object
#define slab_print_stats_fd errno_kept_by_slab_print_stats_fd
#define slab_create_sizes errno_kept_by_slab_create_sizes
#define slab_destroy_sizes errno_kept_by_slab_destroy_sizes
#define slab_create_sizes_child errno_kept_by_slab_create_sizes_child
#define slab_destroy_sizes_child errno_kept_by_slab_destroy_sizes_child
#define slab_sizes_alloc errno_kept_by_slab_sizes_alloc
#define slab_sizes_zalloc errno_kept_by_slab_sizes_zalloc
#define slab_sizes_free errno_kept_by_slab_sizes_free
#define slab_sizes_size errno_kept_by_slab_sizes_size
#define slab_create_shared errno_kept_by_slab_create_shared
#define slab_destroy_shared errno_kept_by_slab_destroy_shared
#define slab_shared_alloc errno_kept_by_slab_shared_alloc
#define slab_shared_zalloc errno_kept_by_slab_shared_zalloc
#define slab_shared_free errno_kept_by_slab_shared_free

#endif
