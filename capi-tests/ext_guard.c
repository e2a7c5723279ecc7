/* SPDX-License-Identifier: MIT */
/*
 * SLAB_DEBUG=guard: what faults, what is said then, and who gets the signal afterwards. Each case is a process of
 * its own, in which the library's handler is installed after those of cmocka are forgotten.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Under a sanitizer its own handler of faults comes after the library's, and ends the process otherwise. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { size = 96, hint = 64 };

static struct slab_parent_pool parent;
static struct slab_child_pool child;

static void
create_guarded(unsigned item_size)
{
   MUST(setenv("SLAB_DEBUG", "guard", 1) == 0);
   slab_create_parent(&parent, item_size, hint);
   slab_set_name(&parent, "queries");
   slab_create_child(&child, &parent);
}

static void
destroy_guarded(void)
{
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

static volatile char sink;

static void
read_byte(const char *address)
{
   sink = *(const volatile char *)address;
}

struct misuse {
   unsigned item_size;
   long offset; /* of the byte that is touched */
   bool free_first;
   bool write;
};

static void
touch_body(void *arg)
{
   const struct misuse *misuse = (const struct misuse *)arg;
   char *object;

   create_guarded(misuse->item_size);
   object = (char *)slab_alloc(&child);
   MUST(object);
   memset(object, 1, misuse->item_size);
   if (misuse->free_first)
      slab_free(&child, object);
   if (misuse->write)
      *(volatile char *)(object + misuse->offset) = 2;
   else
      read_byte(object + misuse->offset);
   exit(3);
}

/* The process must end by the fault, having said `words` and the pool's name. */
static void
must_fault(struct misuse misuse, const char *words)
{
   struct child_process process;

   child_start(&process, touch_body, &misuse);
   child_wait_quietly(&process);
   if (!strstr(process.said, words))
      fprintf(stderr, "not said: \"%s\", but:\n%s\n", words, process.said);
   assert_non_null(strstr(process.said, words));
   assert_non_null(strstr(process.said, "of pool queries "));
   assert_non_null(strstr(process.said, "allocated by thread"));
   assert_true(!misuse.free_first == !strstr(process.said, "freed by thread"));
   if (SANITIZED) {
      assert_int_not_equal(process.status, 0);
   } else {
      assert_true(WIFSIGNALED(process.status));
      assert_int_equal(WTERMSIG(process.status), SIGSEGV);
   }
}

static void
an_overrun_faults_at_the_first_byte_behind_the_object(void **state)
{
   struct misuse misuse = {size, size, false, true};

   (void)state;
   must_fault(misuse, "overrun of object 0x");
   must_fault(misuse, ": byte 1 behind it\n");
   misuse.write = false;
   misuse.offset = size + 99;
   must_fault(misuse, ": byte 100 behind it\n");
}

static void
an_underrun_of_the_page_faults(void **state)
{
   struct misuse misuse = {4096, -1, false, true};

   (void)state;
   must_fault(misuse, "underrun of object 0x");
   must_fault(misuse, ": byte 1 before it\n");
}

static void
a_use_after_free_faults(void **state)
{
   static const unsigned sizes[] = {1, 8, 24, size, 4096, 10000, 300000, 5000000};
   struct misuse misuse = {size, 0, true, false};
   size_t i;

   (void)state;
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
      misuse.item_size = sizes[i];
      misuse.offset = 0;
      must_fault(misuse, "use after free of object 0x");
      must_fault(misuse, ": offset 0\n");
      misuse.write = !misuse.write;
      misuse.offset = (long)sizes[i] - 1;
      must_fault(misuse, "use after free of object 0x");
   }
}

static void
misuse_body(void *arg)
{
   const struct misuse *misuse = (const struct misuse *)arg;
   char *object;

   create_guarded(misuse->item_size);
   object = (char *)slab_alloc(&child);
   MUST(object);
   if (misuse->write)
      object[misuse->offset] = 2;
   if (misuse->free_first)
      slab_free(&child, object);
   slab_free(&child, misuse->write ? object : object + misuse->offset);
   destroy_guarded();
}

