/* SPDX-License-Identifier: MIT */
/*
 * Runs the cases of a test program that the classic design can hold, and says why it cannot hold
 * the others. The test programs call this in the place of cmocka's own function.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const struct {
   const char *name;
   const char *reason;
} not_held[] = {
   {"create_parent_sets_the_public_fields", "an element is its item and a header"},
   {"free_of_null_does_nothing", "every pointer is taken for an object behind a header"},
   {"alloc_may_return_null_and_the_pool_goes_on", "it frees NULL"},
};

enum { MOST_CASES = 64 };

static const char *
why_not_held(const char *name)
{
   for (size_t i = 0; i < sizeof(not_held) / sizeof(not_held[0]); i++) {
      if (strcmp(not_held[i].name, name) == 0)
         return not_held[i].reason;
   }
   return NULL;
}

int run_held_cases(const char *group, const struct CMUnitTest *cases, size_t count, CMFixtureFunction setup,
                   CMFixtureFunction teardown);

int
run_held_cases(const char *group, const struct CMUnitTest *cases, size_t count, CMFixtureFunction setup,
               CMFixtureFunction teardown)
{
   struct CMUnitTest held[MOST_CASES];
   size_t held_count = 0;

   if (count > MOST_CASES)
      return 1;
   for (size_t i = 0; i < count; i++) {
      const char *reason = why_not_held(cases[i].name);
      if (reason)
         printf("not held: %s: %s\n", cases[i].name, reason);
      else
         held[held_count++] = cases[i];
   }
   fflush(stdout);
   return _cmocka_run_group_tests(group, held, held_count, setup, teardown);
}
