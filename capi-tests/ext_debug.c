/* SPDX-License-Identifier: MIT */
/*
 * SLAB_DEBUG and slab_set_debug(): what each mode reports, and what it does. Each case is a process of its own, once
 * with the words in the environment and once with the same words given to the pool. ext_guard.c and ext_trace.c
 * are for the modes guard and trace.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "must.h"
#include "os_requests.h"
#include "slab.h"
#include "slab_ext.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { size = 96, hint = 64, most_waiting = 1 << 20, poison_free = 0x6b, poison_fresh = 0x5a };

/* With musl the library finds stacks only in a process that has an unwinder. */
#ifdef __GLIBC__
enum { has_stacks = 1 };
#else
enum { has_stacks = 0 };
#endif

static struct slab_parent_pool parent;
static struct slab_child_pool child;

/* What was reported since it was looked at last. */
static struct {
   int reports;
   size_t length;
   char text[20000];
} heard;

static void
hear(void *data, const char *line)
{
   size_t length = strlen(line);

   (void)data;
   MUST(heard.length + length + 2 <= sizeof(heard.text));
   memcpy(heard.text + heard.length, line, length);
   heard.length += length;
   heard.text[heard.length++] = '\n';
   heard.text[heard.length] = 0;
   heard.reports += strncmp(line, "mesa-slab: ", 11) == 0;
}

/* So many reports since the last look, and these words in them; NULL for any. */
static void
must_hear(int reports, const char *format, ...)
{
   char words[500] = "";
   va_list arguments;

   if (format) {
      va_start(arguments, format);
      vsnprintf(words, sizeof(words), format, arguments);
      va_end(arguments);
   }
   if (heard.reports != reports || !strstr(heard.text, words)) {
      fprintf(stderr, "not %d reports with \"%s\", but:\n%s\n", reports, words, heard.text);
      abort();
   }
   heard.reports = 0;
   heard.length = 0;
   heard.text[0] = 0;
}

static void
must_be_quiet(void)
{
   must_hear(0, NULL);
}

struct run {
   const char *words;
   bool by_function; /* else by the environment */
   void (*use)(void);
};

static void
run_body(void *arg)
{
   const struct run *run = (const struct run *)arg;

   slab_set_report_handler(hear, NULL);
   if (!run->by_function)
      MUST(setenv("SLAB_DEBUG", run->words, 1) == 0);
   slab_create_parent(&parent, size, hint);
   if (run->by_function)
      MUST(slab_set_debug(&parent, run->words) == 0);
   MUST(slab_set_name(&parent, "queries") == 0);
   slab_create_child(&child, &parent);
   run->use();
}

static void
run(const char *words, void (*use)(void))
{
   struct run run = {words, false, use};
   struct child_process process;

   assert_true(child_run(&process, run_body, &run));
   assert_string_equal(process.said, "");
   run.by_function = true;
   assert_true(child_run(&process, run_body, &run));
   assert_string_equal(process.said, "");
}

static char *
allocate(void)
{
   char *object = (char *)slab_alloc(&child);

   MUST(object);
   return object;
}

static struct slab_parent_stats
stats_of(struct slab_parent_pool *pool)
{
   struct slab_parent_stats stats;

   stats.struct_size = sizeof(stats);
   MUST(slab_get_parent_stats(pool, &stats) == 0);
   return stats;
}

/* All was freed, whichever way, and nothing is left to report. */
static void
must_end_well(void)
{
   MUST(stats_of(&parent).objects_out == 0);
   MUST(slab_validate(&parent) == 0);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   MUST(slab_validate(NULL) == 0);
   must_be_quiet();
}

/* checks */

static void
free_twice(void)
{
   char *object = allocate();
   char *second, *third;

   slab_free(&child, object);
   must_be_quiet();
   slab_free(&child, object);
   must_hear(1, "mesa-slab: slab_free: pool queries 96x64 at %p: %p: double free\n", (void *)&parent, (void *)object);
   second = allocate();
   third = allocate();
   MUST(second != third);
   slab_free(&child, second);
   slab_free(&child, third);
   must_end_well();
}

