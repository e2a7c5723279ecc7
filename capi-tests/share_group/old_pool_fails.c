/* SPDX-License-Identifier: MIT */
/*
 * The share group on the pool as it was before 2016, shown to fail: SHARE_GROUP_OLD, a build of
 * share_group.c with AddressSanitizer, must end with a heap-use-after-free in the unmap in every
 * scenario in which a context outlives the one that mapped, and with success in the one where none
 * does. By hand:
 *
 *    build/share_group_old-asan-c11 --pool old destroyed
 */
#include "cmocka_case.h"

#include "child_process.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { asan_exit_code = 86 };

static void
execute(void *arg)
{
   /* What it prints on stdout is not looked at, and would mix with cmocka's. */
   dup2(STDERR_FILENO, STDOUT_FILENO);
   setenv("ASAN_OPTIONS", "exitcode=86:abort_on_error=0:halt_on_error=1", 1);
   execl(SHARE_GROUP_OLD, SHARE_GROUP_OLD, "--pool", "old", (const char *)arg, (char *)NULL);
   abort();
}

static void
assert_use_after_free(const char *scenario, bool only_in_unmap)
{
   struct child_process child;
   const char *error;
   bool in_unmap, in_map;

   child_start(&child, execute, (void *)(uintptr_t)scenario);
   child_wait_quietly(&child);
   if (!WIFEXITED(child.status) || WEXITSTATUS(child.status) != asan_exit_code)
      fail_msg("ended with status 0x%x and said:\n%s", (unsigned)child.status, child.said);
   error = strstr(child.said, "ERROR: AddressSanitizer: ");
   assert_non_null(error);
   assert_int_equal(strncmp(error, "ERROR: AddressSanitizer: heap-use-after-free", 44), 0);
   in_unmap = strstr(child.said, "share_group: error during unmap\n") != NULL;
   in_map = strstr(child.said, "share_group: error during map\n") != NULL;
   assert_true(in_unmap || (in_map && !only_in_unmap));
   assert_null(strstr(child.said, ": ok\n"));
}

static void
own_maps_are_fine(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, execute, (void *)(uintptr_t)"own"));
   assert_non_null(strstr(child.said, ": ok\n"));
}

static void
unmap_after_the_context_is_a_use_after_free(void **state)
{
   (void)state;
   assert_use_after_free("destroyed", true);
}

static void
unmap_on_another_thread_is_a_use_after_free(void **state)
{
   (void)state;
   assert_use_after_free("threads", true);
}

/* A transfer unmapped in B while A lived is on B's free list when A goes: then it may be B's next map. */
static void
maps_among_thousands_of_contexts_are_uses_after_free(void **state)
{
   (void)state;
   assert_use_after_free("churn", false);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(own_maps_are_fine),
      cmocka_unit_test(unmap_after_the_context_is_a_use_after_free),
      cmocka_unit_test(unmap_on_another_thread_is_a_use_after_free),
      cmocka_unit_test(maps_among_thousands_of_contexts_are_uses_after_free),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
