/* SPDX-License-Identifier: MIT */
/* The modes users and leaks: who had an object, and what is out at the end. */
#include "child_process.h"
#include "cmocka_case.h"
#include "debugged_pool.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The name of the program, or of the driver that this is in, as stacks have it. */
static const char *
own_module(void)
{
   static char anything;
   Dl_info module;

   MUST(dladdr(&anything, &module) != 0);
   return strrchr(module.dli_fname, '/') + 1;
}

/*
 * The part of the last report from the line that begins so; it ends before the next line that is no stack frame. Returns
 * how many frames of the program it has.
 */
static int
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
   snprintf(words, sizeof(words), "    %s+0x", own_module());
   length = strlen(words);
   for (line = strchr(found + 1, '\n') + 1; strncmp(line, "    ", 4) == 0; line = strchr(line, '\n') + 1) {
      own += strncmp(line, words, length) == 0;
      frames++;
   }
   MUST(frames >= own && (own > 0 || !has_stacks));
   return own;
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
   run_debugged("checks,redzone,users", free_twice_as_users);
}

enum { calls_deep = 20 };

__attribute__((noinline)) static void *
allocate_below(int calls)
{
   void *volatile object = calls > 0 ? allocate_below(calls - 1) : allocate();

   return object;
}

/* As a driver's are: the call that the application made is some way up. */
static void
free_twice_what_was_allocated_deep(void)
{
   void *object = allocate_below(calls_deep);

   slab_free(&child, object);
   slab_free(&child, object);
   MUST(must_have_stack("allocated", pthread_self()) > calls_deep || !has_stacks);
   must_hear(1, ": %p: double free\n", object);
}

static void
a_stack_reaches_through_many_calls(void **state)
{
   (void)state;
   run_debugged("checks,users", free_twice_what_was_allocated_deep);
}

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
   MUST(strstr(more, own_module()) < less);
   MUST(strstr(less, own_module()));
   must_hear(1, "mesa-slab: slab_destroy_parent: pool queries 96x64 at %p: 8 objects are still out\n", (void *)&parent);
}

static void
objects_out_at_destroy_are_grouped_by_where_they_were_allocated(void **state)
{
   (void)state;
   run_debugged("leaks,users", leak);
}

/* From twelve places, of which ten are listed. */
static void
leak_from_many_places(void)
{
   allocate(), allocate(), allocate(), allocate(), allocate(), allocate();
   allocate(), allocate(), allocate(), allocate(), allocate(), allocate();
   slab_destroy_child(&child);
   must_be_quiet();
   slab_destroy_parent(&parent);
   if (has_stacks)
      MUST(strstr(heard.text, "\n  2 objects, 192 bytes, allocated elsewhere\n"));
   must_hear(1, "pool queries 96x64 at %p: 12 objects are still out\n", (void *)&parent);
}

static void
objects_out_from_more_places_than_are_listed_are_counted(void **state)
{
   (void)state;
   run_debugged("leaks,users", leak_from_many_places);
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

/* One object of it comes and goes. */
static void
use_child(struct slab_child_pool *used)
{
   slab_create_child(used, &parent);
   slab_free(used, slab_alloc(used));
}

static void
leave_children(void)
{
   struct slab_child_pool children[3], unused;

   slab_free(&child, allocate());
   use_child(&children[0]);
   use_child(&children[1]);
   use_child(&children[2]);
   slab_destroy_child(&children[1]);
   /* It costs nothing. */
   slab_create_child(&unused, &parent);
   must_be_quiet();
   slab_destroy_parent(&parent);
   must_hear(1,
             "mesa-slab: slab_destroy_parent: pool queries 96x64 at %p: 3 children are not destroyed\n"
             "  a child caches up to 1022 objects, 98112 bytes, which are lost with it\n",
             (void *)&parent);
}

static void
leave_a_child_and_an_object(void)
{
   allocate();
   slab_destroy_parent(&parent);
   must_hear(1, ": 1 object is still out\n  1 child is not destroyed\n  a child caches up to 1022 objects", NULL);
}

static void
children_that_are_not_destroyed_are_reported(void **state)
{
   (void)state;
   run_debugged("leaks", leave_children);
   run_debugged("checks,leaks", leave_a_child_and_an_object);
}

static void
leave_children_until_exit(void)
{
   static struct slab_child_pool other;

   slab_set_report_handler(NULL, NULL);
   use_child(&other);
   exit(0);
}

static void
children_that_are_left_at_exit_are_reported(void **state)
{
   struct run run = {"leaks", false, leave_children_until_exit};
   struct child_process process;
   int i;

   (void)state;
   for (i = 0; i < 2; i++, run.by_function = true) {
      assert_true(child_run(&process, run_body, &run));
      assert_ptr_equal(strstr(process.said, "mesa-slab: exit: pool queries 96x64 at 0x"), process.said);
      assert_non_null(strstr(process.said, ": 1 child is not destroyed\n  a child caches up to 1022 objects"));
      assert_null(strstr(process.said + 1, "mesa-slab: "));
   }
}

static void
create_over(void)
{
   struct slab_child_pool other;

   /* The child is none of the new pool's any more, as it was never used. */
   slab_create_parent(&parent, size, hint);
   must_be_quiet();
   MUST(slab_set_debug(&parent, "checks") == 0);
   use_child(&child);
   use_child(&other);
   slab_destroy_child(&other);
   slab_create_parent(&parent, size, hint);
   must_hear(1,
             "mesa-slab: slab_create_parent: pool 96x64 at %p: created over a pool of which 1 child is not destroyed\n"
             "  a child caches up to 1022 objects, 98112 bytes, which are lost with it\n",
             (void *)&parent);

   /* What is told once is told once. */
   slab_create_parent(&parent, size, hint);
   must_be_quiet();
   slab_destroy_parent(&parent);
   must_be_quiet();
   MUST(slab_validate(NULL) == 0);
}

static void
a_pool_that_is_created_over_one_with_children_is_reported(void **state)
{
   (void)state;
   run_debugged("checks", create_over);
   run_debugged("leaks", create_over);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(reports_tell_who_allocated_and_who_freed),
      cmocka_unit_test(a_stack_reaches_through_many_calls),
      cmocka_unit_test(objects_out_at_destroy_are_grouped_by_where_they_were_allocated),
      cmocka_unit_test(objects_out_from_more_places_than_are_listed_are_counted),
      cmocka_unit_test(objects_out_at_exit_are_reported),
      cmocka_unit_test(children_that_are_not_destroyed_are_reported),
      cmocka_unit_test(children_that_are_left_at_exit_are_reported),
      cmocka_unit_test(a_pool_that_is_created_over_one_with_children_is_reported),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
