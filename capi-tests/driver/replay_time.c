/* SPDX-License-Identifier: MIT */
#include "replay_time.h"

#include "idle_thread.h"

#include <stdlib.h>
#include <string.h>

enum {
   ROUNDS = 15,
   /* Short traces are repeated to about this many calls a round, to be long against the clock. */
   CALLS_PER_ROUND = 150000
};

struct pools {
   struct slab_mempool *mempools; /* by parent id */
   struct slab_child_pool *own;   /* by child id */
   struct slab_child_pool **pool; /* by child id: own, or the one in a mempool */
   void **objects;                /* by object id */
};

static void
replay_once(const struct trace *trace, const struct allocator *allocator, struct pools *pools)
{
   const struct trace_record *end = trace->records + trace->count;

   for (const struct trace_record *record = trace->records; record < end; record++) {
      struct slab_mempool *mempool;

      switch (record->op) {
      case TRACE_CREATE_PARENT:
         mempool = &pools->mempools[record->pool];
         if (record->flags & TRACE_MEMPOOL)
            allocator->create(mempool, record->a, record->b);
         else
            allocator->create_parent(&mempool->parent, record->a, record->b);
         break;
      case TRACE_DESTROY_PARENT:
         mempool = &pools->mempools[record->pool];
         if (record->flags & TRACE_MEMPOOL)
            allocator->destroy(mempool);
         else
            allocator->destroy_parent(&mempool->parent);
         break;
      case TRACE_CREATE_CHILD:
         mempool = &pools->mempools[record->a];
         if (record->flags & TRACE_MEMPOOL)
            pools->pool[record->pool] = &mempool->child;
         else
            allocator->create_child(pools->pool[record->pool], &mempool->parent);
         break;
      case TRACE_DESTROY_CHILD:
         allocator->destroy_child(pools->pool[record->pool]);
         break;
      case TRACE_ALLOC:
         pools->objects[record->a] = allocator->alloc(pools->pool[record->pool]);
         break;
      case TRACE_ZALLOC:
         pools->objects[record->a] = allocator->zalloc(pools->pool[record->pool]);
         break;
      case TRACE_FREE:
         allocator->free(pools->pool[record->pool], pools->objects[record->a]);
         break;
      case TRACE_END:
         break;
      }
   }
}

static double
time_round(const struct trace *trace, const struct allocator *allocator, struct pools *pools)
{
   size_t repeats = 1 + CALLS_PER_ROUND / trace->count;
   uint64_t start = thread_now();

   for (size_t i = 0; i < repeats; i++)
      replay_once(trace, allocator, pools);
   return (double)(thread_now() - start) / (double)(repeats * trace->count);
}

bool
replay_time(const struct trace *trace, struct replay_times *times)
{
   struct pools pools = {
      (struct slab_mempool *)calloc(trace->parent_limit, sizeof(struct slab_mempool)),
      (struct slab_child_pool *)calloc(trace->child_limit, sizeof(struct slab_child_pool)),
      (struct slab_child_pool **)calloc(trace->child_limit, sizeof(struct slab_child_pool *)),
      (void **)calloc(trace->object_limit, sizeof(void *)),
   };
   memset(times, 0, sizeof(*times));
   bool enough = pools.mempools && pools.own && pools.pool && pools.objects;

   if (enough) {
      start_idle_thread();
      for (size_t i = 0; i < trace->child_limit; i++)
         pools.pool[i] = &pools.own[i];

      /* The first round only brings code and memory in. */
      for (int round = 0; round <= ROUNDS; round++) {
         double loop = time_round(trace, &null_allocator, &pools);
         double all = time_round(trace, &library_allocator, &pools);
         if (round > 0) {
            samples_add(&times->loop, loop);
            samples_add(&times->net, all - loop);
         }
      }
   }

   free(pools.mempools);
   free(pools.own);
   free(pools.pool);
   free(pools.objects);
   return enough;
}
