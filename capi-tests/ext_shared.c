/* SPDX-License-Identifier: MIT */
/* slab_ext.h, objects for any thread: contents, threads that come, go, and move, fork, and that all goes back. */
#include "child_process.h"
#include "cmocka_case.h"
#include "gone_threads.h"
#include "iterations.h"
#include "last_report.h"
#include "live_objects.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { item_size = 96, most_live = 4000, threads = 6 };

static struct slab_options
of_size(unsigned size, const char *name)
{
   struct slab_options options;

   memset(&options, 0, sizeof(options));
   options.struct_size = sizeof(options);
   options.item_size = size;
   options.num_items = 64;
   options.name = name;
   return options;
}

static struct slab_shared_pool *
create(unsigned size)
{
   struct slab_options options = of_size(size, NULL);
   struct slab_shared_pool *pool = slab_create_shared(&options);

   MUST(pool);
   return pool;
}

static void
add(struct live_objects *live, struct slab_shared_pool *pool, bool zeroed)
{
   unsigned char *object = (unsigned char *)(zeroed ? slab_shared_zalloc(pool) : slab_shared_alloc(pool));
   unsigned i;

   MUST(object);
   for (i = 0; zeroed && i < item_size; i++)
      MUST(object[i] == 0);
   live_add(live, object, item_size);
}

static void
drop(struct live_objects *live, struct slab_shared_pool *pool, size_t index)
{
   void *object = live_take(live, index);

   MUST(object);
   slab_shared_free(pool, object);
}

static void
drop_all(struct live_objects *live, struct slab_shared_pool *pool)
{
   while (live->count > 0)
      drop(live, pool, live->count - 1);
}

static void
objects_are_apart_and_keep_their_contents(void **state)
{
   struct slab_shared_pool *pool = create(item_size);
   struct live_objects live;
   unsigned round, i;

   (void)state;
   live_create(&live, most_live);
   for (round = 0; round < 10; round++) {
      while (live.count < most_live)
         add(&live, pool, live.count % 3 == 0);
      assert_true(live_apart(&live) && live_intact(&live));
      for (i = 0; i < most_live / 2 + round * 100; i++)
         drop(&live, pool, i % live.count);
   }
   drop_all(&live, pool);
   slab_destroy_shared(pool);
   live_destroy(&live);
}

static void
objects_of_many_sizes(void **state)
{
   const unsigned sizes[] = {0, 1, 8, 9, 16, 24, 100, 1000, 4096, 5000, 70000, 3 << 20};
   unsigned i, j;

   (void)state;
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
      struct slab_shared_pool *pool = create(sizes[i]);
      size_t size = sizes[i] ? sizes[i] : 1;
      struct live_objects live;

      live_create(&live, 100);
      for (j = 0; j < 20; j++)
         live_add(&live, slab_shared_zalloc(pool), size);
      assert_true(live_apart(&live) && live_intact(&live));
      drop_all(&live, pool);
      slab_destroy_shared(pool);
      live_destroy(&live);
   }
}

static void
objects_go_back_to_where_they_came_from(void **state)
{
   struct slab_shared_pool *one = create(item_size), *other = create(item_size);
   struct slab_mempool pool;
   struct live_objects live;
   unsigned i;

   (void)state;
   live_create(&live, most_live);
   slab_create(&pool, item_size, 16);
   for (i = 0; i < 900; i++)
      live_add(&live,
               i % 3 == 0   ? slab_shared_alloc(one)
               : i % 3 == 1 ? slab_shared_alloc(other)
                            : slab_alloc_st(&pool),
               item_size);
   assert_true(live_apart(&live));
   for (i = 0; live.count > 0; i++) {
      void *object = live_take(&live, i * 7 % live.count);

      assert_non_null(object);
      if (i % 3 == 0)
         slab_shared_free(one, object);
      else if (i % 3 == 1)
         slab_shared_free(other, object);
      else
         slab_free_st(&pool, object);
   }
   slab_destroy(&pool);
   slab_destroy_shared(one);
   slab_destroy_shared(other);
   live_destroy(&live);
}

static void
objects_outlive_their_pool(void **state)
{
   struct slab_shared_pool *gone = create(item_size), *pool;
   struct live_objects live;
   unsigned i;

   (void)state;
   live_create(&live, most_live);
   for (i = 0; i < 500; i++)
      add(&live, gone, false);
   slab_destroy_shared(gone);
   pool = create(item_size);
   for (i = 0; i < 500; i++)
      add(&live, pool, false);
   assert_true(live_apart(&live) && live_intact(&live));
   drop_all(&live, pool);
   slab_destroy_shared(pool);
   live_destroy(&live);
}

