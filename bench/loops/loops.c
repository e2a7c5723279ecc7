/* SPDX-License-Identifier: MIT */
#include "loops.h"

#ifdef BENCH_INLINED
/* The header that has the functions: this library's with SLAB_INLINE, or a peer's, which is C++. */
#include BENCH_INLINED
#define FUNCTION(name, api) slab_##name
#else
/* Read from the table once, before the loop. */
#define FUNCTION(name, api) name##_function
#endif

#ifdef BENCH_INLINED
#define TAKE(type, name, api, parameters) ((void)(api))
#else
#define TAKE(type, name, api, parameters) type(*const name##_function) parameters = (api)->name
#endif
#define TAKE_ALLOC(api) TAKE(void *, alloc, api, (struct slab_child_pool *))
#define TAKE_FREE(api) TAKE(void, free, api, (struct slab_child_pool *, void *))
#define ALLOC FUNCTION(alloc, api)
#define FREE FUNCTION(free, api)

static void
pairs(const struct bench_api *api, struct slab_child_pool *child, size_t count)
{
   TAKE_ALLOC(api);
   TAKE_FREE(api);

   for (size_t i = 0; i < count; i++) {
      void *object = ALLOC(child);
      /* The object is used: the compiler may not know where it came from. */
      __asm__ volatile("" : "+r"(object) : : "memory");
      FREE(child, object);
   }
}

/*
 * The chain from one call to the next: zero, but not before the object's address is known and multiplied some times by a
 * one that the compiler cannot know. That takes longer than the call and its return, which the processor does meanwhile:
 * what a call takes from its pool to its object is added to it, and is not hidden behind them.
 */
enum { LINKS = 8 };

struct chain {
   uintptr_t one, zero;
};

static inline struct chain
new_chain(void)
{
   struct chain chain = {1, 0};

   __asm__ volatile("" : "+r"(chain.one), "+r"(chain.zero));
   return chain;
}

static inline uintptr_t
zero_after(struct chain chain, const void *object)
{
   uintptr_t address = (uintptr_t)object;

   for (int i = 0; i < LINKS; i++)
      address *= chain.one;
   return address & chain.zero;
}

static inline struct slab_child_pool *
child_after(struct slab_child_pool *child, uintptr_t zero)
{
   return (struct slab_child_pool *)((uintptr_t)child + zero);
}

static void
chained_pairs(const struct bench_api *api, struct slab_child_pool *child, size_t count)
{
   TAKE_ALLOC(api);
   TAKE_FREE(api);
   struct chain chain = new_chain();

   for (size_t i = 0; i < count; i++) {
      void *object = ALLOC(child);
      /* Or the compiler knows what is allocated next. */
      __asm__ volatile("" : "+r"(object) : : "memory");
      child = child_after(child, zero_after(chain, object));
      FREE(child, object);
   }
}

static void
chained_batch(const struct bench_api *api, struct slab_child_pool *child, void **objects, size_t count)
{
   TAKE_ALLOC(api);
   TAKE_FREE(api);
   struct chain chain = new_chain();

   for (size_t i = 0; i < count; i++) {
      objects[i] = ALLOC(child);
      child = child_after(child, zero_after(chain, objects[i]));
   }
   while (count > 0) {
      void *object = objects[--count];
      uintptr_t zero = zero_after(chain, object);
      child = child_after(child, zero);
      FREE(child, object);
      /* The next address is read only then. */
      count += zero;
   }
}

static void
alloc_all(const struct bench_api *api, struct slab_child_pool *child, void **objects, size_t count)
{
   TAKE_ALLOC(api);

   for (size_t i = 0; i < count; i++)
      objects[i] = ALLOC(child);
}

static void
free_lifo(const struct bench_api *api, struct slab_child_pool *child, void *const *objects, size_t count)
{
   TAKE_FREE(api);

   while (count > 0)
      FREE(child, objects[--count]);
}

static void
free_fifo(const struct bench_api *api, struct slab_child_pool *child, void *const *objects, size_t count)
{
   TAKE_FREE(api);

   for (size_t i = 0; i < count; i++)
      FREE(child, objects[i]);
}

static void
churn(const struct bench_api *api, struct slab_child_pool *child, void **objects, const uint32_t *indices, size_t count)
{
   TAKE_ALLOC(api);
   TAKE_FREE(api);

   for (size_t i = 0; i < count; i++) {
      void **object = &objects[indices[i]];
      FREE(child, *object);
      *object = ALLOC(child);
   }
}

static void
lives(const struct bench_api *api, struct slab_child_pool *child, struct slab_parent_pool *parent, void **objects,
      size_t objects_count, size_t count)
{
   TAKE(void, create_child, api, (struct slab_child_pool *, struct slab_parent_pool *));
   TAKE(void, destroy_child, api, (struct slab_child_pool *));

   for (size_t i = 0; i < count; i++) {
      FUNCTION(create_child, api)(child, parent);
      alloc_all(api, child, objects, objects_count);
      free_lifo(api, child, objects, objects_count);
      FUNCTION(destroy_child, api)(child);
   }
}

const struct bench_loops bench_loops = {
   .pairs = pairs,
   .chained_pairs = chained_pairs,
   .chained_batch = chained_batch,
   .alloc = alloc_all,
   .free_lifo = free_lifo,
   .free_fifo = free_fifo,
   .churn = churn,
   .lives = lives,
};
