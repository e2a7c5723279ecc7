/* SPDX-License-Identifier: MIT */
/*
 * What is reported in every build: an object freed twice, and an address that is not an object's. It
 * is said in one line on stderr, at the latest when the child is destroyed; the program goes on, and
 * no object goes out twice because of it. Each case is a child process whose stderr is read.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "live_objects.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <string.h>

enum { item_size = 96, num_items = 64, many = 2000 };

struct pools {
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct slab_child_pool sibling;
   struct slab_child_pool zeroed;
};

static void
pools_create(struct pools *pools)
{
   slab_create_parent(&pools->parent, item_size, num_items);
   slab_create_child(&pools->child, &pools->parent);
   slab_create_child(&pools->sibling, &pools->parent);
   memset(&pools->zeroed, 0, sizeof(pools->zeroed));
}

/* Hands back all that the children hold, which is when the library looks at it at the latest. */
static void
pools_hand_back(struct pools *pools)
{
   slab_destroy_child(&pools->child);
   slab_destroy_child(&pools->sibling);
}

/* Whether objects that were allocated before and many new ones are all apart and keep their contents. */
static void
pools_work(struct pools *pools, struct live_objects *live)
{
   struct slab_child_pool child;
   int round;

   slab_create_child(&child, &pools->parent);
   for (round = 0; round < 3; round++) {
      while (live->count < many)
         live_add(live, slab_alloc(&child), item_size);
      MUST(live_apart(live));
      MUST(live_intact(live));
      while (live->count > many / 3) {
         void *object = live_take(live, live->count / 2);
         MUST(object);
         slab_free(&child, object);
      }
   }
   while (live->count > 0)
      slab_free(&child, live_take(live, 0));
   slab_destroy_child(&child);
   slab_destroy_parent(&pools->parent);
   live_destroy(live);
}

static unsigned
count_of(const char *text, const char *word)
{
   unsigned count = 0;

   for (text = strstr(text, word); text; text = strstr(text + 1, word))
      count++;
   return count;
}

static void
assert_reported(void (*body)(void *arg), const char *what, unsigned times)
{
   struct child_process child;

   assert_true(child_run(&child, body, NULL));
   if (count_of(child.said, what) != times || count_of(child.said, "\n") != times)
      fail_msg("expected %u lines with \"%s\", got:\n%s", times, what, child.said);
   assert_int_equal(count_of(child.said, "mesa-slab: slab_"), times);
   assert_int_equal(count_of(child.said, ": pool 96x64 at 0x"), times);
}

static void
double_free_body(void *arg)
{
   struct live_objects live;
   struct pools pools;
   void *object;

   (void)arg;
   live_create(&live, many);
   pools_create(&pools);
   live_add(&live, slab_alloc(&pools.child), item_size);
   object = slab_alloc(&pools.child);
   live_add(&live, slab_alloc(&pools.child), item_size);
   slab_free(&pools.child, object);
   slab_free(&pools.child, object);
   pools_hand_back(&pools);
   pools_work(&pools, &live);
}

static void
double_free_is_reported(void **state)
{
   (void)state;
   assert_reported(double_free_body, "double free", 1);
}

static void
double_free_through_sibling_body(void *arg)
{
   struct live_objects live;
   struct pools pools;
   void *object;

   (void)arg;
   live_create(&live, many);
   pools_create(&pools);
   live_add(&live, slab_alloc(&pools.child), item_size);
   object = slab_alloc(&pools.child);
   slab_free(&pools.sibling, object);
   slab_free(&pools.child, object);
   pools_hand_back(&pools);
   pools_work(&pools, &live);
}

static void
double_free_through_sibling_is_reported(void **state)
{
   (void)state;
   assert_reported(double_free_through_sibling_body, "double free", 1);
}

static void
double_free_through_destroyed_child_body(void *arg)
{
   struct live_objects live;
   struct pools pools;
   void *object;

   (void)arg;
   live_create(&live, many);
   pools_create(&pools);
   live_add(&live, slab_alloc(&pools.child), item_size);
   object = slab_alloc(&pools.child);
   pools_hand_back(&pools);
   slab_free(&pools.child, object);
   slab_free(&pools.zeroed, object);
   pools_work(&pools, &live);
}

static void
double_free_through_destroyed_child_is_reported(void **state)
{
   (void)state;
   assert_reported(double_free_through_destroyed_child_body, "double free", 1);
}

