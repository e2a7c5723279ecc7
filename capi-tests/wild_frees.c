/* SPDX-License-Identifier: MIT */
/*
 * What slow paths report in every build rather than follow it: an address in no memory of the library's, and a
 * magazine that was overwritten. Each case is a child process whose stderr is read.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "must.h"
#include "slab.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { item_size = 96, num_items = 64, many = 1000 };

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

static int global;

/* A child that has no magazine yet goes to the slow path with whatever it is given. */
static void
foreign_memory_body(void *arg)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   void *heap = malloc(item_size);
   int local;

   (void)arg;
   MUST(heap);
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&child, &parent);
   slab_free(&child, &local);
   slab_free(&child, heap);
   slab_free(&child, &global);
   slab_free(&child, (void *)(uintptr_t)8);
   slab_free(&child, (void *)~(uintptr_t)7);
   slab_free(&child, &parent);
   slab_free(&child, slab_alloc(&child));
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   free(heap);
}

static void
addresses_in_no_memory_of_the_library_are_reported(void **state)
{
   (void)state;
   assert_reported(foreign_memory_body, "not an object of a pool", 6);
}

/* The words of the child's loaded magazine. */
static void **
magazine_of(struct slab_child_pool *child)
{
   MUST(child->mask);
   return (void **)((uintptr_t)child->top & ~(uintptr_t)child->mask);
}

static void
free_many(struct slab_child_pool *child, void **objects, int count)
{
   int i;

   for (i = 0; i < count; i++)
      slab_free(child, objects[i]);
}

static void
alloc_many(struct slab_child_pool *child, void **objects, int count)
{
   int i;

   for (i = 0; i < count; i++) {
      objects[i] = slab_alloc(child);
      MUST(objects[i]);
   }
}

static void
overwritten_rounds_body(void *arg)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child, other;
   void *objects[many], *lost;
   int local;

   (void)arg;
   slab_create_parent(&parent, item_size, num_items);
   slab_create_child(&child, &parent);
   slab_create_child(&other, &parent);
   lost = slab_alloc(&other);
   MUST(lost);
   alloc_many(&child, objects, 8);
   free_many(&child, objects, 8);
   magazine_of(&child)[1] = &local;
   magazine_of(&child)[3] = (void *)~(uintptr_t)0;
   slab_destroy_child(&child);
   slab_free(&other, lost);
   slab_destroy_child(&other);
   slab_create_child(&child, &parent);
   alloc_many(&child, objects, many);
   free_many(&child, objects, many);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

static void
overwritten_rounds_are_reported_and_skipped(void **state)
{
   (void)state;
   assert_reported(overwritten_rounds_body, "not an object of a pool", 2);
}

static void
overwritten_quota_body(void *arg)
{
   /* The second is one more than a busy child's, after 128 visits: its 127 rounds are counted first. */
   static const uintptr_t wrong[] = {0, 256, ~(uintptr_t)0, (uintptr_t)1 << 31};
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   void *objects[many];
   size_t i;

   (void)arg;
   slab_create_parent(&parent, item_size, num_items);
   for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
      slab_create_child(&child, &parent);
      objects[0] = slab_alloc(&child);
      magazine_of(&child)[0] = (void *)wrong[i];
      alloc_many(&child, objects + 1, many - 1);
      free_many(&child, objects, many);
      slab_destroy_child(&child);
   }
   slab_destroy_parent(&parent);
}

static void
overwritten_quotas_are_reported_and_replaced(void **state)
{
   (void)state;
   assert_reported(overwritten_quota_body, "corrupted magazine", 4);
}

/* Overwrites the link of a full magazine while it is in the depot. */
static void
overwritten_link_body(void *arg)
{
   static const uintptr_t wrong[] = {8, ~(uintptr_t)7};
   struct slab_parent_pool parent;
   struct slab_child_pool child, other;
   static void *objects[many];
   void **magazines[many / 100];
   size_t i;

   (void)arg;
   for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
      int filled = 0, freed;

      slab_create_parent(&parent, item_size, num_items);
      slab_create_child(&child, &parent);
      slab_create_child(&other, &parent);
      objects[0] = slab_alloc(&other);
      alloc_many(&child, objects + 1, many - 1);
      for (freed = 1; freed < many; freed++) {
         slab_free(&child, objects[freed]);
         if (filled == 0 || magazines[filled - 1] != magazine_of(&child))
            magazines[filled++] = magazine_of(&child);
      }
      /* The last one is loaded, the one before is the previous one: the third last was put in the depot last. */
      MUST(filled >= 5);
      magazines[filled - 3][0] = (void *)wrong[i];
      slab_destroy_child(&child);
      slab_create_child(&child, &parent);
      alloc_many(&child, objects + 1, many - 1);
      free_many(&child, objects, many);
      slab_destroy_child(&child);
      slab_destroy_child(&other);
      slab_destroy_parent(&parent);
   }
}

static void
overwritten_links_of_the_depot_are_reported_and_cut(void **state)
{
   (void)state;
   assert_reported(overwritten_link_body, "corrupted magazine", 2);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(addresses_in_no_memory_of_the_library_are_reported),
      cmocka_unit_test(overwritten_rounds_are_reported_and_skipped),
      cmocka_unit_test(overwritten_quotas_are_reported_and_replaced),
      cmocka_unit_test(overwritten_links_of_the_depot_are_reported_and_cut),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
