/* SPDX-License-Identifier: MIT */
#include "idle_thread.h"
#include "measure.h"
#include "samples.h"
#include "slab.h"

#include <stdio.h>
#include <string.h>

/*
 * What a free costs when it goes through a sibling of the allocating child, against one through the
 * same child. Two children A and B of one parent, in one thread:
 *
 *   exchange  n objects are allocated from A and n from B; then A frees n and B frees n. Same: each
 *             its own. Sibling: each the other's. A child makes the same number of calls in both, so
 *             the ratio is the price of the object being another child's, and of nothing else.
 *   one way   n objects are allocated from A; then n are freed, same: through A, sibling: through B.
 *             Nothing is allocated from B, so that all objects must find their way from B to A inside
 *             the library, as between an application's thread and a driver's thread.
 *
 * Same and sibling have pools of their own, so neither finds the other's state. They run in turns, and
 * each is followed by the same loop without the calls, whose time is subtracted. (A call of a function
 * that does nothing would be too much to subtract: the processor does most of a free's work while
 * it is still busy with the call and return, and the difference of the two is about 0.)
 */

enum { ROUNDS = 25, FREES_PER_ROUND = 200000, MAX_BATCH = 1000, ITEM_SIZE = 96, NUM_ITEMS = 64 };

struct pools {
   struct slab_parent_pool parent;
   struct slab_child_pool a, b;
};

struct times {
   double free; /* ns per free */
   double pair; /* ns per allocation and free */
};

typedef struct times round_function(bool call, struct pools *pools, size_t batch, bool sibling);

static void *objects[2 * MAX_BATCH];

/* Makes the compiler believe that the object is looked at, so that a loop without calls stays. */
static inline void
look_at(void *object)
{
   __asm__ volatile("" : : "r"(object) : "memory");
}

static inline void
alloc_batch(bool call, struct slab_child_pool *pool, void **batch, size_t count)
{
   for (size_t i = 0; i < count; i++) {
      void *object = call ? slab_alloc(pool) : pool;
      look_at(object);
      batch[i] = object;
   }
}

static inline void
free_batch(bool call, struct slab_child_pool *pool, void **batch, size_t count)
{
   for (size_t i = 0; i < count; i++) {
      void *object = batch[i];
      look_at(object);
      if (call)
         slab_free(pool, object);
   }
}

static struct times
exchange(bool call, struct pools *pools, size_t batch, bool sibling)
{
   size_t repeats = FREES_PER_ROUND / (2 * batch);
   void **for_a = sibling ? objects + batch : objects;
   void **for_b = sibling ? objects : objects + batch;
   uint64_t allocating = 0, freeing = 0;

   for (size_t repeat = 0; repeat < repeats; repeat++) {
      uint64_t start = now();
      alloc_batch(call, &pools->a, objects, batch);
      alloc_batch(call, &pools->b, objects + batch, batch);
      uint64_t middle = now();
      free_batch(call, &pools->a, for_a, batch);
      free_batch(call, &pools->b, for_b, batch);
      freeing += now() - middle;
      allocating += middle - start;
   }

   double frees = (double)(repeats * 2 * batch);
   struct times times = {(double)freeing / frees, (double)(freeing + allocating) / frees};
   return times;
}

static struct times
one_way(bool call, struct pools *pools, size_t batch, bool sibling)
{
   size_t repeats = FREES_PER_ROUND / batch;
   uint64_t allocating = 0, freeing = 0;

   for (size_t repeat = 0; repeat < repeats; repeat++) {
      uint64_t start = now();
      alloc_batch(call, &pools->a, objects, batch);
      uint64_t middle = now();
      free_batch(call, sibling ? &pools->b : &pools->a, objects, batch);
      freeing += now() - middle;
      allocating += middle - start;
   }

   double frees = (double)(repeats * batch);
   struct times times = {(double)freeing / frees, (double)(freeing + allocating) / frees};
   return times;
}

static struct times
net(round_function *run, struct pools *pools, size_t batch, bool sibling)
{
   struct times all = run(true, pools, batch, sibling);
   struct times loop = run(false, pools, batch, sibling);
   struct times times = {all.free - loop.free, all.pair - loop.pair};
   return times;
}

struct comparison {
   struct samples same, sibling, ratio;
};

static void
compare(struct comparison *comparison, double same, double sibling)
{
   samples_add(&comparison->same, same);
   samples_add(&comparison->sibling, sibling);
   samples_add(&comparison->ratio, sibling / same);
}

static void
print_comparison(const char *what, size_t batch, const char *calls, const struct comparison *comparison)
{
   char same[MEDIAN_TEXT_SIZE], sibling[MEDIAN_TEXT_SIZE];

   samples_median_text(&comparison->same, 2, same);
   samples_median_text(&comparison->sibling, 2, sibling);
   printf("  %-10s %6zu  %-12s %8s %8s ", what, batch, calls, same, sibling);
   samples_print_ratio(&comparison->ratio,
                       samples_are_seen(&comparison->same) && samples_are_seen(&comparison->sibling));
}

static void
create(struct pools *pools)
{
   slab_create_parent(&pools->parent, ITEM_SIZE, NUM_ITEMS);
   slab_create_child(&pools->a, &pools->parent);
   slab_create_child(&pools->b, &pools->parent);
}

static void
destroy(struct pools *pools)
{
   slab_destroy_child(&pools->a);
   slab_destroy_child(&pools->b);
   slab_destroy_parent(&pools->parent);
}

static void
measure_way(const char *what, round_function *run, size_t batch)
{
   struct comparison frees, pairs;
   struct pools same, sibling;

   memset(&frees, 0, sizeof(frees));
   memset(&pairs, 0, sizeof(pairs));
   create(&same);
   create(&sibling);

   /* The first round only fills the pools. */
   for (int round = 0; round <= ROUNDS; round++) {
      struct times through_same = net(run, &same, batch, false);
      struct times through_sibling = net(run, &sibling, batch, true);

      if (round > 0) {
         compare(&frees, through_same.free, through_sibling.free);
         compare(&pairs, through_same.pair, through_sibling.pair);
      }
   }

   print_comparison(what, batch, "free", &frees);
   print_comparison(what, batch, "alloc + free", &pairs);
   destroy(&same);
   destroy(&sibling);
}

bool
measure_free(void)
{
   static const size_t batches[] = {64, 500, MAX_BATCH};
   const size_t batch_count = sizeof(batches) / sizeof(batches[0]);

   start_idle_thread();
   printf("\nFree through a sibling child against the same child: ns, medians of %d rounds;\n"
          "hidden: in a quarter of the rounds or more, the calls took no longer than the loop\n",
          ROUNDS);
   printf("  %-10s %6s  %-12s %8s %8s %8s   %s\n", "", "batch", "", "same", "sibling", "ratio",
          "middle half of the ratios");
   for (size_t i = 0; i < batch_count; i++)
      measure_way("exchange", exchange, batches[i]);
   for (size_t i = 0; i < batch_count; i++)
      measure_way("one way", one_way, batches[i]);
   return true;
}
