/* SPDX-License-Identifier: MIT */
/*
 * What a report does to the program around it: stderr that is broken or full, threads that are cancelled, handlers that
 * do whatever they like. Each case is a process of its own. The rows of docs/host.md name them.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "iterations.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { size = 96, many = 600 };

static struct slab_parent_pool parent;
static struct slab_child_pool one, other;

static void
create_pools(void)
{
   slab_create_parent(&parent, size, 16);
   slab_set_name(&parent, "reported");
   slab_create_child(&one, &parent);
   slab_create_child(&other, &parent);
}

static void
use_pool(struct slab_child_pool *child)
{
   void *objects[many];
   int i;

   for (i = 0; i < many; i++)
      MUST(objects[i] = slab_alloc(child));
   for (i = 0; i < many; i++)
      slab_free(child, objects[i]);
}

/*
 * Makes one report, of a double free. Without modes it is seen when the child is destroyed. It has a child of its own,
 * as a handler may use all others.
 */
static void
misuse(void)
{
   struct slab_child_pool child;
   void *object;

   slab_create_child(&child, &parent);
   object = slab_alloc(&child);
   MUST(object);
   slab_free(&child, object);
   slab_free(&child, object);
   slab_destroy_child(&child);
}

/* Runs body() in a process with these modes; returns what it said. */
static struct child_process process;

static const char *
run(const char *modes, void (*body)(void *))
{
   MUST(setenv("SLAB_DEBUG", modes, 1) == 0);
   child_start(&process, body, NULL);
   unsetenv("SLAB_DEBUG");
   assert_true(child_wait(&process));
   return process.said;
}

static const char *const all_modes[] = {"", "checks", "checks,users,quarantine,redzone,poison", "guard"};

/* Runs each of the bodies in each of these. */
static void
run_in_all_modes(void (*body)(void *))
{
   size_t i;

   for (i = 0; i < sizeof(all_modes) / sizeof(all_modes[0]); i++)
      run(all_modes[i], body);
}

