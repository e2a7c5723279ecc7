/* SPDX-License-Identifier: MIT */
/*
 * SLAB_STATS: what is written when a program ends, by which process, and where. The program runs itself with the
 * variable set, in a directory of its own. COPY_DRIVER is the path of a driver with a copy of the library.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char program[PATH_MAX];
static char folder[] = "/tmp/slab-stats-XXXXXX";

struct run {
   const char *stats, *how, *debug;
   pid_t pid; /* of the program, once it has ended */
   char said[8192];
};

static void
run_body(void *arg)
{
   const struct run *run = (const struct run *)arg;

   MUST(chdir(folder) == 0);
   MUST(setenv("SLAB_STATS", run->stats, 1) == 0);
   if (run->debug) {
      MUST(setenv("SLAB_DEBUG", run->debug, 1) == 0);
      MUST(setenv("SLAB_TRACE", "trace", 1) == 0);
   }
   if (strcmp(run->how, "nowhere") == 0) {
      MUST(mkdir("gone", 0700) == 0 && chdir("gone") == 0);
      MUST(rmdir("../gone") == 0);
   }
   execl(program, program, run->how, (char *)NULL);
   MUST(!"execl");
}

static void
run(struct run *run)
{
   struct child_process child;

   assert_true(child_run(&child, run_body, run));
   run->pid = child.pid;
   memcpy(run->said, child.said, sizeof(run->said));
}

static void
create_one(struct slab_mempool *pool, unsigned item_size, const char *name)
{
   slab_create(pool, item_size, 16);
   MUST(slab_set_name(&pool->parent, name) == 0);
   MUST(slab_alloc_st(pool));
}

/* What the program does when it runs itself. */
static int
live(const char *how)
{
   static struct slab_mempool pool, helpers;
   int i;

   if (strcmp(how, "copies") == 0) {
      void *handle = dlopen(COPY_DRIVER, RTLD_NOW | RTLD_GLOBAL);
      void *address = handle ? dlsym(handle, "copy_plain") : NULL;
      int (*function)(void);
      MUST(address);
      memcpy(&function, &address, sizeof(address));
      MUST(function() == 0);
   }
   if (strcmp(how, "destroys") == 0) {
      for (i = 0; i < 3; i++) {
         create_one(&pool, 88, "of a screen");
         slab_destroy(&pool);
      }
      slab_create(&pool, 32, 16);
      slab_destroy(&pool);
      return 0;
   }
   create_one(&pool, 96, "the program's");
   if (strcmp(how, "changes-directory") == 0)
      MUST(chdir("/") == 0);
   if (strcmp(how, "clears-environment") == 0)
      clearenv();
   if (strcmp(how, "quick_exit") == 0)
      quick_exit(0);
   if (strcmp(how, "_exit") == 0)
      _exit(0);
   if (strcmp(how, "forks") == 0) {
      /* The helper ends by itself once the program has. */
      int pipe_ends[2];
      pid_t helper;
      MUST(pipe(pipe_ends) == 0);
      helper = fork();
      MUST(helper >= 0);
      if (helper == 0) {
         char byte;
         close(pipe_ends[1]);
         while (read(pipe_ends[0], &byte, 1) > 0) {
         }
         create_one(&helpers, 32, "the helper's");
         exit(0);
      }
      printf("%d\n", (int)helper);
   }
   return 0;
}

/* The text of a file in the folder, or "" if there is none. */
static const char *
text_of(const char *name)
{
   static char text[20000];
   char path[PATH_MAX];
   size_t length = 0;
   FILE *file;

   snprintf(path, sizeof(path), "%s/%s", folder, name);
   file = fopen(path, "r");
   if (file) {
      length = fread(text, 1, sizeof(text) - 1, file);
      fclose(file);
      unlink(path);
   }
   text[length] = 0;
   return text;
}

