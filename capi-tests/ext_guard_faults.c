/* SPDX-License-Identifier: MIT */
/*
 * SLAB_DEBUG=guard, misuse: what faults, what is said then, what is said of misuse that does not fault, and who gets
 * the signal afterwards. Each case is a process of its own, in which the library's handler is installed after those of
 * cmocka are forgotten.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "guarded_pool.h"
#include "must.h"
#include "slab.h"

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

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_overrun_faults_at_the_first_byte_behind_the_object),
      cmocka_unit_test(an_underrun_of_the_page_faults),
      cmocka_unit_test(a_use_after_free_faults),
      cmocka_unit_test(freed_objects_are_not_used_again_soon),
      cmocka_unit_test(what_does_not_fault_is_reported_when_the_object_is_freed),
      cmocka_unit_test(the_handler_that_was_there_gets_the_signal),
      cmocka_unit_test(it_gets_what_the_system_says_of_the_fault),
      cmocka_unit_test(a_signal_that_someone_sent_goes_its_way),
      cmocka_unit_test(faults_elsewhere_are_not_spoken_of),
      cmocka_unit_test(without_guarded_pools_there_is_no_handler),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
