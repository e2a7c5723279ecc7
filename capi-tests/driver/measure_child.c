/* SPDX-License-Identifier: MIT */
#include "idle_thread.h"
#include "measure.h"
#include "old_pool.h"
#include "samples.h"
#include "slab.h"

#include <stdint.h>
#include <stdio.h>

/*
 * The short life of a context's pool: create, three allocations, three frees, destroy. This library
 * makes a child of a parent that stays; the pool as it was before 2016 is made anew with its pages.
 * A life that does nothing, with the same calls, is subtracted from both.
 *
 * The lives follow each other with no other child at all, where the parent gives everything back each
 * time; beside a child that is idle but keeps the parent supplied; or several at once, as submits that
 * are in flight: the oldest ends after the newest has begun.
 */

enum { ROUNDS = 25, LIVES_PER_ROUND = 20000, OBJECTS = 3, MAX_IN_FLIGHT = 8 };

union pool {
   struct slab_child_pool child;
   struct old_pool old;
};

struct kind {
   void (*create)(union pool *pool, struct slab_parent_pool *parent);
   void *(*alloc)(union pool *pool);
   void (*free)(union pool *pool, void *object);
   void (*destroy)(union pool *pool);
};

static void
child_create(union pool *pool, struct slab_parent_pool *parent)
{
   slab_create_child(&pool->child, parent);
}

static void *
child_alloc(union pool *pool)
{
   return slab_alloc(&pool->child);
}

static void
child_free(union pool *pool, void *object)
{
   slab_free(&pool->child, object);
}

static void
child_destroy(union pool *pool)
{
   slab_destroy_child(&pool->child);
}

/* The parent only says how large and how many. */
static void
old_create(union pool *pool, struct slab_parent_pool *parent)
{
   old_pool_create(&pool->old, parent->item_size, parent->num_elements);
}

static void *
old_alloc(union pool *pool)
{
   return old_pool_alloc(&pool->old);
}

static void
old_free(union pool *pool, void *object)
{
   old_pool_free(&pool->old, object);
}

static void
old_destroy(union pool *pool)
{
   old_pool_destroy(&pool->old);
}

static void
null_create(union pool *pool, struct slab_parent_pool *parent)
{
   (void)pool, (void)parent;
}

static void *
null_alloc(union pool *pool)
{
   return pool;
}

static void
null_free(union pool *pool, void *object)
{
   (void)pool, (void)object;
}

static void
null_destroy(union pool *pool)
{
   (void)pool;
}

static const struct kind child_kind = {child_create, child_alloc, child_free, child_destroy};
static const struct kind old_kind = {old_create, old_alloc, old_free, old_destroy};
static const struct kind null_kind = {null_create, null_alloc, null_free, null_destroy};

struct life {
   union pool pool;
   void *objects[OBJECTS];
};

static void
begin(const struct kind *kind, struct life *life, struct slab_parent_pool *parent)
{
   kind->create(&life->pool, parent);
   for (int i = 0; i < OBJECTS; i++)
      life->objects[i] = kind->alloc(&life->pool);
}

static void
end(const struct kind *kind, struct life *life)
{
   for (int i = 0; i < OBJECTS; i++)
      kind->free(&life->pool, life->objects[i]);
   kind->destroy(&life->pool);
}

/* ns per life; in_flight is a power of two. */
static double
time_lives(const struct kind *kind, struct slab_parent_pool *parent, unsigned in_flight)
{
   struct life lives[MAX_IN_FLIGHT];
   uint64_t start = now();

   for (unsigned i = 0; i < LIVES_PER_ROUND + in_flight - 1; i++) {
      if (i < LIVES_PER_ROUND)
         begin(kind, &lives[i & (in_flight - 1)], parent);
      if (i + 1 >= in_flight)
         end(kind, &lives[(i + 1) & (in_flight - 1)]);
   }
   return (double)(now() - start) / LIVES_PER_ROUND;
}

struct company {
   const char *name;
   unsigned in_flight;
   bool idle_child;
};

static void
measure_lives(unsigned item_size, unsigned num_items, struct company company)
{
   struct samples library = {0, {0}}, old = {0, {0}}, ratio = {0, {0}};
   struct slab_parent_pool parent;
   struct slab_child_pool idle;

   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&idle, &parent);
   if (company.idle_child)
      slab_free(&idle, slab_alloc(&idle));

   /* The first round only brings code and memory in. */
   for (int round = 0; round <= ROUNDS; round++) {
      double nothing = time_lives(&null_kind, &parent, company.in_flight);
      double library_ns = time_lives(&child_kind, &parent, company.in_flight) - nothing;
      double old_ns = time_lives(&old_kind, &parent, company.in_flight) - nothing;

      if (round > 0) {
         samples_add(&library, library_ns);
         samples_add(&old, old_ns);
         samples_add(&ratio, library_ns / old_ns);
      }
   }

   slab_destroy_child(&idle);
   slab_destroy_parent(&parent);

   char library_text[MEDIAN_TEXT_SIZE], old_text[MEDIAN_TEXT_SIZE];

   samples_median_text(&library, 1, library_text);
   samples_median_text(&old, 1, old_text);
   printf("  %4u x %-4u %-12s %9s %9s ", item_size, num_items, company.name, library_text, old_text);
   samples_print_ratio(&ratio, samples_are_seen(&library) && samples_are_seen(&old));
}

bool
measure_child(void)
{
   static const struct company companies[] = {
      {"idle child", 1, true},
      {"none", 1, false},
      {"7 in flight", MAX_IN_FLIGHT, false},
   };

   start_idle_thread();
   printf("\nChild create, three allocations, three frees, destroy, against a pool with malloc'ed "
          "pages:\nns per life, medians of %d rounds\n",
          ROUNDS);
   printf("  %-11s %-12s %9s %9s %8s   %s\n", "bytes x num", "others", "library", "old pool", "ratio",
          "middle half of the ratios");
   for (size_t i = 0; i < sizeof(companies) / sizeof(companies[0]); i++) {
      measure_lives(96, 64, companies[i]);
      measure_lives(88, 16, companies[i]);
   }
   return true;
}
