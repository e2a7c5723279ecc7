/* SPDX-License-Identifier: MIT */
/*
 * The environment in a program that has more rights than its user: nothing in it may be obeyed, as whoever starts such
 * a program could have files written with its rights. The program runs itself again with every variable of the
 * library's set: as it is, which shows that all of them would be obeyed; as a setuid and as a setgid program; and
 * with only the mark that the kernel gives such a program (AT_SECURE), for which no rights are needed.
 *
 * What cannot be done here, for lack of rights or by the file system's options, is skipped, and said so.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { nobody = 65534, not_traced = 77 };

enum privilege { ORDINARY, SETUID, SETGID, MARKED };

/* How the program is run: with which file, and with the variables of obey() or those of record(). */
struct run {
   enum privilege privilege;
   int file;
   const char *task;
   bool abort;
};

static char *program;
static char folder[4096];

/* Allocates, frees twice, leaves an object, and says what it finds of the environment's wishes. */
static int
obey(void)
{
   struct slab_mempool pool;
   void *object;

   slab_create(&pool, 88, 16);
   fprintf(stderr, "sampling %u\n", slab_set_sampling(0));
   MUST(slab_alloc_st(&pool));
   object = slab_alloc_st(&pool);
   slab_free_st(&pool, object);
   slab_free_st(&pool, object);
   slab_destroy(&pool);
   return 0;
}

/* Asks by itself for a recording, and is told where to by the environment. */
static int
record(void)
{
   struct slab_mempool pool;

   MUST(chdir(folder) == 0);
   slab_create(&pool, 88, 16);
   MUST(slab_set_debug(&pool.parent, "trace") == 0);
   slab_free_st(&pool, slab_alloc_st(&pool));
   slab_destroy(&pool);
   return 0;
}

static int
run_task(int count, char **arguments)
{
   MUST(count == 4 && strlen(arguments[3]) < sizeof(folder));
   strcpy(folder, arguments[3]);
   fprintf(stderr, "secure %lu\n", getauxval(AT_SECURE));
   return strcmp(arguments[2], "obey") == 0 ? obey() : record();
}

static void
set_path(const char *variable, const char *name)
{
   char path[sizeof(folder) + 100];

   snprintf(path, sizeof(path), "%s/%s", folder, name);
   MUST(setenv(variable, path, 1) == 0);
}

