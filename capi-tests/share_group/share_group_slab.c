/* SPDX-License-Identifier: MIT */
/* The share group on this library: every scenario runs to its end. Command: see share_group.c. */
#include "cmocka_case.h"

#include "child_process.h"
#include "scenarios.h"

static void
run_scenario(void *arg)
{
   const struct scenario *scenario = (const struct scenario *)arg;

   scenario->run(&slab_pool_ops);
}

static void
run_in_child(const char *name)
{
   const struct scenario *scenario = scenario_find(name);
   struct child_process child;

   assert_non_null(scenario);
   assert_true(child_run(&child, run_scenario, (void *)(uintptr_t)scenario));
   assert_string_equal(child.said, "");
}

static void
each_context_unmaps_what_it_mapped(void **state)
{
   (void)state;
   run_in_child("own");
}

static void
mapped_in_a_destroyed_and_unmapped_in_b(void **state)
{
   (void)state;
   run_in_child("destroyed");
}

static void
the_same_on_two_threads(void **state)
{
   (void)state;
   run_in_child("threads");
}

static void
thousands_of_contexts_leave_maps_to_others(void **state)
{
   (void)state;
   run_in_child("churn");
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_context_unmaps_what_it_mapped),
      cmocka_unit_test(mapped_in_a_destroyed_and_unmapped_in_b),
      cmocka_unit_test(the_same_on_two_threads),
      cmocka_unit_test(thousands_of_contexts_leave_maps_to_others),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
