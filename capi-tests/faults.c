/* SPDX-License-Identifier: MIT */
/*
 * Each call of the library to the system fails: in every scenario the first call of a function, then
 * the second, and so on until one more than the scenario makes; each once with only that call failing
 * and once with all later ones failing as well. Every run is in a process of its own, in which the
 * library has not been used before.
 *
 * A call of the library may then be refused (NULL, or -1), which must not change anything: every object
 * still has its contents, and with the failing switched off the same call must succeed. In the end
 * nothing may be left: no object, no mapping.
 *
 * pthread_mutex_lock and pthread_mutex_unlock are not among them: they cannot fail for an initialised
 * mutex of the default kind that this thread does not, or does, hold.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "iterations.h"
#include "live_objects.h"
#include "must.h"
#include "os_requests.h"
#include "slab.h"
#include "slab_ext.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { most_objects = ITERATIONS(40000, 10000) };

/* What a run found out, in memory that it shares with the process that started it. */
struct outcome {
   unsigned made, failed, refused;
};

struct run {
   void (*scenario)(struct run *run);
   enum os_function function;
   unsigned fail_number; /* 0: nothing fails */
   bool sticky;
   struct live_objects live;
   struct outcome *outcome;
};

static const char *program;
static struct outcome *shared_outcome;
static int null_file;

/* Whether the library keeps records of objects: of those that wait. */
static bool
has_records(void)
{
   const char *words = getenv("SLAB_DEBUG");

   return words && strstr(words, "quarantine");
}

/* Bytes that may stay mapped when all pools are gone: a page for each that had records at the same time. */
static size_t
most_kept(void)
{
   return has_records() ? 8 * 4096 : 0;
}

/* Called after a refusal, before the call is made again. */
static void
refused(struct run *run)
{
   run->outcome->refused++;
   MUST(os_calls_failed(run->function) > 0);
   MUST(live_intact(&run->live));
   os_fail_nothing();
}

static void
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

static void
release(struct run *run, struct slab_child_pool *child, size_t index)
{
   void *object = live_take(&run->live, index);

   MUST(object);
   slab_free(child, object);
}

static void
release_all(struct run *run, struct slab_child_pool *child)
{
   MUST(live_apart(&run->live));
   while (run->live.count > 0)
      release(run, child, run->live.count - 1);
}

static void
one_allocation(struct run *run)
{
   struct slab_mempool pool;

   slab_create(&pool, 96, 16);
   allocate(run, &pool.child, false);
   release_all(run, &pool.child);
   slab_destroy(&pool);
}

static void
growth_over_many_slabs(struct run *run)
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
objects_of_several_megabytes(struct run *run)
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
two_parents_by_turns(struct run *run)
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
children_created_and_destroyed(struct run *run)
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

/* Every second object of those from first on, the others staying. */
static void
release_half(struct run *run, struct slab_child_pool *child, size_t first)
{
   size_t i;

   for (i = first; i < run->live.count; i++)
      release(run, child, i);
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
      if (slab_print_stats_fd(null_file, format) != 0) {
         refused(run);
         MUST(slab_print_stats_fd(null_file, format) == 0);
      }
   }
}

/* The child process has the pools as they were, and leaves them so for its parent. */
static void
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
everything(struct run *run)
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

   MUST(slab_validate(&parent) == 0);
   slab_destroy_parent(&parent);
   slab_destroy(&medium);
   slab_destroy(&large);
}

static void
run_body(void *arg)
{
   struct run *run = (struct run *)arg;
   struct slab_heap_stats heap;

   live_create(&run->live, most_objects);
   os_count_from_here();
   if (run->fail_number)
      os_fail_call(run->function, run->fail_number, run->sticky);
   run->scenario(run);
   MUST(run->live.count == 0);
   MUST(slab_validate(NULL) == 0);
   run->outcome->made = os_calls_made(run->function);
   run->outcome->failed = os_calls_failed(run->function);

   /* With the system well again, everything works and nothing stays. */
   os_fail_nothing();
   children_created_and_destroyed(run);
   slab_trim_heap();
   MUST(slab_validate(NULL) == 0);
   heap.struct_size = sizeof(heap);
   slab_get_heap_stats(&heap);
   MUST(heap.mapped == 0 && heap.object_slabs == 0);
   MUST(os_bytes_held() <= most_kept());
   live_destroy(&run->live);
}

/* Ends the process in the usual way, so that the library is unloaded, or its destructors run. */
static void
exit_body(void *arg)
{
   struct run *run = (struct run *)arg;
   struct slab_mempool pool;

   MUST(setenv("SLAB_STATS", "/dev/null", 1) == 0);
   slab_create(&pool, 96, 16);
   slab_free_st(&pool, slab_alloc_st(&pool));
   slab_set_name(&pool.parent, "named");
   os_count_from_here();
   if (run->fail_number)
      os_fail_call(run->function, run->fail_number, run->sticky);
   slab_destroy(&pool);
   exit(0);
}