static void
a_double_free_is_reported_at_once_and_does_nothing(void **state)
{
   (void)state;
   run("checks", free_twice);
}

static void
free_through_others(void)
{
   struct slab_parent_pool other;
   struct slab_child_pool others, zeroed;
   char *object;

   slab_create_parent(&other, size, hint);
   slab_create_child(&others, &other);
   slab_free(&others, slab_alloc(&others));
   must_be_quiet();
   object = allocate();
   slab_free(&others, object);
   must_hear(1, "another pool\n");
   MUST(stats_of(&parent).objects_out == 0);

   object = allocate();
   memset(&zeroed, 0, sizeof(zeroed));
   slab_free(&zeroed, object);
   must_hear(1, "pool queries 96x64 at %p: %p: freed through a child pool that is destroyed or was never created\n",
             (void *)&parent, (void *)object);
   MUST(stats_of(&parent).objects_out == 0);

   object = allocate();
   slab_destroy_child(&child);
   slab_free(&child, object);
   must_hear(1, "slab_free: pool queries 96x64 at %p: %p: freed through a destroyed child pool\n",
             (void *)&parent, (void *)object);
   slab_destroy_child(&others);
   slab_destroy_parent(&other);
   must_end_well();
}

static void
a_free_through_a_strange_child_is_reported_and_done(void **state)
{
   (void)state;
   run("checks", free_through_others);
}

static void
free_wrong_addresses(void)
{
   char *object = allocate();
   char local;

   memset(object, 7, size);
   slab_free(&child, object + 8);
   must_hear(1, ": %p: not an object of a pool\n", (void *)(object + 8));
   slab_free(&child, &local);
   must_hear(1, "slab_free: pool queries 96x64 at %p: %p: not an object of a pool\n", (void *)&parent, (void *)&local);
   MUST(object[0] == 7 && object[size - 1] == 7);
   slab_free(&child, NULL);
   slab_free(&child, object);
   must_end_well();
}

static void
an_address_that_is_no_object_is_reported(void **state)
{
   (void)state;
   run("checks", free_wrong_addresses);
}

static void
use_dead_pools(void)
{
   struct slab_child_pool zeroed, orphan;

   memset(&zeroed, 0, sizeof(zeroed));
   MUST(!slab_alloc(&zeroed));
   must_hear(1, "slab_alloc: %p: a child pool that is destroyed or was never created\n", (void *)&zeroed);
   slab_create_child(&orphan, &parent);
   slab_free(&orphan, slab_alloc(&orphan));
   slab_free(&child, allocate());
   slab_destroy_child(&child);
   must_be_quiet();
   MUST(!slab_alloc(&child) && !slab_zalloc(&child));
   must_hear(2, "slab_alloc: %p: a destroyed child pool\n", (void *)&child);

   slab_destroy_parent(&parent);
   must_be_quiet();
   MUST(!slab_alloc(&orphan));
   must_hear(1, "slab_alloc: %p: a child of a destroyed pool\n", (void *)&orphan);
   slab_destroy_parent(&parent);
   must_hear(1, "mesa-slab: slab_destroy_parent: %p: the pool is destroyed already\n", (void *)&parent);
   slab_destroy_child(&orphan);
   MUST(slab_validate(NULL) == 0);
   must_be_quiet();
}

static void
the_use_of_destroyed_and_zeroed_pools_is_reported(void **state)
{
   (void)state;
   run("checks", use_dead_pools);
}

static sem_t first_is_inside, second_is_done;

/* The first thread's report is made within its call, which does not go on until the other one's is over. */
static void
hear_and_block(void *data, const char *line)
{
   if (strstr(line, "not an object")) {
      MUST(sem_post(&first_is_inside) == 0);
      while (sem_wait(&second_is_done) != 0)
         MUST(errno == EINTR);
   } else {
      hear(data, line);
   }
}

static void *
first_thread(void *arg)
{
   char local;

   (void)arg;
   slab_free(&child, &local);
   return NULL;
}

