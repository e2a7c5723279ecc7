/* SPDX-License-Identifier: MIT */
/* Which pools get which modes: words and patterns of SLAB_DEBUG, and slab_set_debug(). */
#include "child_process.h"
#include "cmocka_case.h"
#include "debugged_pool.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int
main(void)
{
   const struct CMUnitTest tests[] = {
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
