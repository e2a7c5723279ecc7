/* SPDX-License-Identifier: MIT */
/*
 * slab_ext.h, by pointer: slab_object_size, slab_is_object and slab_for_each_object. What is an object and what is
 * none, among all that an address can be; that all objects are visited, each once; and that threads may ask of
 * anything while others allocate, free, and give memory back.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "iterations.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { item_size = 96, num_items = 64, many = ITERATIONS(5000, 500) };

static char *objects[many];

/* What both say of an address, which is to be the same. */
static bool
is_any(const void *address)
{
   bool is = slab_is_object(NULL, address);

   MUST(is == (slab_object_size(address) != 0));
   return is;
}

static bool
is_of(struct slab_parent_pool *parent, const void *address)
{
   bool is = slab_is_object(parent, address);

   MUST(!is || is_any(address));
   return is;
}

static void
objects_of_all_sizes_are_told_from_what_is_within_and_beside_them(void **state)
{
   static const unsigned sizes[] = {0, 1, 8, 24, 96, 1000, 4096, 5000, 40000, 66632, 1100000, 9u << 20};
   unsigned i;

   (void)state;
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
      size_t size = sizes[i] ? sizes[i] : 1, offset;
      struct slab_mempool pool, other;
      char *a, *b;

      slab_create(&pool, sizes[i], 4);
      slab_create(&other, sizes[i], 4);
      a = (char *)slab_alloc_st(&pool);
      b = (char *)slab_alloc_st(&pool);
      assert_true(a && b);
      assert_int_equal(slab_object_size(a), size);
      assert_int_equal(slab_object_size(b), size);
      assert_true(is_of(&pool.parent, a) && is_of(&pool.parent, b));
      assert_false(slab_is_object(&other.parent, a));
      for (offset = 1; offset <= size; offset += 1 + offset / 3) {
         assert_false(a + offset != b && is_any(a + offset));
         assert_false(a - offset != b && is_any(a - offset));
      }
      assert_false(is_any((void *)((uintptr_t)a & ~(uintptr_t)0xfffff)));
      slab_free_st(&pool, a);
      slab_trim_child(&pool.child);
      assert_false(is_any(a));
      assert_true(is_of(&pool.parent, b));
      slab_free_st(&pool, b);
      slab_destroy(&pool);
      slab_destroy(&other);
      assert_false(is_any(a) || is_any(b));
      slab_trim_heap();
      assert_false(is_any(a) || is_any(b));
   }
}

static int in_data = 1;

static void
what_is_no_object(void **state)
{
   struct slab_mempool pool;
   char *mapped = (char *)mmap(NULL, 8 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
   char *unmapped = (char *)mmap(NULL, 8 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
   void *allocated = malloc(item_size);
   struct slab_parent_pool zeroed;
   unsigned bit;
   char *object;

   (void)state;
   assert_true(mapped != MAP_FAILED && unmapped != MAP_FAILED && allocated);
   munmap(unmapped, 8 << 20);
   slab_create(&pool, item_size, num_items);
   object = (char *)slab_alloc_st(&pool);
   slab_trim_child(&pool.child);
   assert_false(is_any(NULL) || is_any(&pool) || is_any(&pool.parent) || is_any(&in_data) || is_any(allocated));
   assert_false(is_any(mapped) || is_any(mapped + (4 << 20)) || is_any(unmapped) || is_any(unmapped + (4 << 20)));
   assert_false(is_any((void *)(uintptr_t)&what_is_no_object));
   for (bit = 0; bit < 8 * sizeof(void *); bit++) {
      assert_false(is_any((void *)((uintptr_t)1 << bit)));
      assert_false(is_any((void *)~((uintptr_t)1 << bit)));
      assert_false(is_any((void *)((uintptr_t)object ^ (uintptr_t)1 << bit)));
   }
   memset(&zeroed, 0, sizeof(zeroed));
   assert_false(slab_is_object(&zeroed, object));
   slab_free_st(&pool, object);
   slab_destroy(&pool);
   assert_false(slab_is_object(&pool.parent, object));
   free(allocated);
   munmap(mapped, 8 << 20);
}

static void
what_the_depot_caches_is_no_object(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child, sibling;
   int i;

   (void)state;
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&child, &parent);
   slab_create_child(&sibling, &parent);
   for (i = 0; i < many; i++) {
      objects[i] = (char *)slab_alloc(&child);
      assert_non_null(objects[i]);
   }
   for (i = 0; i < many; i += 2)
      slab_free(&sibling, objects[i]);
   slab_trim_child(&sibling);
   for (i = 0; i < many; i++)
      assert_int_equal(slab_is_object(&parent, objects[i]), i % 2);
   slab_trim_parent(&parent);
   for (i = 0; i < many; i++)
      assert_int_equal(is_of(&parent, objects[i]), i % 2);
   for (i = 1; i < many; i += 2)
      slab_free(&sibling, objects[i]);
   slab_destroy_child(&child);
   slab_destroy_child(&sibling);
   slab_destroy_parent(&parent);
}

static void
an_object_outlives_its_pool_as_an_object(void **state)
{
   struct slab_parent_pool parent, successor;
   struct slab_child_pool child;
   char *object;

   (void)state;
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&child, &parent);
   object = (char *)slab_alloc(&child);
   assert_non_null(object);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   assert_true(is_any(object));
   assert_int_equal(slab_object_size(object), item_size);
   assert_false(is_any(object + 1));
   slab_create_parent(&parent, item_size, num_items);
   assert_false(slab_is_object(&parent, object));
   slab_create_child(&child, &parent);
   slab_free(&child, object);
   assert_false(is_any(object));

   /* Of a pool whose memory went without a word, it is one still. */
   object = (char *)slab_alloc(&child);
   assert_non_null(object);
   slab_trim_child(&child);
   memset(&parent, 0x5a, sizeof(parent));
   assert_true(is_any(object));
   slab_create_parent(&parent, item_size, num_items);
   assert_true(is_any(object));
   assert_false(slab_is_object(&parent, object));
   slab_create_parent(&successor, item_size, num_items);
   slab_create_child(&child, &successor);
   slab_free(&child, object);
   assert_false(is_any(object));
   slab_destroy_child(&child);
   slab_destroy_parent(&successor);
   slab_destroy_parent(&parent);
}