static void
nothing_is_kept_when_a_pool_is_destroyed(void **state)
{
   struct slab_heap_stats before, after;
   struct live_objects live;
   unsigned round, i;

   (void)state;
   live_create(&live, most_live);
   before.struct_size = after.struct_size = sizeof(before);
   for (round = 0; round < 20; round++) {
      struct slab_shared_pool *pool = create(item_size);

      for (i = 0; i < 1000; i++)
         add(&live, pool, false);
      drop_all(&live, pool);
      slab_destroy_shared(pool);
      slab_trim_heap();
      slab_get_heap_stats(round == 0 ? &before : &after);
      assert_int_equal(slab_validate(NULL), 0);
   }
   assert_int_equal(after.object_slabs, before.object_slabs);
   assert_int_equal(after.magazine_slabs, before.magazine_slabs);
   live_destroy(&live);
}

/* What threads share: the pool, and objects that one leaves for another. */
struct bench {
   struct slab_shared_pool *pool;
   pthread_mutex_t mutex;
   struct live_objects left;
};

static void *
work(void *data)
{
   struct bench *bench = (struct bench *)data;
   struct live_objects own;
   unsigned i, seed = (unsigned)(uintptr_t)pthread_self() | 1;

   live_create(&own, most_live);
   for (i = 0; i < ITERATIONS(60000, 3000); i++) {
      seed = seed * 1664525 + 1013904223;
      if (own.count < 100 || (seed >> 28 < 8 && own.count < most_live))
         add(&own, bench->pool, seed >> 28 == 0);
      else if (seed >> 28 < 15)
         drop(&own, bench->pool, (seed >> 8) % own.count);
      else {
         pthread_mutex_lock(&bench->mutex);
         if (bench->left.count > 200)
            drop(&bench->left, bench->pool, (seed >> 8) % bench->left.count);
         else
            add(&bench->left, bench->pool, false);
         pthread_mutex_unlock(&bench->mutex);
      }
      if (i % 1000 == 0)
         sched_yield();
   }
   MUST(live_intact(&own));
   drop_all(&own, bench->pool);
   live_destroy(&own);
   return NULL;
}

static void
bench_create(struct bench *bench)
{
   bench->pool = create(item_size);
   pthread_mutex_init(&bench->mutex, NULL);
   live_create(&bench->left, most_live);
}

static void
bench_destroy(struct bench *bench)
{
   MUST(live_apart(&bench->left) && live_intact(&bench->left));
   drop_all(&bench->left, bench->pool);
   slab_destroy_shared(bench->pool);
   pthread_mutex_destroy(&bench->mutex);
   live_destroy(&bench->left);
}

static void
threads_share_a_pool(void **state)
{
   struct bench bench;
   pthread_t ids[threads];
   unsigned i;

   (void)state;
   bench_create(&bench);
   for (i = 0; i < threads; i++)
      assert_int_equal(pthread_create(&ids[i], NULL, work, &bench), 0);
   for (i = 0; i < threads; i++)
      pthread_join(ids[i], NULL);
   bench_destroy(&bench);
}

/* Interrupts threads wherever they are, and moves them from one processor to another. */
static void
interrupted(int number)
{
   (void)number;
}

static void *
work_on_the_move(void *data)
{
   struct bench *bench = (struct bench *)data;
   unsigned i, j;

   for (i = 0; i < ITERATIONS(300, 20); i++) {
      void *objects[200];

#ifdef __linux__
      cpu_set_t all, one;

      if (sched_getaffinity(0, sizeof(all), &all) == 0 && CPU_COUNT(&all) > 1) {
         int cpu = (int)(i % CPU_SETSIZE);

         while (!CPU_ISSET(cpu, &all))
            cpu = (cpu + 1) % CPU_SETSIZE;
         CPU_ZERO(&one);
         CPU_SET(cpu, &one);
         MUST(pthread_setaffinity_np(pthread_self(), sizeof(one), &one) == 0);
         MUST(pthread_setaffinity_np(pthread_self(), sizeof(all), &all) == 0);
      }
#endif
      for (j = 0; j < 200; j++) {
         MUST(objects[j] = slab_shared_alloc(bench->pool));
         memset(objects[j], (int)(i + j), item_size);
      }
      for (j = 0; j < 200; j++) {
         unsigned char first = ((unsigned char *)objects[j])[0], last = ((unsigned char *)objects[j])[item_size - 1];

         MUST(first == (unsigned char)(i + j) && last == first);
         slab_shared_free(bench->pool, objects[j]);
      }
   }
   return NULL;
}