static void
the_number_of_the_process_is_in_the_name(void **state)
{
   struct run it = {"s.%p.txt", "plain", NULL, 0, ""};
   char name[50];

   (void)state;
   run(&it);
   assert_string_equal(it.said, "");
   snprintf(name, sizeof(name), "s.%d.txt", (int)it.pid);
   assert_non_null(strstr(text_of(name), "the program's 96x16"));
}

/* Runs the program, which forks a helper, and waits for both. Returns the helper. */
static pid_t
run_with_helper(const char *stats, pid_t *program_pid)
{
   struct run it = {stats, "forks", NULL, 0, ""};
   int pipe_ends[2], out = dup(STDOUT_FILENO);
   char text[100];
   ssize_t length, more;

   fflush(stdout);
   assert_int_equal(pipe(pipe_ends), 0);
   assert_true(dup2(pipe_ends[1], STDOUT_FILENO) >= 0);
   close(pipe_ends[1]);
   run(&it);
   assert_true(dup2(out, STDOUT_FILENO) >= 0);
   close(out);
   length = 0;
   while ((more = read(pipe_ends[0], text + length, sizeof(text) - 1 - (size_t)length)) > 0)
      length += more;
   close(pipe_ends[0]);
   text[length] = 0;
   assert_string_equal(it.said, "");
   *program_pid = it.pid;
   return atoi(text);
}

static void
a_forked_process_leaves_its_parents_file(void **state)
{
   const char *text;
   pid_t program_pid;

   (void)state;
   run_with_helper("stats", &program_pid);
   text = text_of("stats");
   assert_non_null(strstr(text, "the program's 96x16"));
   assert_null(strstr(text, "helper"));
   assert_string_equal(text_of("stats.2"), "");
}

static void
a_forked_process_has_a_file_of_its_own(void **state)
{
   pid_t helper, program_pid;
   char name[50];

   (void)state;
   helper = run_with_helper("s.%p", &program_pid);
   snprintf(name, sizeof(name), "s.%d", (int)helper);
   assert_non_null(strstr(text_of(name), "the helper's 32x16"));
   snprintf(name, sizeof(name), "s.%d", (int)program_pid);
   assert_non_null(strstr(text_of(name), "the program's 96x16"));
}

static void
the_path_and_the_variable_are_those_at_the_start(void **state)
{
   static const char *const hows[] = {"changes-directory", "clears-environment"};
   int i;

   (void)state;
   for (i = 0; i < 2; i++) {
      struct run it = {"stats", hows[i], NULL, 0, ""};
      run(&it);
      assert_string_equal(it.said, "");
      assert_non_null(strstr(text_of("stats"), "the program's 96x16"));
   }
}

/* No destructors run then, of nobody. */
static void
a_program_that_leaves_at_once_writes_nothing(void **state)
{
   static const char *const hows[] = {"quick_exit", "_exit"};
   int i;

   (void)state;
   for (i = 0; i < 2; i++) {
      struct run it = {"stats", hows[i], NULL, 0, ""};
      run(&it);
      assert_string_equal(it.said, "");
      assert_string_equal(text_of("stats"), "");
   }
}

static void
a_directory_that_is_gone_is_said(void **state)
{
   struct run it = {"stats", "nowhere", NULL, 0, ""};

   (void)state;
   run(&it);
   assert_string_equal(it.said, "mesa-slab: cannot write statistics to stats\n");
}

static void
open_descriptors_and_devices_are_written_to(void **state)
{
   static const char *const names[] = {"/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"};
   struct run null = {"/dev/null", "plain", NULL, 0, ""}, full = {"/dev/full", "plain", NULL, 0, ""};
   int i;

   (void)state;
   for (i = 0; i < 3; i++) {
      struct run it = {names[i], "plain", NULL, 0, ""};
      run(&it);
      assert_non_null(strstr(it.said, "the program's 96x16"));
   }
   run(&null);
   assert_string_equal(null.said, "");
   run(&full);
   assert_string_equal(full.said, "mesa-slab: cannot write statistics to /dev/full\n");
}

