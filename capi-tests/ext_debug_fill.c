/* SPDX-License-Identifier: MIT */
/* The modes redzone and poison: bytes around objects and in free ones, and what is reported of writes to them. */
#include "child_process.h"
#include "cmocka_case.h"
#include "debugged_pool.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <stdio.h>
#include <string.h>

static void
write_around(void)
{
   char *object = allocate();

   object[size] = 1;
   MUST(slab_validate(&parent) == 1);
   must_hear(1, "mesa-slab: slab_validate: pool queries 96x64 at %p: %p: overrun: 0x1 at offset 96\n", (void *)&parent,
             (void *)object);
   slab_free(&child, object);
   must_hear(1, "mesa-slab: slab_free: pool queries 96x64 at %p: %p: overrun: 0x1 at offset 96\n", (void *)&parent,
             (void *)object);

   /* What was reported is made good. */
   object = allocate();
   object[-1] = 4;
   slab_free(&child, object);
   must_hear(1, ": %p: underrun: 0x4 at offset -1\n", (void *)object);

   object = allocate();
   object[-16] = 5;
   object[size + 15] = 6;
   slab_free(&child, object);
   must_hear(1, ": %p: overrun: 0x6 at offset 111\n", (void *)object);

   /* A slot that is used again. */
   MUST(slab_validate(&parent) == 0);
   object[size] = 7;
   do {
      MUST(heard.reports == 0);
   } while (allocate() != object);
   must_hear(1, "slab_alloc: pool queries 96x64 at %p: %p: overrun: 0x7 at offset 96\n", (void *)&parent,
             (void *)object);
}

static void
a_write_of_a_byte_before_or_behind_an_object_is_reported(void **state)
{
   (void)state;
   run_debugged("redzone", write_around);
}

static void
write_far(void)
{
   enum { count = 20 };
   char *objects[count];
   char *next = NULL;
   int i, last = 0;

   /* An object with another one behind it; the hardened build has them in any order. */
   for (i = 0; i < count; i++)
      objects[i] = allocate();
   for (i = 0; i < count; i++) {
      if (objects[i] == objects[last] + stats_of(&parent).element_size) {
         next = objects[i];
         break;
      }
      if (i == count - 1 && last < count - 1) {
         last++;
         i = -1;
      }
   }
   MUST(next);
   memset(objects[last] + size, 2, 24);
   MUST(slab_validate(&parent) == 2);
   must_hear(2, ": %p: overrun: 0x2 at offset 96\n", (void *)objects[last]);
   slab_free(&child, objects[last]);
   must_hear(1, ": %p: overrun: 0x2 at offset 96\n", (void *)objects[last]);
   slab_free(&child, next);
   must_hear(1, ": %p: underrun: 0x2 at offset -9\n", (void *)next);
   for (i = 0; i < count; i++) {
      if (objects[i] != objects[last] && objects[i] != next)
         slab_free(&child, objects[i]);
   }
   must_end_well();
}

static void
an_overrun_by_24_bytes_is_seen_from_both_sides(void **state)
{
   (void)state;
   run_debugged("redzone", write_far);
}

static void
write_after_free(void)
{
   char *object = allocate();
   unsigned char *zeroed;
   int i;

   for (i = 0; i < size; i++)
      MUST(object[i] == poison_fresh);
   slab_free(&child, object);
   for (i = 0; i < size; i++)
      MUST(object[i] == poison_free);

   object[95] = 9;
   MUST(slab_validate(&parent) == 1);
   must_hear(1, "slab_validate: pool queries 96x64 at %p: %p: write after free: 0x9 at offset 95\n", (void *)&parent,
             (void *)object);
   object[7] = 8;
   do {
      MUST(heard.reports == 0);
   } while (allocate() != object);
   must_hear(1, "slab_alloc: pool queries 96x64 at %p: %p: write after free: 0x8 at offset 7\n", (void *)&parent,
             (void *)object);
   for (i = 0; i < size; i++)
      MUST(object[i] == poison_fresh);

   slab_free(&child, object);
   for (;;) {
      zeroed = (unsigned char *)slab_zalloc(&child);
      MUST(zeroed);
      for (i = 0; i < size; i++)
         MUST(zeroed[i] == 0);
      if ((char *)zeroed == object)
         break;
   }
   must_be_quiet();
}

static void
free_and_fresh_objects_are_filled_and_a_write_after_free_is_reported(void **state)
{
   (void)state;
   run_debugged("poison", write_after_free);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_write_of_a_byte_before_or_behind_an_object_is_reported),
      cmocka_unit_test(an_overrun_by_24_bytes_is_seen_from_both_sides),
      cmocka_unit_test(free_and_fresh_objects_are_filled_and_a_write_after_free_is_reported),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