static void
run_body(void *arg)
{
   const struct run *run = (const struct run *)arg;
   char task_word[] = "task", task[20];
   char *arguments[] = {program, task_word, task, folder, NULL};

   strcpy(task, run->task);
   if (strcmp(task, "obey") == 0) {
      MUST(setenv("SLAB_DEBUG", run->abort ? "help,leaks,abort" : "help,leaks,trace", 1) == 0);
      MUST(setenv("SLAB_SAMPLE", "7", 1) == 0);
      set_path("SLAB_STATS", "stats");
   }
   set_path("SLAB_TRACE", "trace");
   if (run->privilege == SETUID) {
      MUST(setgroups(0, NULL) == 0);
      MUST(setgid(nobody) == 0 && setuid(nobody) == 0);
   }
   if (run->privilege == MARKED && ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
      _exit(not_traced);
   fexecve(run->file, arguments, environ);
   MUST(!"fexecve");
}

/*
 * A program that is about to begin finds AT_SECURE among what the kernel has put behind its arguments and its
 * environment, and its parent process, which traces it, may change that. Everybody reads it from there, the C library
 * too.
 */
static void
mark_as_privileged(pid_t pid)
{
   char path[100], text[2000], *field;
   unsigned long long at;
   uintptr_t word, pair[2];
   int memory, skipped, round;
   FILE *stat;

   snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
   stat = fopen(path, "r");
   assert_non_null(stat);
   text[fread(text, 1, sizeof(text) - 1, stat)] = 0;
   fclose(stat);
   /* The 28th field; the second one ends with the last bracket. */
   field = strrchr(text, ')');
   for (skipped = 2; skipped < 28; skipped++) {
      field = strchr(field + 1, ' ');
      assert_non_null(field);
   }
   at = strtoull(field, NULL, 10);
   assert_true(at != 0);

   snprintf(path, sizeof(path), "/proc/%ld/mem", (long)pid);
   memory = open(path, O_RDWR | O_CLOEXEC);
   assert_true(memory >= 0);
   /* Past the number of arguments, the arguments and the environment, each ended by a 0. */
   at += sizeof(word);
   for (round = 0; round < 2; round++) {
      do {
         assert_int_equal(pread(memory, &word, sizeof(word), (off_t)at), sizeof(word));
         at += sizeof(word);
      } while (word != 0);
   }
   do {
      assert_int_equal(pread(memory, pair, sizeof(pair), (off_t)at), sizeof(pair));
      at += sizeof(pair);
   } while (pair[0] != AT_SECURE && pair[0] != AT_NULL);
   assert_int_equal(pair[0], AT_SECURE);
   assert_int_equal(pair[1], 0);
   pair[1] = 1;
   assert_int_equal(pwrite(memory, pair, sizeof(pair), (off_t)(at - sizeof(pair))), sizeof(pair));
   close(memory);
}

/* Runs a task, and returns whether the kernel did as it was told. */
static bool
run(struct child_process *child, struct run *run)
{
   int status;

   child_start(child, run_body, run);
   if (run->privilege == MARKED) {
      assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
      if (WIFEXITED(status) && WEXITSTATUS(status) == not_traced)
         return false;
      assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
      mark_as_privileged(child->pid);
      assert_int_equal(ptrace(PTRACE_DETACH, child->pid, NULL, NULL), 0);
   }
   child_wait_quietly(child);
   return true;
}

/* Opens a copy of this program with a mode, of which no name is left. */
static int
copy_of_program(mode_t mode, gid_t group)
{
   char path[sizeof(folder) + 100], bytes[65536];
   int from = open(program, O_RDONLY | O_CLOEXEC), to, copy;
   ssize_t length;

   assert_true(from >= 0);
   snprintf(path, sizeof(path), "%s/copy", folder);
   to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
   assert_true(to >= 0);
   while ((length = read(from, bytes, sizeof(bytes))) > 0)
      assert_int_equal(write(to, bytes, (size_t)length), length);
   assert_int_equal(length, 0);
   assert_int_equal(fchown(to, (uid_t)-1, group), 0);
   assert_int_equal(fchmod(to, mode), 0);
   close(from);
   close(to);
   copy = open(path, O_RDONLY | O_CLOEXEC);
   assert_true(copy >= 0);
   assert_int_equal(unlink(path), 0);
   return copy;
}

static bool
exists(const char *name)
{
   char path[sizeof(folder) + 100];
   struct stat found;

   snprintf(path, sizeof(path), "%s/%s", folder, name);
   return lstat(path, &found) == 0;
}

static void
remove_file(const char *name)
{
   char path[sizeof(folder) + 100];

   snprintf(path, sizeof(path), "%s/%s", folder, name);
   assert_int_equal(unlink(path), 0);
}

static bool
folder_is_empty(void)
{
   DIR *directory = opendir(folder);
   int entries = 0;

   assert_non_null(directory);
   while (readdir(directory))
      entries++;
   closedir(directory);
   return entries == 2;
}

static int
count_of(const char *text, const char *part)
{
   int count = 0;

   while ((text = strstr(text, part))) {
      count++;
      text++;
   }
   return count;
}

/* Without it the other cases would show nothing. */
static void
an_ordinary_program_obeys_each_variable(void **state)
{
   struct run how = {ORDINARY, -1, "obey", false};
   struct child_process child;

   (void)state;
   how.file = copy_of_program(0700, (gid_t)-1);
   assert_true(run(&child, &how));
   assert_int_equal(child.status, 0);
   assert_int_equal(count_of(child.said, "secure 0\n"), 1);
   assert_int_equal(count_of(child.said, "sampling 7\n"), 1);
   assert_int_equal(count_of(child.said, "mesa-slab: SLAB_DEBUG=word,"), 1);
   assert_int_equal(count_of(child.said, "object is still out"), 1);
   assert_true(exists("stats"));
   assert_true(exists("trace"));
   remove_file("stats");
   remove_file("trace");

   how.abort = true;
   assert_true(run(&child, &how));
   assert_true(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT);
   assert_true(folder_is_empty());

   how.task = "record";
   assert_true(run(&child, &how));
   assert_string_equal(child.said, "secure 0\n");
   remove_file("trace");
   assert_true(folder_is_empty());
   close(how.file);
}

/* The double free is reported, as it is in every program, and that is all. Returns whether the kernel did its part. */
static bool
nothing_is_obeyed(struct run how)
{
   struct child_process child;
   int abort;

   for (abort = 0; abort < 2; abort++) {
      how.task = "obey";
      how.abort = abort != 0;
      if (!run(&child, &how) || strstr(child.said, "secure 0\n"))
         return false;
      assert_int_equal(child.status, 0);
      assert_ptr_equal(strstr(child.said, "secure 1\nsampling 0\nmesa-slab: "), child.said);
      assert_int_equal(count_of(child.said, "mesa-slab: "), 1);
      assert_int_equal(count_of(child.said, "\n"), 3);
      assert_non_null(strstr(child.said, ": double free\n"));
      assert_true(folder_is_empty());
   }
   how.task = "record";
   assert_true(run(&child, &how));
   assert_int_equal(child.status, 0);
   assert_string_equal(child.said, "secure 1\nmesa-slab: no trace is written\n");
   assert_true(folder_is_empty());
   return true;
}

/* Whether the kernel heeds the bits setuid and setgid of files here, for this process. */
static bool
bits_are_heeded(void)
{
   struct statvfs system;

   assert_int_equal(statvfs(folder, &system), 0);
   return !(system.f_flag & ST_NOSUID) && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
}

static void
a_setuid_program_obeys_no_variable(void **state)
{
   struct run how = {SETUID, -1, NULL, false};

   (void)state;
   if (geteuid() != 0) {
      print_message("only root can run a program of its own as somebody else\n");
      skip();
   }
   if (!bits_are_heeded()) {
      print_message("the setuid bit has no effect in %s\n", folder);
      skip();
   }
   how.file = copy_of_program(04755, (gid_t)-1);
   assert_true(nothing_is_obeyed(how));
   close(how.file);
}

static void
a_setgid_program_obeys_no_variable(void **state)
{
   struct run how = {SETGID, -1, NULL, false};
   gid_t groups[1000], group = getegid();
   int count = getgroups(1000, groups), i;

   (void)state;
   assert_true(count >= 0);
   for (i = 0; i < count && group == getegid(); i++)
      group = groups[i];
   if (group == getegid() && geteuid() == 0)
      group = nobody;
   if (group == getegid()) {
      print_message("this user is in no second group\n");
      skip();
   }
   if (!bits_are_heeded()) {
      print_message("the setgid bit has no effect in %s\n", folder);
      skip();
   }
   how.file = copy_of_program(02755, group);
   assert_true(nothing_is_obeyed(how));
   close(how.file);
}

static void
a_program_that_the_kernel_calls_secure_obeys_no_variable(void **state)
{
   struct run how = {MARKED, -1, NULL, false};
   bool done;

   (void)state;
   how.file = copy_of_program(0700, (gid_t)-1);
   done = nothing_is_obeyed(how);
   close(how.file);
   if (!done) {
      print_message("processes cannot be traced here\n");
      skip();
   }
}

/* Beside the program, where what is built can be run. */
static int
make_folder(void **state)
{
   char *path = realpath(program, NULL);

   (void)state;
   if (!path)
      return -1;
   snprintf(folder, sizeof(folder), "%s/privileged-XXXXXX", dirname(path));
   free(path);
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
      cmocka_unit_test(an_ordinary_program_obeys_each_variable),
      cmocka_unit_test(a_setuid_program_obeys_no_variable),
      cmocka_unit_test(a_setgid_program_obeys_no_variable),
      cmocka_unit_test(a_program_that_the_kernel_calls_secure_obeys_no_variable),
   };

   program = argv[0];
   if (argc > 1 && strcmp(argv[1], "task") == 0)
      return run_task(argc, argv);
   return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
