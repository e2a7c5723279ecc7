/* SPDX-License-Identifier: MIT */
/*
 * What AddressSanitizer and valgrind's memcheck see of objects. Each case is this program anew with the case's name,
 * compiled with AddressSanitizer or, if VALGRIND is defined, run by it: `ext_tools NAME` runs one alone.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifndef VALGRIND
#include <sanitizer/asan_interface.h>
#endif

enum { size = 92, hint = 64 };

static struct slab_parent_pool parent;
static struct slab_child_pool child;
static volatile char sink;

static void
create(unsigned item_size)
{
   struct slab_parent_stats stats;

   unsetenv("SLAB_TOOLS");
   slab_create_parent(&parent, item_size, hint);
   slab_set_name(&parent, "queries");
   slab_create_child(&child, &parent);
   stats.struct_size = sizeof(stats);
   MUST(slab_get_parent_stats(&parent, &stats) == 0);
   MUST(stats.objects_per_child == 0);
}

static void
destroy(void)
{
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}

static void
read_freed(char *object)
{
   slab_free(&child, object);
   sink = object[5];
}

static void
write_freed(char *object)
{
   slab_free(&child, object);
   *(volatile char *)(object + size - 1) = 1;
}

static void
write_behind(char *object)
{
   *(volatile char *)(object + size) = 1;
}

static void
read_before(char *object)
{
   sink = object[-1];
}

static void
write_in_limbo(char *object)
{
   destroy();
   object[0] = 1; /* It is valid still. */
   slab_free(&child, object);
   *(volatile char *)object = 1;
}

static void
misuse(void (*body)(char *object))
{
   char *object, *other;

   create(size);
   object = (char *)slab_alloc(&child);
   other = (char *)slab_alloc(&child);
   MUST(object && other);
   memset(object, 0, size);
   body(object);
   /* Under valgrind it goes on. */
   slab_free(&child, other);
   _exit(0);
}

static void
read_freed_body(void)
{
   misuse(read_freed);
}

static void
write_freed_body(void)
{
   misuse(write_freed);
}

static void
write_behind_body(void)
{
   misuse(write_behind);
}

static void
read_before_body(void)
{
   misuse(read_before);
}

static void
write_in_limbo_body(void)
{
   misuse(write_in_limbo);
}

static void
right_body(void)
{
   static const unsigned sizes[] = {0, 1, 8, 9, 88, 92, 4096, 5000, 70000, 1 << 20, 5000000};
   struct slab_child_pool other, zeroed;
   char *objects[30];
   size_t i;
   unsigned j, k;

   memset(&zeroed, 0, sizeof(zeroed));
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
      int sum = 0;
      create(sizes[i]);
      slab_create_child(&other, &parent);
      for (k = 0; k < 3; k++) {
         for (j = 0; j < 30; j++) {
            objects[j] = (char *)slab_zalloc(&child);
            MUST(objects[j]);
            if (sizes[i])
               sum += objects[j][0] + objects[j][sizes[i] - 1];
            memset(objects[j], (int)j, sizes[i]);
         }
         MUST(sum == 0);
         for (j = 0; j < 20; j++)
            slab_free(j % 2 ? &child : &other, objects[j]);
         for (j = 20; j < 28; j++)
            slab_free(&zeroed, objects[j]);
         if (k < 2) {
            slab_free(&child, objects[28]);
            slab_free(&other, objects[29]);
         }
      }
      slab_destroy_child(&other);
      destroy();
      memset(objects[28], 3, sizes[i]);
      slab_free(&zeroed, objects[28]);
      slab_free(&zeroed, objects[29]);
      slab_trim_heap();
   }
}

static void
kept_body(void)
{
   static char **object;

   create(sizeof(char *));
   object = (char **)slab_alloc(&child);
   MUST(object);
   *object = strdup("only the object knows where this is");
   MUST(*object);
   exit(0);
}

/* So that nothing of the object is left in a register or on the stack. */
__attribute__((noinline)) static void
forget_an_object(void)
{
   volatile char *object = (volatile char *)slab_alloc(&child);

   MUST(object);
   object[0] = 1;
   object = NULL;
}

__attribute__((noinline)) static void
overwrite_the_stack(void)
{
   volatile char bytes[4000];
   size_t i;

   for (i = 0; i < sizeof(bytes); i++)
      bytes[i] = 0;
}

static void
lost_body(void)
{
   static void *volatile kept;

   create(size);
   /* Memcheck looks for lost objects only if some memory of malloc() is in use. */
   kept = malloc(1);
   MUST(kept);
   forget_an_object();
   overwrite_the_stack();
   exit(0);
}

static void
uninitialised_body(void)
{
   char *object;

   create(size);
   object = (char *)slab_alloc(&child);
   MUST(object);
   memset(object, 1, size);
   slab_free(&child, object);
   object = (char *)slab_alloc(&child);
   MUST(object);
   fprintf(stderr, object[3] ? "one\n" : "zero\n");
   slab_free(&child, object);
   destroy();
}

static void
off_body(void)
{
   struct slab_mempool pool;
   struct slab_parent_stats stats;

   MUST(setenv("SLAB_TOOLS", "off", 1) == 0);
   slab_create(&pool, size, hint);
   stats.struct_size = sizeof(stats);
   MUST(slab_get_parent_stats(&pool.parent, &stats) == 0);
   MUST(stats.objects_per_child != 0);
   slab_destroy(&pool);
}

#ifndef VALGRIND
static void
note_report(const char *report)
{
   (void)report;
   fprintf(stderr, "the program's callback\n");
}

/* The library's may not take its place, neither where the program starts nor with its first pool. */
static void
own_callback_body(void)
{
   __asan_set_error_report_callback(note_report);
   misuse(read_freed);
}
#endif