static void
must_report(struct misuse misuse, const char *words)
{
   struct child_process process;

   assert_true(child_run(&process, misuse_body, &misuse));
   if (!strstr(process.said, words))
      fprintf(stderr, "not said: \"%s\", but:\n%s\n", words, process.said);
   assert_non_null(strstr(process.said, words));
   assert_non_null(strstr(process.said, "slab_free: pool queries "));
}

static void
what_does_not_fault_is_reported_when_the_object_is_freed(void **state)
{
   const struct misuse before = {size, -1, false, true};
   const struct misuse behind = {size - 8, size - 8, false, true};
   const struct misuse twice = {size, 0, true, false};
   const struct misuse inside = {size, 16, false, false};

   (void)state;
   must_report(before, "underrun: byte 1 before the object is 0x2");
   must_report(behind, "overrun: byte 1 behind the object is 0x2");
   must_report(twice, "double free\n");
   must_report(twice, "freed by thread");
   must_report(inside, "not an object of a pool");
}

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

static sigjmp_buf back;

static void
jump_back(int signal)
{
   (void)signal;
   siglongjmp(back, 1);
}

static void
chain_body(void *arg)
{
   struct sigaction action;
   char *object;
   volatile int faults = 0;

   (void)arg;
   memset(&action, 0, sizeof(action));
   action.sa_handler = jump_back;
   MUST(sigaction(SIGSEGV, &action, NULL) == 0);
   create_guarded(size);
   object = (char *)slab_alloc(&child);
   MUST(object);
   /* Twice: the library's handler stays. */
   while (faults < 2) {
      if (sigsetjmp(back, 1) == 0)
         read_byte(object + size);
      faults++;
   }
   slab_free(&child, object);
   destroy_guarded();
}

static void
the_handler_that_was_there_gets_the_signal(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, chain_body, NULL));
   assert_non_null(strstr(process.said, "overrun of object"));
}

static const char *expected_address;

static void
jump_back_from(int signal, siginfo_t *info, void *context)
{
   MUST(signal == SIGSEGV && info->si_addr == expected_address && context);
   siglongjmp(back, 1);
}

static void
informed_body(void *arg)
{
   struct sigaction action;
   char *object;

   (void)arg;
   memset(&action, 0, sizeof(action));
   action.sa_sigaction = jump_back_from;
   action.sa_flags = SA_SIGINFO;
   MUST(sigaction(SIGSEGV, &action, NULL) == 0);
   create_guarded(size);
   object = (char *)slab_alloc(&child);
   MUST(object);
   expected_address = object + size;
   if (sigsetjmp(back, 1) == 0) {
      read_byte(object + size);
      abort();
   }
   slab_free(&child, object);
   destroy_guarded();
}

static void
it_gets_what_the_system_says_of_the_fault(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, informed_body, NULL));
   assert_non_null(strstr(process.said, "overrun of object"));
}

struct sent {
   bool ignored; /* before the handler was installed */
   bool faults;  /* else the signal is sent */
};

static void
sent_body(void *arg)
{
   const struct sent *sent = (const struct sent *)arg;
   char *object;

   if (sent->ignored)
      MUST(signal(SIGSEGV, SIG_IGN) != SIG_ERR);
   create_guarded(size);
   object = (char *)slab_alloc(&child);
   MUST(object);
   if (sent->faults)
      read_byte(object + size);
   else
      MUST(kill(getpid(), SIGSEGV) == 0);
   slab_free(&child, object);
   destroy_guarded();
}