static void
enter_twice(void)
{
   pthread_t first;
   void *object;

   MUST(sem_init(&first_is_inside, 0, 0) == 0 && sem_init(&second_is_done, 0, 0) == 0);
   slab_set_report_handler(hear_and_block, NULL);
   MUST(pthread_create(&first, NULL, first_thread, NULL) == 0);
   while (sem_wait(&first_is_inside) != 0)
      MUST(errno == EINTR);
   object = slab_alloc(&child);
   MUST(object);
   must_hear(1,
             "slab_alloc: pool queries 96x64 at %p: %p: child used by two threads at once: thread 0x%lx calls while "
             "thread 0x%lx is inside\n",
             (void *)&parent, (void *)&child, (unsigned long)pthread_self(), (unsigned long)first);
   MUST(sem_post(&second_is_done) == 0);
   MUST(pthread_join(first, NULL) == 0);
   slab_free(&child, object);
   must_end_well();
}

static void
two_threads_in_one_child_at_once_are_reported(void **state)
{
   (void)state;
   run("checks", enter_twice);
}

/* redzone */

static void
write_around(void)
{
   char *object = allocate();

   object[size] = 1;
   MUST(slab_validate(&parent) == 1);
   must_hear(1, "mesa-slab: slab_validate: pool queries 96x64 at %p: %p: overrun: 0x1 at offset 96\n", (void *)&parent,
             (void *)object);
   slab_free(&child, object);
   must_hear(1, "mesa-slab: slab_free: pool queries 96x64 at %p: %p: overrun: 0x1 at offset 96\n", (void *)&parent,
             (void *)object);

   /* What was reported is made good. */
   object = allocate();
   object[-1] = 4;
   slab_free(&child, object);
   must_hear(1, ": %p: underrun: 0x4 at offset -1\n", (void *)object);

   object = allocate();
   object[-16] = 5;
   object[size + 15] = 6;
   slab_free(&child, object);
   must_hear(1, ": %p: overrun: 0x6 at offset 111\n", (void *)object);

   /* A slot that is used again. */
   MUST(slab_validate(&parent) == 0);
   object[size] = 7;
   do {
      MUST(heard.reports == 0);
   } while (allocate() != object);
   must_hear(1, "slab_alloc: pool queries 96x64 at %p: %p: overrun: 0x7 at offset 96\n", (void *)&parent,
             (void *)object);
}

static void
a_write_of_a_byte_before_or_behind_an_object_is_reported(void **state)
{
   (void)state;
   run("redzone", write_around);
}

static void
write_far(void)
{
   enum { count = 20 };
   char *objects[count];
   char *next = NULL;
   int i, last = 0;

   /* An object with another one behind it; the hardened build has them in any order. */
   for (i = 0; i < count; i++)
      objects[i] = allocate();
   for (i = 0; i < count; i++) {
      if (objects[i] == objects[last] + stats_of(&parent).element_size) {
         next = objects[i];
         break;
      }
      if (i == count - 1 && last < count - 1) {
         last++;
         i = -1;
      }
   }
   MUST(next);
   memset(objects[last] + size, 2, 24);
   MUST(slab_validate(&parent) == 2);
   must_hear(2, ": %p: overrun: 0x2 at offset 96\n", (void *)objects[last]);
   slab_free(&child, objects[last]);
   must_hear(1, ": %p: overrun: 0x2 at offset 96\n", (void *)objects[last]);
   slab_free(&child, next);
   must_hear(1, ": %p: underrun: 0x2 at offset -9\n", (void *)next);
   for (i = 0; i < count; i++) {
      if (objects[i] != objects[last] && objects[i] != next)
         slab_free(&child, objects[i]);
   }
   must_end_well();
}

static void
an_overrun_by_24_bytes_is_seen_from_both_sides(void **state)
{
   (void)state;
   run("redzone", write_far);
}

/* poison */

