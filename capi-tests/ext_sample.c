/* SPDX-License-Identifier: MIT */
/*
 * slab_set_sampling() and SLAB_SAMPLE: how many objects of ordinary pools are guarded, and what is said when one is
 * misused. Each case is a process of its own.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { size = 96, hint = 64, slots = 64, many = 2000 };

static char *objects[many];

/* A guarded object ends at a page; no object of an ordinary slab of this size does. */
static bool
is_guarded(const char *object)
{
   return ((uintptr_t)object + size) % (uintptr_t)sysconf(_SC_PAGESIZE) == 0;
}

static int
allocate(struct slab_mempool *pool, int count)
{
   int i, guarded = 0;

   for (i = 0; i < count; i++) {
      objects[i] = (char *)slab_alloc_st(pool);
      MUST(objects[i]);
      memset(objects[i], i, size);
      guarded += is_guarded(objects[i]);
   }
   return guarded;
}

static void
free_all(struct slab_mempool *pool, int count)
{
   int i, j;

   for (i = 0; i < count; i++) {
      for (j = 0; j < size; j++)
         MUST(objects[i][j] == (char)i);
      slab_free_st(pool, objects[i]);
   }
}

/* What is not sampled because the pool is debugged on its own: under AddressSanitizer or valgrind. */
static bool
is_ordinary(struct slab_mempool *pool)
{
   struct slab_parent_stats stats;

   stats.struct_size = sizeof(stats);
   MUST(slab_get_parent_stats(&pool->parent, &stats) == 0);
   return stats.objects_per_child != 0;
}

static void
off_body(void *arg)
{
   struct slab_mempool pool;

   if (arg)
      MUST(setenv("SLAB_SAMPLE", (const char *)arg, 1) == 0);
   slab_create(&pool, size, hint);
   MUST(!is_ordinary(&pool) || allocate(&pool, many) == 0);
   slab_destroy(&pool);
}

static void
nothing_is_sampled_unless_asked_for(void **state)
{
   struct child_process process;
   char none[] = "0";

   (void)state;
   assert_true(child_run(&process, off_body, NULL));
   assert_string_equal(process.said, "");
   assert_true(child_run(&process, off_body, none));
   assert_string_equal(process.said, "");
}

static void
rate_body(void *arg)
{
   const char *text = (const char *)arg;
   struct slab_mempool pool;
   struct slab_child_pool other;
   int round, i, guarded = 0;

   if (text)
      MUST(setenv("SLAB_SAMPLE", text, 1) == 0);
   else
      MUST(slab_set_sampling(100) == 0);
   slab_create(&pool, size, hint);
   slab_create_child(&other, &pool.parent);
   for (round = 0; round < 4000; round++) {
      guarded += allocate(&pool, 50);
      for (i = 0; i < 50; i++)
         slab_free(&other, objects[i]);
   }
   /* 200,000 objects were allocated in one child and freed through another. */
   MUST(!is_ordinary(&pool) || (guarded > 1000 && guarded < 4000));
   MUST(slab_set_sampling(0) == 100);
   guarded = allocate(&pool, many);
   MUST(!is_ordinary(&pool) || guarded == 0);
   free_all(&pool, many);
   slab_destroy_child(&other);
   slab_destroy(&pool);
}

static void
about_one_allocation_in_so_many_is_guarded(void **state)
{
   struct child_process process;
   char text[] = "100";

   (void)state;
   assert_true(child_run(&process, rate_body, NULL));
   assert_true(child_run(&process, rate_body, text));
   assert_string_equal(process.said, "");
}

static void
wrong_body(void *arg)
{
   MUST(setenv("SLAB_SAMPLE", (const char *)arg, 1) == 0);
   off_body(NULL);
   off_body(NULL);
}

static void
a_rate_that_is_no_number_is_named_once(void **state)
{
   struct child_process process;
   char text[] = "often";

   (void)state;
   assert_true(child_run(&process, wrong_body, text));
   assert_string_equal(process.said, "mesa-slab: SLAB_SAMPLE: not a number: often\n");
}

static void
bound_body(void *arg)
{
   struct slab_mempool pool;
   int guarded;

   (void)arg;
   slab_set_sampling(1);
   slab_create(&pool, size, hint);
   guarded = allocate(&pool, many);
   MUST(!is_ordinary(&pool) || (guarded > 10 && guarded <= slots));
   free_all(&pool, many);
   MUST(slab_validate(&pool.parent) == 0);
   guarded = allocate(&pool, many);
   MUST(!is_ordinary(&pool) || guarded <= slots);
   free_all(&pool, many);
   slab_destroy(&pool);
}

static void
so_many_objects_are_guarded_at_most(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, bound_body, NULL));
   assert_string_equal(process.said, "");
}

/* Of ordinary objects of so many bytes, every 256th ends where a page does. */
enum { large = 8208, many_large = 512 };

static void
large_body(void *arg)
{
   struct slab_mempool pool;
   void *all[many_large];
   int i, at_page_ends = 0;

   (void)arg;
   slab_set_sampling(1);
   slab_create(&pool, large, hint);
   for (i = 0; i < many_large; i++) {
      all[i] = slab_alloc_st(&pool);
      MUST(all[i]);
      at_page_ends += ((uintptr_t)all[i] + large) % 4096 == 0;
   }
   MUST(!is_ordinary(&pool) || at_page_ends <= 2 + many_large / 256);
   for (i = 0; i < many_large; i++)
      slab_free_st(&pool, all[i]);
   slab_destroy(&pool);
}