static void
a_signal_that_someone_sent_goes_its_way(void **state)
{
   struct sent ignored = {true, false}, deadly = {false, false}, ignored_fault = {true, true};
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, sent_body, &ignored));
   assert_string_equal(process.said, "");

   child_start(&process, sent_body, &deadly);
   child_wait_quietly(&process);
   assert_int_not_equal(process.status, 0);
   assert_null(strstr(process.said, "mesa-slab"));

   /* A fault cannot be ignored. */
   child_start(&process, sent_body, &ignored_fault);
   child_wait_quietly(&process);
   assert_int_not_equal(process.status, 0);
   assert_non_null(strstr(process.said, "overrun of object"));
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
elsewhere_body(void *arg)
{
   int *nowhere = (int *)arg;

   create_guarded(size);
   MUST(slab_alloc(&child));
   *(volatile int *)nowhere = 1;
}

static void
faults_elsewhere_are_not_spoken_of(void **state)
{
   struct child_process process;

   (void)state;
   child_start(&process, elsewhere_body, (void *)(uintptr_t)16);
   child_wait_quietly(&process);
   assert_int_not_equal(process.status, 0);
   assert_null(strstr(process.said, "mesa-slab"));
}

static void
no_handler_body(void *arg)
{
   struct sigaction before, after;
   struct slab_mempool pool;
   void *object;

   (void)arg;
   MUST(sigaction(SIGSEGV, NULL, &before) == 0);
   slab_create(&pool, size, hint);
   object = slab_alloc_st(&pool);
   MUST(object);
   slab_free_st(&pool, object);
   slab_destroy(&pool);
   MUST(sigaction(SIGSEGV, NULL, &after) == 0);
   MUST(before.sa_handler == after.sa_handler);
}

static void
without_guarded_pools_there_is_no_handler(void **state)
{
   struct child_process process;

   (void)state;
   assert_true(child_run(&process, no_handler_body, NULL));
}

static void
quarantine_body(void *arg)
{
   char *first, *object;
   int i;

   (void)arg;
   create_guarded(size);
   first = (char *)slab_alloc(&child);
   slab_free(&child, first);
   for (i = 0; i < 1000; i++) {
      object = (char *)slab_alloc(&child);
      MUST(object && object != first);
      slab_free(&child, object);
   }
   read_byte(first);
   exit(3);
}

static void
freed_objects_are_not_used_again_soon(void **state)
{
   struct child_process process;

   (void)state;
   child_start(&process, quarantine_body, NULL);
   child_wait_quietly(&process);
   assert_non_null(strstr(process.said, "use after free of object"));
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
      cmocka_unit_test(an_overrun_faults_at_the_first_byte_behind_the_object),
      cmocka_unit_test(an_underrun_of_the_page_faults),
      cmocka_unit_test(a_use_after_free_faults),
      cmocka_unit_test(what_does_not_fault_is_reported_when_the_object_is_freed),
      cmocka_unit_test(objects_are_aligned_and_their_own_as_ever),
      cmocka_unit_test(objects_may_be_freed_through_any_child_and_outlive_their_pool),
      cmocka_unit_test(the_handler_that_was_there_gets_the_signal),
      cmocka_unit_test(it_gets_what_the_system_says_of_the_fault),
      cmocka_unit_test(a_signal_that_someone_sent_goes_its_way),
      cmocka_unit_test(a_guarded_object_that_is_freed_into_another_guarded_pool_is_reported_and_freed),
      cmocka_unit_test(an_address_between_objects_is_reported_and_not_freed),
      cmocka_unit_test(faults_elsewhere_are_not_spoken_of),
      cmocka_unit_test(without_guarded_pools_there_is_no_handler),
      cmocka_unit_test(freed_objects_are_not_used_again_soon),
      cmocka_unit_test(more_objects_than_there_are_mappings_are_allocated_all_the_same),
      cmocka_unit_test(threads_may_use_one_guarded_pool),
      cmocka_unit_test(guarded_objects_are_counted_and_printed_also_when_their_pool_is_gone),
      cmocka_unit_test(guarded_objects_that_are_out_at_the_end_are_listed_by_where_they_were_allocated),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
