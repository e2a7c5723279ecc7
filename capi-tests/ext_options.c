/* SPDX-License-Identifier: MIT */
/*
 * slab_ext.h: slab_create_parent_with. Alignments of all powers of two, with every size of objects and in every mode;
 * names; what is refused, and what other versions of the struct ask for.
 */
#include "alignment.h"
#include "child_process.h"
#include "cmocka_case.h"
#include "iterations.h"
#include "last_report.h"
#include "live_objects.h"
#include "must.h"
#include "os_requests.h"
#include "slab.h"
#include "slab_ext.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { most = 65536, many = 300 };

static struct slab_options
options_of(unsigned item_size, unsigned num_items, unsigned alignment)
{
   struct slab_options options;

   memset(&options, 0, sizeof(options));
   options.struct_size = sizeof(options);
   options.item_size = item_size;
   options.num_items = num_items;
   options.alignment = alignment;
   return options;
}

static void
create(struct slab_parent_pool *parent, unsigned item_size, unsigned num_items, unsigned alignment)
{
   struct slab_options options = options_of(item_size, num_items, alignment);

   /* Any content. */
   memset(parent, 0xa5, sizeof(*parent));
   MUST(slab_create_parent_with(parent, &options) == 0);
   memset(&options, 0xa5, sizeof(options));
   MUST(parent->item_size == item_size);
   MUST(alignment == 0 || parent->element_size % alignment == 0);
}

/* Allocates and frees in a pool, in which others may be, and goes to the heap and back. */
static void
use(struct slab_parent_pool *parent, unsigned item_size, unsigned alignment, unsigned count)
{
   size_t size = item_size ? item_size : 1, promised = promised_alignment(item_size), i;
   struct slab_child_pool child, sibling;
   struct live_objects live;

   if (promised < alignment)
      promised = alignment;
   live_create(&live, 2 * many);
   slab_create_child(&child, parent);
   slab_create_child(&sibling, parent);
   for (i = 0; i < count; i++) {
      void *object = i % 3 ? slab_alloc(&child) : slab_zalloc(&child);

      MUST(object);
      MUST((uintptr_t)object % promised == 0);
      live_add(&live, object, size);
      MUST(slab_object_size(object) == size);
   }
   MUST(live_intact(&live) && live_apart(&live));
   for (i = 0; i < live.count; i++)
      slab_free(&sibling, live_take(&live, i));
   slab_destroy_child(&child);
   MUST(slab_validate(parent) == 0);
   while (live.count)
      slab_free(&sibling, live_take(&live, 0));
   MUST(slab_validate(parent) == 0);
   slab_destroy_child(&sibling);
   live_destroy(&live);
}

static void
objects_are_aligned_as_was_asked_for(void **state)
{
   static const unsigned sizes[] = {0, 1, 8, 24, 48, 64, 96, 100, 1000, 4096, 5000, 40000, 66632, 300000, 9u << 20};
   unsigned i, alignment;

   (void)state;
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
      for (alignment = 1; alignment <= most; alignment *= ITERATIONS(2, 16)) {
         struct slab_parent_pool parent;
         unsigned stride, count;

         create(&parent, sizes[i], 16, alignment);
         stride = parent.element_size;
         count = (unsigned)ITERATIONS(6 << 20, 1 << 18) / stride;
         use(&parent, sizes[i], alignment, count < 3 ? 3 : count > many ? (unsigned)many : count);
         slab_destroy_parent(&parent);
      }
   }
   assert_int_equal(slab_validate(NULL), 0);
}

static void
what_is_not_said_is_as_with_slab_create_parent(void **state)
{
   static const unsigned sizes[] = {0, 1, 8, 24, 96, 256, 5000};
   unsigned i, alignment;

   (void)state;
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
      struct slab_parent_pool plain, parent;

      slab_create_parent(&plain, sizes[i], 0);
      for (alignment = 0; alignment <= 8; alignment = alignment ? 2 * alignment : 1) {
         create(&parent, sizes[i], 0, alignment);
         assert_int_equal(parent.element_size, plain.element_size);
         assert_int_equal(parent.num_elements, plain.num_elements);
         slab_destroy_parent(&parent);
      }
      slab_destroy_parent(&plain);
   }
}