static struct outcome
run_scenario(void (*scenario)(struct run *run), enum os_function function, unsigned fail_number, bool sticky)
{
   struct child_process child;
   struct run run;
   void (*body)(void *arg) = scenario ? run_body : exit_body;

   memset(&run, 0, sizeof(run));
   run.scenario = scenario;
   run.function = function;
   run.fail_number = fail_number;
   run.sticky = sticky;
   run.outcome = shared_outcome;
   memset(run.outcome, 0, sizeof(*run.outcome));
   if (!child_run(&child, body, &run))
      fail_msg("call %u%s of function %u was failed", fail_number, sticky ? " and all after it" : "", function);
   if (!scenario) {
      run.outcome->made = os_calls_made(function);
      run.outcome->failed = os_calls_failed(function);
   }
   return *run.outcome;
}

enum { most_children = 3000 };

/*
 * Frees when there is no memory at all, not even for a magazine: through a child whose only magazine is
 * full, so that the objects go straight into their slabs.
 */
static void
free_without_memory_body(void *arg)
{
   static struct slab_child_pool children[most_children];
   struct run *run = (struct run *)arg;
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct slab_mempool pages;
   unsigned i, count = 0;
   void *object;

   live_create(&run->live, most_objects);
   os_count_from_here();
   slab_create_parent(&parent, 96, 16);
   slab_create_child(&children[0], &parent);
   for (i = 0; i < 400; i++)
      allocate(run, &children[0], false);
   slab_create_child(&child, &parent);
   allocate(run, &child, false);

   /* Takes every page, and then every magazine and every object that is left. */
   os_fail_request(1, true);
   slab_create(&pages, 4096, 1);
   while ((object = slab_alloc_st(&pages)) != NULL)
      live_add(&run->live, object, 4096);
   do {
      MUST(++count < most_children);
      slab_create_child(&children[count], &parent);
      while ((object = slab_alloc(&children[count])) != NULL)
         live_add(&run->live, object, 96);
   } while (children[count].top);

   MUST(slab_set_name(&parent, "no room") == -1);

   /* Not so many that a slab is empty, which would be memory. */
   for (i = 0; i < 140; i++)
      release(run, &child, i);
   /* In a magazine, where there are any: not if pools have modes. */
   MUST(!child.mask || (child.top && !child.previous));
   MUST(slab_validate(&parent) == 0);
   MUST(live_intact(&run->live));
   os_fail_nothing();
   MUST(slab_set_name(&parent, NULL) == 0);
   release_all(run, &child);
   for (i = 0; i <= count; i++)
      slab_destroy_child(&children[i]);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   slab_destroy(&pages);
   slab_trim_heap();
   MUST(slab_validate(NULL) == 0);
   MUST(os_bytes_held() <= most_kept());
   live_destroy(&run->live);
}

static void
free_needs_no_memory(void **state)
{
   struct child_process child;
   struct run run;

   (void)state;
   memset(&run, 0, sizeof(run));
   run.function = os_mmap;
   run.outcome = shared_outcome;
   assert_true(child_run(&child, free_without_memory_body, &run));
}

/*
 * So many calls of a scenario fail at most, evenly spread; that is every one but for the clock's. Fewer
 * where the program is compiled once more in another way.
 */
#if defined(__cplusplus) || defined(SLAB_INLINE) || __STDC_VERSION__ > 201112L
static const unsigned most_failed = 4;
#else
static const unsigned most_failed = ITERATIONS(50, 1);
#endif

/* Fails the calls of a function, those of the way out if there is no scenario. */
static void
fail_each_call(enum os_function function, const char *name, void (*scenario)(struct run *run),
               const char *scenario_name)
{
   struct outcome plain = run_scenario(scenario, function, 0, false);
   unsigned sites = os_call_sites(function);
   unsigned step = (plain.made + most_failed - 1) / most_failed;
   unsigned number, runs = 0, refusals = 0, unreached = 0;

   /* Otherwise the library does not call it by this name and nothing below would be a test. */
   assert_true(plain.made > 0);
   assert_int_equal(plain.failed + plain.refused, 0);

   for (number = 1; number <= plain.made; number += step) {
      struct outcome once = run_scenario(scenario, function, number, false);
      struct outcome all = run_scenario(scenario, function, number, true);

      /*
       * The kernel may choose other addresses than before, for which there is less to trim; and the hardened build
       * other slots, for which other pages become free.
       */
      if (once.failed == 0 || all.failed == 0) {
         unreached++;
         continue;
      }
      assert_int_equal(once.failed, 1);
      /* With no memory to be had, some call must have said so; not if it was for records, which are done without. */
      assert_true(all.refused >= 1 || function != os_mmap || has_records());
      runs += 2;
      refusals += (once.refused > 0) + (all.refused > 0);
   }
   assert_true(unreached <= runs / 8);
#ifndef HARDENED
   assert_true(unreached == 0 || function == os_munmap);
#endif
   print_message("%-22s %-30s %5u sites %5u calls %5u runs %5u refused %5u unaffected\n", name,
                 scenario_name, sites, plain.made, runs, refusals, runs - refusals);
}