/* The objects that are visited, by their number. */
struct visited {
   struct slab_child_pool *free_through; /* or NULL */
   int count, most;
   unsigned char times[many];
};

static int
by_address(const void *a, const void *b)
{
   const char *x = *(char *const *)a, *y = *(char *const *)b;

   return x < y ? -1 : x > y;
}

static int
visit(void *data, void *object)
{
   struct visited *visited = (struct visited *)data;
   char **found = (char **)bsearch(&object, objects, many, sizeof(objects[0]), by_address);

   assert_non_null(found);
   visited->times[found - objects]++;
   visited->count++;
   if (visited->free_through)
      slab_free(visited->free_through, object);
   return visited->count == visited->most;
}

static void
all_objects_are_visited_each_once(void **state)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child, sibling;
   struct visited visited;
   int i, kept;

   (void)state;
   slab_create_parent(&parent, item_size, num_items);
   assert_int_equal(slab_for_each_object(&parent, visit, NULL), 0);
   slab_create_child(&child, &parent);
   slab_create_child(&sibling, &parent);
   for (i = 0; i < many; i++) {
      objects[i] = (char *)slab_alloc(&child);
      assert_non_null(objects[i]);
   }
   qsort(objects, many, sizeof(objects[0]), by_address);
   for (i = 0; i < many; i++)
      if (i % 3 == 1)
         slab_free(&sibling, objects[i]);
   slab_trim_child(&child);
   slab_trim_child(&sibling);
   kept = many - (many + 1) / 3;

   memset(&visited, 0, sizeof(visited));
   assert_int_equal(slab_for_each_object(&parent, visit, &visited), kept);
   assert_int_equal(visited.count, kept);
   for (i = 0; i < many; i++)
      assert_int_equal(visited.times[i], i % 3 != 1);

   /* It ends where the visitor wants. */
   memset(&visited, 0, sizeof(visited));
   visited.most = kept / 2;
   assert_int_equal(slab_for_each_object(&parent, visit, &visited), kept / 2);

   /* What is visited may be freed. */
   memset(&visited, 0, sizeof(visited));
   visited.free_through = &sibling;
   assert_int_equal(slab_for_each_object(&parent, visit, &visited), kept);
   for (i = 0; i < many; i++)
      assert_int_equal(visited.times[i], i % 3 != 1);
   slab_trim_child(&sibling);
   assert_int_equal(slab_for_each_object(&parent, visit, &visited), 0);
   assert_int_equal(slab_validate(&parent), 0);
   slab_destroy_child(&child);
   slab_destroy_child(&sibling);
   slab_destroy_parent(&parent);
   assert_int_equal(slab_for_each_object(&parent, visit, &visited), 0);
   assert_int_equal(slab_for_each_object(NULL, visit, &visited), 0);
}

