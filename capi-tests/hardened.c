/* SPDX-License-Identifier: MIT */
/*
 * What only the hardened build does.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { size = 96, hint = 64, many = 40 };

static void
words_of_magazines_are_not_what_they_stand_for(void **state)
{
   struct slab_mempool pool;
   void *object, **word;

   (void)state;
   slab_create(&pool, size, hint);
   object = slab_alloc_st(&pool);
   assert_non_null(object);
   slab_free_st(&pool, object);
   word = (void **)pool.child.top;
   assert_ptr_not_equal(*word, object);
   assert_ptr_equal(slab_alloc_st(&pool), object);
   slab_free_st(&pool, object);
   slab_destroy(&pool);
}

static void
objects_are_handed_out_in_random_order(void **state)
{
   struct slab_mempool pool;
   char *objects[many];
   int i, j, rising = 0;

   (void)state;
   slab_create(&pool, size, hint);
   for (i = 0; i < many; i++) {
      objects[i] = (char *)slab_alloc_st(&pool);
      assert_non_null(objects[i]);
      for (j = 0; j < i; j++)
         assert_ptr_not_equal(objects[i], objects[j]);
      rising += i && objects[i] > objects[i - 1];
   }
   /* All of them, or none, in order: two in 40! draws. */
   assert_true(rising > 0 && rising < many - 1);
   for (i = 0; i < many; i++)
      slab_free_st(&pool, objects[i]);
   slab_destroy(&pool);
}

static void
wild_body(void *arg)
{
   struct slab_mempool pool;
   char on_stack[200];

   slab_create(&pool, size, hint);
   /* So that there is a magazine with room, and the fast path is taken. */
   slab_free_st(&pool, slab_alloc_st(&pool));
   slab_free_st(&pool, arg ? arg : (void *)on_stack);
   slab_destroy(&pool);
}

static void
addresses_that_are_no_object_s_are_reported_on_the_fast_path(void **state)
{
   static const uintptr_t addresses[] = {0, 16, (uintptr_t)-4096};
   struct child_process process;
   size_t i;

   (void)state;
   for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
      assert_true(child_run(&process, wild_body, (void *)addresses[i]));
      assert_non_null(strstr(process.said, "slab_free: pool 96x64 at 0x"));
      assert_non_null(strstr(process.said, "not an object of a pool"));
   }
}

static void
overwrite_body(void *arg)
{
   struct slab_mempool pool;
   void *object, *other;

   (void)arg;
   slab_create(&pool, size, hint);
   object = slab_alloc_st(&pool);
   other = slab_alloc_st(&pool);
   MUST(object && other);
   slab_free_st(&pool, object);
   /* Whoever writes an address where a round is does not get that address out. */
   memcpy(pool.child.top, &other, sizeof(other));
   MUST(slab_alloc_st(&pool) != other);
   slab_trim_child(&pool.child);
   slab_free_st(&pool, other);
   slab_trim_child(&pool.child);
   MUST(slab_validate(&pool.parent) == 0);
}

static void
an_overwritten_round_is_not_the_address_that_was_written(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, overwrite_body, NULL));
   assert_string_equal(process.said, "");
}

static char *
chunk_of(const void *object)
{
   const uintptr_t bytes = (uintptr_t)1 << (sizeof(void *) == 8 ? 22 : 20);

   return (char *)((uintptr_t)object & ~(bytes - 1));
}

static void
guard_body(void *arg)
{
   const uintptr_t bytes = (uintptr_t)1 << (sizeof(void *) == 8 ? 22 : 20);
   struct slab_mempool pool;
   void *object;

   slab_create(&pool, size, hint);
   object = slab_alloc_st(&pool);
   MUST(object);
   if (arg)
      chunk_of(object)[bytes] = 1;
   else
      chunk_of(object)[bytes / 16 - 1] = 1;
   _exit(0);
}

static void
pages_behind_the_header_and_behind_the_chunk_cannot_be_written(void **state)
{
   struct child_process process;
   static int behind;

   (void)state;
   child_start(&process, guard_body, NULL);
   child_wait_quietly(&process);
   assert_true(WIFSIGNALED(process.status) && WTERMSIG(process.status) == SIGSEGV);
   child_start(&process, guard_body, &behind);
   child_wait_quietly(&process);
   assert_true(WIFSIGNALED(process.status) && WTERMSIG(process.status) == SIGSEGV);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(words_of_magazines_are_not_what_they_stand_for),
      cmocka_unit_test(objects_are_handed_out_in_random_order),
      cmocka_unit_test(addresses_that_are_no_object_s_are_reported_on_the_fast_path),
      cmocka_unit_test(an_overwritten_round_is_not_the_address_that_was_written),
      cmocka_unit_test(pages_behind_the_header_and_behind_the_chunk_cannot_be_written),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
