/* SPDX-License-Identifier: MIT */
/*
 * SLAB_DEBUG=guard, objects: where they lie, through whom they may be freed, how many there may be, from which threads,
 * and how they are counted and listed. What faults is in ext_guard_faults.c. Each case is a process of its own.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "guarded_pool.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
aligned_body(void *arg)
{
   static const unsigned sizes[] = {0, 1, 8, 9, 16, 88, 96, 100, 512, 4095, 4096, 4097, 66632, 70000};
   unsigned char *objects[40];
   struct slab_parent_stats stats;
   size_t i, j;
   unsigned k;

   (void)arg;
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
      unsigned align = sizes[i] <= 8 ? 8 : (sizes[i] & (sizes[i] - 1)) == 0 ? sizes[i] : 16;
      create_guarded(sizes[i]);
      for (j = 0; j < 40; j++) {
         objects[j] = (unsigned char *)(j % 2 ? slab_alloc(&child) : slab_zalloc(&child));
         MUST(objects[j]);
         MUST((uintptr_t)objects[j] % align == 0);
         for (k = 0; k < sizes[i] && j % 2 == 0; k++)
            MUST(objects[j][k] == 0);
         memset(objects[j], (int)j, sizes[i]);
      }
      stats.struct_size = sizeof(stats);
      MUST(slab_get_parent_stats(&parent, &stats) == 0);
      MUST(stats.objects_out == 40);
      MUST(stats.objects_per_child == 0);
      for (j = 0; j < 40; j++) {
         for (k = 0; k < sizes[i]; k++)
            MUST(objects[j][k] == j);
         slab_free(&child, objects[j]);
      }
      MUST(slab_get_parent_stats(&parent, &stats) == 0);
      MUST(stats.objects_out == 0);
      destroy_guarded();
   }
}

static void
objects_are_aligned_and_their_own_as_ever(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, aligned_body, NULL));
   assert_string_equal(process.said, "");
}

static void
foreign_body(void *arg)
{
   struct slab_parent_pool other;
   struct slab_child_pool others, zeroed;
   void *objects[4];
   int i;

   (void)arg;
   memset(&zeroed, 0, sizeof(zeroed));
   create_guarded(size);
   unsetenv("SLAB_DEBUG");
   slab_create_parent(&other, size, hint);
   slab_create_child(&others, &other);
   /* So that it has a magazine with room, and looks at the owner of what it is given. */
   slab_free(&others, slab_alloc(&others));
   for (i = 0; i < 4; i++) {
      objects[i] = slab_alloc(&child);
      MUST(objects[i]);
   }
   slab_free(&others, objects[0]);
   slab_free(&zeroed, objects[1]);
   destroy_guarded();
   memset(objects[2], 1, size);
   slab_free(&others, objects[2]);
   slab_free(&child, objects[3]);
   MUST(slab_validate(&other) == 0);
   slab_destroy_child(&others);
   slab_destroy_parent(&other);
}

static void
objects_may_be_freed_through_any_child_and_outlive_their_pool(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, foreign_body, NULL));
   /* Guarded pools are checked as well, so that it is said while their pool exists, and done all the same. */
   assert_non_null(strstr(process.said, ": freed through a child of another pool\n"));
   assert_non_null(strstr(process.said, ": freed through a child pool that is destroyed or was never created\n"));
   assert_null(strstr(process.said, "double free"));
}

static void
another_pools_body(void *arg)
{
   struct slab_parent_pool other;
   struct slab_child_pool others;
   void *object;

   (void)arg;
   create_guarded(size);
   slab_create_parent(&other, size, hint);
   slab_create_child(&others, &other);
   object = slab_alloc(&child);
   MUST(object);
   memset(object, 1, size);
   slab_free(&others, object);
   MUST(slab_validate(&parent) == 0 && slab_validate(&other) == 0);
   slab_destroy_child(&others);
   slab_destroy_parent(&other);
   destroy_guarded();
}

static void
a_guarded_object_that_is_freed_into_another_guarded_pool_is_reported_and_freed(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, another_pools_body, NULL));
   assert_non_null(strstr(process.said, ": object of another pool"));
   assert_null(strstr(process.said, "double free"));
   assert_ptr_equal(strstr(process.said, "mesa-slab: "), process.said);
   assert_null(strstr(process.said + 1, "mesa-slab: "));
}

