/* SPDX-License-Identifier: MIT */
/*
 * Each call of the library to the system fails, in scenarios that use every function of both headers, and in every
 * mode that calls the system; fault_run.h says how, and what must hold then.
 *
 * pthread_mutex_lock and pthread_mutex_unlock are not among them: they cannot fail for an initialised
 * mutex of the default kind that this thread does not, or does, hold.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "fault_run.h"
#include "fault_scenarios.h"
#include "must.h"
#include "slab_ext.h"

#include <stdlib.h>
#include <unistd.h>

static const char *program;

enum { most_children = 3000 };

/*
 * Frees when there is no memory at all, not even for a magazine: through a child whose only magazine is
 * full, so that the objects go straight into their slabs.
 */
static void
free_without_memory(struct run *run)
{
   static struct slab_child_pool children[most_children];
   static struct slab_parent_pool named[100];
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct slab_mempool pages;
   unsigned i, count = 0, names = 0;
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

   /* Where children are counted, that has left room for a few names. */
   do {
      MUST(names < sizeof(named) / sizeof(named[0]));
      slab_create_parent(&named[names], 8, 1);
   } while (slab_set_name(&named[names++], "no room") == 0);
   MUST(names == 1 || !child.mask);

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
   for (i = 0; i < names; i++)
      slab_destroy_parent(&named[i]);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   slab_destroy(&pages);
   slab_trim_heap();
   MUST(slab_validate(NULL) == 0);
   MUST(os_bytes_held() <= most_kept(8));
   live_destroy(&run->live);
}

static void
free_needs_no_memory(void **state)
{
   (void)state;
   run_alone(free_without_memory);
}

static void
mmap_fails(void **state)
{
   (void)state;
   fail_each_call(os_mmap, &one_allocation);
   fail_each_call(os_mmap, &growth_over_many_slabs);
   fail_each_call(os_mmap, &objects_of_several_megabytes);
   fail_each_call(os_mmap, &two_parents_by_turns);
   fail_each_call(os_mmap, &children_created_and_destroyed);
   fail_each_call(os_mmap, &everything);
   fail_each_call(os_mmap, &objects_of_any_size);
   fail_each_call(os_mmap, &objects_for_any_thread);
   fail_each_call(os_mmap, &guarded_objects);
   fail_each_call(os_mmap, &sampled_objects);
   fail_each_call(os_mmap, &a_trace);
   fail_each_call(os_mmap, &reports_with_stacks);
   fail_each_call(os_mmap, &way_out_in_modes);
}

static void
munmap_fails(void **state)
{
   (void)state;
   fail_each_call(os_munmap, &objects_of_several_megabytes);
   fail_each_call(os_munmap, &everything);
   fail_each_call(os_munmap, &objects_of_any_size);
   fail_each_call(os_munmap, &objects_for_any_thread);
   fail_each_call(os_munmap, &guarded_objects);
   fail_each_call(os_munmap, &a_trace);
   fail_each_call(os_munmap, &reports_with_stacks);
   fail_each_call(os_munmap, &way_out);
   fail_each_call(os_munmap, &way_out_in_modes);
}

static void
madvise_fails(void **state)
{
   (void)state;
   fail_each_call(os_madvise, &everything);
   fail_each_call(os_madvise, &guarded_objects);
}

static void
mprotect_fails(void **state)
{
   (void)state;
   fail_each_call(os_mprotect, &guarded_objects);
   fail_each_call(os_mprotect, &sampled_objects);
   fail_each_call(os_mprotect, &one_allocation);
   fail_each_call(os_mprotect, &growth_over_many_slabs);
   fail_each_call(os_mprotect, &two_parents_by_turns);
   fail_each_call(os_mprotect, &everything);
   fail_each_call(os_mprotect, &objects_of_any_size);
   fail_each_call(os_mprotect, &objects_for_any_thread);
#ifdef HARDENED
   fail_each_call(os_mprotect, &objects_of_several_megabytes);
#endif
}

static void
clock_gettime_fails(void **state)
{
   (void)state;
   fail_each_call(os_clock_gettime, &everything);
   fail_each_call(os_clock_gettime, &a_trace);
   fail_each_call(os_clock_gettime, &way_out);
   fail_each_call(os_clock_gettime, &way_out_in_modes);
}

static void
sysconf_fails(void **state)
{
   (void)state;
   fail_each_call(os_sysconf, &everything);
   fail_each_call(os_sysconf, &guarded_objects);
   fail_each_call(os_sysconf, &a_trace);
}