static void
a_fifo_keeps_nobody_waiting(void **state)
{
   struct run it = {"fifo", "plain", NULL, 0, ""};
   char path[PATH_MAX], said[PATH_MAX + 100], text[8192];
   ssize_t length;
   int fd;

   (void)state;
   snprintf(path, sizeof(path), "%s/fifo", folder);
   snprintf(said, sizeof(said), "mesa-slab: cannot write statistics to %s\n", path);
   assert_int_equal(mkfifo(path, 0600), 0);
   run(&it);
   assert_string_equal(it.said, said);
   fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
   assert_true(fd >= 0);
   run(&it);
   assert_string_equal(it.said, "");
   length = read(fd, text, sizeof(text) - 1);
   assert_true(length > 0);
   text[length] = 0;
   assert_non_null(strstr(text, "the program's 96x16"));
   close(fd);
   unlink(path);
}

static void
pools_that_are_gone_are_told_of(void **state)
{
   struct run table = {"stderr", "destroys", NULL, 0, ""}, json = {"s.json", "destroys", NULL, 0, ""};
   const char *line, *text;
   unsigned pools, peak, exchanges, foreign, left;

   (void)state;
   run(&table);
   line = strstr(table.said, "\n# of a screen 88x16 ");
   assert_non_null(line);
   assert_int_equal(sscanf(line + 21, "%u %u %u %u %u", &pools, &peak, &exchanges, &foreign, &left), 5);
   assert_int_equal(pools, 3);
   assert_int_equal(left, 3);
   assert_int_equal(foreign, 0);
   assert_true(peak >= 1);
   line = strstr(table.said, "\n# 32x16 ");
   assert_non_null(line);
   assert_int_equal(sscanf(line + 9, "%u %u %u", &pools, &peak, &exchanges), 3);
   assert_int_equal(pools, 1);
   assert_int_equal(peak, 0);

   run(&json);
   text = text_of("s.json");
   assert_non_null(strstr(text, "\"name\": \"of a screen\", \"item_size\": 88, \"num_items\": 16, \"pools\": 3, "));
   assert_non_null(strstr(text, "]}\n"));
}

static void
each_copy_of_the_library_has_a_file_of_its_own(void **state)
{
   struct run it = {"stats", "copies", "trace", 0, ""};
   const char *text;
   int i, programs = 0, drivers = 0;

   (void)state;
   /* The second time, the files of the first are there. */
   for (i = 0; i < 2; i++) {
      run(&it);
      assert_string_equal(it.said, "");
   }
   for (i = 0; i < 2; i++) {
      text = text_of(i == 0 ? "stats" : "stats.2");
      programs += strstr(text, "the program's 96x16") != NULL;
      drivers += strstr(text, "# of a copy 96x16") != NULL;
      assert_memory_equal(text_of(i == 0 ? "trace" : "trace.2"), "SLABTRC1", 8);
   }
   assert_int_equal(programs, 1);
   assert_int_equal(drivers, 1);
   assert_string_equal(text_of("stats.3"), "");
   assert_string_equal(text_of("trace.3"), "");
}

static int
make_folder(void **state)
{
   (void)state;
   return mkdtemp(folder) ? 0 : -1;
}

static int
remove_folder(void **state)
{
   (void)state;
   return rmdir(folder);
}

int
main(int argc, char **argv)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_number_of_the_process_is_in_the_name),
      cmocka_unit_test(a_forked_process_leaves_its_parents_file),
      cmocka_unit_test(a_forked_process_has_a_file_of_its_own),
      cmocka_unit_test(the_path_and_the_variable_are_those_at_the_start),
      cmocka_unit_test(a_program_that_leaves_at_once_writes_nothing),
      cmocka_unit_test(a_directory_that_is_gone_is_said),
      cmocka_unit_test(open_descriptors_and_devices_are_written_to),
      cmocka_unit_test(a_fifo_keeps_nobody_waiting),
      cmocka_unit_test(pools_that_are_gone_are_told_of),
      cmocka_unit_test(each_copy_of_the_library_has_a_file_of_its_own),
   };

   if (argc > 1)
      return live(argv[1]);
   MUST(realpath(argv[0], program));
   return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