static void
large_objects_are_visited(void **state)
{
   struct slab_mempool pool, other;
   struct visited visited;
   int i;

   (void)state;
   slab_create(&pool, 5u << 20, 1);
   slab_create(&other, 5u << 20, 1);
   memset(objects, 0, sizeof(objects));
   for (i = many - 3; i < many; i++) {
      objects[i] = (char *)slab_alloc_st(&pool);
      assert_non_null(objects[i]);
   }
   qsort(objects + many - 3, 3, sizeof(objects[0]), by_address);
   slab_free_st(&other, slab_alloc_st(&other));
   slab_trim_child(&pool.child);
   memset(&visited, 0, sizeof(visited));
   visited.free_through = &pool.child;
   assert_int_equal(slab_for_each_object(&pool.parent, visit, &visited), 3);
   for (i = many - 3; i < many; i++)
      assert_int_equal(visited.times[i], 1);
   slab_destroy(&pool);
   slab_destroy(&other);
}

static void
a_child_that_is_not_trimmed_is_reported(void *arg)
{
   struct slab_mempool pool;
   struct visited visited;
   bool is_ordinary;

   (void)arg;
   memset(&visited, 0, sizeof(visited));
   slab_create(&pool, item_size, num_items);
   objects[many - 1] = (char *)slab_alloc_st(&pool);
   MUST(objects[many - 1]);
   is_ordinary = pool.child.top != NULL && pool.child.mask != 0;
   MUST(slab_for_each_object(&pool.parent, visit, &visited) == (is_ordinary ? 0 : 1));
   slab_trim_child(&pool.child);
   MUST(slab_for_each_object(&pool.parent, visit, &visited) == 1);
   slab_free_st(&pool, objects[many - 1]);
   slab_destroy(&pool);
   /* For who reads it. */
   fputs(is_ordinary ? "" : "uncached\n", stderr);
}

static void
what_is_cached_is_not_visited(void **state)
{
   struct child_process child;

   (void)state;
   memset(objects, 0, sizeof(objects));
   assert_true(child_run(&child, a_child_that_is_not_trimmed_is_reported, NULL));
   assert_true(strstr(child.said, "uncached") ||
               strstr(child.said, "mesa-slab: slab_for_each_object: pool 96x64 at 0x"));
   assert_true(strstr(child.said, "uncached") || strstr(child.said, ": children cache objects: trim them first\n"));
}

/* With every object guarded, and with some of them. */
static void
guarded_body(void *arg)
{
   struct slab_mempool pool;
   struct visited visited;
   char *in_slab;
   int i, half = many / 2;

   memset(objects, 0, sizeof(objects));
   slab_create(&pool, item_size, num_items);
   if (!arg)
      slab_set_sampling(3);
   for (i = 0; i < many; i++) {
      objects[i] = (char *)slab_alloc_st(&pool);
      MUST(objects[i]);
   }
   in_slab = objects[0];
   qsort(objects, many, sizeof(objects[0]), by_address);
   for (i = 0; i < many; i++) {
      MUST(is_of(&pool.parent, objects[i]));
      MUST(slab_object_size(objects[i]) == item_size);
      MUST(!is_any(objects[i] + 1) && !is_any(objects[i] + 8));
   }
   for (i = 0; i < half; i++)
      slab_free_st(&pool, objects[i]);
   slab_trim_child(&pool.child);
   for (i = 0; i < many; i++)
      MUST(is_of(&pool.parent, objects[i]) == (i >= half));
   memset(&visited, 0, sizeof(visited));
   MUST(slab_for_each_object(&pool.parent, visit, &visited) == (size_t)(many - half));
   for (i = 0; i < many; i++)
      MUST(visited.times[i] == (i >= half));

   /* Objects that outlive their pool, guarded or not. */
   slab_destroy(&pool);
   for (i = 0; i < many; i++)
      MUST(is_any(objects[i]) == (i >= half));
   memset(&pool, 0, sizeof(pool));
   for (i = half; i < many; i++)
      slab_free(&pool.child, objects[i]);
   MUST(!is_any(in_slab));
}

static void
guarded_objects_are_objects(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, guarded_body, NULL));
   assert_int_equal(setenv("SLAB_DEBUG", "guard", 1), 0);
   assert_true(child_run(&child, guarded_body, &child));
   unsetenv("SLAB_DEBUG");
}

