/* SPDX-License-Identifier: MIT */
/*
 * For gcc -fanalyzer: one misuse for each macro; without, what nothing is to be said of. Compiled, not run.
 */
#include <slab.h>

#include <stdlib.h>

struct transfer {
   unsigned level;
};

struct context {
   struct slab_child_pool transfers;
   struct slab_mempool queries;
   struct transfer *current;
};

/* Right: freed on every path, through another child, or kept. */
int right_use(struct context *context, struct slab_child_pool *sibling, int keep);
int
right_use(struct context *context, struct slab_child_pool *sibling, int keep)
{
   struct transfer *transfer = (struct transfer *)slab_zalloc(&context->transfers);
   struct transfer *query = (struct transfer *)slab_alloc_st(&context->queries);

   if (!transfer || !query) {
      if (transfer)
         slab_free(sibling, transfer);
      if (query)
         slab_free(sibling, query);
      return -1;
   }
   transfer->level = query->level = 1;
   slab_free_st(&context->queries, query);
   if (keep) {
      context->current = transfer;
      return 0;
   }
   slab_free_st(&context->queries, transfer);
   return 0;
}

int wrong_use(struct slab_child_pool *pool, struct slab_mempool *mempool);
int
wrong_use(struct slab_child_pool *pool, struct slab_mempool *mempool)
{
#if defined(LEAK)
   struct transfer *transfer = (struct transfer *)slab_alloc(pool);

   (void)mempool;
   return transfer != NULL;
#elif defined(LEAK_ZEROED)
   struct transfer *transfer = (struct transfer *)slab_zalloc(pool);

   (void)mempool;
   return transfer != NULL;
#elif defined(LEAK_ST)
   struct transfer *transfer = (struct transfer *)slab_alloc_st(mempool);

   (void)pool;
   return transfer != NULL;
#elif defined(DOUBLE_FREE)
   struct transfer *transfer = (struct transfer *)slab_alloc(pool);

   (void)mempool;
   slab_free(pool, transfer);
   slab_free(pool, transfer);
   return 0;
#elif defined(DOUBLE_FREE_ST)
   struct transfer *transfer = (struct transfer *)slab_alloc(pool);

   slab_free(pool, transfer);
   slab_free_st(mempool, transfer);
   return 0;
#elif defined(USE_AFTER_FREE)
   struct transfer *transfer = (struct transfer *)slab_zalloc(pool);

   (void)mempool;
   if (!transfer)
      return 0;
   slab_free(pool, transfer);
   return (int)transfer->level;
#elif defined(UNCHECKED)
   struct transfer *transfer = (struct transfer *)slab_alloc(pool);

   (void)mempool;
   transfer->level = 0;
   slab_free(pool, transfer);
   return 0;
#elif defined(OTHER_ALLOCATOR)
   struct transfer *transfer = (struct transfer *)slab_alloc(pool);

   (void)mempool;
   free(transfer);
   return 0;
#elif defined(NO_OBJECT)
   struct transfer transfer;

   (void)mempool;
   slab_free(pool, &transfer);
   return 0;
#elif defined(UNUSED)
   (void)mempool;
   slab_alloc(pool);
   return 0;
#elif defined(NULL_POOL)
   (void)pool;
   (void)mempool;
   slab_create_child(NULL, NULL);
   return 0;
#else
   (void)pool;
   (void)mempool;
   return 0;
#endif
}