/* What one pool leaves for the next, in the heap or of its body, is not for one of other alignment. */
static void
pools_of_other_alignment_share_nothing(void **state)
{
   static const unsigned alignments[] = {0, 128, 0, 32, 4096, 64, 65536, 256, 8192};
   struct slab_parent_pool parent;
   unsigned i;

   (void)state;
   for (i = 0; i < 5 * sizeof(alignments) / sizeof(alignments[0]); i++) {
      unsigned alignment = alignments[i % (sizeof(alignments) / sizeof(alignments[0]))];
      struct slab_child_pool child;
      void *objects[3];
      int k;

      create(&parent, 96, 16, alignment);
      slab_create_child(&child, &parent);
      for (k = 0; k < 3; k++) {
         objects[k] = slab_alloc(&child);
         assert_non_null(objects[k]);
         assert_int_equal((uintptr_t)objects[k] % (alignment ? alignment : 16), 0);
      }
      for (k = 0; k < 3; k++)
         slab_free(&child, objects[k]);
      /* The last child leaves a kit. */
      slab_destroy_child(&child);
      if (i % 2)
         slab_destroy_parent(&parent);
   }
   slab_destroy_parent(&parent);
   slab_trim_heap();
   assert_int_equal(slab_validate(NULL), 0);
}

static void
an_aligned_object_outlives_its_pool(void **state)
{
   unsigned alignment;

   (void)state;
   for (alignment = 16; alignment <= most; alignment *= 16) {
      struct slab_parent_pool parent;
      struct slab_child_pool child;
      char *objects[5];
      int i;

      create(&parent, 5000, 4, alignment);
      slab_create_child(&child, &parent);
      for (i = 0; i < 5; i++) {
         objects[i] = (char *)slab_alloc(&child);
         assert_non_null(objects[i]);
         assert_int_equal((uintptr_t)objects[i] % alignment, 0);
         memset(objects[i], i, 5000);
      }
      slab_destroy_child(&child);
      slab_destroy_parent(&parent);
      for (i = 0; i < 5; i++) {
         assert_int_equal(slab_object_size(objects[i]), 5000);
         assert_true(objects[i][0] == i && objects[i][4999] == i);
         slab_free(&child, objects[i]);
         assert_int_equal(slab_object_size(objects[i]), 0);
      }
   }
}

/* The text that slab_print_stats() gives. */
static char printed[20000];

static void
print(void *data, const char *text, size_t length)
{
   size_t *used = (size_t *)data;

   MUST(*used + length < sizeof(printed));
   memcpy(printed + *used, text, length);
   *used += length;
   printed[*used] = 0;
}

