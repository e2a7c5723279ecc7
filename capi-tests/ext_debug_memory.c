/* SPDX-License-Identifier: MIT */
/* The mode quarantine, and what pools with modes keep: freed objects that wait, and empty slabs. */
#include "child_process.h"
#include "cmocka_case.h"
#include "debugged_pool.h"
#include "must.h"
#include "os_requests.h"
#include "slab.h"
#include "slab_ext.h"

#include <stdlib.h>
#include <string.h>

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
   run_debugged("poison,quarantine", wait_in_turn);
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
   run_debugged("quarantine", not_again_at_once);
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
   run_debugged("quarantine", run_out_of_memory);
}

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
   /* What the heap keeps of them is nobody's. */
   slab_trim_heap();
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
      cmocka_unit_test(freed_objects_wait_in_turn_up_to_so_many_bytes),
      cmocka_unit_test(a_freed_object_is_not_handed_out_at_once),
      cmocka_unit_test(objects_that_wait_are_handed_out_when_memory_runs_out),
      cmocka_unit_test(a_pool_in_use_keeps_one_empty_slab_and_none_of_large_objects),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