static void
between_body(void *arg)
{
   char *object;

   (void)arg;
   /* The first object of its size, which is as large as a page: before it is the page behind the header. */
   create_guarded(4096);
   object = (char *)slab_alloc(&child);
   MUST(object);
   slab_free(&child, object - 64);
   memset(object, 1, 4096);
   slab_free(&child, object);
   destroy_guarded();
}

static void
an_address_between_objects_is_reported_and_not_freed(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, between_body, NULL));
   assert_non_null(strstr(process.said, "not an object of a pool"));
   assert_null(strstr(process.said, "double free"));
}

static void
many_body(void *arg)
{
   /* More than the kernel has mappings for; valgrind itself gives up far below that. */
#ifdef SLAB_TEST_SLOW
   enum { many = 3000 };
#else
   enum { many = 50000 };
#endif
   static char *objects[many];
   int i;

   (void)arg;
   create_guarded(size);
   for (i = 0; i < many; i++) {
      objects[i] = (char *)slab_alloc(&child);
      MUST(objects[i]);
      objects[i][0] = (char)i;
   }
   for (i = 0; i < many; i++) {
      MUST(objects[i][0] == (char)i);
      slab_free(&child, objects[i]);
   }
   for (i = 0; i < 10; i++) {
      objects[i] = (char *)slab_alloc(&child);
      MUST(objects[i]);
   }
   for (i = 0; i < 10; i++)
      slab_free(&child, objects[i]);
   destroy_guarded();
}

static void
more_objects_than_there_are_mappings_are_allocated_all_the_same(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, many_body, NULL));
}

struct ring {
   struct slab_child_pool child;
   pthread_t thread;
};

static void *
churn(void *arg)
{
   struct ring *ring = (struct ring *)arg;
   char *objects[8];
   int i, j;

   for (i = 0; i < 200; i++) {
      for (j = 0; j < 8; j++) {
         objects[j] = (char *)slab_alloc(&ring->child);
         MUST(objects[j]);
         memset(objects[j], j, size);
      }
      for (j = 0; j < 8; j++) {
         MUST(objects[j][size - 1] == j);
         slab_free(&ring->child, objects[j]);
      }
   }
   return NULL;
}

static void
threads_body(void *arg)
{
   struct ring rings[4];
   int i;

   (void)arg;
   create_guarded(size);
   unsetenv("SLAB_DEBUG");
   for (i = 0; i < 4; i++) {
      slab_create_child(&rings[i].child, &parent);
      MUST(pthread_create(&rings[i].thread, NULL, churn, &rings[i]) == 0);
   }
   for (i = 0; i < 4; i++) {
      MUST(pthread_join(rings[i].thread, NULL) == 0);
      slab_destroy_child(&rings[i].child);
   }
   destroy_guarded();
}

static void
threads_may_use_one_guarded_pool(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, threads_body, NULL));
   assert_string_equal(process.said, "");
}

static struct slab_parent_stats
stats_of(struct slab_parent_pool *pool)
{
   struct slab_parent_stats stats;

   stats.struct_size = sizeof(stats);
   MUST(slab_get_parent_stats(pool, &stats) == 0);
   return stats;
}

static void
counted_body(void *arg)
{
   size_t page = (size_t)sysconf(_SC_PAGESIZE);
   struct slab_parent_stats stats;
   void *objects[30];
   int i;

   (void)arg;
   create_guarded(5000);
   for (i = 0; i < 30; i++)
      objects[i] = slab_alloc(&child);
   for (i = 0; i < 10; i++)
      slab_free(&child, objects[i]);
   stats = stats_of(&parent);
   MUST(stats.objects_out == 20 && stats.objects_guarded == 20 && stats.peak_objects_out == 20);
   MUST(stats.slabs_full + stats.slabs_partial + stats.slabs_empty == 0);
   MUST(stats.bytes_held == 20 * ((5000 + page - 1) / page * page));
   MUST(slab_print_stats_fd(STDERR_FILENO, SLAB_STATS_TABLE) == 0);
   MUST(slab_print_stats_fd(STDERR_FILENO, SLAB_STATS_JSON) == 0);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   MUST(slab_print_stats_fd(STDERR_FILENO, SLAB_STATS_TABLE) == 0);
   for (i = 10; i < 30; i++)
      slab_free(&child, objects[i]);
   MUST(slab_print_stats_fd(STDERR_FILENO, SLAB_STATS_TABLE) == 0);
}

