/* SPDX-License-Identifier: MIT */
/* slab_ext.h, objects of any size: what they hold, where they are freed, what they cost, and that all goes back. */
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
#include <stdlib.h>
#include <string.h>

enum { most_live = 3000 };

/* A sequence of numbers that is the same in each run. */
static unsigned
next_number(unsigned *seed)
{
   *seed = *seed * 1664525 + 1013904223;
   return *seed >> 8;
}

/* Mostly small; now and then large. */
static size_t
some_size(unsigned *seed)
{
   unsigned number = next_number(seed);

   switch (number % 64) {
   case 0:
      return next_number(seed) % 300000;
   case 1:
   case 2:
   case 3:
      return next_number(seed) % 20000;
   default:
      return next_number(seed) % 1100;
   }
}

static struct slab_options
named(const char *name)
{
   struct slab_options options;

   memset(&options, 0, sizeof(options));
   options.struct_size = sizeof(options);
   options.name = name;
   return options;
}

static void
add(struct live_objects *live, struct slab_sizes_child *child, size_t bytes, bool zeroed)
{
   unsigned char *object = (unsigned char *)(zeroed ? slab_sizes_zalloc(child, bytes) : slab_sizes_alloc(child, bytes));
   size_t i;

   MUST(object);
   MUST((uintptr_t)object % (bytes <= 8 ? 8 : 16) == 0);
   MUST(slab_sizes_size(object) >= bytes);
   for (i = 0; zeroed && i < bytes; i++)
      MUST(object[i] == 0);
   /* All of what it has, not what was asked for. */
   live_add(live, object, slab_sizes_size(object));
}

static void
drop(struct live_objects *live, struct slab_sizes_child *child, size_t index)
{
   void *object = live_take(live, index);

   MUST(object);
   slab_sizes_free(child, object);
}

static void
drop_all(struct live_objects *live, struct slab_sizes_child *child)
{
   while (live->count > 0)
      drop(live, child, live->count - 1);
}

static void
between_two_sizes_is_at_most_an_eighth(void **state)
{
   struct slab_sizes *sizes = slab_create_sizes(NULL);
   struct slab_sizes_child *child = slab_create_sizes_child(sizes);
   size_t bytes;

   (void)state;
   for (bytes = 0; bytes <= 128 << 10; bytes += 1 + bytes / 97) {
      void *object = slab_sizes_alloc(child, bytes);
      size_t size = slab_sizes_size(object);

      assert_non_null(object);
      assert_true(size >= bytes && size > 0);
      assert_true(size - bytes < 16 || size - bytes <= bytes / 8);
      memset(object, 1, size);
      slab_sizes_free(child, object);
   }
   slab_destroy_sizes_child(child);
   slab_destroy_sizes(sizes);
}

static void
large_objects_are_on_their_own(void **state)
{
   const size_t large[] = {(128 << 10) + 1, 200000, 1 << 20, (1 << 20) + 1, 3 << 20, 5000000, 33 << 20};
   struct slab_sizes *sizes = slab_create_sizes(NULL);
   struct slab_sizes_child *a = slab_create_sizes_child(sizes);
   struct slab_sizes_child *b = slab_create_sizes_child(sizes);
   struct live_objects live;
   size_t i;

   (void)state;
   live_create(&live, 100);
   for (i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
      add(&live, a, large[i], false);
      add(&live, a, large[i], i < 5);
   }
   assert_true(live_apart(&live) && live_intact(&live));
   drop_all(&live, b);
   live_destroy(&live);
   slab_destroy_sizes_child(b);
   slab_destroy_sizes_child(a);
   slab_destroy_sizes(sizes);
}