static void
write_after_free(void)
{
   char *object = allocate();
   unsigned char *zeroed;
   int i;

   for (i = 0; i < size; i++)
      MUST(object[i] == poison_fresh);
   slab_free(&child, object);
   for (i = 0; i < size; i++)
      MUST(object[i] == poison_free);

   object[95] = 9;
   MUST(slab_validate(&parent) == 1);
   must_hear(1, "slab_validate: pool queries 96x64 at %p: %p: write after free: 0x9 at offset 95\n", (void *)&parent,
             (void *)object);
   object[7] = 8;
   do {
      MUST(heard.reports == 0);
   } while (allocate() != object);
   must_hear(1, "slab_alloc: pool queries 96x64 at %p: %p: write after free: 0x8 at offset 7\n", (void *)&parent,
             (void *)object);
   for (i = 0; i < size; i++)
      MUST(object[i] == poison_fresh);

   slab_free(&child, object);
   for (;;) {
      zeroed = (unsigned char *)slab_zalloc(&child);
      MUST(zeroed);
      for (i = 0; i < size; i++)
         MUST(zeroed[i] == 0);
      if ((char *)zeroed == object)
         break;
   }
   must_be_quiet();
}

static void
free_and_fresh_objects_are_filled_and_a_write_after_free_is_reported(void **state)
{
   (void)state;
   run("poison", write_after_free);
}

/* users */

/* The part of the last report from the line that begins so; it ends before the next line that is no stack frame. */
static void
must_have_stack(const char *begin, pthread_t thread)
{
   char words[200];
   const char *found, *line;
   int own = 0, frames = 0;
   size_t length;

   snprintf(words, sizeof(words), "\n  %s by thread 0x%lx:\n", begin, (unsigned long)thread);
   found = strstr(heard.text, words);
   if (!found)
      fprintf(stderr, "not \"%s\", but:\n%s\n", words, heard.text);
   MUST(found);
   snprintf(words, sizeof(words), "    %s+0x", program_invocation_short_name);
   length = strlen(words);
   for (line = strchr(found + 1, '\n') + 1; strncmp(line, "    ", 4) == 0; line = strchr(line, '\n') + 1) {
      own += strncmp(line, words, length) == 0;
      frames++;
   }
   MUST(frames >= own && (own > 0 || !has_stacks));
}

static void *
allocate_here(void *arg)
{
   (void)arg;
   return allocate();
}

static void
free_twice_as_users(void)
{
   pthread_t other;
   void *object;

   MUST(pthread_create(&other, NULL, allocate_here, NULL) == 0);
   MUST(pthread_join(other, &object) == 0);
   slab_free(&child, object);
   must_be_quiet();
   slab_free(&child, object);
   must_have_stack("this call is", pthread_self());
   must_have_stack("allocated", other);
   must_have_stack("freed", pthread_self());
   must_hear(1, ": %p: double free\n  this call is by thread", object);

   object = allocate();
   ((char *)object)[size] = 1;
   slab_free(&child, object);
   must_have_stack("allocated", pthread_self());
   MUST(!strstr(heard.text, "  freed by"));
   must_hear(1, ": %p: overrun: 0x1 at offset 96\n", object);
   must_end_well();
}

static void
reports_tell_who_allocated_and_who_freed(void **state)
{
   (void)state;
   run("checks,redzone,users", free_twice_as_users);
}

/* quarantine */

static char *objects[200000];

static void
wait_in_turn(void)
{
   size_t most = most_waiting / stats_of(&parent).element_size, i;

   MUST(most + 100 < sizeof(objects) / sizeof(objects[0]));
   for (i = 0; i < most + 100; i++)
      objects[i] = allocate();
   for (i = 0; i < most; i++)
      slab_free(&child, objects[i]);
   MUST(stats_of(&parent).objects_out == most + 100);
   slab_free(&child, objects[3]);
   must_hear(1, ": %p: double free\n", (void *)objects[3]);

   /* A byte of what is in the middle is seen when it is its turn, and not before. */
   objects[50][5] = 1;
   for (i = 0; i < 50; i++)
      slab_free(&child, objects[most + i]);
   must_be_quiet();
   slab_free(&child, objects[most + 50]);
   must_hear(1, ": %p: write after free: 0x1 at offset 5\n", (void *)objects[50]);
   for (i = 51; i < 100; i++)
      slab_free(&child, objects[most + i]);
   MUST(stats_of(&parent).objects_out == most);
   must_be_quiet();

   /* The pool's end is the end of waiting. */
   objects[most][5] = 2;
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   must_hear(1, "slab_destroy_parent: pool queries 96x64 at %p: %p: write after free: 0x2 at offset 5\n",
             (void *)&parent, (void *)objects[most]);
   MUST(slab_validate(NULL) == 0);
}

