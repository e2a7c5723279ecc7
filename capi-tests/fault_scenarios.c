/* SPDX-License-Identifier: MIT */
/* What programs do with pools as they are, for fault_run.h. */
#include "fault_scenarios.h"

#include "keeps_errno.h"
#include "must.h"
#include "slab_ext.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
one_allocation_body(struct run *run)
{
   struct slab_mempool pool;

   slab_create(&pool, 96, 16);
   allocate(run, &pool.child, false);
   release_all(run, &pool.child);
   slab_destroy(&pool);
}

static void
growth_over_many_slabs_body(struct run *run)
{
   struct slab_mempool pool;
   size_t i;

   slab_create(&pool, 240, 64);
   while (run->live.count < most_objects)
      allocate(run, &pool.child, run->live.count % 64 == 0);
   MUST(live_intact(&run->live));
   for (i = 0; i < run->live.count; i++)
      release(run, &pool.child, i);
   while (run->live.count < most_objects)
      allocate(run, &pool.child, false);
   release_all(run, &pool.child);
   slab_destroy(&pool);
}

static void
objects_of_several_megabytes_body(struct run *run)
{
   struct slab_mempool pool;
   unsigned size, i;

   for (size = 1; size <= 5; size += 2) {
      slab_create(&pool, size << 20, 2);
      for (i = 0; i < 3; i++)
         allocate(run, &pool.child, size == 3 && i == 0);
      release(run, &pool.child, 1);
      allocate(run, &pool.child, false);
      release_all(run, &pool.child);
      slab_destroy(&pool);
   }
}

static void
two_parents_by_turns_body(struct run *run)
{
   struct slab_mempool small, large;

   slab_create(&small, 80, 64);
   slab_create(&large, 66632, 4);
   while (run->live.count < 400) {
      allocate(run, &large.child, false);
      allocate(run, &small.child, true);
   }
   MUST(live_intact(&run->live));
   release_all(run, &small.child);
   slab_destroy(&small);
   slab_destroy(&large);
}

/* The objects of each child are freed by the next but one. */
static void
children_created_and_destroyed_body(struct run *run)
{
   struct slab_parent_pool parent;
   unsigned cycle, i;

   slab_create_parent(&parent, 4000, 8);
   for (cycle = 0; cycle < 20; cycle++) {
      struct slab_child_pool child;

      slab_create_child(&child, &parent);
      for (i = 0; i < 60; i++)
         allocate(run, &child, false);
      for (i = 0; cycle >= 2 && i < 40; i++)
         release(run, &child, i);
      slab_destroy_child(&child);
   }
   MUST(live_intact(&run->live));
   slab_destroy_parent(&parent);
   {
      struct slab_child_pool zeroed;
      memset(&zeroed, 0, sizeof(zeroed));
      release_all(run, &zeroed);
   }
}

static void
name_and_print(struct run *run, struct slab_parent_pool *parent)
{
   struct slab_parent_stats parent_stats;
   struct slab_heap_stats heap_stats;
   unsigned format;

   if (slab_set_name(parent, "a pool with a name") != 0) {
      refused(run);
      MUST(slab_set_name(parent, "a pool with a name") == 0);
   }
   parent_stats.struct_size = sizeof(parent_stats);
   MUST(slab_get_parent_stats(parent, &parent_stats) == 0);
   heap_stats.struct_size = sizeof(heap_stats);
   slab_get_heap_stats(&heap_stats);
   for (format = SLAB_STATS_TABLE; format <= SLAB_STATS_JSON; format++) {
      if (slab_print_stats_fd(run->null_file, format) != 0) {
         refused(run);
         MUST(slab_print_stats_fd(run->null_file, format) == 0);
      }
   }
}