static void
too_much_is_no_memory(void **state)
{
   struct slab_sizes *sizes = slab_create_sizes(NULL);
   struct slab_sizes_child *child = slab_create_sizes_child(sizes);
   void *object;

   (void)state;
   assert_null(slab_sizes_alloc(child, SIZE_MAX));
   assert_null(slab_sizes_zalloc(child, SIZE_MAX));
   assert_null(slab_sizes_alloc(child, SIZE_MAX / 2 + 2));
   assert_null(slab_sizes_alloc(child, SIZE_MAX - 7));
   /* On a 32-bit machine this is 2 GiB, which there may be in one piece. */
   object = slab_sizes_alloc(child, SIZE_MAX / 2 + 1);
   assert_true(!object || SIZE_MAX <= UINT32_MAX);
   slab_sizes_free(child, object);
   object = slab_sizes_alloc(child, 100);
   assert_non_null(object);
   slab_sizes_free(child, object);
   slab_destroy_sizes_child(child);
   slab_destroy_sizes(sizes);
}

/* Three children, one of which is replaced all the time; each object is freed through any of them. */
static void
random_sizes_keep_their_contents(void **state)
{
   struct slab_options options = named("random");
   struct slab_sizes *sizes = slab_create_sizes(&options);
   struct slab_sizes_child *children[3];
   struct live_objects live;
   unsigned seed = 1, i;

   (void)state;
   live_create(&live, most_live);
   for (i = 0; i < 3; i++)
      children[i] = slab_create_sizes_child(sizes);
   for (i = 0; i < ITERATIONS(60000, 6000); i++) {
      struct slab_sizes_child *child = children[next_number(&seed) % 3];

      if (live.count < most_live / 2 || (live.count < most_live && next_number(&seed) % 2))
         add(&live, child, some_size(&seed), next_number(&seed) % 4 == 0);
      else
         drop(&live, child, next_number(&seed) % live.count);
      if (i % 500 == 0) {
         slab_destroy_sizes_child(children[i / 500 % 3]);
         children[i / 500 % 3] = slab_create_sizes_child(sizes);
         MUST(children[i / 500 % 3]);
      }
   }
   assert_true(live_apart(&live) && live_intact(&live));
   drop_all(&live, children[0]);
   for (i = 0; i < 3; i++)
      slab_destroy_sizes_child(children[i]);
   slab_destroy_sizes(sizes);
   live_destroy(&live);
}

/* Of other sets, of ordinary pools, and through children of those. */
static void
objects_go_back_to_where_they_came_from(void **state)
{
   struct slab_sizes *one = slab_create_sizes(NULL), *other = slab_create_sizes(NULL);
   struct slab_sizes_child *of_one = slab_create_sizes_child(one), *of_other = slab_create_sizes_child(other);
   struct slab_mempool pool;
   struct live_objects live;
   unsigned seed = 7, i;

   (void)state;
   live_create(&live, most_live);
   slab_create(&pool, 96, 16);
   for (i = 0; i < 600; i++)
      add(&live, i % 2 ? of_one : of_other, some_size(&seed), false);
   for (i = 0; i < 300; i++) {
      void *object = slab_alloc_st(&pool);

      assert_non_null(object);
      assert_int_equal(slab_sizes_size(object), 96);
      live_add(&live, object, 96);
   }
   assert_true(live_apart(&live));
   while (live.count > 0) {
      void *object = live_take(&live, next_number(&seed) % live.count);

      assert_non_null(object);
      switch (live.count % 3) {
      case 0:
         slab_sizes_free(of_one, object);
         break;
      case 1:
         slab_sizes_free(of_other, object);
         break;
      default:
         slab_free_st(&pool, object);
      }
   }
   slab_destroy(&pool);
   slab_destroy_sizes_child(of_one);
   slab_destroy_sizes_child(of_other);
   slab_destroy_sizes(one);
   slab_destroy_sizes(other);
   live_destroy(&live);
}