/* Many of them, also after their first free has long gone back to the parent. */
static void
double_frees_en_masse_body(void *arg)
{
   struct live_objects live;
   struct pools pools;
   void *objects[40];
   int i;

   (void)arg;
   live_create(&live, many);
   pools_create(&pools);
   while (live.count < 200) {
      int next = (int)live.count / 5;
      objects[next] = slab_alloc(&pools.child);
      for (i = 0; i < 5; i++)
         live_add(&live, slab_alloc(&pools.child), item_size);
   }
   for (i = 0; i < 40; i++)
      slab_free(&pools.child, objects[i]);
   slab_destroy_child(&pools.child);
   for (i = 0; i < 40; i++)
      slab_free(&pools.sibling, objects[i]);
   pools_hand_back(&pools);
   pools_work(&pools, &live);
}

static void
double_frees_en_masse_are_reported(void **state)
{
   (void)state;
   assert_reported(double_frees_en_masse_body, "double free", 40);
}

/* Frees object + offset, which is not an object, and later object itself, which still is. */
static void
free_off_stride(size_t offset, bool through_zeroed)
{
   struct live_objects live;
   struct pools pools;
   unsigned char *object;

   live_create(&live, many);
   pools_create(&pools);
   object = (unsigned char *)slab_alloc(&pools.child);
   live_add(&live, slab_alloc(&pools.child), item_size);
   slab_free(through_zeroed ? &pools.zeroed : &pools.child, object + offset);
   pools_hand_back(&pools);
   live_add(&live, object, item_size);
   pools_work(&pools, &live);
}

static void
off_by_one_byte_body(void *arg)
{
   (void)arg;
   free_off_stride(1, false);
}

static void
off_by_a_word_body(void *arg)
{
   (void)arg;
   free_off_stride(8, false);
}

static void
off_by_half_an_object_body(void *arg)
{
   (void)arg;
   free_off_stride(item_size / 2, false);
}

static void
off_by_half_through_destroyed_child_body(void *arg)
{
   (void)arg;
   free_off_stride(item_size / 2, true);
}

static void
pointer_into_an_object_is_reported(void **state)
{
   (void)state;
   assert_reported(off_by_one_byte_body, "not an object of a pool", 1);
   assert_reported(off_by_a_word_body, "not an object of a pool", 1);
   assert_reported(off_by_half_an_object_body, "not an object of a pool", 1);
   assert_reported(off_by_half_through_destroyed_child_body, "not an object of a pool", 1);
}

/* The bytes behind the last object of a slab are no object's, and lead to its slab all the same. */
static void
free_behind_the_last_object(bool through_zeroed)
{
   struct slab_parent_stats stats;
   struct live_objects live;
   struct pools pools;
   uintptr_t object, first;

   live_create(&live, many);
   pools_create(&pools);
   live_add(&live, slab_alloc(&pools.child), item_size);
   stats.struct_size = sizeof(stats);
   MUST(slab_get_parent_stats(&pools.parent, &stats) == 0);
   MUST(stats.objects_per_slab * stats.element_size < stats.slab_bytes);
   object = (uintptr_t)live.objects[0].ptr;
   first = object / stats.slab_bytes * stats.slab_bytes;
   slab_free(through_zeroed ? &pools.zeroed : &pools.child,
             (void *)(first + stats.objects_per_slab * stats.element_size));
   pools_hand_back(&pools);
   pools_work(&pools, &live);
}

static void
behind_the_last_object_body(void *arg)
{
   (void)arg;
   free_behind_the_last_object(false);
}

static void
behind_the_last_object_through_destroyed_child_body(void *arg)
{
   (void)arg;
   free_behind_the_last_object(true);
}

static void
address_behind_the_last_object_is_reported(void **state)
{
   (void)state;
   assert_reported(behind_the_last_object_body, "not an object of a pool", 1);
   assert_reported(behind_the_last_object_through_destroyed_child_body, "not an object of a pool", 1);
}

static void
proper_use_body(void *arg)
{
   struct live_objects live;
   struct pools pools;

   (void)arg;
   live_create(&live, many);
   pools_create(&pools);
   while (live.count < many)
      live_add(&live, slab_alloc(&pools.child), item_size);
   while (live.count > many / 2)
      slab_free(&pools.sibling, live_take(&live, live.count / 3));
   slab_free(&pools.zeroed, live_take(&live, 0));
   pools_hand_back(&pools);
   pools_work(&pools, &live);
}

static void
proper_use_reports_nothing(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, proper_use_body, NULL));
   assert_string_equal(child.said, "");
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(double_free_is_reported),
      cmocka_unit_test(double_free_through_sibling_is_reported),
      cmocka_unit_test(double_free_through_destroyed_child_is_reported),
      cmocka_unit_test(double_frees_en_masse_are_reported),
      cmocka_unit_test(pointer_into_an_object_is_reported),
      cmocka_unit_test(address_behind_the_last_object_is_reported),
      cmocka_unit_test(proper_use_reports_nothing),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