static void
a_pool_has_the_name_that_was_given(void **state)
{
   struct slab_options options = options_of(96, 16, 0);
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   char name[] = "descriptors of queues";
   size_t used = 0;
   void *object;

   (void)state;
   options.name = name;
   assert_int_equal(slab_create_parent_with(&parent, &options), 0);
   memset(name, 'x', sizeof(name) - 1);
   slab_create_child(&child, &parent);
   object = slab_alloc(&child);
   assert_non_null(object);
   slab_print_stats(print, &used, SLAB_STATS_TABLE);
   assert_non_null(strstr(printed, "\ndescriptors of queues 96x16 0x"));
   slab_free(&child, object);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

/* *parent is a destroyed pool, from which nothing comes. */
static void
assert_destroyed(struct slab_parent_pool *parent)
{
   struct slab_child_pool child;

   assert_int_equal(parent->num_elements, 0);
   slab_create_child(&child, parent);
   assert_null(slab_alloc(&child));
   slab_destroy_child(&child);
}

static void
assert_refused(const struct slab_options *options, const char *why)
{
   struct slab_parent_pool parent;
   char expected[200];

   memset(&parent, 0x5a, sizeof(parent));
   snprintf(expected, sizeof(expected), "mesa-slab: slab_create_parent_with: %p: %s", (void *)&parent, why);
   reports = 0;
   slab_set_report_handler(hear, NULL);
   assert_int_equal(slab_create_parent_with(&parent, options), -1);
   slab_set_report_handler(NULL, NULL);
   assert_int_equal(reports, 1);
   assert_string_equal(reported, expected);
   assert_destroyed(&parent);
}

static void
what_is_out_of_range_is_reported(void **state)
{
   static const unsigned alignments[] = {3, 12, 96, 65535, 131072, 1u << 31, ~0u};
   struct slab_options options;
   unsigned i;

   (void)state;
   for (i = 0; i < sizeof(alignments) / sizeof(alignments[0]); i++) {
      options = options_of(96, 16, alignments[i]);
      assert_refused(&options, "the alignment is no power of two up to 65536");
   }
   options = options_of(96, 16, 0);
   options.flags = 1;
   assert_refused(&options, "flags that are not known");
   options = options_of(96, 16, 0);
   options.heap = (struct slab_heap *)&options;
   assert_refused(&options, "a heap that does not exist");
   options = options_of(96, 16, 0);
   options.struct_size = 0;
   assert_refused(&options, "options of another version");
   options.struct_size = (size_t)-1;
   assert_refused(&options, "options of another version");
}

/* A pool that is in use, in whose memory another one is refused, is left as by any that is created there. */
static void
a_refusal_ends_an_old_pool(void **state)
{
   struct slab_options options = options_of(96, 16, 7);
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   char *object;

   (void)state;
   slab_create_parent(&parent, 96, 16);
   slab_create_child(&child, &parent);
   object = (char *)slab_alloc(&child);
   assert_non_null(object);
   slab_trim_child(&child);
   slab_set_report_handler(hear, NULL);
   assert_int_equal(slab_create_parent_with(&parent, &options), -1);
   slab_set_report_handler(NULL, NULL);
   assert_int_equal(slab_object_size(object), 96);
   slab_destroy_child(&child);
   slab_free(&child, object);
   assert_int_equal(slab_object_size(object), 0);
   assert_destroyed(&parent);
}

static void
other_versions_of_the_struct(void **state)
{
   struct {
      struct slab_options known;
      size_t later[3];
   } options;
   struct slab_parent_pool parent;
   size_t size;

   (void)state;
   memset(&options, 0, sizeof(options));
   options.known = options_of(96, 16, 256);
   options.known.struct_size = sizeof(options);
   assert_int_equal(slab_create_parent_with(&parent, &options.known), 0);
   assert_int_equal(parent.element_size % 256, 0);
   slab_destroy_parent(&parent);
   options.later[2] = 1;
   assert_refused(&options.known, "options of another version");

   /* Shorter ones: the fields that they do not have are not looked at. */
   options.known.heap = (struct slab_heap *)&options;
   options.known.name = "";
   options.known.flags = 5;
   for (size = sizeof(size_t); size <= offsetof(struct slab_options, flags); size += sizeof(unsigned)) {
      options.known.struct_size = size;
      assert_int_equal(slab_create_parent_with(&parent, &options.known), 0);
      assert_int_equal(parent.item_size, size > offsetof(struct slab_options, item_size) ? 96 : 0);
      assert_int_equal(parent.num_elements, size > offsetof(struct slab_options, num_items) ? 16 : 1);
      if (size > offsetof(struct slab_options, alignment))
         assert_int_equal(parent.element_size % 256, 0);
      slab_destroy_parent(&parent);
   }
}

static void
without_memory_for_the_name_body(void *arg)
{
   struct slab_options options = options_of(96, 16, 64);
   struct slab_parent_pool parent;

   (void)arg;
   options.name = "a pool";
   slab_trim_heap();
   reports = 0;
   os_fail_request(1, true);
   slab_set_report_handler(hear, NULL);
   MUST(slab_create_parent_with(&parent, &options) == -1);
   MUST(reports == 0);
   MUST(parent.num_elements == 0);
   os_fail_nothing();
   MUST(slab_create_parent_with(&parent, &options) == 0);
   use(&parent, 96, 64, 10);
   slab_destroy_parent(&parent);
   slab_trim_heap();
   MUST(slab_validate(NULL) == 0);
}

static void
without_memory_for_the_name(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, without_memory_for_the_name_body, NULL));
}