static void
guarded_objects_are_counted_and_printed_also_when_their_pool_is_gone(void **state)
{
   struct child_process process;
   unsigned long long out, guarded;
   const char *row;

   (void)state;
   assert_true(child_run(&process, counted_body, NULL));
   row = strstr(process.said, "\nqueries 5000x64 0x");
   assert_non_null(row);
   assert_int_equal(sscanf(row, " queries 5000x64 0x%*s %llu 0 0 0 0 0 0 0 %llu\n", &out, &guarded), 2);
   assert_true(out == 20 && guarded == 20);
   assert_non_null(strstr(process.said, "\"objects_out\": 20, \"objects_guarded\": 20, \"bytes\": "));
   row = strstr(process.said, "\n(limbo) 5000x64 ");
   assert_non_null(row);
   assert_int_equal(sscanf(row, " (limbo) 5000x64 %llu 0 0 0 0 0 0 0 %llu\n", &out, &guarded), 2);
   assert_true(out == 20 && guarded == 20);
   assert_null(strstr(row + strlen("\n(limbo) 5000x64"), "5000x64"));
}

__attribute__((noinline)) static void
leave(int count)
{
   volatile int left;

   for (left = count; left > 0; left--)
      MUST(slab_alloc(&child));
}

static void
leak_body(void *arg)
{
   MUST(setenv("SLAB_DEBUG", (const char *)arg, 1) == 0);
   slab_create_parent(&parent, size, hint);
   slab_set_name(&parent, "queries");
   slab_create_child(&child, &parent);
   leave(3);
   slab_free(&child, slab_alloc(&child));
   leave(5);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   slab_create_parent(&parent, size, hint);
   slab_create_child(&child, &parent);
   leave(2);
   /* The library's last words are said after the program's own. */
   exit(0);
}

static void
guarded_objects_that_are_out_at_the_end_are_listed_by_where_they_were_allocated(void **state)
{
   static const char *const words[] = {"guard", "guard,users,quarantine"};
   struct child_process process;
   char modes[50], stack[100];
   const char *more, *less, *at_exit;
   int i;

   (void)state;
   for (i = 0; i < 2; i++) {
      strcpy(modes, words[i]);
      assert_true(child_run(&process, leak_body, modes));
      assert_non_null(strstr(process.said, "slab_destroy_parent: pool queries 96x64 at 0x"));
      assert_non_null(strstr(process.said, ": 8 objects are still out\n"));
      at_exit = strstr(process.said, "mesa-slab: exit: pool 96x64 at 0x");
      assert_non_null(at_exit);
      assert_non_null(strstr(at_exit, ": 2 objects are still out\n"));
      assert_null(strstr(process.said, "elsewhere"));
      /* With musl the library finds stacks only in a process that has an unwinder. */
#ifdef __GLIBC__
      more = strstr(process.said, "\n  5 objects, 480 bytes, allocated by:\n    ");
      less = strstr(process.said, "\n  3 objects, 288 bytes, allocated by:\n    ");
      assert_true(more && less && more < less && less < at_exit);
      at_exit = strstr(at_exit, "\n  2 objects, 192 bytes, allocated by:\n    ");
      assert_non_null(at_exit);
      snprintf(stack, sizeof(stack), "\n    %s+0x", program_invocation_short_name);
      assert_non_null(strstr(at_exit, stack));
      assert_true(strstr(more, stack) < less);
#else
      (void)more, (void)less, (void)stack;
#endif
   }
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(objects_are_aligned_and_their_own_as_ever),
      cmocka_unit_test(objects_may_be_freed_through_any_child_and_outlive_their_pool),
      cmocka_unit_test(a_guarded_object_that_is_freed_into_another_guarded_pool_is_reported_and_freed),
      cmocka_unit_test(an_address_between_objects_is_reported_and_not_freed),
      cmocka_unit_test(more_objects_than_there_are_mappings_are_allocated_all_the_same),
      cmocka_unit_test(threads_may_use_one_guarded_pool),
      cmocka_unit_test(guarded_objects_are_counted_and_printed_also_when_their_pool_is_gone),
      cmocka_unit_test(guarded_objects_that_are_out_at_the_end_are_listed_by_where_they_were_allocated),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