static void
threads_are_interrupted_and_moved(void **state)
{
   const struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
   struct sigaction action;
   struct bench bench;
   pthread_t ids[threads];
   unsigned i;

   (void)state;
   memset(&action, 0, sizeof(action));
   action.sa_handler = interrupted;
   action.sa_flags = SA_RESTART;
   /* It stays, as a signal may be on its way when the timer stops. */
   assert_int_equal(sigaction(SIGPROF, &action, NULL), 0);
   assert_int_equal(setitimer(ITIMER_PROF, &often, NULL), 0);
   bench_create(&bench);
   for (i = 0; i < threads; i++)
      assert_int_equal(pthread_create(&ids[i], NULL, i % 2 ? work : work_on_the_move, &bench), 0);
   for (i = 0; i < threads; i++)
      pthread_join(ids[i], NULL);
   assert_int_equal(setitimer(ITIMER_PROF, &never, NULL), 0);
   bench_destroy(&bench);
}

/* A thread for each object: what it allocates another one frees. */
static void *
allocate_one(void *data)
{
   return slab_shared_alloc((struct slab_shared_pool *)data);
}

static void
threads_that_end_leave_nothing_behind(void **state)
{
   struct slab_shared_pool *pool = create(item_size);
   struct slab_heap_stats before, after;
   unsigned i;

   (void)state;
   before.struct_size = after.struct_size = sizeof(before);
   for (i = 0; i < ITERATIONS(3000, 200); i++) {
      pthread_t id;
      void *object;

      assert_int_equal(pthread_create(&id, NULL, allocate_one, pool), 0);
      pthread_join(id, &object);
      assert_non_null(object);
      slab_shared_free(pool, object);
      slab_get_heap_stats(i < ITERATIONS(300, 100) ? &before : &after);
   }
   /* A child for each processor that these threads came to run on, and what it caches. */
   assert_true(after.held <= before.held + 64 * 1024);
   slab_destroy_shared(pool);
}

static void
collect(void *data, const char *text, size_t length)
{
   char *to = (char *)data;

   MUST(strlen(to) + length < 65536);
   strncat(to, text, length);
}

static void
a_pool_has_its_name(void **state)
{
   struct slab_options options = of_size(88, "fences");
   struct slab_shared_pool *pool = slab_create_shared(&options);
   void *object = slab_shared_alloc(pool);
   char *text = (char *)calloc(1, 65536);

   (void)state;
   slab_print_stats(collect, text, SLAB_STATS_TABLE);
   assert_non_null(strstr(text, "fences 88x64"));
   free(text);
   slab_shared_free(pool, object);
   slab_shared_free(pool, NULL);
   slab_destroy_shared(pool);
   slab_destroy_shared(NULL);
}

static void
options_that_are_not_known_are_refused(void **state)
{
   struct slab_options options = of_size(88, NULL);

   (void)state;
   slab_set_report_handler(hear, NULL);
   options.alignment = 64;
   assert_null(slab_create_shared(&options));
   assert_non_null(strstr(reported, "slab_create_shared: "));
   assert_non_null(strstr(reported, "alignment"));
   slab_set_report_handler(NULL, NULL);
}

struct family {
   struct slab_shared_pool *pool;
   struct live_objects live;
};

static void
go_on(void *data)
{
   struct family *family = (struct family *)data;
   unsigned i;

   for (i = 0; i < 2000; i++) {
      drop(&family->live, family->pool, i * 13 % family->live.count);
      add(&family->live, family->pool, false);
   }
   MUST(live_intact(&family->live) && live_apart(&family->live));
   drop_all(&family->live, family->pool);
   slab_destroy_shared(family->pool);
   live_destroy(&family->live);
}

static void
a_forked_process_has_its_own(void **state)
{
   struct child_process process;
   struct family family;
   unsigned i;

   (void)state;
   family.pool = create(item_size);
   live_create(&family.live, most_live);
   for (i = 0; i < 1500; i++)
      add(&family.live, family.pool, false);
   assert_true(child_run(&process, go_on, &family));
   go_on(&family);
}

/* While others are inside: what they had locked is not so in the new process. */
struct others {
   struct bench bench;
   bool stop;
};