/* Objects that are freed and wait are none. */
static void
quarantined_body(void *arg)
{
   struct slab_mempool pool;
   struct visited visited;
   int i;

   MUST(setenv("SLAB_DEBUG", (const char *)arg, 1) == 0);
   memset(&visited, 0, sizeof(visited));
   slab_create(&pool, item_size, num_items);
   for (i = 0; i < many; i++) {
      objects[i] = (char *)slab_alloc_st(&pool);
      MUST(objects[i]);
   }
   qsort(objects, many, sizeof(objects[0]), by_address);
   for (i = 0; i < many; i += 2)
      slab_free_st(&pool, objects[i]);
   for (i = 0; i < many; i++)
      MUST(is_of(&pool.parent, objects[i]) == i % 2);
   MUST(slab_for_each_object(&pool.parent, visit, &visited) == many / 2);
   for (i = 0; i < many; i++)
      MUST(visited.times[i] == i % 2);
   for (i = 1; i < many; i += 2)
      slab_free_st(&pool, objects[i]);
   slab_destroy(&pool);
}

static void
in_all_modes(void **state)
{
   static const char *const modes[] = {
      "checks", "redzone", "poison", "users", "quarantine", "leaks", "checks,redzone,poison,quarantine,users,leaks"};
   unsigned i;

   (void)state;
   for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
      struct child_process child;

      assert_true(child_run(&child, quarantined_body, (void *)(uintptr_t)modes[i]));
   }
}

enum { threads = 3, rounds = ITERATIONS(300, 20), objects_each = 200 };

static void *volatile seen[threads][objects_each];

/* Allocates, and frees all of it; destroys its pool and gives back memory. */
static void *
churn(void *arg)
{
   void *volatile *own = (void *volatile *)arg;
   int round, i;

   for (round = 0; round < rounds; round++) {
      struct slab_mempool pool;
      unsigned size = round % 5 == 0 ? 3u << 20 : 40u << (round % 8);

      slab_create(&pool, size, 16);
      for (i = 0; i < objects_each && (size < 100000 || i < 3); i++) {
         void *object = slab_alloc_st(&pool);

         MUST(object);
         MUST(slab_is_object(&pool.parent, object));
         MUST(slab_object_size(object) == size);
         __atomic_store_n(&own[i], object, __ATOMIC_RELAXED);
      }
      while (i-- > 0)
         slab_free_st(&pool, own[i]);
      slab_destroy(&pool);
      if (round % 7 == 0)
         slab_trim_heap();
   }
   return NULL;
}

/* Asks of what the others have, had, or gave back to the system. */
static void *
ask(void *arg)
{
   unsigned round, i, k;

   (void)arg;
   for (round = 0; round < rounds; round++) {
      for (k = 0; k < threads; k++) {
         for (i = 0; i < objects_each; i++) {
            const char *address = (const char *)__atomic_load_n(&seen[k][i], __ATOMIC_RELAXED);
            size_t bytes = slab_object_size(address);

            MUST(bytes == 0 || bytes == (3u << 20) || (bytes >= 40 && bytes % 40 == 0));
            slab_is_object(NULL, address);
            MUST(!slab_is_object(NULL, address + 1));
         }
      }
   }
   return NULL;
}

static void
threads_ask_while_others_change_everything(void **state)
{
   pthread_t churners[threads], askers[2];
   unsigned i;

   (void)state;
   for (i = 0; i < threads; i++)
      assert_int_equal(pthread_create(&churners[i], NULL, churn, (void *)(uintptr_t)seen[i]), 0);
   for (i = 0; i < 2; i++)
      assert_int_equal(pthread_create(&askers[i], NULL, ask, NULL), 0);
   for (i = 0; i < threads; i++)
      assert_int_equal(pthread_join(churners[i], NULL), 0);
   for (i = 0; i < 2; i++)
      assert_int_equal(pthread_join(askers[i], NULL), 0);
   assert_int_equal(slab_validate(NULL), 0);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(objects_of_all_sizes_are_told_from_what_is_within_and_beside_them),
      cmocka_unit_test(what_is_no_object),
      cmocka_unit_test(what_the_depot_caches_is_no_object),
      cmocka_unit_test(an_object_outlives_its_pool_as_an_object),
      cmocka_unit_test(all_objects_are_visited_each_once),
      cmocka_unit_test(large_objects_are_visited),
      cmocka_unit_test(what_is_cached_is_not_visited),
      cmocka_unit_test(guarded_objects_are_objects),
      cmocka_unit_test(in_all_modes),
      cmocka_unit_test(threads_ask_while_others_change_everything),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
