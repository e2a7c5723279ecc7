/* SPDX-License-Identifier: MIT */
/*
 * slab_ext.h, reports of misuse: who gets them, how many, and what SLAB_DEBUG makes of them. Each case is a
 * process of its own, as reports are counted.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { most = 100 };

static void
free_twice(int times)
{
   struct slab_mempool pool;
   int i;

   slab_create(&pool, 96, 64);
   for (i = 0; i < times; i++) {
      void *object = slab_alloc_st(&pool);
      MUST(object);
      slab_free_st(&pool, object);
      slab_free_st(&pool, object);
      slab_trim_child(&pool.child);
   }
   slab_destroy(&pool);
}

struct heard {
   int reports;
   char last[500];
};

static void
hear(void *data, const char *report)
{
   struct heard *heard = (struct heard *)data;

   heard->reports++;
   MUST(strlen(report) < sizeof(heard->last));
   strcpy(heard->last, report);
}

static void
handler_body(void *arg)
{
   struct heard heard;

   (void)arg;
   memset(&heard, 0, sizeof(heard));
   slab_set_report_handler(hear, &heard);
   free_twice(1);
   MUST(heard.reports == 1);
   MUST(strstr(heard.last, "mesa-slab: slab_trim_child: pool 96x64 at 0x") == heard.last);
   MUST(strstr(heard.last, "double free"));
   MUST(!strchr(heard.last, '\n'));
   slab_set_report_handler(NULL, NULL);
   free_twice(1);
   MUST(heard.reports == 1);
}

static void
reports_go_to_the_handler_until_it_is_taken_back(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, handler_body, NULL));
   assert_non_null(strstr(child.said, "double free"));
   assert_ptr_equal(strstr(child.said, "double free"), strrchr(child.said, ':') + 2);
}

static void
many_body(void *arg)
{
   struct heard heard;

   (void)arg;
   memset(&heard, 0, sizeof(heard));
   slab_set_report_handler(hear, &heard);
   free_twice(most + 50);
   MUST(heard.reports == most);
   /* The child process skips the library's last words if it ends by _exit(). */
   exit(0);
}

static void
after_so_many_reports_further_ones_are_only_counted(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, many_body, NULL));
   assert_non_null(strstr(child.said, "further reports are only counted"));
   assert_non_null(strstr(child.said, "150 reports in all"));
}

static void
with_debug_body(void *arg)
{
   MUST(setenv("SLAB_DEBUG", (const char *)arg, 1) == 0);
   free_twice(2);
}

static void
slab_debug_abort_ends_the_process_after_a_report(void **state)
{
   char words[] = "abort";
   struct child_process child;

   (void)state;
   child_start(&child, with_debug_body, words);
   child_wait_quietly(&child);
   assert_true(WIFSIGNALED(child.status));
   assert_int_equal(WTERMSIG(child.status), SIGABRT);
   assert_non_null(strstr(child.said, "double free"));
}

static void
unknown_words_in_slab_debug_are_named_once(void **state)
{
   char words[] = "abrot";
   struct child_process child;
   const char *said;

   (void)state;
   assert_true(child_run(&child, with_debug_body, words));
   said = strstr(child.said, "SLAB_DEBUG: unknown word abrot; known: ");
   assert_non_null(said);
   assert_null(strstr(said + 1, "SLAB_DEBUG"));
}

static void
leak_body(void *arg)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child, forgotten;
   void *objects[3];
   int i;

   if (arg)
      MUST(setenv("SLAB_DEBUG", (const char *)arg, 1) == 0);
   slab_create_parent(&parent, 96, 64);
   slab_set_name(&parent, "queries");
   slab_create_child(&child, &parent);
   for (i = 0; i < 3; i++)
      objects[i] = slab_alloc(&child);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);

   slab_create_parent(&parent, 40, 16);
   slab_create_child(&forgotten, &parent);
   objects[0] = slab_alloc(&forgotten);
   slab_destroy_parent(&parent);

   slab_create_parent(&parent, 48, 16);
   slab_create_child(&child, &parent);
   slab_free(&child, slab_alloc(&child));
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   MUST(objects[0] && objects[1] && objects[2]);
}

static void
slab_debug_leaks_reports_objects_that_are_out_at_destroy(void **state)
{
   char words[] = "leaks";
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, leak_body, words));
   assert_non_null(strstr(child.said, "slab_destroy_parent: pool queries 96x64 at 0x"));
   assert_non_null(strstr(child.said, ": 3 objects are still out\n"));
   assert_non_null(strstr(child.said, "slab_destroy_parent: pool 40x16 at 0x"));
   assert_non_null(strstr(child.said, ": 1 object is still out\n"));
   assert_null(strstr(child.said, "48x16"));
}

static void
leak_into_children_body(void *arg)
{
   struct slab_parent_pool parent;
   struct slab_child_pool children[2];
   int count = *(const int *)arg;
   int i;

   /* Asked for late, so that the children have caches; a variable that is not set at first is not looked for later. */
   MUST(setenv("SLAB_DEBUG", "leaks:97", 1) == 0);
   slab_create_parent(&parent, 96, 64);
   for (i = 0; i < count; i++) {
      slab_create_child(&children[i], &parent);
      MUST(slab_alloc(&children[i]));
   }
   MUST(setenv("SLAB_DEBUG", "leaks", 1) == 0);
   slab_destroy_parent(&parent);
}

static void
a_leak_report_counts_the_children_that_are_left(void **state)
{
   struct child_process child;
   int one = 1, two = 2;

   (void)state;
   assert_true(child_run(&child, leak_into_children_body, &one));
   assert_non_null(strstr(child.said, " still out, some of them cached by 1 child that is not destroyed\n"));
   assert_true(child_run(&child, leak_into_children_body, &two));
   assert_non_null(strstr(child.said, " still out, some of them cached by 2 children that are not destroyed\n"));
}

static void
leaks_are_not_reported_unless_asked_for(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, leak_body, NULL));
   assert_string_equal(child.said, "");
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(reports_go_to_the_handler_until_it_is_taken_back),
      cmocka_unit_test(after_so_many_reports_further_ones_are_only_counted),
      cmocka_unit_test(slab_debug_abort_ends_the_process_after_a_report),
      cmocka_unit_test(unknown_words_in_slab_debug_are_named_once),
      cmocka_unit_test(slab_debug_leaks_reports_objects_that_are_out_at_destroy),
      cmocka_unit_test(a_leak_report_counts_the_children_that_are_left),
      cmocka_unit_test(leaks_are_not_reported_unless_asked_for),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