static void
objects_outlive_child_and_set(void **state)
{
   struct slab_sizes *gone = slab_create_sizes(NULL), *sizes = slab_create_sizes(NULL);
   struct slab_sizes_child *child = slab_create_sizes_child(gone);
   struct live_objects live;
   unsigned seed = 3, i;

   (void)state;
   live_create(&live, most_live);
   for (i = 0; i < 1000; i++)
      add(&live, child, some_size(&seed), false);
   slab_destroy_sizes_child(child);
   slab_destroy_sizes(gone);
   child = slab_create_sizes_child(sizes);
   for (i = 0; i < 1000; i++)
      add(&live, child, some_size(&seed), false);
   assert_true(live_apart(&live) && live_intact(&live));
   drop_all(&live, child);
   slab_destroy_sizes_child(child);
   slab_destroy_sizes(sizes);
   live_destroy(&live);
}

static void
nothing_is_kept_when_all_is_destroyed(void **state)
{
   struct slab_heap_stats before, after;
   struct live_objects live;
   unsigned seed = 11, round, i;

   (void)state;
   live_create(&live, most_live);
   before.struct_size = after.struct_size = sizeof(before);
   for (round = 0; round < 20; round++) {
      struct slab_sizes *sizes = slab_create_sizes(NULL);
      struct slab_sizes_child *a = slab_create_sizes_child(sizes), *b = slab_create_sizes_child(sizes);

      for (i = 0; i < 500; i++)
         add(&live, i % 2 ? a : b, some_size(&seed), false);
      drop_all(&live, a);
      slab_destroy_sizes_child(a);
      slab_destroy_sizes_child(b);
      slab_destroy_sizes(sizes);
      slab_trim_heap();
      slab_get_heap_stats(round == 0 ? &before : &after);
      assert_int_equal(slab_validate(NULL), 0);
   }
   assert_int_equal(after.object_slabs, before.object_slabs);
   assert_int_equal(after.magazine_slabs, before.magazine_slabs);
   live_destroy(&live);
}

/* What a child takes that allocates three objects of three sizes: 128 bytes, and 256 for the group of its classes. */
static void
a_child_is_small(void **state)
{
   enum { children = 64 };
   struct slab_sizes *sizes = slab_create_sizes(NULL);
   struct slab_sizes_child *child[children];
   struct slab_heap_stats before, after;
   unsigned i;

   (void)state;
   before.struct_size = after.struct_size = sizeof(before);
   child[0] = slab_create_sizes_child(sizes);
   slab_get_heap_stats(&before);
   for (i = 1; i < children; i++)
      assert_non_null(child[i] = slab_create_sizes_child(sizes));
   slab_get_heap_stats(&after);
   assert_in_range(after.magazine_slabs - before.magazine_slabs, 0, children * 16 * sizeof(void *) + 4096);
   for (i = 0; i < children; i++)
      slab_destroy_sizes_child(child[i]);
   slab_destroy_sizes(sizes);
}

static void
collect(void *data, const char *text, size_t length)
{
   char *to = (char *)data;

   MUST(strlen(to) + length < 65536);
   strncat(to, text, length);
}

static void
pools_of_a_set_have_its_name(void **state)
{
   struct slab_options options = named("ctx strings");
   struct slab_sizes *sizes = slab_create_sizes(&options);
   struct slab_sizes_child *child = slab_create_sizes_child(sizes);
   void *small = slab_sizes_alloc(child, 90), *large = slab_sizes_alloc(child, 20000);
   char *text = (char *)calloc(1, 65536);

   (void)state;
   slab_print_stats(collect, text, SLAB_STATS_TABLE);
   assert_non_null(strstr(text, "ctx strings 96x"));
   assert_non_null(strstr(text, "ctx strings 20480x"));
   free(text);
   slab_sizes_free(child, small);
   slab_sizes_free(child, large);
   slab_destroy_sizes_child(child);
   slab_destroy_sizes(sizes);
}