static void
freed_objects_wait_in_turn_up_to_so_many_bytes(void **state)
{
   (void)state;
   run("poison,quarantine", wait_in_turn);
}

static void
not_again_at_once(void)
{
   char *object = allocate();
   int i;

   slab_free(&child, object);
   for (i = 0; i < 1000; i++) {
      char *other = allocate();
      MUST(other != object);
      slab_free(&child, other);
   }
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   must_be_quiet();
}

static void
a_freed_object_is_not_handed_out_at_once(void **state)
{
   (void)state;
   run("quarantine", not_again_at_once);
}

static void
run_out_of_memory(void)
{
   enum { freed = 1000 };
   static bool again[freed];
   size_t count, i, j;

   for (count = 0; count < 2 * freed; count++)
      objects[count] = allocate();
   for (i = 0; i < freed; i++)
      slab_free(&child, objects[i]);
   MUST(stats_of(&parent).objects_out == 2 * freed);
   os_fail_request(1, true);
   for (;; count++) {
      MUST(count < sizeof(objects) / sizeof(objects[0]));
      objects[count] = (char *)slab_alloc(&child);
      if (!objects[count])
         break;
      /* The freed ones come last, or the library still had other memory. */
      for (j = 0; j < freed && count >= 2 * freed; j++) {
         if (objects[count] == objects[j]) {
            MUST(!again[j]);
            again[j] = true;
         }
      }
   }
   for (j = 0; j < freed; j++)
      MUST(again[j]);
   os_fail_nothing();
   for (i = freed; i < count; i++)
      slab_free(&child, objects[i]);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   MUST(slab_validate(NULL) == 0);
   must_be_quiet();
}

static void
objects_that_wait_are_handed_out_when_memory_runs_out(void **state)
{
   (void)state;
   run("quarantine", run_out_of_memory);
}

/* leaks */

__attribute__((noinline)) static void
leave(int count)
{
   volatile int left;

   for (left = count; left > 0; left--)
      allocate();
}

static void
leak(void)
{
   const char *more, *less;

   leave(3);
   slab_free(&child, allocate());
   leave(5);
   slab_destroy_child(&child);
   must_be_quiet();
   slab_destroy_parent(&parent);
   if (!has_stacks) {
      must_hear(1, "pool queries 96x64 at %p: 8 objects are still out\n", (void *)&parent);
      return;
   }
   more = strstr(heard.text, "\n  5 objects, 480 bytes, allocated by:\n    ");
   less = strstr(heard.text, "\n  3 objects, 288 bytes, allocated by:\n    ");
   if (!more || !less)
      fprintf(stderr, "%s\n", heard.text);
   MUST(more && less && more < less);
   MUST(strstr(more, program_invocation_short_name) < less);
   MUST(strstr(less, program_invocation_short_name));
   must_hear(1, "mesa-slab: slab_destroy_parent: pool queries 96x64 at %p: 8 objects are still out\n", (void *)&parent);
}

static void
objects_out_at_destroy_are_grouped_by_where_they_were_allocated(void **state)
{
   (void)state;
   run("leaks,users", leak);
}

static void
leak_until_exit(void)
{
   slab_set_report_handler(NULL, NULL);
   leave(2);
   /* The library's last words are said after the program's own. */
   exit(0);
}

