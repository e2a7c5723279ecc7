/* SPDX-License-Identifier: MIT */
#ifndef POOL_OPS_H
#define POOL_OPS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * An allocator as the GL model sees it. A screen has something that lasts as long as the share group
 * (may be nothing), a context has something that goes with the context.
 */
struct pool_ops {
   const char *name;
   size_t screen_pool_size;
   size_t context_pool_size;
   void (*create_screen_pool)(void *screen_pool, unsigned item_size, unsigned num_items);
   void (*destroy_screen_pool)(void *screen_pool);
   void (*create_context_pool)(void *context_pool, void *screen_pool, unsigned item_size, unsigned num_items);
   void (*destroy_context_pool)(void *context_pool);
   void *(*alloc)(void *context_pool);
   void (*release)(void *context_pool, void *object);
};

/* One pool in each context, as before 2016. */
extern const struct pool_ops old_pool_ops;

/* One parent in the screen, one child in each context. */
extern const struct pool_ops slab_pool_ops;

#ifdef __cplusplus
}
#endif

#endif
