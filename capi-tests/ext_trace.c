/* SPDX-License-Identifier: MIT */
/*
 * SLAB_DEBUG=trace: what the file has, read with the example driver's reader, which refuses what does not fit
 * together. Each case is recorded in a process of its own.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "driver/trace.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { size = 88, hint = 16 };

static char folder[] = "/tmp/slab-trace-XXXXXX";
static char path[100];

static void
record_to(const char *file)
{
   MUST(setenv("SLAB_TRACE", file, 1) == 0);
   MUST(setenv("SLAB_DEBUG", "trace", 1) == 0);
}

static struct trace
read_trace(const char *file)
{
   struct trace trace;
   char error[TRACE_ERROR_SIZE];

   if (!trace_read(&trace, file, error)) {
      fprintf(stderr, "%s: %s\n", file, error);
      fail();
   }
   assert_int_equal(unlink(file), 0);
   return trace;
}

static void
calls_body(void *arg)
{
   struct slab_parent_pool parent, other;
   struct slab_child_pool a, b, c, zeroed;
   void *objects[6];

   (void)arg;
   record_to(path);
   memset(&zeroed, 0, sizeof(zeroed));
   slab_create_parent(&parent, size, hint);
   slab_create_child(&a, &parent);
   slab_create_child(&b, &parent);
   objects[0] = slab_alloc(&a);
   objects[1] = slab_zalloc(&a);
   objects[2] = slab_alloc(&b);
   slab_free(&a, objects[0]);
   slab_free(&b, objects[1]);
   slab_free(&b, NULL);
   objects[3] = slab_alloc(&a);
   objects[4] = slab_alloc(&a);
   objects[5] = slab_alloc(&a);
   slab_create_parent(&other, 40, 4);
   slab_create_child(&c, &other);
   slab_destroy_child(&a);
   slab_free(&b, objects[3]);
   slab_free(&a, objects[4]);
   slab_free(&zeroed, objects[5]);
   slab_free(&c, objects[2]);
   objects[2] = slab_alloc(&b);
   slab_destroy_child(&b);
   slab_destroy_parent(&parent);
   slab_free(&c, objects[2]);
   slab_destroy_child(&c);
   slab_destroy_parent(&other);
   exit(0);
}

static void
every_call_is_recorded(void **state)
{
   enum { CROSS = 2, ORPHAN = 4, DEAD = 8, OTHER = 64 };
   static const struct {
      int op;
      int flags;
      unsigned pool, a, b; /* b is a time unless the record is of a parent */
   } expected[] = {
      {TRACE_CREATE_PARENT, 0, 1, size, hint},
      {TRACE_CREATE_CHILD, 0, 1, 1, 0},
      {TRACE_CREATE_CHILD, 0, 2, 1, 0},
      {TRACE_ALLOC, 0, 1, 1, 0},
      {TRACE_ZALLOC, 0, 1, 2, 0},
      {TRACE_ALLOC, 0, 2, 3, 0},
      {TRACE_FREE, 0, 1, 1, 0},
      {TRACE_FREE, CROSS, 2, 2, 0},
      {TRACE_ALLOC, 0, 1, 4, 0},
      {TRACE_ALLOC, 0, 1, 5, 0},
      {TRACE_ALLOC, 0, 1, 6, 0},
      {TRACE_CREATE_PARENT, 0, 2, 40, 4},
      {TRACE_CREATE_CHILD, 0, 3, 2, 0},
      {TRACE_DESTROY_CHILD, 0, 1, 3, 0},
      {TRACE_FREE, CROSS | ORPHAN, 2, 4, 0},
      {TRACE_FREE, ORPHAN | DEAD, 1, 5, 0},
      {TRACE_FREE, CROSS | ORPHAN | DEAD, 0, 6, 0},
      {TRACE_FREE, CROSS | OTHER, 3, 3, 0},
      {TRACE_ALLOC, 0, 2, 7, 0},
      {TRACE_DESTROY_CHILD, 0, 2, 1, 0},
      {TRACE_DESTROY_PARENT, 0, 1, 1, 0},
      {TRACE_FREE, CROSS | ORPHAN | OTHER, 3, 7, 0},
      {TRACE_DESTROY_CHILD, 0, 3, 0, 0},
      {TRACE_DESTROY_PARENT, 0, 2, 0, 0},
   };
   struct child_process process;
   struct trace trace;
   size_t i;

   (void)state;
   assert_true(child_run(&process, calls_body, NULL));
   assert_string_equal(process.said, "");
   trace = read_trace(path);
   assert_int_equal(trace.count, trace.recorded);
   for (i = 0; i < sizeof(expected) / sizeof(expected[0]) && i < trace.count; i++) {
      const struct trace_record *record = &trace.records[i];
      if (record->op != (enum trace_op)expected[i].op || record->flags != expected[i].flags)
         fprintf(stderr, "record %d: op %d, flags %d\n", (int)i, (int)record->op, record->flags);
      assert_int_equal(record->op, expected[i].op);
      assert_int_equal(record->flags, expected[i].flags);
      assert_int_equal(record->pool, expected[i].pool);
      assert_int_equal(record->a, expected[i].a);
      assert_int_equal(record->thread, 1);
      if (record->op == TRACE_CREATE_PARENT || record->op == TRACE_DESTROY_PARENT)
         assert_int_equal(record->b, expected[i].b);
   }
   assert_int_equal(trace.count, sizeof(expected) / sizeof(expected[0]));
   trace_release(&trace);
}