/* A pipe as stderr; returns its other end. */
static int
stderr_to_pipe(void)
{
   int ends[2];

   MUST(pipe(ends) == 0);
   MUST(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
   close(ends[1]);
   return ends[0];
}

static bool
is_pending(int signal)
{
   sigset_t set;

   MUST(sigpending(&set) == 0);
   return sigismember(&set, signal) == 1;
}

static bool
is_blocked(int signal)
{
   sigset_t set;

   MUST(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0);
   return sigismember(&set, signal) == 1;
}

/* Checks that end the process with a status: stderr is what is broken. */
#define HOLDS(condition)             \
   do {                              \
      if (!(condition))              \
         _exit(__LINE__ % 99 + 100); \
   } while (0)

static void
no_reader_body(void *arg)
{
   (void)arg;
   signal(SIGPIPE, SIG_DFL);
   close(stderr_to_pipe());
   create_pools();
   misuse();
   HOLDS(!is_pending(SIGPIPE) && !is_blocked(SIGPIPE));
   use_pool(&one);
   _exit(0);
}

static void
pending_body(void *arg)
{
   sigset_t set;

   (void)arg;
   sigemptyset(&set);
   sigaddset(&set, SIGPIPE);
   HOLDS(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
   raise(SIGPIPE);
   close(stderr_to_pipe());
   create_pools();
   misuse();
   HOLDS(is_pending(SIGPIPE) && is_blocked(SIGPIPE));
   _exit(0);
}

static void
full_file_body(void *arg)
{
   struct rlimit none = {0, 0};

   (void)arg;
   signal(SIGXFSZ, SIG_DFL);
   create_pools();
   HOLDS(setrlimit(RLIMIT_FSIZE, &none) == 0);
   misuse();
   HOLDS(!is_pending(SIGXFSZ) && !is_blocked(SIGXFSZ));
   _exit(0);
}

static void
a_report_that_cannot_be_written_raises_no_signal(void **state)
{
   (void)state;
   run_in_all_modes(no_reader_body);
   run_in_all_modes(pending_body);
#ifndef SLAB_TEST_EMULATED
   /* An emulator that is ended by this signal, as the kernel raises it where it writes for its program. */
   run_in_all_modes(full_file_body);
#else
   (void)full_file_body;
#endif
}

static int reader;
static volatile bool came_back;

/* Reports until stderr is full, and then waits in write(). */
static void *
report_for_ever(void *arg)
{
   (void)arg;
   for (;;) {
      misuse();
      pthread_testcancel();
   }
   return NULL;
}

static void
full_pipe_body(void *arg)
{
   char text[4096];
   pthread_t thread;
   void *result;
   bool is_full = false;
   int copy;

   (void)arg;
   reader = stderr_to_pipe();
   copy = dup(STDERR_FILENO);
   HOLDS(fcntl(copy, F_SETFL, O_NONBLOCK) == 0);
   memset(text, 'x', sizeof(text));
   while (!is_full)
      is_full = write(copy, text, sizeof(text)) < 0;
   while (write(copy, text, 1) > 0)
      ;
   HOLDS(fcntl(copy, F_SETFL, 0) == 0);
   create_pools();
   HOLDS(pthread_create(&thread, NULL, report_for_ever, NULL) == 0);
   /* By then it has come there, on any machine that is not very busy; if not, less is tested. */
   usleep(100000);
   use_pool(&other);
   HOLDS(pthread_cancel(thread) == 0);
   use_pool(&other);
   HOLDS(fcntl(reader, F_SETFL, O_NONBLOCK) == 0);
   do
      while (read(reader, text, sizeof(text)) > 0)
         ;
   while (pthread_tryjoin_np(thread, &result) != 0);
   HOLDS(result == PTHREAD_CANCELED);
   HOLDS(slab_validate(&parent) == 0);
   use_pool(&one);
   _exit(0);
}

static void
a_full_pipe_stops_the_thread_that_reports_and_no_other(void **state)
{
   (void)state;
   run_in_all_modes(full_pipe_body);
}

/* To be cancelled at its next cancellation point; none of the calls is one. */
static void *
cancelled_thread(void *arg)
{
   int i;

   pthread_cancel(pthread_self());
   misuse();
   for (i = 0; i < (arg ? 20 : 1); i++)
      use_pool(&one);
   came_back = true;
   pthread_testcancel();
   return NULL;
}

static void
cancelled_body(void *arg)
{
   pthread_t thread;
   void *result;

   create_pools();
   MUST(pthread_create(&thread, NULL, cancelled_thread, arg) == 0);
   MUST(pthread_join(thread, &result) == 0);
   MUST(came_back && result == PTHREAD_CANCELED);
   use_pool(&one);
   use_pool(&other);
   MUST(slab_validate(&parent) == 0);
}

static void
cancelled_recording_body(void *arg)
{
   (void)arg;
   setenv("SLAB_TRACE", "/dev/null", 1);
   cancelled_body(&parent);
}

static void
no_function_is_a_cancellation_point(void **state)
{
   size_t i;

   (void)state;
   for (i = 0; i < sizeof(all_modes) / sizeof(all_modes[0]); i++)
      assert_non_null(strstr(run(all_modes[i], cancelled_body), "double free"));
   run("trace", cancelled_recording_body);
}

/* The other way out of the library: to a descriptor of the program's. */
static void *
print_for_ever(void *arg)
{
   for (;;) {
      slab_print_stats_fd(*(const int *)arg, SLAB_STATS_TABLE);
      pthread_testcancel();
   }
   return NULL;
}

static void
printing_body(void *arg)
{
   int ends[2];
   pthread_t thread;
   void *result;

   (void)arg;
   create_pools();
   use_pool(&one);
   MUST(pipe(ends) == 0);
   MUST(pthread_create(&thread, NULL, print_for_ever, &ends[1]) == 0);
   /* By then the pipe is full and the thread waits, on any machine that is not very busy; if not, less is tested. */
   usleep(100000);
   use_pool(&other);
   MUST(slab_validate(NULL) == 0);
   MUST(pthread_cancel(thread) == 0);
   /* Nobody reads: it is cancelled in there, or would never be. */
   MUST(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
   use_pool(&one);
   use_pool(&other);
   MUST(slab_validate(NULL) == 0);
}

static void
a_thread_that_prints_statistics_may_be_cancelled(void **state)
{
   (void)state;
   run_in_all_modes(printing_body);
}

/* A daemon closes its first descriptors, and opens a file; then there is something to report. */
static const char *file_path;
static bool has_handler;

static void
hear(void *data, const char *report)
{
   (void)data;
   (void)report;
}

static void
reused_descriptor_body(void *arg)
{
   int file;

   (void)arg;
   close(STDERR_FILENO);
   file = open(file_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
   HOLDS(file == STDERR_FILENO);
   HOLDS(write(file, "HEADER\n", 7) == 7);
   create_pools();
   if (has_handler)
      slab_set_report_handler(hear, NULL);
   misuse();
   use_pool(&one);
   HOLDS(write(file, "FOOTER\n", 7) == 7);
   _exit(0);
}

/* The part of the file between what the program wrote. */
static char in_file[4096];

static void
run_with_reused_descriptor(const char *modes, bool with_handler)
{
   char path[] = "/tmp/slab-host-XXXXXX";
   size_t length;
   FILE *file;
   int fd = mkstemp(path);

   MUST(fd >= 0 && close(fd) == 0);
   file_path = path;
   has_handler = with_handler;
   run(modes, reused_descriptor_body);
   file = fopen(path, "r");
   MUST(file);
   length = fread(in_file, 1, sizeof(in_file), file);
   fclose(file);
   unlink(path);
   MUST(length >= 14 && length < sizeof(in_file));
   assert_memory_equal(in_file, "HEADER\n", 7);
   assert_memory_equal(in_file + length - 7, "FOOTER\n", 7);
   memmove(in_file, in_file + 7, length - 14);
   in_file[length - 14] = 0;
}

static void
a_file_that_has_descriptor_2_gets_the_reports_or_a_handler_does(void **state)
{
   size_t i;

   (void)state;
   for (i = 0; i < sizeof(all_modes) / sizeof(all_modes[0]); i++) {
      run_with_reused_descriptor(all_modes[i], false);
      assert_ptr_equal(strstr(in_file, "mesa-slab: "), in_file);
      assert_non_null(strstr(in_file, "double free"));
      run_with_reused_descriptor(all_modes[i], true);
      assert_string_equal(in_file, "");
   }
}

/* Handlers that do more than to note what they hear. */
static int heard;

static void
call_everything(void *data, const char *report)
{
   static bool is_inside;
   pid_t forked;
   int status, null;

   (void)data;
   MUST(strncmp(report, "mesa-slab: ", 11) == 0 || report[0] == ' ');
   heard++;
   if (is_inside || heard > 3)
      return;
   is_inside = true;
   use_pool(&one);
   use_pool(&other);
   MUST(slab_validate(&parent) == 0);
   MUST(slab_set_name(&parent, heard % 2 ? "a" : "another name") == 0);
   null = open("/dev/null", O_WRONLY);
   MUST(slab_print_stats_fd(null, SLAB_STATS_JSON) == 0);
   close(null);
   slab_trim_parent(&parent);
   forked = fork();
   if (forked == 0) {
      use_pool(&one);
      _exit(0);
   }
   MUST(waitpid(forked, &status, 0) == forked && status == 0);
   is_inside = false;
}

static void
handler_body(void *arg)
{
   (void)arg;
   create_pools();
   slab_set_report_handler(call_everything, NULL);
   misuse();
   MUST(heard >= 1);
}

static void
leaks_body(void *arg)
{
   static struct slab_parent_pool leaking;
   struct slab_child_pool child;

   (void)arg;
   create_pools();
   slab_set_report_handler(call_everything, NULL);
   slab_create_parent(&leaking, size, 16);
   slab_create_child(&child, &leaking);
   MUST(slab_alloc(&child));
   slab_destroy_child(&child);
   slab_destroy_parent(&leaking);
   MUST(heard >= 1);
}

static void
a_handler_may_call_everything_and_fork(void **state)
{
   (void)state;
   run_in_all_modes(handler_body);
   run("leaks", leaks_body);
   run("leaks,users", leaks_body);
   run("leaks,guard", leaks_body);
}

static jmp_buf away;

static void
jump(void *data, const char *report)
{
   (void)data;
   (void)report;
   heard++;
   longjmp(away, 1);
}

static void
jumping_body(void *arg)
{
   (void)arg;
   create_pools();
   slab_set_report_handler(jump, NULL);
   if (setjmp(away) == 0) {
      misuse();
      MUST(false);
   }
   MUST(heard == 1);
   use_pool(&one);
   use_pool(&other);
   MUST(slab_validate(&parent) == 0);
   MUST(heard == 1);
}

static void
end_thread(void *data, const char *report)
{
   (void)report;
   heard++;
   pthread_exit(data);
}

static void *
misusing_thread(void *arg)
{
   (void)arg;
   misuse();
   return NULL;
}

static void
ending_body(void *arg)
{
   pthread_t thread;
   void *result;

   (void)arg;
   create_pools();
   slab_set_report_handler(end_thread, &parent);
   MUST(pthread_create(&thread, NULL, misusing_thread, NULL) == 0);
   MUST(pthread_join(thread, &result) == 0 && result == &parent);
   use_pool(&one);
   MUST(heard == 1);
}

static void
a_handler_may_never_return(void **state)
{
   (void)state;
   run_in_all_modes(jumping_body);
   run_in_all_modes(ending_body);
}

/* As a crash reporter does. */
static void
on_abort(int signal)
{
   pid_t forked = fork();
   int status;

   (void)signal;
   if (forked == 0)
      _exit(0);
   MUST(waitpid(forked, &status, 0) == forked);
   use_pool(&one);
   use_pool(&other);
   _exit(0);
}

static void
abort_body(void *arg)
{
   (void)arg;
   signal(SIGABRT, on_abort);
   create_pools();
   misuse();
   _exit(1);
}

static void
a_handler_of_abort_may_use_the_pool_and_fork(void **state)
{
   (void)state;
   assert_non_null(strstr(run("abort", abort_body), "mesa-slab: "));
   run("checks,abort", abort_body);
   run("checks,users,quarantine,redzone,poison,abort", abort_body);
   run("guard,abort", abort_body);
}

static void *
name_it(void *arg)
{
   int i;

   (void)arg;
   for (i = 0; i < ITERATIONS(5000, 500); i++)
      slab_set_name(&parent, i % 2 ? "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" : "bb");
   return NULL;
}

static void
named_body(void *arg)
{
   pthread_t thread;
   int i;

   (void)arg;
   create_pools();
   MUST(pthread_create(&thread, NULL, name_it, NULL) == 0);
   for (i = 0; i < 50; i++)
      misuse();
   pthread_join(thread, NULL);
}

static void
a_pool_may_be_named_while_it_is_reported(void **state)
{
   (void)state;
   run_in_all_modes(named_body);
}

/* A compositor's client does this to it at any time. */
static void
truncated_body(void *arg)
{
   FILE *file = tmpfile();
   void *low = (void *)(uintptr_t)0x10000000;

   (void)arg;
   MUST(file && ftruncate(fileno(file), 4096) == 0);
   /* Below the program and all libraries, so that it is met before them. */
   MUST(mmap(low, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fileno(file), 0) == low);
   MUST(ftruncate(fileno(file), 0) == 0);
   create_pools();
   misuse();
}

/* Counts the reports that have no name. */
static int nameless;

static void
look_for_name(void *data, const char *report)
{
   (void)data;
   if (report[0] == ' ')
      return;
   heard++;
   if (!strstr(report, "pool reported "))
      nameless++;
}

static bool is_over;

/* Has the heap's lock most of the time. */
static void *
use_heap(void *arg)
{
   struct slab_heap_stats stats;

   (void)arg;
   while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
      stats.struct_size = sizeof(stats);
      slab_get_heap_stats(&stats);
   }
   return NULL;
}

static void
name_body(void *arg)
{
   pthread_t thread;
   int i, reports = ITERATIONS(90, 5);

   (void)arg;
   create_pools();
   slab_set_report_handler(look_for_name, NULL);
   MUST(pthread_create(&thread, NULL, use_heap, NULL) == 0);
   for (i = 0; i < reports; i++)
      misuse();
   __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
   MUST(pthread_join(thread, NULL) == 0);
   MUST(heard >= reports && nameless == 0);
}

static void
a_report_has_the_pools_name_while_others_use_the_heap(void **state)
{
   (void)state;
   run_in_all_modes(name_body);
}

static void
a_file_that_is_mapped_and_truncated_is_not_read(void **state)
{
   (void)state;
   assert_non_null(strstr(run("checks,users", truncated_body), "this call is by thread"));
   run("guard", truncated_body);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_report_that_cannot_be_written_raises_no_signal),
      cmocka_unit_test(a_full_pipe_stops_the_thread_that_reports_and_no_other),
      cmocka_unit_test(no_function_is_a_cancellation_point),
      cmocka_unit_test(a_thread_that_prints_statistics_may_be_cancelled),
      cmocka_unit_test(a_file_that_has_descriptor_2_gets_the_reports_or_a_handler_does),
      cmocka_unit_test(a_handler_may_call_everything_and_fork),
      cmocka_unit_test(a_handler_may_never_return),
      cmocka_unit_test(a_handler_of_abort_may_use_the_pool_and_fork),
      cmocka_unit_test(a_pool_may_be_named_while_it_is_reported),
      cmocka_unit_test(a_report_has_the_pools_name_while_others_use_the_heap),
      cmocka_unit_test(a_file_that_is_mapped_and_truncated_is_not_read),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