static void
objects_out_at_exit_are_reported(void **state)
{
   struct run run = {"leaks,users", false, leak_until_exit};
   struct child_process process;
   int i;

   (void)state;
   for (i = 0; i < 2; i++, run.by_function = true) {
      assert_true(child_run(&process, run_body, &run));
      assert_ptr_equal(strstr(process.said, "mesa-slab: exit: pool queries 96x64 at 0x"), process.said);
      assert_non_null(strstr(process.said, ": 2 objects are still out\n"));
      if (has_stacks)
         assert_non_null(strstr(process.said, "out\n  2 objects, 192 bytes, allocated by:\n    "));
      assert_null(strstr(process.said + 1, "mesa-slab: "));
   }
}

/* Which pools */

static bool
is_debugged(struct slab_parent_pool *pool)
{
   return stats_of(pool).objects_per_child == 0;
}

struct pool {
   unsigned item_size, num_items;
   const char *name;
   bool is_meant;
};

struct choice {
   const char *words;
   struct pool pools[4];
};

static void
choice_body(void *arg)
{
   const struct choice *choice = (const struct choice *)arg;
   int i;

   MUST(setenv("SLAB_DEBUG", choice->words, 1) == 0);
   for (i = 0; i < 4; i++) {
      const struct pool *pool = &choice->pools[i];
      slab_create_parent(&parent, pool->item_size, pool->num_items);
      if (pool->name)
         MUST(slab_set_name(&parent, pool->name) == 0);
      if (is_debugged(&parent) != pool->is_meant)
         fprintf(stderr, "%s: pool %d\n", choice->words, i);
      MUST(is_debugged(&parent) == pool->is_meant);
      slab_destroy_parent(&parent);
   }
}

static void
patterns_choose_pools_by_size_hint_and_name(void **state)
{
   static const struct choice choices[] = {
      {"checks", {{96, 64, NULL, true}, {96, 32, NULL, true}, {88, 64, "foo", true}, {8, 512, NULL, true}}},
      {"checks:96x64", {{96, 64, NULL, true}, {96, 32, NULL, false}, {88, 64, "foo", false}, {96, 640, NULL, false}}},
      {"checks:96", {{96, 64, NULL, true}, {96, 32, NULL, true}, {88, 64, "foo", false}, {9, 64, NULL, false}}},
      {"checks:foo*", {{96, 64, NULL, false}, {96, 64, "foobar", true}, {8, 64, "foo", true}, {8, 64, "bfoo", false}}},
      {"poison,redzone:b?r", {{96, 64, "bar", true}, {96, 64, "br", false}, {8, 64, "ber", true}, {8, 9, NULL, false}}},
      {"checks:88;poison:q*;leaks:8x*",
       {{88, 64, NULL, true}, {96, 64, "q", true}, {8, 64, NULL, true}, {96, 64, NULL, false}}},
      {"", {{96, 64, NULL, false}, {96, 32, "foo", false}, {88, 64, "foo", false}, {8, 512, NULL, false}}},
   };
   size_t i;

   (void)state;
   for (i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
      struct choice choice = choices[i];
      struct child_process process;
      assert_true(child_run(&process, choice_body, &choice));
      assert_string_equal(process.said, "");
   }
}

static void
group_body(void *arg)
{
   struct slab_mempool pool;
   unsigned char *object;

   (void)arg;
   slab_set_report_handler(hear, NULL);
   MUST(setenv("SLAB_DEBUG", "poison:88;redzone:96*", 1) == 0);
   slab_create(&pool, 88, 64);
   object = (unsigned char *)slab_alloc_st(&pool);
   MUST(object && object[0] == poison_fresh && stats_of(&pool.parent).element_size < 88 + 16);
   slab_free_st(&pool, object);
   slab_destroy(&pool);
   must_be_quiet();
   slab_create(&pool, size, hint);
   object = (unsigned char *)slab_alloc_st(&pool);
   MUST(object && object[0] != poison_fresh);
   object[size] = 1;
   slab_free_st(&pool, object);
   must_hear(1, "overrun");
   slab_destroy(&pool);
}

static void
words_hold_for_the_pools_of_their_group_only(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, group_body, NULL));
}