static void
options_that_are_not_known_are_refused(void **state)
{
   struct slab_options options = named("x");

   (void)state;
   slab_set_report_handler(hear, NULL);
   options.flags = 1;
   assert_null(slab_create_sizes(&options));
   assert_non_null(strstr(reported, "slab_create_sizes: "));
   assert_non_null(strstr(reported, "flags"));
   options = named("x");
   options.struct_size = 0;
   assert_null(slab_create_sizes(&options));
   assert_non_null(strstr(reported, "struct_size"));
   assert_int_equal(reports, 2);
   slab_set_report_handler(NULL, NULL);

   /* Of an older program: what its struct does not have is not read. */
   options = named("x");
   options.flags = 1;
   options.struct_size = offsetof(struct slab_options, flags);
   {
      struct slab_sizes *sizes = slab_create_sizes(&options);

      assert_non_null(sizes);
      slab_destroy_sizes(sizes);
   }
}

static void
null_is_harmless(void **state)
{
   struct slab_sizes *sizes = slab_create_sizes(NULL);
   struct slab_sizes_child *child = slab_create_sizes_child(sizes);

   (void)state;
   slab_sizes_free(child, NULL);
   assert_int_equal(slab_sizes_size(NULL), 0);
   slab_destroy_sizes_child(NULL);
   slab_destroy_sizes(NULL);
   slab_destroy_sizes_child(child);
   slab_destroy_sizes(sizes);
}

/* Each thread frees what it allocates and what the thread before it has left, and begins with classes at the same time. */
enum { threads = 4 };

struct shift {
   struct slab_sizes *sizes;
   pthread_mutex_t *mutex;
   struct live_objects *left;
   unsigned seed;
};

static void *
work(void *data)
{
   struct shift *shift = (struct shift *)data;
   struct slab_sizes_child *child = slab_create_sizes_child(shift->sizes);
   struct live_objects own;
   unsigned i;

   MUST(child);
   live_create(&own, most_live);
   for (i = 0; i < ITERATIONS(20000, 1500); i++) {
      unsigned what = next_number(&shift->seed) % 8;

      if (own.count < 200 || (what < 4 && own.count < most_live)) {
         add(&own, child, some_size(&shift->seed), what == 0);
      } else if (what < 7) {
         drop(&own, child, next_number(&shift->seed) % own.count);
      } else {
         pthread_mutex_lock(shift->mutex);
         if (shift->left->count > 100) {
            drop(shift->left, child, next_number(&shift->seed) % shift->left->count);
         } else {
            add(shift->left, child, some_size(&shift->seed), false);
         }
         pthread_mutex_unlock(shift->mutex);
      }
   }
   MUST(live_intact(&own));
   drop_all(&own, child);
   slab_destroy_sizes_child(child);
   live_destroy(&own);
   return NULL;
}

static void
threads_share_a_set(void **state)
{
   pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
   struct slab_sizes *sizes = slab_create_sizes(NULL);
   struct slab_sizes_child *child;
   struct live_objects left;
   struct shift shifts[threads];
   pthread_t ids[threads];
   unsigned i;

   (void)state;
   live_create(&left, most_live);
   for (i = 0; i < threads; i++) {
      shifts[i].sizes = sizes;
      shifts[i].mutex = &mutex;
      shifts[i].left = &left;
      shifts[i].seed = i;
      assert_int_equal(pthread_create(&ids[i], NULL, work, &shifts[i]), 0);
   }
   for (i = 0; i < threads; i++)
      pthread_join(ids[i], NULL);
   child = slab_create_sizes_child(sizes);
   assert_true(live_apart(&left) && live_intact(&left));
   drop_all(&left, child);
   slab_destroy_sizes_child(child);
   slab_destroy_sizes(sizes);
   live_destroy(&left);
}

struct family {
   struct slab_sizes *sizes;
   struct slab_sizes_child *child;
   struct live_objects live;
};