enum { threads = 4, rounds = 3000 };

static struct slab_parent_pool shared;
static void *ring[64];
static pthread_mutex_t ring_lock = PTHREAD_MUTEX_INITIALIZER;

static void *
hand_round(void *arg)
{
   unsigned random = (unsigned)(uintptr_t)arg;
   struct slab_child_pool child;
   int i;

   slab_create_child(&child, &shared);
   for (i = 0; i < rounds; i++) {
      void *object = i % 3 ? slab_alloc(&child) : slab_zalloc(&child);
      unsigned place;

      MUST(object);
      random = random * 1664525u + 1013904223u;
      place = (random >> 16) % 64;
      pthread_mutex_lock(&ring_lock);
      void *other = ring[place];
      ring[place] = object;
      pthread_mutex_unlock(&ring_lock);
      slab_free(&child, other);
      if (i % 500 == 499) {
         slab_destroy_child(&child);
         slab_create_child(&child, &shared);
      }
   }
   slab_destroy_child(&child);
   return NULL;
}

static void
threads_body(void *arg)
{
   pthread_t thread[threads];
   uintptr_t i;

   (void)arg;
   record_to(path);
   slab_create_parent(&shared, size, hint);
   for (i = 0; i < threads; i++)
      MUST(pthread_create(&thread[i], NULL, hand_round, (void *)(i + 1)) == 0);
   for (i = 0; i < threads; i++)
      MUST(pthread_join(thread[i], NULL) == 0);
   /* What is in the ring stays out, and the pool is never destroyed. */
   exit(0);
}

static void
threads_are_recorded_in_an_order_that_one_thread_can_replay(void **state)
{
   struct child_process process;
   struct trace trace;
   size_t i, seen = 0;

   (void)state;
   assert_true(child_run(&process, threads_body, NULL));
   trace = read_trace(path);
   assert_int_equal(trace.totals.parents, 1);
   assert_int_equal(trace.totals.children, threads * (rounds / 500 + 1));
   assert_int_equal(trace.totals.allocs, threads * rounds);
   assert_int_equal(trace.totals.item_size, size);
   /* 64 of them close what was left open, one the pool. */
   assert_int_equal(trace.count - trace.recorded, 65);
   for (i = 0; i < trace.recorded; i++) {
      assert_true(trace.records[i].thread <= seen + 1);
      if (trace.records[i].thread > seen)
         seen = trace.records[i].thread;
   }
   /* The main thread creates the pool. A thread may get the number of one that has ended. */
   assert_true(seen >= 2 && seen <= threads + 1);
   trace_release(&trace);
}

struct replay {
   const struct trace *trace;
   struct slab_parent_pool *parents;
   struct slab_child_pool *children;
   void **objects;
};

static void
replay_record(const struct replay *replay, const struct trace_record *record)
{
   struct slab_child_pool *child = &replay->children[record->pool];
   void **object = &replay->objects[record->a];

   switch (record->op) {
   case TRACE_CREATE_PARENT:
      slab_create_parent(&replay->parents[record->pool], record->a, record->b);
      break;
   case TRACE_DESTROY_PARENT:
      slab_destroy_parent(&replay->parents[record->pool]);
      break;
   case TRACE_CREATE_CHILD:
      slab_create_child(child, &replay->parents[record->a]);
      break;
   case TRACE_DESTROY_CHILD:
      slab_destroy_child(child);
      break;
   case TRACE_ALLOC:
      *object = slab_alloc(child);
      break;
   case TRACE_ZALLOC:
      *object = slab_zalloc(child);
      break;
   case TRACE_FREE:
      slab_free(child, *object);
      break;
   case TRACE_END:
      break;
   }
}

