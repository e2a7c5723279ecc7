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
   driver_of((const char *)arg).fork_beside_worker(ITERATIONS(300, 20), false);
}

static void
fork_with_own_use_body(void *arg)
{
   driver_of((const char *)arg).fork_beside_worker(ITERATIONS(300, 20), true);
}

static void
fork_in_handler_body(void *arg)
{
   driver_of((const char *)arg).fork_in_handler(ITERATIONS(300, 20), false, false);
}

static void
fork_in_handler_and_go_on_body(void *arg)
{
   driver_of((const char *)arg).fork_in_handler(ITERATIONS(200, 20), true, false);
}

static void
fork_in_handler_beside_worker_body(void *arg)
{
   driver_of((const char *)arg).fork_in_handler(ITERATIONS(50, 10), false, true);
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

/* One recording for each copy of the library: what comes behind the dot of its name. */
static void
count_records(const char *path, unsigned counts[9], unsigned *last)
{
   unsigned char record[16];
   FILE *file = fopen(path, "rb");

   memset(counts, 0, 9 * sizeof(counts[0]));
   *last = 0;
   MUST(file);
   MUST(fread(record, sizeof(record), 1, file) == 1 && memcmp(record, "SLABTRC1", 8) == 0);
   while (fread(record, sizeof(record), 1, file) == 1) {
      MUST(record[0] > 0 && record[0] < 9);
      counts[record[0]]++;
      *last = record[0];
   }
   fclose(file);
}

static void
what_a_destructor_does_is_recorded(void **state)
{
   enum { create_parent = 1, destroy_parent = 2, allocated = 5, freed = 7, end = 8 };
   char path[] = "/tmp/slab-life-XXXXXX";
   struct run run = {"trace", path, NULL, "exit"};
   struct child_process child;
   unsigned counts[9], last;
   int fd;

   (void)state;
   fd = mkstemp(path);
   assert_true(fd >= 0);
   close(fd);
   assert_true(child_run(&child, run_body, &run));
   count_records(path, counts, &last);
   assert_int_equal(counts[create_parent], 1);
   assert_int_equal(counts[allocated], life_held_objects);
   assert_int_equal(counts[freed], life_held_objects);
   assert_int_equal(counts[destroy_parent], 1);
   assert_int_equal(last, end);
   unlink(path);
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
      cmocka_unit_test(what_a_destructor_frees_is_no_leak),
      cmocka_unit_test(what_a_destructor_does_is_recorded),
   };

   if (argc > 1)
      return live(argv[1], argc > 2 ? argv[2] : NULL);
   program = argv[0];
   return cmocka_run_group_tests(tests, NULL, NULL);
}