/* What there is to be said; nothing if both are NULL. */
struct words {
   const char *words[3];
};

static const struct use {
   const char *name;
   void (*body)(void);
   struct words asan;
   struct words memcheck;
} uses[] = {
   {"read-freed",
    read_freed_body,
    {{"use-after-poison", ": use after free of object 0x", " of pool queries 92x64"}},
    {{"Invalid read of size 1", "is 5 bytes inside a block of size 92 free'd", "Block was alloc'd at"}}},
   {"write-freed",
    write_freed_body,
    {{"use-after-poison", ": use after free of object 0x", ": offset 91"}},
    {{"Invalid write of size 1", "is 91 bytes inside a block of size 92 free'd", "Block was alloc'd at"}}},
   {"write-behind",
    write_behind_body,
    {{"use-after-poison", ": overrun of object 0x", ": byte 1 behind it"}},
    {{"Invalid write of size 1", "is 0 bytes after a block of size 92", NULL}}},
   {"read-before",
    read_before_body,
    {{"use-after-poison", ": underrun of object 0x", ": byte 1 before it"}},
    {{"Invalid read of size 1", "is 1 bytes before a block of size 92", NULL}}},
   {"write-in-limbo",
    write_in_limbo_body,
    {{"use-after-poison", NULL, NULL}},
    {{"Invalid write of size 1", "is 0 bytes inside a block of size 92 free'd", NULL}}},
   /* AddressSanitizer sees neither of these two in any memory. */
   {"lost", lost_body, {{NULL, NULL, NULL}}, {{"92 bytes in 1 blocks are definitely lost", "forget_an_object", NULL}}},
   {"uninitialised", uninitialised_body, {{"zero", NULL, NULL}}, {{"depends on uninitialised value", NULL, NULL}}},
   {"right", right_body, {{NULL, NULL, NULL}}, {{NULL, NULL, NULL}}},
   {"kept", kept_body, {{NULL, NULL, NULL}}, {{NULL, NULL, NULL}}},
#ifndef VALGRIND
   {"own-callback", own_callback_body, {{"use-after-poison", "the program's callback\n", NULL}}, {{NULL, NULL, NULL}}},
#endif
   {"off", off_body, {{NULL, NULL, NULL}}, {{NULL, NULL, NULL}}},
};

enum { use_count = sizeof(uses) / sizeof(uses[0]) };

static char *program;

static void
run_body(void *arg)
{
   char *name = (char *)arg;

   /* AddressSanitizer's callback is set when the library is loaded. */
   unsetenv("SLAB_TOOLS");
#ifdef VALGRIND
   execlp("valgrind", "valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full", program, name, (char *)NULL);
#else
   execl(program, program, name, (char *)NULL);
#endif
   perror("exec");
   _exit(4);
}

/* Runs the case, in which the tool must say what it is to say, and end it with a status of its own. */
static void
run(const char *name)
{
   struct child_process process;
   char copy[40];
   size_t i, j;

   for (i = 0; i < use_count && strcmp(uses[i].name, name) != 0; i++)
      ;
   assert_true(i < use_count);
   strcpy(copy, name);
   child_start(&process, run_body, copy);
   child_wait_quietly(&process);
#ifdef VALGRIND
   const char *const *words = uses[i].memcheck.words;
#else
   const char *const *words = uses[i].asan.words;
#endif
   for (j = 0; j < 3 && words[j]; j++) {
      if (!strstr(process.said, words[j]))
         fprintf(stderr, "%s: not said: \"%s\", but:\n%s\n", name, words[j], process.said);
      assert_non_null(strstr(process.said, words[j]));
   }
   if (!words[0])
      assert_string_equal(process.said, "");
   if (words[0] && strcmp(words[0], "zero") != 0)
      assert_int_not_equal(process.status, 0);
   else
      assert_int_equal(process.status, 0);
}

static void
accesses_to_freed_objects_are_reported(void **state)
{
   (void)state;
   run("read-freed");
   run("write-freed");
   run("write-in-limbo");
}

static void
accesses_next_to_objects_are_reported(void **state)
{
   (void)state;
   run("write-behind");
   run("read-before");
}

static void
memcheck_reports_lost_and_uninitialised_objects(void **state)
{
   (void)state;
   run("lost");
   run("uninitialised");
}

static void
right_use_is_not_reported(void **state)
{
   (void)state;
   run("right");
}

static void
memory_that_only_an_object_points_at_is_not_lost(void **state)
{
   (void)state;
   run("kept");
}

#ifndef VALGRIND
static void
the_programs_own_callback_is_called(void **state)
{
   (void)state;
   run("own-callback");
}
#endif

static void
with_slab_tools_off_pools_are_as_ever(void **state)
{
   (void)state;
   run("off");
}

int
main(int argc, char **argv)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(accesses_to_freed_objects_are_reported),
      cmocka_unit_test(accesses_next_to_objects_are_reported),
      cmocka_unit_test(memcheck_reports_lost_and_uninitialised_objects),
      cmocka_unit_test(right_use_is_not_reported),
      cmocka_unit_test(memory_that_only_an_object_points_at_is_not_lost),
#ifndef VALGRIND
      cmocka_unit_test(the_programs_own_callback_is_called),
#endif
      cmocka_unit_test(with_slab_tools_off_pools_are_as_ever),
   };
   int i;

   if (argc == 2) {
      for (i = 0; i < use_count; i++) {
         if (strcmp(uses[i].name, argv[1]) == 0) {
            uses[i].body();
            return 0;
         }
      }
      fprintf(stderr, "no case %s\n", argv[1]);
      return 4;
   }
   program = argv[0];
   return cmocka_run_group_tests(tests, NULL, NULL);
}