static void
go_on(void *data)
{
   struct family *family = (struct family *)data;
   unsigned seed = 99, i;

   for (i = 0; i < 300; i++) {
      drop(&family->live, family->child, i);
      add(&family->live, family->child, some_size(&seed), false);
   }
   MUST(live_intact(&family->live) && live_apart(&family->live));
   drop_all(&family->live, family->child);
   slab_destroy_sizes_child(family->child);
   slab_destroy_sizes(family->sizes);
   live_destroy(&family->live);
}

static void
a_forked_process_has_its_own(void **state)
{
   struct child_process process;
   struct family family;
   unsigned seed = 5, i;

   (void)state;
   family.sizes = slab_create_sizes(NULL);
   family.child = slab_create_sizes_child(family.sizes);
   live_create(&family.live, most_live);
   for (i = 0; i < 800; i++)
      add(&family.live, family.child, some_size(&seed), false);
   assert_true(child_run(&process, go_on, &family));
   go_on(&family);
}

/* While other threads make classes, so that a process may be forked in the middle of that. */
static pthread_mutex_t stop_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool stop;

static void
set_stop(bool value)
{
   pthread_mutex_lock(&stop_mutex);
   stop = value;
   pthread_mutex_unlock(&stop_mutex);
}

static bool
is_stopped(void)
{
   bool value;

   pthread_mutex_lock(&stop_mutex);
   value = stop;
   pthread_mutex_unlock(&stop_mutex);
   return value;
}

static void *
make_classes(void *data)
{
   (void)data;
   while (!is_stopped()) {
      struct slab_sizes *sizes = slab_create_sizes(NULL);
      struct slab_sizes_child *child = slab_create_sizes_child(sizes);
      size_t bytes;

      for (bytes = 1; bytes < 20000; bytes += bytes)
         slab_sizes_free(child, slab_sizes_alloc(child, bytes));
      slab_destroy_sizes_child(child);
      slab_destroy_sizes(sizes);
   }
   return NULL;
}

static void
make_some(void *data)
{
   struct slab_sizes *sizes = slab_create_sizes(NULL);
   struct slab_sizes_child *child = slab_create_sizes_child(sizes);
   struct live_objects live;
   unsigned seed = 1, i;

   (void)data;
   THREADS_ARE_GONE();
   live_create(&live, most_live);
   for (i = 0; i < 100; i++)
      add(&live, child, some_size(&seed), false);
   drop_all(&live, child);
   slab_destroy_sizes_child(child);
   slab_destroy_sizes(sizes);
   live_destroy(&live);
}

static void
a_fork_meets_no_lock_that_is_held(void **state)
{
   pthread_t ids[2];
   unsigned i;

   (void)state;
   for (i = 0; i < 2; i++)
      assert_int_equal(pthread_create(&ids[i], NULL, make_classes, NULL), 0);
   for (i = 0; i < ITERATIONS(100, 10); i++) {
      struct child_process process;

      assert_true(child_run(&process, make_some, NULL));
   }
   set_stop(true);
   for (i = 0; i < 2; i++)
      pthread_join(ids[i], NULL);
   set_stop(false);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      /* First, as after 100 reports there are no more, and modes report frees through children of other pools. */
      cmocka_unit_test(options_that_are_not_known_are_refused),
      cmocka_unit_test(between_two_sizes_is_at_most_an_eighth),
      cmocka_unit_test(large_objects_are_on_their_own),
      cmocka_unit_test(too_much_is_no_memory),
      cmocka_unit_test(random_sizes_keep_their_contents),
      cmocka_unit_test(objects_go_back_to_where_they_came_from),
      cmocka_unit_test(objects_outlive_child_and_set),
      cmocka_unit_test(nothing_is_kept_when_all_is_destroyed),
      cmocka_unit_test(a_child_is_small),
      cmocka_unit_test(pools_of_a_set_have_its_name),
      cmocka_unit_test(null_is_harmless),
      cmocka_unit_test(threads_share_a_set),
      cmocka_unit_test(a_forked_process_has_its_own),
      cmocka_unit_test(a_fork_meets_no_lock_that_is_held),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