/* In bulk, and from what was put by, of which none is missing whatever fails. */
static void
use_in_bulk(struct run *run, struct slab_child_pool *child)
{
   enum { count = 700 };
   void *objects[count];
   unsigned i, got, promised;

   got = slab_alloc_bulk(child, count, objects);
   if (got < count) {
      refused(run);
      MUST(slab_alloc_bulk(child, count - got, objects + got) == count - got);
   }
   for (i = 0; i < count; i++)
      live_add(&run->live, objects[i], child->parent->item_size);
   promised = slab_prefill(child, count / 7);
   for (i = 0; i < promised; i++) {
      void *object = slab_alloc(child);

      MUST(object);
      live_add(&run->live, object, child->parent->item_size);
   }
   for (i = 0; i < count; i++)
      objects[i] = i % 9 ? live_take(&run->live, run->live.count / 2) : NULL;
   slab_free_bulk(child, count, objects);
}

/* With a name, for which there may be no memory, and an alignment, which objects have all the same. */
static void
create_with_options(struct run *run, struct slab_parent_pool *parent, unsigned item_size, unsigned alignment)
{
   struct slab_options options;

   memset(&options, 0, sizeof(options));
   options.struct_size = sizeof(options);
   options.item_size = item_size;
   options.alignment = alignment;
   options.name = "aligned";
   if (slab_create_parent_with(parent, &options) != 0) {
      refused(run);
      MUST(parent->num_elements == 0);
      MUST(slab_create_parent_with(parent, &options) == 0);
   }
}

/* Frees the objects as they are visited. */
static int
visit(void *data, void *object)
{
   struct run *run = (struct run *)data;

   MUST(live_take_at(&run->live, object) == object);
   slab_free(run->visitor, object);
   return 0;
}

/* Moves an object; where there is no memory, it stays. */
static int
move(void *data, void *object)
{
   struct run *run = (struct run *)data;
   size_t size = run->visitor->parent->item_size;
   void *moved = slab_alloc(run->visitor);

   if (!moved)
      return 0;
   MUST(live_take_at(&run->live, object) == object);
   live_add(&run->live, moved, size);
   return 1;
}

/* Of the pool's objects, which are all that are live, and no child of it is in use. */
static void
shrink(struct run *run, struct slab_parent_pool *parent)
{
   size_t count = run->live.count;
   struct slab_child_pool mover;

   slab_create_child(&mover, parent);
   run->visitor = &mover;
   slab_shrink(parent, move, run);
   slab_destroy_child(&mover);
   MUST(run->live.count == count);
   MUST(live_intact(&run->live) && live_apart(&run->live));
}

/* By pointer: of the pool's objects, which are all that are live, and no child of it is in use. */
static void
visit_all(struct run *run, struct slab_parent_pool *parent)
{
   size_t count = run->live.count, i;
   struct slab_child_pool visitor;

   for (i = 0; i < count; i++) {
      MUST(slab_is_object(parent, run->live.objects[i].ptr) && slab_is_object(NULL, run->live.objects[i].ptr));
      MUST(slab_object_size(run->live.objects[i].ptr) == run->live.objects[i].size);
   }
   slab_create_child(&visitor, parent);
   run->visitor = &visitor;
   MUST(slab_for_each_object(parent, visit, run) == count);
   MUST(run->live.count == 0);
   slab_destroy_child(&visitor);
}

/* Objects of which only the ends are looked at, as contents in all would take much of the time. */
static void
use_more_than_may_be_dirty(struct run *run, struct slab_child_pool *child)
{
   unsigned *objects[200];
   unsigned i, last = child->parent->item_size / sizeof(unsigned) - 1;

   for (i = 0; i < 200; i++) {
      objects[i] = (unsigned *)slab_alloc(child);
      if (!objects[i]) {
         refused(run);
         objects[i] = (unsigned *)slab_alloc(child);
         MUST(objects[i]);
      }
      objects[i][0] = objects[i][last] = i;
   }
   for (i = 0; i < 200; i++) {
      MUST(objects[i][0] == i && objects[i][last] == i);
      slab_free(child, objects[i]);
   }
}

