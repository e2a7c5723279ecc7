/* SPDX-License-Identifier: MIT */
#include "fault_run.h"

#include "child_process.h"
#include "cmocka_case.h"
#include "fault_scenarios.h"
#include "iterations.h"
#include "keeps_errno.h"
#include "must.h"
#include "slab_ext.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * So many calls of a scenario fail at most, evenly spread, and the first of each site. If the test is not thorough,
 * no call fails once each site that was reached has failed.
 */
static unsigned most_failed = ITERATIONS(4, 1);
static bool thorough;

/* What all runs of a function have come to. */
struct total {
   struct os_site sites[os_most_sites];
   unsigned site_count, calls, runs, refused;
};

static struct total totals[os_functions];
static struct outcome *shared_outcome;
static int null_file;

/* Whether the library keeps records of objects: of those that wait. */
static bool
has_records(void)
{
   const char *words = getenv("SLAB_DEBUG");

   return words && strstr(words, "quarantine");
}

/* A page for each pool that had records at the same time. */
size_t
most_kept(unsigned pools)
{
   return has_records() ? (size_t)pools * 4096 : 0;
}

void
refused(struct run *run)
{
   run->outcome->refused++;
   MUST(os_calls_failed(run->function) > 0);
   MUST(live_intact(&run->live));
   os_fail_nothing();
}

