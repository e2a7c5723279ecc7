/* SPDX-License-Identifier: MIT */
/* The mode checks: what is reported of a call at once. */
#include "child_process.h"
#include "cmocka_case.h"
#include "debugged_pool.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void
free_twice(void)
{
   char *object = allocate();
   char *second, *third;

   slab_free(&child, object);
   must_be_quiet();
   slab_free(&child, object);
   must_hear(1, "mesa-slab: slab_free: pool queries 96x64 at %p: %p: double free\n", (void *)&parent, (void *)object);
   second = allocate();
   third = allocate();
   MUST(second != third);
   slab_free(&child, second);
   slab_free(&child, third);
   must_end_well();
}

static void
a_double_free_is_reported_at_once_and_does_nothing(void **state)
{
   (void)state;
   run_debugged("checks", free_twice);
}

static void
free_through_others(void)
{
   struct slab_parent_pool other;
   struct slab_child_pool others, zeroed;
   char *object;

   slab_create_parent(&other, size, hint);
   slab_create_child(&others, &other);
   slab_free(&others, slab_alloc(&others));
   must_be_quiet();
   object = allocate();
   slab_free(&others, object);
   must_hear(1, "another pool\n");
   MUST(stats_of(&parent).objects_out == 0);

   object = allocate();
   memset(&zeroed, 0, sizeof(zeroed));
   slab_free(&zeroed, object);
   must_hear(1, "pool queries 96x64 at %p: %p: freed through a child pool that is destroyed or was never created\n",
             (void *)&parent, (void *)object);
   MUST(stats_of(&parent).objects_out == 0);

   object = allocate();
   slab_destroy_child(&child);
   slab_free(&child, object);
   must_hear(1, "slab_free: pool queries 96x64 at %p: %p: freed through a destroyed child pool\n", (void *)&parent,
             (void *)object);
   slab_destroy_child(&others);
   slab_destroy_parent(&other);
   must_end_well();
}

static void
a_free_through_a_strange_child_is_reported_and_done(void **state)
{
   (void)state;
   run_debugged("checks", free_through_others);
}

static void
free_wrong_addresses(void)
{
   char *object = allocate();
   char local;

   memset(object, 7, size);
   slab_free(&child, object + 8);
   must_hear(1, ": %p: not an object of a pool\n", (void *)(object + 8));
   slab_free(&child, &local);
   must_hear(1, "slab_free: pool queries 96x64 at %p: %p: not an object of a pool\n", (void *)&parent, (void *)&local);
   MUST(object[0] == 7 && object[size - 1] == 7);
   slab_free(&child, NULL);
   slab_free(&child, object);
   must_end_well();
}

static void
an_address_that_is_no_object_is_reported(void **state)
{
   (void)state;
   run_debugged("checks", free_wrong_addresses);
}

static void
use_dead_pools(void)
{
   struct slab_child_pool zeroed, orphan;

   memset(&zeroed, 0, sizeof(zeroed));
   MUST(!slab_alloc(&zeroed));
   must_hear(1, "slab_alloc: %p: a child pool that is destroyed or was never created\n", (void *)&zeroed);
   slab_create_child(&orphan, &parent);
   slab_free(&orphan, slab_alloc(&orphan));
   slab_free(&child, allocate());
   slab_destroy_child(&child);
   must_be_quiet();
   MUST(!slab_alloc(&child) && !slab_zalloc(&child));
   must_hear(2, "slab_alloc: %p: a destroyed child pool\n", (void *)&child);

   slab_destroy_parent(&parent);
   must_be_quiet();
   MUST(!slab_alloc(&orphan));
   must_hear(1, "slab_alloc: %p: a child of a destroyed pool\n", (void *)&orphan);
   slab_destroy_parent(&parent);
   must_hear(1, "mesa-slab: slab_destroy_parent: %p: the pool is destroyed already\n", (void *)&parent);
   slab_destroy_child(&orphan);
   MUST(slab_validate(NULL) == 0);
   must_be_quiet();
}

static void
the_use_of_destroyed_and_zeroed_pools_is_reported(void **state)
{
   (void)state;
   run_debugged("checks", use_dead_pools);
}

static void
use_after_the_pools_memory_is_cleared(void)
{
   memset(&parent, 0, sizeof(parent));
   MUST(!slab_alloc(&child));
   must_hear(1, "slab_alloc: %p: a child of a pool that is destroyed or was never created\n", (void *)&child);
}

static void
a_child_whose_pools_memory_was_cleared_is_reported(void **state)
{
   (void)state;
   run_debugged("checks", use_after_the_pools_memory_is_cleared);
}

static sem_t first_is_inside, second_is_reported;
static __thread bool is_held;

/*
 * The program's own mprotect, which the library is bound to. For a guarded object it is called inside of a call, where
 * the pool is not locked: there the first thread stays until the second one's report is made.
 */
int
mprotect(void *address, size_t length, int protection)
{
   if (is_held) {
      is_held = false;
      MUST(sem_post(&first_is_inside) == 0);
      while (sem_wait(&second_is_reported) != 0)
         MUST(errno == EINTR);
   }
   return (int)syscall(SYS_mprotect, address, length, protection);
}

static void
hear_and_let_go(void *data, const char *line)
{
   hear(data, line);
   MUST(sem_post(&second_is_reported) == 0);
}

static void *
first_thread(void *arg)
{
   (void)arg;
   is_held = true;
   return slab_alloc(&child);
}

static void
enter_twice(void)
{
   pthread_t first;
   void *object, *other;

   MUST(sem_init(&first_is_inside, 0, 0) == 0 && sem_init(&second_is_reported, 0, 0) == 0);
   slab_set_report_handler(hear_and_let_go, NULL);
   MUST(pthread_create(&first, NULL, first_thread, NULL) == 0);
   while (sem_wait(&first_is_inside) != 0)
      MUST(errno == EINTR);
   object = slab_alloc(&child);
   MUST(object);
   must_hear(1,
             "slab_alloc: pool queries 96x64 at %p: %p: child used by two threads at once: thread 0x%lx calls while "
             "thread 0x%lx is inside\n",
             (void *)&parent, (void *)&child, (unsigned long)pthread_self(), (unsigned long)first);
   MUST(pthread_join(first, &other) == 0 && other && other != object);
   slab_free(&child, object);
   slab_free(&child, other);
   must_end_well();
}

static void
two_threads_in_one_child_at_once_are_reported(void **state)
{
   (void)state;
   run_debugged("guard", enter_twice);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_double_free_is_reported_at_once_and_does_nothing),
      cmocka_unit_test(a_free_through_a_strange_child_is_reported_and_done),
      cmocka_unit_test(an_address_that_is_no_object_is_reported),
      cmocka_unit_test(the_use_of_destroyed_and_zeroed_pools_is_reported),
      cmocka_unit_test(a_child_whose_pools_memory_was_cleared_is_reported),
      cmocka_unit_test(two_threads_in_one_child_at_once_are_reported),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