#define FAIL_EACH_CALL(function, name, scenario) fail_each_call(function, name, scenario, #scenario)

static void
mmap_fails(void **state)
{
   (void)state;
   FAIL_EACH_CALL(os_mmap, "mmap", one_allocation);
   FAIL_EACH_CALL(os_mmap, "mmap", growth_over_many_slabs);
   FAIL_EACH_CALL(os_mmap, "mmap", objects_of_several_megabytes);
   FAIL_EACH_CALL(os_mmap, "mmap", two_parents_by_turns);
   FAIL_EACH_CALL(os_mmap, "mmap", children_created_and_destroyed);
   FAIL_EACH_CALL(os_mmap, "mmap", everything);
}

static void
munmap_fails(void **state)
{
   (void)state;
   FAIL_EACH_CALL(os_munmap, "munmap", objects_of_several_megabytes);
   FAIL_EACH_CALL(os_munmap, "munmap", everything);
   fail_each_call(os_munmap, "munmap", NULL, "exit");
}

static void
madvise_fails(void **state)
{
   (void)state;
   FAIL_EACH_CALL(os_madvise, "madvise", everything);
}

static void
clock_gettime_fails(void **state)
{
   (void)state;
   FAIL_EACH_CALL(os_clock_gettime, "clock_gettime", everything);
   fail_each_call(os_clock_gettime, "clock_gettime", NULL, "exit");
}

static void
sysconf_fails(void **state)
{
   (void)state;
   FAIL_EACH_CALL(os_sysconf, "sysconf", everything);
}

static void
pthread_mutex_init_fails(void **state)
{
   (void)state;
   FAIL_EACH_CALL(os_mutex_init, "pthread_mutex_init", everything);
}

static void
pthread_mutex_destroy_fails(void **state)
{
   (void)state;
   FAIL_EACH_CALL(os_mutex_destroy, "pthread_mutex_destroy", everything);
}

static void
pthread_mutex_trylock_fails(void **state)
{
   (void)state;
   fail_each_call(os_mutex_trylock, "pthread_mutex_trylock", NULL, "exit");
}

static void
write_fails(void **state)
{
   (void)state;
   FAIL_EACH_CALL(os_write, "write", everything);
   fail_each_call(os_write, "write", NULL, "exit");
}

static void
open_fails(void **state)
{
   (void)state;
   fail_each_call(os_open, "open", NULL, "exit");
}

static void
close_fails(void **state)
{
   (void)state;
   fail_each_call(os_close, "close", NULL, "exit");
}

/* As the library is loaded, so that the program runs itself again. */
static void
run_again(void *arg)
{
   (void)arg;
   MUST(setenv("FAIL_ATFORK", "1", 1) == 0);
   execl(program, program, "everything", (char *)NULL);
   MUST(!"execl");
}

static void
pthread_atfork_fails(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, run_again, NULL));
   print_message("%-22s %-30s %5u sites %5u calls %5u runs %5u refused %5u unaffected\n", "pthread_atfork",
                 "everything", 1u, 1u, 1u, 0u, 1u);
}

static void
share_outcome(void)
{
   void *page = mmap(NULL, sizeof(*shared_outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

   MUST(page != MAP_FAILED);
   shared_outcome = (struct outcome *)page;
   os_share_counts();
   null_file = open("/dev/null", O_WRONLY);
   MUST(null_file >= 0);
}

int
main(int argc, char **argv)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(free_needs_no_memory),
      cmocka_unit_test(mmap_fails),
      cmocka_unit_test(munmap_fails),
      cmocka_unit_test(madvise_fails),
      cmocka_unit_test(clock_gettime_fails),
      cmocka_unit_test(sysconf_fails),
      cmocka_unit_test(pthread_mutex_init_fails),
      cmocka_unit_test(pthread_mutex_destroy_fails),
      cmocka_unit_test(pthread_mutex_trylock_fails),
      cmocka_unit_test(pthread_atfork_fails),
      cmocka_unit_test(write_fails),
      cmocka_unit_test(open_fails),
      cmocka_unit_test(close_fails),
   };

   program = argv[0];
   /* The library's hooks were registered before main, or not. */
   if (argc > 1) {
      MUST(os_calls_failed(os_atfork) == 1);
      share_outcome();
      run_scenario(everything, os_mmap, 0, false);
      return 0;
   }
   MUST(os_calls_made(os_atfork) > 0);
   share_outcome();
   return cmocka_run_group_tests(tests, NULL, NULL);
}