static void
sigaction_fails(void **state)
{
   (void)state;
   fail_each_call(os_sigaction, &guarded_objects);
   fail_each_call(os_sigaction, &way_out_in_modes);
}

static void
pthread_mutex_init_fails(void **state)
{
   (void)state;
   fail_each_call(os_mutex_init, &everything);
}

static void
pthread_mutex_destroy_fails(void **state)
{
   (void)state;
   fail_each_call(os_mutex_destroy, &everything);
}

static void
pthread_mutex_trylock_fails(void **state)
{
   (void)state;
   fail_each_call(os_mutex_trylock, &way_out);
   fail_each_call(os_mutex_trylock, &way_out_in_modes);
}

/* Without a call stack nobody asks which files the process has mapped. */
static void
fail_each_call_for_stacks(enum os_function function)
{
#ifdef __GLIBC__
   fail_each_call(function, &reports_with_stacks);
#else
   (void)function;
#endif
}

static void
open_fails(void **state)
{
   (void)state;
   fail_each_call(os_open, &a_trace);
   fail_each_call_for_stacks(os_open);
   fail_each_call(os_open, &way_out);
   fail_each_call(os_open, &way_out_in_modes);
}

#ifdef __GLIBC__
static void
read_fails(void **state)
{
   (void)state;
   fail_each_call(os_read, &reports_with_stacks);
   fail_each_call(os_read, &way_out_in_modes);
}
#endif

static void
pread_fails(void **state)
{
   (void)state;
   fail_each_call(os_pread, &a_trace_in_a_file);
}

static void
write_fails(void **state)
{
   (void)state;
   fail_each_call(os_write, &everything);
   fail_each_call(os_write, &a_trace);
   fail_each_call(os_write, &reports_with_stacks);
   fail_each_call(os_write, &way_out);
   fail_each_call(os_write, &way_out_in_modes);
}

static void
close_fails(void **state)
{
   (void)state;
   fail_each_call(os_close, &a_trace);
   fail_each_call_for_stacks(os_close);
   fail_each_call(os_close, &way_out);
   fail_each_call(os_close, &way_out_in_modes);
}

static void
getauxval_fails(void **state)
{
   (void)state;
   fail_each_call(os_getauxval, &everything);
   fail_each_call(os_getauxval, &a_trace);
   fail_each_call(os_getauxval, &way_out_in_modes);
}

#ifdef __GLIBC__
/* Elsewhere the library has another way to get at call stacks. */
static void
backtrace_fails(void **state)
{
   (void)state;
   fail_each_call(os_backtrace, &guarded_objects);
   fail_each_call(os_backtrace, &reports_with_stacks);
}
#endif

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
   note_unaffected_run(os_atfork);
}

int
main(int argc, char **argv)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(free_needs_no_memory),
      cmocka_unit_test(mmap_fails),
      cmocka_unit_test(munmap_fails),
      cmocka_unit_test(madvise_fails),
      cmocka_unit_test(mprotect_fails),
      cmocka_unit_test(clock_gettime_fails),
      cmocka_unit_test(sysconf_fails),
      cmocka_unit_test(sigaction_fails),
      cmocka_unit_test(pthread_mutex_init_fails),
      cmocka_unit_test(pthread_mutex_destroy_fails),
      cmocka_unit_test(pthread_mutex_trylock_fails),
      cmocka_unit_test(pthread_atfork_fails),
      cmocka_unit_test(open_fails),
      cmocka_unit_test(write_fails),
      cmocka_unit_test(pread_fails),
      cmocka_unit_test(close_fails),
      cmocka_unit_test(getauxval_fails),
#ifdef __GLIBC__
      cmocka_unit_test(read_fails),
      cmocka_unit_test(backtrace_fails),
#endif
      cmocka_unit_test(runs_end),
   };

   program = argv[0];
   /* It is read when the library is loaded. */
   if (!getenv("SLAB_STATS")) {
      MUST(setenv("SLAB_STATS", "/dev/null", 1) == 0);
      execv(program, argv);
      MUST(!"execv");
   }
   /* The library's hooks were registered before main, or not. */
   if (argc > 1) {
      MUST(os_calls_failed(os_atfork) == 1);
      runs_begin();
      run_scenario(&everything, os_mmap, 0, false);
      return 0;
   }
   MUST(os_calls_made(os_atfork) > 0);
   runs_begin();
   return cmocka_run_group_tests(tests, NULL, NULL);
}