void
allocate(struct run *run, struct slab_child_pool *child, bool zeroed)
{
   unsigned size = child->parent->item_size;
   void *object = zeroed ? slab_zalloc(child) : slab_alloc(child);

   if (!object) {
      refused(run);
      object = zeroed ? slab_zalloc(child) : slab_alloc(child);
      MUST(object);
   }
   if (zeroed) {
      const unsigned char *bytes = (const unsigned char *)object;
      MUST(bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
   }
   live_add(&run->live, object, size);
}

void
release(struct run *run, struct slab_child_pool *child, size_t index)
{
   void *object = live_take(&run->live, index);

   MUST(object);
   slab_free(child, object);
}

void
release_all(struct run *run, struct slab_child_pool *child)
{
   MUST(live_apart(&run->live));
   while (run->live.count > 0)
      release(run, child, run->live.count - 1);
}

void
release_half(struct run *run, struct slab_child_pool *child, size_t first)
{
   size_t i;

   for (i = first; i < run->live.count; i++)
      release(run, child, i);
}

void
use_in_a_child_process(struct run *run, struct slab_parent_pool *parent)
{
   pid_t pid = fork();
   int status;

   MUST(pid >= 0);
   if (pid == 0) {
      struct slab_child_pool child;

      slab_create_child(&child, parent);
      allocate(run, &child, false);
      MUST(live_intact(&run->live));
      release(run, &child, run->live.count - 1);
      slab_destroy_child(&child);
      MUST(slab_validate(parent) == 0);
      _exit(0);
   }
   MUST(waitpid(pid, &status, 0) == pid && status == 0);
}

static void
run_body(void *arg)
{
   struct run *run = (struct run *)arg;
   struct slab_heap_stats heap;

   if (run->scenario->debug)
      MUST(setenv("SLAB_DEBUG", run->scenario->debug, 1) == 0);
   live_create(&run->live, most_objects);
   /* The last run's failures are over; the memory that is counted from now on is this process's. */
   os_count_from_here();
   if (run->scenario->way_out) {
      run->scenario->body(run);
      os_count_from_here();
   }
   if (run->fail_number)
      os_fail_call(run->function, run->fail_number, run->sticky);
   if (run->scenario->way_out)
      exit(0);
   run->scenario->body(run);
   MUST(run->live.count == 0);
   MUST(slab_validate(NULL) == 0);
   run->outcome->made = os_calls_made(run->function);
   run->outcome->failed = os_calls_failed(run->function);

   /* With the system well again, everything works and nothing stays. */
   os_fail_nothing();
   children_created_and_destroyed.body(run);
   slab_trim_heap();
   MUST(slab_validate(NULL) == 0);
   heap.struct_size = sizeof(heap);
   slab_get_heap_stats(&heap);
   MUST(heap.mapped == 0 && heap.object_slabs == 0);
   live_destroy(&run->live);
   /* What modes have taken goes when the library is unloaded. */
   if (run->scenario->debug)
      exit(0);
}

/* Adds the sites of the last run to those of all. */
static void
note_sites(enum os_function function)
{
   struct total *total = &totals[function];
   const struct os_site *sites;
   unsigned count = os_call_sites(function, &sites);
   unsigned i, k;

   for (i = 0; i < count; i++) {
      for (k = 0; k < total->site_count && total->sites[k].address != sites[i].address; k++)
         ;
      MUST(k < os_most_sites);
      if (k == total->site_count)
         total->sites[total->site_count++] = sites[i];
      else
         total->sites[k].failed += sites[i].failed;
   }
}

struct outcome
run_scenario(const struct scenario *scenario, enum os_function function, unsigned fail_number, bool sticky)
{
   struct child_process child;
   struct run run;

   memset(&run, 0, sizeof(run));
   run.scenario = scenario;
   run.function = function;
   run.fail_number = fail_number;
   run.sticky = sticky;
   run.outcome = shared_outcome;
   run.null_file = null_file;
   memset(run.outcome, 0, sizeof(*run.outcome));
   /* Not what fork() itself calls. */
   os_fail_nothing();
   if (!child_run(&child, run_body, &run))
      fail_msg("%s: call %u%s of %s was failed", scenario->name, fail_number, sticky ? " and all after it" : "",
               os_function_name(function));
   if (scenario->way_out) {
      run.outcome->made = os_calls_made(function);
      run.outcome->failed = os_calls_failed(function);
   }
   run.outcome->held = os_bytes_held();
   note_sites(function);
   return *run.outcome;
}

struct alone {
   void (*body)(struct run *run);
   struct run run;
};

static void
alone_body(void *arg)
{
   struct alone *alone = (struct alone *)arg;

   alone->body(&alone->run);
}

void
run_alone(void (*body)(struct run *run))
{
   struct child_process child;
   struct alone alone;

   memset(&alone, 0, sizeof(alone));
   alone.body = body;
   alone.run.function = os_mmap;
   alone.run.outcome = shared_outcome;
   assert_true(child_run(&child, alone_body, &alone));
}

/* Whether a call site has not failed yet that was come to, be it only after another call had failed. */
static bool
anything_left(const struct total *total)
{
   unsigned i;

   for (i = 0; i < total->site_count; i++) {
      if (total->sites[i].failed == 0)
         return true;
   }
   return false;
}

/* The calls to fail: 1 in each of `chosen` that is one of them. In modes, most of the many calls are alike. */
static void
choose(const struct scenario *scenario, enum os_function function, unsigned made, unsigned char *chosen)
{
   unsigned most = scenario->debug ? most_failed / 4 + 1 : most_failed;
   unsigned step = (made + most - 1) / most;
   const struct os_site *sites;
   unsigned count = os_call_sites(function, &sites);
   unsigned i;

   if (!thorough && !anything_left(&totals[function]))
      return;
   for (i = 0; i < made; i += step)
      chosen[i] = 1;
   for (i = 0; i < count; i++) {
      if (sites[i].first <= made)
         chosen[sites[i].first - 1] = 1;
   }
}

void
fail_each_call(enum os_function function, const struct scenario *scenario)
{
   struct outcome plain = run_scenario(scenario, function, 0, false);
   const struct os_site *sites;
   unsigned site_count = os_call_sites(function, &sites);
   struct total *total = &totals[function];
   unsigned number, runs = 0, refusals = 0, unreached = 0;
   unsigned char *chosen = (unsigned char *)calloc(plain.made + 1, 1);

   MUST(chosen);
   /* Otherwise the library does not call it by this name and nothing below would be a test. */
   assert_true(plain.made > 0);
   assert_int_equal(plain.failed + plain.refused, 0);
   assert_true(scenario->way_out || plain.held <= most_kept(scenario->pools) + scenario->kept);
   choose(scenario, function, plain.made, chosen);

   for (number = 1; number <= plain.made; number++) {
      struct outcome once, all;

      if (!chosen[number - 1])
         continue;
      once = run_scenario(scenario, function, number, false);
      all = run_scenario(scenario, function, number, true);
      /*
       * The kernel may choose other addresses than before, for which there is less to trim; and the hardened build
       * other slots, for which other pages become free.
       */
      if (once.failed == 0 || all.failed == 0) {
         unreached++;
         continue;
      }
      assert_int_equal(once.failed, 1);
      /* Without memory, some call must have said so; not if it was for records, which the library does without. */
      assert_true(all.refused >= 1 || function != os_mmap || !scenario->needs_memory || has_records());
      if (!scenario->way_out) {
         assert_true(once.held <= most_kept(scenario->pools) + scenario->kept);
         assert_true(all.held <= most_kept(scenario->pools) + scenario->kept);
      }
      runs += 2;
      refusals += (once.refused > 0) + (all.refused > 0);
   }
   free(chosen);
   assert_true(unreached <= runs / 8);
#ifndef HARDENED
   assert_true(unreached == 0 || function == os_munmap);
#endif
   total->calls += plain.made;
   total->runs += runs;
   total->refused += refusals;
   print_message("%-22s %-32s %5u sites %5u calls %5u runs %5u refused %5u unaffected\n", os_function_name(function),
                 scenario->name, site_count, plain.made, runs, refusals, runs - refusals);
}

void
note_unaffected_run(enum os_function function)
{
   struct total *total = &totals[function];

   total->calls++;
   total->runs++;
   total->sites[0].failed++;
   total->site_count = 1;
}

void
runs_end(void **state)
{
   struct total all;
   unsigned function, i, unfailed = 0;

   (void)state;
   memset(&all, 0, sizeof(all));
   print_message("\n| function | call sites | calls | runs with failures | refused | unaffected |\n");
   for (function = 0; function < os_functions; function++) {
      const struct total *total = &totals[function];

      print_message("| `%s` | %u | %u | %u | %u | %u |\n", os_function_name((enum os_function)function),
                    total->site_count, total->calls, total->runs, total->refused, total->runs - total->refused);
      for (i = 0; i < total->site_count; i++) {
         if (total->sites[i].failed == 0) {
            print_message("not failed: %s at %p\n", os_function_name((enum os_function)function),
                          total->sites[i].address);
            unfailed++;
         }
      }
      all.site_count += total->site_count;
      all.calls += total->calls;
      all.runs += total->runs;
      all.refused += total->refused;
   }
   print_message("| all | %u | %u | %u | %u | %u |\n", all.site_count, all.calls, all.runs, all.refused,
                 all.runs - all.refused);
   assert_int_equal(unfailed, 0);
}

void
runs_begin(void)
{
   void *page = mmap(NULL, sizeof(*shared_outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

   thorough = getenv("SLAB_TEST_THOROUGH") != NULL;
   if (thorough)
      most_failed = 50;
   MUST(page != MAP_FAILED);
   shared_outcome = (struct outcome *)page;
   null_file = open("/dev/null", O_WRONLY);
   MUST(null_file >= 0);
   os_share_counts();
}
