/*
 * slab_inline.h: the fast paths of slab.h for the compiler to inline. Part of mesa-slab;
 * SPDX-License-Identifier: MIT
 *
 * Define SLAB_INLINE before slab.h is included for the first time, or include this before. slab_alloc() and
 * slab_free() keep their names; where they are not inlined (no optimisation, their address is taken, another compiler than gcc
 * and clang), it is the library's that are called.
 *
 * What is inlined knows how the library lays out its memory. The number in the names of the two functions below
 * is the version of that layout: a program that was compiled for another one does not link or load.
 * tests/inline_header.rs compares the constants with the library's.
 */

#ifndef MESA_SLAB_INLINE_H
#define MESA_SLAB_INLINE_H

#ifndef SLAB_INLINE
#define SLAB_INLINE
#endif
#include "slab.h"

#if defined(SLAB_FOLLOWS_OBJECTS_)

#ifdef __OPTIMIZE__
#pragma message("not inlined: slab.h was included before, without SLAB_INLINE")
#endif

#elif defined(__GNUC__)

/* Address space of a chunk, by the size of pointers, and the page that has an owner word. */
#if __SIZEOF_POINTER__ == 8
#define SLAB_CHUNK_SHIFT_ 22
#else
#define SLAB_CHUNK_SHIFT_ 20
#endif
#define SLAB_PAGE_SHIFT_ 12

#ifdef __cplusplus
extern "C" {
#endif

/* Private: the slow paths. */
void *slab_alloc_layout_2(struct slab_child_pool *pool);
void slab_free_layout_2(struct slab_child_pool *pool, void *ptr);

extern __inline__ __attribute__((__gnu_inline__)) void *
slab_alloc(struct slab_child_pool *pool)
{
   void **top = (void **)pool->top;

   /* The loaded magazine is empty, or there is none. */
   if (__builtin_expect(((uintptr_t)top & pool->mask) == 0, 0))
      return slab_alloc_layout_2(pool);

   pool->top = top - 1;
   return *top;
}

extern __inline__ __attribute__((__gnu_inline__)) void
slab_free(struct slab_child_pool *pool, void *ptr)
{
   /* Added as a number: there may be no magazine, and nothing can be added to a null pointer. */
   void **next = (void **)((uintptr_t)pool->top + sizeof(void *));
   const uintptr_t chunk = (uintptr_t)ptr & ~(((uintptr_t)1 << SLAB_CHUNK_SHIFT_) - 1);
   const uintptr_t page = ((uintptr_t)ptr - chunk) >> SLAB_PAGE_SHIFT_;

   /* The loaded magazine is full, or there is none; or the object is not of this parent. */
   if (__builtin_expect(!ptr, 0) || __builtin_expect(((uintptr_t)next & pool->mask) == 0, 0) ||
       __builtin_expect(__atomic_load_n((uintptr_t *)chunk + page, __ATOMIC_RELAXED) != (uintptr_t)pool->parent, 0)) {
      slab_free_layout_2(pool, ptr);
      return;
   }

   *next = ptr;
   pool->top = next;
}

#ifdef __cplusplus
}
#endif

#endif

#endif /* MESA_SLAB_INLINE_H */