static void
late_name_body(void *arg)
{
   void *object;

   (void)arg;
   MUST(setenv("SLAB_DEBUG", "checks:foo", 1) == 0);
   slab_create_parent(&parent, size, hint);
   slab_create_child(&child, &parent);
   object = allocate();
   MUST(slab_set_name(&parent, "foo") == 0);
   MUST(!is_debugged(&parent));
   slab_free(&child, object);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

static void
a_name_given_after_the_first_allocation_changes_no_mode(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, late_name_body, NULL));
   assert_string_equal(process.said, "");
}

static void
create_body(void *arg)
{
   bool debugged = arg && strstr((const char *)arg, "poison");
   int i;

   MUST(setenv("SLAB_DEBUG", (const char *)arg, 1) == 0);
   for (i = 0; i < 3; i++) {
      slab_create_parent(&parent, size, hint);
      MUST(is_debugged(&parent) == debugged);
      slab_destroy_parent(&parent);
   }
}

static void
help_lists_the_words_once(void **state)
{
   static const char *const words[] = {"checks", "redzone", "poison", "users", "quarantine",
                                       "leaks",  "guard",   "trace",  "abort", "help"};
   char help[] = "help";
   struct child_process process;
   const char *said;
   size_t i;

   (void)state;
   assert_true(child_run(&process, create_body, help));
   said = strstr(process.said, "mesa-slab: SLAB_DEBUG=word");
   assert_ptr_equal(said, process.said);
   assert_null(strstr(said + 1, "mesa-slab: "));
   for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
      char line[30];
      snprintf(line, sizeof(line), "\n  %s ", words[i]);
      assert_non_null(strstr(said, line));
   }
}

static void
an_unknown_word_is_named_once_and_the_others_hold(void **state)
{
   char words[] = "chekcs,poison";
   struct child_process process;
   const char *said;

   (void)state;
   assert_true(child_run(&process, create_body, words));
   said = strstr(process.said, "mesa-slab: SLAB_DEBUG: unknown word chekcs; known: checks ");
   assert_ptr_equal(said, process.said);
   assert_string_equal(strchr(said, '\n'), "\n");
}

/* slab_set_debug() */

static void
refused_body(void *arg)
{
   static const char *const wrong[] = {"chekcs", "checks,abrot", "abort", "help", "checks:96", "checks;poison"};
   struct slab_parent_pool zeroed;
   void *object;
   size_t i;

   (void)arg;
   memset(&zeroed, 0, sizeof(zeroed));
   MUST(slab_set_debug(&zeroed, "checks") == -1);
   slab_create_parent(&parent, size, hint);
   slab_create_child(&child, &parent);
   for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
      MUST(slab_set_debug(&parent, wrong[i]) == -1);
      MUST(slab_set_debug(NULL, wrong[i]) == -1);
      MUST(!is_debugged(&parent));
   }
   /* In place of those that it has, as often as you like before it is used. */
   MUST(slab_set_debug(&parent, "redzone") == 0 && stats_of(&parent).element_size > size);
   MUST(slab_set_debug(&parent, "checks,poison") == 0 && stats_of(&parent).element_size == size);
   MUST(slab_set_debug(&parent, "") == 0 && !is_debugged(&parent));

   object = allocate();
   MUST(slab_set_debug(&parent, "checks") == -1);
   slab_free(&child, object);
   MUST(slab_set_debug(&parent, "checks") == -1 && !is_debugged(&parent));
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   MUST(slab_set_debug(&parent, "checks") == -1);
}

static void
wrong_words_and_pools_in_use_are_refused(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, refused_body, NULL));
   assert_string_equal(process.said, "");
}

static void
default_body(void *arg)
{
   struct slab_parent_pool before, after;

   (void)arg;
   MUST(setenv("SLAB_DEBUG", "poison:88", 1) == 0);
   slab_create_parent(&before, size, hint);
   MUST(slab_set_debug(NULL, "redzone") == 0);
   MUST(!is_debugged(&before));
   slab_create_parent(&parent, 88, hint);
   slab_create_child(&child, &parent);
   MUST(stats_of(&parent).element_size > 88 + 16);
   MUST(*allocate() == poison_fresh);
   MUST(slab_set_debug(NULL, "") == 0);
   slab_create_parent(&after, size, hint);
   MUST(!is_debugged(&after) && is_debugged(&parent));
   slab_destroy_child(&child);
   slab_destroy_parent(&before);
   slab_destroy_parent(&parent);
   slab_destroy_parent(&after);
}

