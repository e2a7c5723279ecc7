/* SPDX-License-Identifier: MIT */
/*
 * The edges of a driver's life: it is loaded, forks, also in a signal handler, and is unloaded. The library's hooks run
 * in the same order whether it is shared, static in the program, or static in a driver that is loaded. The program has
 * a driver in it, and LIFE_DRIVER_SHARED and LIFE_DRIVER_STATIC are the paths of two that it loads.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "iterations.h"
#include "life_driver.h"
#include "must.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *program;

/* NULL: the driver in the program. */
static const char *const drivers[] = {NULL, LIFE_DRIVER_SHARED, LIFE_DRIVER_STATIC};

enum { driver_count = sizeof(drivers) / sizeof(drivers[0]) };

static void *
load(const char *path)
{
   void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

   if (!handle)
      fprintf(stderr, "%s\n", dlerror());
   MUST(handle);
   return handle;
}

static struct life_driver
driver_of(const char *path)
{
   void (*open_driver)(struct life_driver *) = life_driver_open;
   struct life_driver driver;

   if (path) {
      void *address = dlsym(load(path), "life_driver_open");
      MUST(address);
      memcpy(&open_driver, &address, sizeof(address));
   }
   open_driver(&driver);
   return driver;
}

static void
fork_for_job_body(void *arg)
{
   driver_of((const char *)arg).fork_beside_worker(ITERATIONS(300, 8), false);
}

static void
fork_with_own_use_body(void *arg)
{
   driver_of((const char *)arg).fork_beside_worker(ITERATIONS(300, 8), true);
}

static void
fork_in_handler_body(void *arg)
{
   driver_of((const char *)arg).fork_in_handler(ITERATIONS(300, 8), fork_and_leave, false);
}

static void
fork_in_handler_and_go_on_body(void *arg)
{
   driver_of((const char *)arg).fork_in_handler(ITERATIONS(200, 8), fork_and_go_on, false);
}

static void
fork_in_handler_beside_worker_body(void *arg)
{
   driver_of((const char *)arg).fork_in_handler(ITERATIONS(50, 5), fork_and_leave, true);
}

static void
fork_without_handlers_body(void *arg)
{
   driver_of((const char *)arg).fork_in_handler(ITERATIONS(300, 8), fork_without_handlers, true);
}

static void
in_all_drivers(void (*body)(void *))
{
   struct child_process child;
   int i;

   for (i = 0; i < driver_count; i++)
      assert_true(child_run(&child, body, (void *)drivers[i]));
}

static void
a_handler_of_fork_waits_for_a_worker_that_needs_memory(void **state)
{
   (void)state;
   in_all_drivers(fork_for_job_body);
}

static void
a_handler_of_fork_uses_a_pool(void **state)
{
   (void)state;
   in_all_drivers(fork_with_own_use_body);
}

static void
a_fork_in_a_signal_handler_interrupts_the_library(void **state)
{
   (void)state;
   in_all_drivers(fork_in_handler_body);
}

/*
 * The new process goes on where the handler interrupted the library. ThreadSanitizer's runtime does not let it: it delivers
 * signals late, and in a process that was forked in a handler its own locks may be held. The C library's mutex, which
 * the library takes there too, is what the same case has under valgrind.
 */
#if defined(__SANITIZE_THREAD__)
#define GOES_ON_BEHIND_A_HANDLER 0
#else
#define GOES_ON_BEHIND_A_HANDLER 1
#endif

static void
its_child_goes_on_behind_the_handler(void **state)
{
   if (!GOES_ON_BEHIND_A_HANDLER)
      skip();
   (void)state;
   in_all_drivers(fork_in_handler_and_go_on_body);
}

static void
a_fork_in_a_signal_handler_beside_another_thread(void **state)
{
   (void)state;
   in_all_drivers(fork_in_handler_beside_worker_body);
}

/* As _Fork() does, which POSIX has for signal handlers since 2024. */
static void
a_fork_without_handlers_in_a_signal_handler(void **state)
{
   (void)state;
   in_all_drivers(fork_without_handlers_body);
}

/* How the program runs itself, with the library's variables set: with which driver, and whether that is unloaded. */
struct run {
   const char *debug, *trace, *driver, *how;
};