static void
replay_body(void *arg)
{
   struct replay *replay = (struct replay *)arg;
   size_t i;

   record_to(path);
   for (i = 0; i < replay->trace->count; i++)
      replay_record(replay, &replay->trace->records[i]);
   exit(0);
}

static void
a_replay_records_what_it_replays(void **state)
{
   struct child_process process;
   struct trace trace, again;
   struct replay replay;
   size_t i;

   (void)state;
   assert_true(child_run(&process, threads_body, NULL));
   trace = read_trace(path);
   replay.trace = &trace;
   replay.parents = (struct slab_parent_pool *)calloc(trace.parent_limit, sizeof(*replay.parents));
   replay.children = (struct slab_child_pool *)calloc(trace.child_limit, sizeof(*replay.children));
   replay.objects = (void **)calloc(trace.object_limit, sizeof(*replay.objects));
   assert_true(replay.parents && replay.children && replay.objects);
   assert_true(child_run(&process, replay_body, &replay));
   assert_string_equal(process.said, "");
   again = read_trace(path);
   assert_int_equal(again.count, trace.count);
   for (i = 0; i < trace.count; i++) {
      assert_int_equal(again.records[i].op, trace.records[i].op);
      assert_int_equal(again.records[i].pool, trace.records[i].pool);
      if (trace.records[i].op != TRACE_DESTROY_CHILD && trace.records[i].op != TRACE_DESTROY_PARENT)
         assert_int_equal(again.records[i].a, trace.records[i].a);
   }
   free(replay.parents);
   free(replay.children);
   free(replay.objects);
   trace_release(&trace);
   trace_release(&again);
}

static void
some_body(void *arg)
{
   struct slab_mempool pool, other;
   void *object;

   (void)arg;
   MUST(setenv("SLAB_TRACE", path, 1) == 0);
   MUST(setenv("SLAB_DEBUG", "trace:88x16", 1) == 0);
   slab_create(&pool, size, hint);
   slab_create(&other, 96, hint);
   object = slab_alloc_st(&pool);
   slab_free_st(&other, slab_alloc_st(&other));
   slab_free_st(&other, object);
   slab_destroy(&other);
   slab_destroy(&pool);
   exit(0);
}

static void
pools_are_chosen_by_a_pattern(void **state)
{
   struct child_process process;
   struct trace trace;

   (void)state;
   assert_true(child_run(&process, some_body, NULL));
   trace = read_trace(path);
   assert_int_equal(trace.count, 6);
   assert_int_equal(trace.totals.parents, 1);
   assert_int_equal(trace.totals.item_size, size);
   trace_release(&trace);
}

static void
use_a_pool(void)
{
   struct slab_mempool pool;

   slab_create(&pool, size, hint);
   slab_free_st(&pool, slab_alloc_st(&pool));
   slab_destroy(&pool);
}

static void
process_body(void *arg)
{
   char with_process[120];
   int status;
   pid_t pid;

   (void)arg;
   snprintf(with_process, sizeof(with_process), "%s.%%p", path);
   record_to(with_process);
   use_a_pool();
   pid = fork();
   MUST(pid >= 0);
   use_a_pool();
   if (pid == 0)
      exit(0);
   MUST(waitpid(pid, &status, 0) == pid && status == 0);
   exit(0);
}

static void
the_file_is_the_process_s_own(void **state)
{
   struct child_process process;
   struct trace trace;
   char name[150];

   (void)state;
   assert_true(child_run(&process, process_body, NULL));
   snprintf(name, sizeof(name), "%s.%ld", path, (long)process.pid);
   trace = read_trace(name);
   /* After fork() the parent process goes on, and the other one records nothing. */
   assert_int_equal(trace.totals.parents, 2);
   assert_int_equal(trace.totals.allocs, 2);
   trace_release(&trace);
}

static void
refused_body(void *arg)
{
   record_to((const char *)arg);
   use_a_pool();
   use_a_pool();
   exit(0);
}