static void
objects_larger_than_a_page_are_not_sampled(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, large_body, NULL));
   assert_string_equal(process.said, "");
}

static void
misuse_body(void *arg)
{
   struct slab_mempool pool;
   int i;

   slab_set_sampling(1);
   slab_create(&pool, size, hint);
   slab_set_name(&pool.parent, "queries");
   if (!is_ordinary(&pool)) {
      fprintf(stderr, "debugged\n");
      exit(3);
   }
   MUST(allocate(&pool, many) > 0);
   for (i = 0; !is_guarded(objects[i]); i++)
      ;
   if (strcmp((const char *)arg, "overrun") == 0)
      *(volatile char *)(objects[i] + size) = 1;
   slab_free_st(&pool, objects[i]);
   if (strcmp((const char *)arg, "double free") == 0) {
      slab_free_st(&pool, objects[i]);
      exit(3);
   }
   *(volatile char *)objects[i] = 1;
   exit(3);
}

static void
misuse_of_a_sampled_object_is_told_with_both_stacks(void **state)
{
   static const char *const kinds[] = {"overrun", "use after free", "double free"};
   size_t i;

   (void)state;
   for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
      struct child_process process;
      char kind[20];

      strcpy(kind, kinds[i]);
      child_start(&process, misuse_body, kind);
      child_wait_quietly(&process);
      if (strcmp(process.said, "debugged\n") == 0)
         continue;
      if (!strstr(process.said, kind))
         fprintf(stderr, "not said: \"%s\", but:\n%s\n", kind, process.said);
      assert_non_null(strstr(process.said, kind));
      assert_non_null(strstr(process.said, "pool queries 96x64 at 0x"));
      assert_non_null(strstr(process.said, "allocated by thread"));
      assert_true((i == 0) == !strstr(process.said, "freed by thread"));
      assert_int_not_equal(process.status, 0);
   }
}

static void
counted_body(void *arg)
{
   struct slab_mempool pool;
   struct slab_parent_stats stats;
   int guarded;

   (void)arg;
   /* That leaks are listed is asked for late: children with modes are not sampled. */
   MUST(setenv("SLAB_DEBUG", "leaks:97", 0) == 0);
   slab_set_sampling(1);
   slab_create(&pool, size, hint);
   slab_set_name(&pool.parent, "sampled");
   guarded = allocate(&pool, many);
   stats.struct_size = sizeof(stats);
   MUST(slab_get_parent_stats(&pool.parent, &stats) == 0);
   MUST((int)stats.objects_guarded == guarded);
   MUST(stats.objects_out >= many && stats.peak_objects_out >= stats.objects_out);
   MUST(slab_print_stats_fd(STDERR_FILENO, SLAB_STATS_TABLE) == 0);
   fprintf(stderr, "guarded %d out %d\n", guarded, (int)stats.objects_out);
   if (guarded != 0)
      MUST(setenv("SLAB_DEBUG", "leaks", 1) == 0);
   slab_destroy(&pool);
}

/* One row for the pool, guarded or not; and of what it leaves, the stacks that are known. */
static void
sampled_objects_are_counted_with_the_others_of_their_pool(void **state)
{
   struct child_process process;
   const char *row, *sum, *leak;
   char words[100];
   int guarded, out, rows = 0;
   unsigned long long printed_out, printed_guarded;

   (void)state;
   assert_true(child_run(&process, counted_body, NULL));
   sum = strstr(process.said, "\nguarded ");
   assert_non_null(sum);
   assert_int_equal(sscanf(sum, " guarded %d out %d", &guarded, &out), 2);
   for (row = process.said; (row = strstr(row, "\nsampled 96x64 0x")); row++) {
      assert_int_equal(
         sscanf(row, " sampled 96x64 0x%*s %llu %*u %*u %*u %*u %*u %*u %*u %llu\n", &printed_out, &printed_guarded),
         2);
      assert_true((int)printed_out == out && (int)printed_guarded == guarded);
      rows++;
   }
   assert_int_equal(rows, 1);
   if (guarded == 0)
      return;
   assert_true(guarded > 10);
   leak = strstr(sum, "pool sampled 96x64 at 0x");
   assert_non_null(leak);
#ifdef __GLIBC__
   snprintf(words, sizeof(words), "\n  %d objects, %d bytes, allocated by:\n    ", guarded, guarded * size);
   assert_non_null(strstr(leak, words));
#else
   (void)words;
#endif
}

/* The next draw fits into a count, also of 32 bits. */
static void
largest_rate_body(void *arg)
{
   struct slab_mempool pool;

   (void)arg;
   slab_create(&pool, size, hint);
   MUST(slab_set_sampling(UINT_MAX) == 0);
   MUST(allocate(&pool, many) == 0);
   free_all(&pool, many);
   MUST(slab_set_sampling(0) == 1u << 30);
   slab_destroy(&pool);
}

static void
the_largest_rate_samples_next_to_nothing(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, largest_rate_body, NULL));
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_is_sampled_unless_asked_for),
      cmocka_unit_test(the_largest_rate_samples_next_to_nothing),
      cmocka_unit_test(about_one_allocation_in_so_many_is_guarded),
      cmocka_unit_test(a_rate_that_is_no_number_is_named_once),
      cmocka_unit_test(so_many_objects_are_guarded_at_most),
      cmocka_unit_test(objects_larger_than_a_page_are_not_sampled),
      cmocka_unit_test(misuse_of_a_sampled_object_is_told_with_both_stacks),
      cmocka_unit_test(sampled_objects_are_counted_with_the_others_of_their_pool),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