static bool
is_stopped(struct others *others)
{
   bool stop;

   pthread_mutex_lock(&others->bench.mutex);
   stop = others->stop;
   pthread_mutex_unlock(&others->bench.mutex);
   return stop;
}

static void *
keep_busy(void *data)
{
   struct others *others = (struct others *)data;

   while (!is_stopped(others)) {
      void *objects[700];
      unsigned i;

      for (i = 0; i < 700; i++)
         MUST(objects[i] = slab_shared_alloc(others->bench.pool));
      for (i = 0; i < 700; i++)
         slab_shared_free(others->bench.pool, objects[i]);
   }
   return NULL;
}

static void
use_it(void *data)
{
   struct others *others = (struct others *)data;
   struct live_objects live;
   unsigned i;

   THREADS_ARE_GONE();
   live_create(&live, most_live);
   for (i = 0; i < ITERATIONS(3000, 600); i++)
      add(&live, others->bench.pool, false);
   MUST(live_apart(&live) && live_intact(&live));
   drop_all(&live, others->bench.pool);
   live_destroy(&live);
}

static void
a_fork_meets_nothing_that_is_locked(void **state)
{
   struct others others;
   pthread_t ids[3];
   unsigned i;

   (void)state;
   bench_create(&others.bench);
   others.stop = false;
   for (i = 0; i < 3; i++)
      assert_int_equal(pthread_create(&ids[i], NULL, keep_busy, &others), 0);
   for (i = 0; i < ITERATIONS(100, 4); i++) {
      struct child_process process;

      assert_true(child_run(&process, use_it, &others));
   }
   pthread_mutex_lock(&others.bench.mutex);
   others.stop = true;
   pthread_mutex_unlock(&others.bench.mutex);
   for (i = 0; i < 3; i++)
      pthread_join(ids[i], NULL);
   bench_destroy(&others.bench);
}

/* A pool that is used for the first time, in two threads, while a third one forks. */
struct first_use {
   struct others others;
   pthread_barrier_t start, forked;
   unsigned delay; /* in turns of a loop, other ones each time: the fork begins at any time */
};

static void *
use_first(void *data)
{
   struct first_use *use = (struct first_use *)data;
   volatile unsigned i;

   pthread_barrier_wait(&use->start);
   for (i = 0; i < use->delay; i++)
      ;
   for (i = 0; i < 50; i++) {
      void *object = slab_shared_alloc(use->others.bench.pool);

      MUST(object);
      slab_shared_free(use->others.bench.pool, object);
   }
   pthread_barrier_wait(&use->forked);
   return NULL;
}

static void
a_fork_meets_a_pool_at_its_first_use(void **state)
{
   unsigned round;

   (void)state;
   for (round = 0; round < ITERATIONS(200, 3); round++) {
      struct child_process process;
      struct first_use use;
      pthread_t ids[2];
      unsigned i;

      bench_create(&use.others.bench);
      use.delay = round * 997 % 200 * 500;
      assert_int_equal(pthread_barrier_init(&use.start, NULL, 3), 0);
      assert_int_equal(pthread_barrier_init(&use.forked, NULL, 3), 0);
      for (i = 0; i < 2; i++)
         assert_int_equal(pthread_create(&ids[i], NULL, use_first, &use), 0);
      pthread_barrier_wait(&use.start);
      child_start(&process, use_it, &use.others);
      pthread_barrier_wait(&use.forked);
      for (i = 0; i < 2; i++)
         pthread_join(ids[i], NULL);
      assert_true(child_wait(&process));
      pthread_barrier_destroy(&use.start);
      pthread_barrier_destroy(&use.forked);
      bench_destroy(&use.others.bench);
   }
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(options_that_are_not_known_are_refused),
      cmocka_unit_test(objects_are_apart_and_keep_their_contents),
      cmocka_unit_test(objects_of_many_sizes),
      cmocka_unit_test(objects_go_back_to_where_they_came_from),
      cmocka_unit_test(objects_outlive_their_pool),
      cmocka_unit_test(nothing_is_kept_when_a_pool_is_destroyed),
      cmocka_unit_test(threads_share_a_pool),
      cmocka_unit_test(threads_are_interrupted_and_moved),
      cmocka_unit_test(threads_that_end_leave_nothing_behind),
      cmocka_unit_test(a_pool_has_its_name),
      cmocka_unit_test(a_forked_process_has_its_own),
      cmocka_unit_test(a_fork_meets_nothing_that_is_locked),
      cmocka_unit_test(a_fork_meets_a_pool_at_its_first_use),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