/* More than is gathered before it is written. */
static void
large_body(void *arg)
{
   struct slab_mempool pool;
   int i;

   record_to((const char *)arg);
   slab_create(&pool, size, hint);
   for (i = 0; i < 20000; i++)
      slab_free_st(&pool, slab_alloc_st(&pool));
   slab_destroy(&pool);
   exit(0);
}

/* A FIFO of which nobody reads, or nobody any more, or somebody too slowly, and devices. */
static void
no_file_keeps_the_program_waiting(void **state)
{
   char fifo[120], refused[200], text[64];
   static const char given_up[] = "mesa-slab: the trace cannot be written any more\n";
   struct child_process process;
   int reader;

   (void)state;
   snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
   snprintf(refused, sizeof(refused), "mesa-slab: cannot write a trace to %s\n", fifo);
   assert_int_equal(mkfifo(fifo, 0600), 0);
   assert_true(child_run(&process, large_body, fifo));
   assert_string_equal(process.said, refused);
   reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
   assert_true(reader >= 0);
   assert_true(child_run(&process, refused_body, fifo));
   assert_string_equal(process.said, "");
   assert_int_equal(read(reader, text, 8), 8);
   assert_memory_equal(text, "SLABTRC1", 8);
   assert_true(child_run(&process, large_body, fifo));
   assert_string_equal(process.said, given_up);
   close(reader);
   unlink(fifo);
   assert_true(child_run(&process, large_body, (void *)"/dev/full"));
   assert_string_equal(process.said, given_up);
   assert_true(child_run(&process, large_body, (void *)"/dev/null"));
   assert_string_equal(process.said, "");
}

/* What others write to a FIFO is theirs: the library looks at the heads of files alone. */
static void
nothing_is_taken_out_of_a_fifo(void **state)
{
   static const char words[] = "of another process";
   struct child_process process;
   char fifo[120], text[200];
   int both, i;

   (void)state;
   snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
   assert_int_equal(mkfifo(fifo, 0600), 0);
   both = open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
   assert_true(both >= 0);
   for (i = 0; i < 2; i++) {
      assert_int_equal(write(both, words, sizeof(words)), sizeof(words));
      assert_true(child_run(&process, refused_body, fifo));
      assert_string_equal(process.said, "");
      assert_int_equal(read(both, text, sizeof(words)), sizeof(words));
      assert_string_equal(text, words);
      while (read(both, text, sizeof(text)) > 0) {
      }
   }
   close(both);
   unlink(fifo);
}

static void
what_cannot_be_written_is_said_once_and_symbolic_links_are_not_followed(void **state)
{
   struct child_process process;
   char link[120], target[120], nowhere[] = "/nonexistent/trace", empty[] = "";
   struct stat found;

   (void)state;
   snprintf(link, sizeof(link), "%s/link", folder);
   snprintf(target, sizeof(target), "%s/target", folder);
   assert_int_equal(symlink(target, link), 0);
   assert_true(child_run(&process, refused_body, link));
   assert_non_null(strstr(process.said, "mesa-slab: cannot write a trace to "));
   assert_ptr_equal(strstr(process.said, "mesa-slab"), process.said);
   assert_null(strstr(process.said + 1, "mesa-slab"));
   assert_int_equal(stat(target, &found), -1);
   assert_int_equal(unlink(link), 0);
   assert_true(child_run(&process, refused_body, nowhere));
   assert_string_equal(process.said, "mesa-slab: cannot write a trace to /nonexistent/trace\n");
   assert_true(child_run(&process, refused_body, empty));
   assert_string_equal(process.said, "mesa-slab: no trace is written\n");
}

static int
make_folder(void **state)
{
   (void)state;
   if (!mkdtemp(folder))
      return -1;
   snprintf(path, sizeof(path), "%s/trace", folder);
   return 0;
}

static int
remove_folder(void **state)
{
   (void)state;
   return rmdir(folder);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_call_is_recorded),
      cmocka_unit_test(threads_are_recorded_in_an_order_that_one_thread_can_replay),
      cmocka_unit_test(a_replay_records_what_it_replays),
      cmocka_unit_test(pools_are_chosen_by_a_pattern),
      cmocka_unit_test(the_file_is_the_process_s_own),
      cmocka_unit_test(no_file_keeps_the_program_waiting),
      cmocka_unit_test(nothing_is_taken_out_of_a_fifo),
      cmocka_unit_test(what_cannot_be_written_is_said_once_and_symbolic_links_are_not_followed),
   };

   return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
