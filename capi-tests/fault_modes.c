/* SPDX-License-Identifier: MIT */
/* What programs do with pools in modes, for fault_run.h: modes have reasons of their own to call the system. */
#include "fault_scenarios.h"

#include "keeps_errno.h"
#include "must.h"
#include "slab_ext.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Objects on one page and on several, reused when as many wait as may, and outliving their pool. */
static void
guarded_objects_body(struct run *run)
{
   static const unsigned sizes[] = {24, 4096, 10000, 3000000};
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   size_t i, k;

   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
      slab_create_parent(&parent, sizes[i], 8);
      slab_create_child(&child, &parent);
      for (k = 0; k < 20; k++) {
         allocate(run, &child, k % 4 == 0);
         if (k % 2 == 0)
            release(run, &child, run->live.count - 1);
      }
      if (i == 0)
         use_in_a_child_process(run, &parent);
      release_half(run, &child, 0);
      for (k = 0; k < 6; k++)
         allocate(run, &child, true);
      MUST(live_intact(&run->live));
      MUST(slab_validate(&parent) == 0);
      release_all(run, &child);
      slab_destroy_child(&child);
      slab_destroy_parent(&parent);
   }
}

/* A magazine's worth at a time, of which one object each is guarded. */
static void
sampled_objects_body(struct run *run)
{
   struct slab_mempool pool;
   unsigned turn;

   slab_set_sampling(1);
   slab_create(&pool, 96, 16);
   for (turn = 0; turn < 4; turn++) {
      while (run->live.count < 1500)
         allocate(run, &pool.child, run->live.count % 16 == 0);
      MUST(live_intact(&run->live));
      release_half(run, &pool.child, 0);
   }
   release_all(run, &pool.child);
   slab_destroy(&pool);
   slab_set_sampling(0);
}

/* More records than are gathered, of more objects than there is room for at first. */
static void
a_trace_body(struct run *run)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child, sibling;
   size_t i;

   MUST(setenv("SLAB_TRACE", "/dev/null", 1) == 0);
   slab_create_parent(&parent, 96, 16);
   slab_create_child(&child, &parent);
   slab_create_child(&sibling, &parent);
   for (i = 0; i < 3000; i++)
      allocate(run, &child, i % 64 == 0);
   release_half(run, &sibling, 0);
   use_in_a_child_process(run, &parent);
   slab_destroy_child(&child);
   release_all(run, &sibling);
   slab_destroy_child(&sibling);
   slab_destroy_parent(&parent);
}

/* To a file that is there, whose beginning is read: it may be another copy's of the library. */
static void
a_trace_in_a_file_body(struct run *run)
{
   char path[] = "/tmp/slab-faults-XXXXXX";
   struct slab_mempool pool;
   int file = mkstemp(path);

   MUST(file >= 0);
   close(file);
   MUST(setenv("SLAB_TRACE", path, 1) == 0);
   slab_create(&pool, 96, 16);
   allocate(run, &pool.child, true);
   release_all(run, &pool.child);
   slab_destroy(&pool);
   MUST(unlink(path) == 0);
}

/* A double free, a pool that is destroyed with objects out, and these freed: each is said, with stacks. */
static void
reports_with_stacks_body(struct run *run)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   unsigned i;

   slab_create_parent(&parent, 96, 16);
   slab_create_child(&child, &parent);
   for (i = 0; i < 40; i++)
      allocate(run, &child, false);
   while (run->live.count > 4) {
      void *object = live_take(&run->live, run->live.count - 1);

      MUST(object);
      slab_free(&child, object);
      if (run->live.count < 6)
         slab_free(&child, object);
   }
   MUST(live_intact(&run->live));
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   slab_create_parent(&parent, 96, 16);
   slab_create_child(&child, &parent);
   release_all(run, &child);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

/* The process then ends: with a file of statistics, a trace, a handler of faults, and objects that are out. */
static void
way_out_in_modes_body(struct run *run)
{
   static struct slab_mempool traced, leaking;

   (void)run;
   MUST(setenv("SLAB_TRACE", "/dev/null", 1) == 0);
   slab_create(&traced, 96, 16);
   slab_free_st(&traced, slab_alloc_st(&traced));
   slab_destroy(&traced);
   slab_create(&leaking, 64, 16);
   MUST(slab_alloc_st(&leaking));
}

/* The stacks of calls, whose memory is reserved once; and a page of records for each pool that has them. */
enum { stacks = 8 << 20, records = 8 * 4096 };

const struct scenario guarded_objects = {"guarded objects", guarded_objects_body, "guard", false, false, 8, stacks};
const struct scenario sampled_objects = {"sampled objects", sampled_objects_body, "", false, false, 8, stacks};
const struct scenario a_trace = {"a trace", a_trace_body, "trace", false, false, 8, 0};
const struct scenario a_trace_in_a_file = {"a trace in a file", a_trace_in_a_file_body, "trace", false, false, 8, 0};
const struct scenario reports_with_stacks = {
   "reports with stacks", reports_with_stacks_body, "checks,users,leaks", false, false, 8, stacks + records,
};
const struct scenario way_out_in_modes = {
   "way out in modes", way_out_in_modes_body, "guard,trace:96;leaks,users:64", false, true, 8, 0,
};