/* Every function of both headers, and every reason to call the system. */
static void
everything_body(struct run *run)
{
   struct slab_parent_pool parent, doomed;
   struct slab_child_pool child, sibling, of_doomed;
   struct slab_mempool medium, large;
   size_t i;

   slab_create_parent(&parent, 600, 32);
   slab_create_parent(&doomed, 4000, 8);
   slab_create(&medium, 40000, 8);
   slab_create(&large, 1100000, 1);
   slab_create_child(&child, &parent);
   slab_create_child(&sibling, &parent);
   slab_create_child(&of_doomed, &doomed);

   /* The objects of a destroyed pool, freed through one that is created in its place. */
   for (i = 0; i < 50; i++)
      allocate(run, &of_doomed, i % 8 == 0);
   name_and_print(run, &doomed);
   slab_destroy_child(&of_doomed);
   slab_destroy_parent(&doomed);
   slab_create_parent(&doomed, 100, 8);
   slab_create_child(&of_doomed, &doomed);
   release_half(run, &of_doomed, 0);
   release_all(run, &of_doomed);
   slab_destroy_child(&of_doomed);
   slab_destroy_parent(&doomed);

   create_with_options(run, &doomed, 5000, 16384);
   slab_create_child(&of_doomed, &doomed);
   for (i = 0; i < 20; i++) {
      allocate(run, &of_doomed, i % 8 == 0);
      MUST((size_t)run->live.objects[i].ptr % 16384 == 0);
   }
   release_all(run, &of_doomed);
   slab_destroy_child(&of_doomed);
   slab_destroy_parent(&doomed);

   for (i = 0; i < 1000; i++)
      allocate(run, &child, i % 64 == 0);
   use_more_than_may_be_dirty(run, &medium.child);
   for (i = 0; i < 3; i++)
      allocate(run, &large.child, false);
   use_in_a_child_process(run, &parent);
   release_half(run, &sibling, 0);
   slab_trim_child(&sibling);
   slab_trim_parent(&parent);
   slab_trim_heap();

   /* The decay time passes, and what is free then goes back on slow paths. */
   release_half(run, &sibling, 0);
   for (i = 0; i < 8; i++) {
      os_pass_time(11);
      slab_trim_child(&sibling);
      allocate(run, &sibling, false);
   }
   release_all(run, &sibling);
   slab_destroy_child(&child);
   slab_destroy_child(&sibling);

   /* One child at a time, for which the heap keeps what the last one leaves. */
   for (i = 0; i < 3; i++) {
      slab_create_child(&child, &parent);
      allocate(run, &child, false);
      release_all(run, &child);
      slab_destroy_child(&child);
      os_pass_time(6);
   }
   slab_set_decay(0);
   slab_create_child(&child, &parent);
   allocate(run, &child, true);
   release_all(run, &child);
   slab_destroy_child(&child);
   slab_set_decay(10);

   slab_create_child(&child, &parent);
   for (i = 0; i < 50; i++)
      allocate(run, &child, false);
   use_in_bulk(run, &child);
   release_half(run, &child, 0);
   release_half(run, &child, 0);
   slab_destroy_child(&child);
   shrink(run, &parent);
   visit_all(run, &parent);

   MUST(slab_validate(&parent) == 0);
   slab_destroy_parent(&parent);
   slab_destroy(&medium);
   slab_destroy(&large);
}

static struct slab_sizes *
sizes_made(struct run *run)
{
   struct slab_options options;
   struct slab_sizes *sizes;

   memset(&options, 0, sizeof(options));
   options.struct_size = sizeof(options);
   options.name = "sizes";
   sizes = slab_create_sizes(&options);
   if (!sizes) {
      refused(run);
      sizes = slab_create_sizes(&options);
      MUST(sizes);
   }
   return sizes;
}

static struct slab_sizes_child *
sizes_child_made(struct run *run, struct slab_sizes *sizes)
{
   struct slab_sizes_child *child = slab_create_sizes_child(sizes);

   if (!child) {
      refused(run);
      child = slab_create_sizes_child(sizes);
      MUST(child);
   }
   return child;
}

static void
allocate_bytes(struct run *run, struct slab_sizes_child *child, size_t bytes)
{
   void *object = slab_sizes_alloc(child, bytes);

   if (!object) {
      refused(run);
      object = slab_sizes_alloc(child, bytes);
      MUST(object);
   }
   live_add(&run->live, object, slab_sizes_size(object));
}