static void
run_body(void *arg)
{
   const struct run *run = (const struct run *)arg;

   MUST(setenv("SLAB_DEBUG", run->debug, 1) == 0);
   MUST(setenv("SLAB_STATS", "stderr", 1) == 0);
   if (run->trace)
      MUST(setenv("SLAB_TRACE", run->trace, 1) == 0);
   execl(program, program, run->how, run->driver, (char *)NULL);
   MUST(!"execl");
}

/* What the program does when it runs itself. */
static int
live(const char *how, const char *path)
{
   void *handle = path ? load(path) : NULL;

   if (handle && strcmp(how, "unload") == 0)
      MUST(dlclose(handle) == 0);
   return 0;
}

static bool
tells_of_a_pool(const char *said)
{
   const char *line;

   for (line = said; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
      if (strncmp(line, "96x16 ", 6) == 0)
         return true;
   }
   return false;
}

static void
what_a_destructor_frees_is_no_leak(void **state)
{
   static const char *const hows[] = {"exit", "unload"};
   struct child_process child;
   int i, j;

   (void)state;
   for (i = 0; i < driver_count; i++) {
      for (j = 0; j < 2; j++) {
         struct run run = {"leaks", NULL, drivers[i], hows[j]};
         assert_true(child_run(&child, run_body, &run));
         assert_null(strstr(child.said, "still out"));
         assert_non_null(strstr(child.said, "# mesa-slab: pools"));
         assert_false(tells_of_a_pool(child.said));
      }
   }
}

/* Kinds of records (docs/traces.md). */
enum { parent_created = 1, parent_destroyed = 2, object_allocated = 5, object_freed = 7, end_of_recording = 8 };

/* Adds what a recording has to the counts, and removes it. Returns whether there is one. */
static bool
count_records(const char *path, unsigned counts[9])
{
   unsigned char record[16];
   unsigned last = 0;
   FILE *file = fopen(path, "rb");

   if (!file)
      return false;
   MUST(fread(record, sizeof(record), 1, file) == 1 && memcmp(record, "SLABTRC1", 8) == 0);
   while (fread(record, sizeof(record), 1, file) == 1) {
      last = record[0];
      MUST(last > 0 && last < 9);
      counts[last]++;
   }
   MUST(last == end_of_recording);
   fclose(file);
   unlink(path);
   return true;
}

/* With a driver that is loaded there are two of them, and two recordings unless both have the shared library. */
static void
what_a_destructor_does_is_recorded(void **state)
{
   char folder[] = "/tmp/slab-life-XXXXXX", path[100], second[110];
   struct child_process child;
   int i;

   (void)state;
   MUST(mkdtemp(folder));
   snprintf(path, sizeof(path), "%s/trace", folder);
   snprintf(second, sizeof(second), "%s.2", path);
   for (i = 0; i < driver_count; i++) {
      struct run run = {"trace", path, drivers[i], "exit"};
      unsigned counts[9] = {0}, of_them = drivers[i] ? 2 : 1;

      assert_true(child_run(&child, run_body, &run));
      assert_true(count_records(path, counts));
      count_records(second, counts);
      assert_int_equal(counts[parent_created], of_them);
      assert_int_equal(counts[object_allocated], of_them * life_held_objects);
      assert_int_equal(counts[object_freed], of_them * life_held_objects);
      assert_int_equal(counts[parent_destroyed], of_them);
   }
   assert_int_equal(rmdir(folder), 0);
}

int
main(int argc, char **argv)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_handler_of_fork_waits_for_a_worker_that_needs_memory),
      cmocka_unit_test(a_handler_of_fork_uses_a_pool),
      cmocka_unit_test(a_fork_in_a_signal_handler_interrupts_the_library),
      cmocka_unit_test(its_child_goes_on_behind_the_handler),
      cmocka_unit_test(a_fork_in_a_signal_handler_beside_another_thread),
      cmocka_unit_test(a_fork_without_handlers_in_a_signal_handler),
      cmocka_unit_test(what_a_destructor_frees_is_no_leak),
      cmocka_unit_test(what_a_destructor_does_is_recorded),
   };

   if (argc > 1)
      return live(argv[1], argc > 2 ? argv[2] : NULL);
   program = argv[0];
   return cmocka_run_group_tests(tests, NULL, NULL);
}