static void
words_for_no_pool_hold_for_those_to_come_besides_slab_debug(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, default_body, NULL));
   assert_string_equal(process.said, "");
}

/* Memory */

static void
give_back_body(void *arg)
{
   enum { large = 5 << 20, small = 96, many = 1000 };
   static void *objects[many];
   size_t before;
   int i;

   MUST(setenv("SLAB_DEBUG", (const char *)arg, 1) == 0);
   slab_create_parent(&parent, large, 1);
   slab_create_child(&child, &parent);
   for (i = 0; i < 3; i++)
      objects[i] = allocate();
   MUST(stats_of(&parent).bytes_held >= 3 * (size_t)large);
   before = os_bytes_held();
   for (i = 0; i < 3; i++)
      slab_free(&child, objects[i]);
   MUST(stats_of(&parent).bytes_held == 0);
   MUST(before - os_bytes_held() >= 3 * (size_t)large);
   must_end_well();

   slab_create_parent(&parent, small, hint);
   slab_create_child(&child, &parent);
   for (i = 0; i < many; i++)
      objects[i] = allocate();
   for (i = 0; i < many; i++)
      slab_free(&child, objects[i]);
   MUST(stats_of(&parent).bytes_held == stats_of(&parent).slab_bytes);
   slab_destroy_child(&child);
   MUST(stats_of(&parent).bytes_held == 0);
   slab_destroy_parent(&parent);
}

static void
a_pool_in_use_keeps_one_empty_slab_and_none_of_large_objects(void **state)
{
   static const char *const words[] = {"checks", "redzone,poison,users,leaks"};
   struct child_process process;
   size_t i;

   (void)state;
   for (i = 0; i < 2; i++) {
      char modes[50];

      strcpy(modes, words[i]);
      assert_true(child_run(&process, give_back_body, modes));
      assert_string_equal(process.said, "");
   }
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_double_free_is_reported_at_once_and_does_nothing),
      cmocka_unit_test(a_free_through_a_strange_child_is_reported_and_done),
      cmocka_unit_test(an_address_that_is_no_object_is_reported),
      cmocka_unit_test(the_use_of_destroyed_and_zeroed_pools_is_reported),
      cmocka_unit_test(two_threads_in_one_child_at_once_are_reported),
      cmocka_unit_test(a_write_of_a_byte_before_or_behind_an_object_is_reported),
      cmocka_unit_test(an_overrun_by_24_bytes_is_seen_from_both_sides),
      cmocka_unit_test(free_and_fresh_objects_are_filled_and_a_write_after_free_is_reported),
      cmocka_unit_test(reports_tell_who_allocated_and_who_freed),
      cmocka_unit_test(freed_objects_wait_in_turn_up_to_so_many_bytes),
      cmocka_unit_test(a_freed_object_is_not_handed_out_at_once),
      cmocka_unit_test(objects_that_wait_are_handed_out_when_memory_runs_out),
      cmocka_unit_test(objects_out_at_destroy_are_grouped_by_where_they_were_allocated),
      cmocka_unit_test(objects_out_at_exit_are_reported),
      cmocka_unit_test(a_pool_in_use_keeps_one_empty_slab_and_none_of_large_objects),
      cmocka_unit_test(patterns_choose_pools_by_size_hint_and_name),
      cmocka_unit_test(words_hold_for_the_pools_of_their_group_only),
      cmocka_unit_test(a_name_given_after_the_first_allocation_changes_no_mode),
      cmocka_unit_test(help_lists_the_words_once),
      cmocka_unit_test(an_unknown_word_is_named_once_and_the_others_hold),
      cmocka_unit_test(wrong_words_and_pools_in_use_are_refused),
      cmocka_unit_test(words_for_no_pool_hold_for_those_to_come_besides_slab_debug),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