static void
in_a_mode_body(void *arg)
{
   static const unsigned sizes[] = {1, 24, 96, 5000};
   unsigned i, alignment;

   MUST(setenv("SLAB_DEBUG", (const char *)arg, 1) == 0);
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
      for (alignment = 8; alignment <= most; alignment *= ITERATIONS(8, 64)) {
         struct slab_parent_pool parent;

         create(&parent, sizes[i], 16, alignment);
         use(&parent, sizes[i], alignment, ITERATIONS(40, 10));
         slab_destroy_parent(&parent);
         /* Chosen later, which lays the pool out anew. */
         MUST(setenv("SLAB_DEBUG", "", 1) == 0);
         create(&parent, sizes[i], 16, alignment);
         MUST(slab_set_debug(&parent, (const char *)arg) == 0);
         use(&parent, sizes[i], alignment, ITERATIONS(20, 5));
         slab_destroy_parent(&parent);
         MUST(setenv("SLAB_DEBUG", (const char *)arg, 1) == 0);
      }
   }
   MUST(slab_validate(NULL) == 0);
}

static void
in_all_modes(void **state)
{
   static const char *const modes[] = {"checks",     "redzone", "poison", "users",
                                       "quarantine", "leaks",   "guard",  "redzone,poison,quarantine,users"};
   unsigned i;

   (void)state;
   for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
      struct child_process child;

      assert_true(child_run(&child, in_a_mode_body, (void *)(uintptr_t)modes[i]));
      assert_int_equal(strlen(child.said), 0);
   }
}

/* Those that are guarded end at a page as far as their alignment allows. */
static void
sampled_body(void *arg)
{
   long page = sysconf(_SC_PAGESIZE);
   unsigned alignment;

   (void)arg;
   slab_set_sampling(2);
   for (alignment = 16; alignment <= most; alignment *= 4) {
      struct slab_parent_pool parent;
      struct slab_parent_stats stats;
      struct slab_child_pool child;
      void *objects[200];
      int i;

      create(&parent, 96, 16, alignment);
      slab_create_child(&child, &parent);
      for (i = 0; i < 200; i++) {
         objects[i] = slab_alloc(&child);
         MUST(objects[i] && (uintptr_t)objects[i] % alignment == 0);
         memset(objects[i], i, 96);
      }
      stats.struct_size = sizeof(stats);
      MUST(slab_get_parent_stats(&parent, &stats) == 0);
      MUST(alignment <= (unsigned long)page || stats.objects_guarded == 0);
      MUST(alignment > 64 || stats.objects_per_child == 0 || stats.objects_guarded > 0);
      for (i = 0; i < 200; i++)
         slab_free(&child, objects[i]);
      slab_destroy_child(&child);
      slab_destroy_parent(&parent);
   }
}

static void
sampled_objects_are_aligned(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, sampled_body, NULL));
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(objects_are_aligned_as_was_asked_for),
      cmocka_unit_test(what_is_not_said_is_as_with_slab_create_parent),
      cmocka_unit_test(pools_of_other_alignment_share_nothing),
      cmocka_unit_test(an_aligned_object_outlives_its_pool),
      cmocka_unit_test(a_pool_has_the_name_that_was_given),
      cmocka_unit_test(what_is_out_of_range_is_reported),
      cmocka_unit_test(a_refusal_ends_an_old_pool),
      cmocka_unit_test(other_versions_of_the_struct),
      cmocka_unit_test(without_memory_for_the_name),
      cmocka_unit_test(in_all_modes),
      cmocka_unit_test(sampled_objects_are_aligned),
   };

   os_count_from_here();
   return cmocka_run_group_tests(tests, NULL, NULL);
}