/* Objects of one set of sizes go back through children that have no memory yet to keep them in. */
static void
objects_of_any_size_body(struct run *run)
{
   struct slab_sizes *sizes = sizes_made(run);
   struct slab_sizes_child *a = sizes_child_made(run, sizes), *b;
   size_t bytes;

   for (bytes = 1; bytes < 3 << 20; bytes += bytes / 2 + 1) {
      allocate_bytes(run, a, bytes);
      allocate_bytes(run, a, bytes / 7);
   }
   MUST(live_apart(&run->live) && live_intact(&run->live));
   b = sizes_child_made(run, sizes);
   while (run->live.count > 0) {
      void *object = live_take(&run->live, run->live.count - 1);

      MUST(object);
      slab_sizes_free(b, object);
   }
   allocate_bytes(run, b, 100);
   slab_sizes_free(a, live_take(&run->live, 0));
   slab_destroy_sizes_child(a);
   slab_destroy_sizes_child(b);
   slab_destroy_sizes(sizes);
}

static void
allocate_shared(struct run *run, struct slab_shared_pool *pool, bool zeroed)
{
   void *object = zeroed ? slab_shared_zalloc(pool) : slab_shared_alloc(pool);

   if (!object) {
      refused(run);
      object = zeroed ? slab_shared_zalloc(pool) : slab_shared_alloc(pool);
      MUST(object);
   }
   live_add(&run->live, object, 120);
}

static void
objects_for_any_thread_body(struct run *run)
{
   struct slab_shared_pool *pool;
   struct slab_options options;
   size_t i;

   memset(&options, 0, sizeof(options));
   options.struct_size = sizeof(options);
   options.item_size = 120;
   options.num_items = 16;
   options.name = "shared";
   pool = slab_create_shared(&options);
   if (!pool) {
      refused(run);
      pool = slab_create_shared(&options);
      MUST(pool);
   }
   for (i = 0; i < 1500; i++)
      allocate_shared(run, pool, i % 5 == 0);
   MUST(live_apart(&run->live) && live_intact(&run->live));
   for (i = 0; i < 700; i++)
      slab_shared_free(pool, live_take(&run->live, i));
   for (i = 0; i < 100; i++)
      allocate_shared(run, pool, false);
   MUST(live_intact(&run->live));
   while (run->live.count > 0)
      slab_shared_free(pool, live_take(&run->live, run->live.count - 1));
   slab_destroy_shared(pool);
   /* So that a chunk is released: whether one that is reserved has to be trimmed is the kernel's choice. */
   slab_trim_heap();
}

/* The process then ends in the usual way, so that the library is unloaded, or its destructors run. */
static void
way_out_body(struct run *run)
{
   struct slab_mempool pool;

   (void)run;
   slab_create(&pool, 96, 16);
   slab_free_st(&pool, slab_alloc_st(&pool));
   slab_set_name(&pool.parent, "named");
   slab_destroy(&pool);
}

const struct scenario one_allocation = {"one allocation", one_allocation_body, NULL, true, false, 8, 0};
const struct scenario growth_over_many_slabs = {
   "growth over many slabs", growth_over_many_slabs_body, NULL, true, false, 8, 0};
const struct scenario objects_of_several_megabytes = {
   "objects of several megabytes", objects_of_several_megabytes_body, NULL, true, false, 8, 0};
const struct scenario two_parents_by_turns = {
   "two parents by turns", two_parents_by_turns_body, NULL, true, false, 8, 0};
const struct scenario children_created_and_destroyed = {
   "children created and destroyed", children_created_and_destroyed_body, NULL, true, false, 8, 0};
const struct scenario everything = {"everything", everything_body, NULL, true, false, 8, 0};
const struct scenario objects_of_any_size = {"objects of any size", objects_of_any_size_body, NULL, true, false, 49, 0};
const struct scenario objects_for_any_thread = {
   "objects for any thread", objects_for_any_thread_body, NULL, true, false, 8, 0};
const struct scenario way_out = {"way out", way_out_body, NULL, false, true, 8, 0};
