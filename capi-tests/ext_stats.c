/* SPDX-License-Identifier: MIT */
/*
 * slab_ext.h, seeing what is held: numbers, names, printing, and SLAB_STATS, for which the program runs
 * itself again.
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

static const char *program;

struct text {
   char bytes[20000];
   size_t length;
};

static void
append(void *data, const char *piece, size_t length)
{
   struct text *text = (struct text *)data;

   assert_true(text->length + length < sizeof(text->bytes));
   memcpy(text->bytes + text->length, piece, length);
   text->length += length;
   text->bytes[text->length] = 0;
}

static const char *
printed(unsigned format)
{
   static struct text text;

   text.length = 0;
   slab_print_stats(append, &text, format);
   return text.bytes;
}

static struct slab_parent_stats
stats_of(struct slab_parent_pool *parent)
{
   struct slab_parent_stats stats;

   stats.struct_size = sizeof(stats);
   assert_int_equal(slab_get_parent_stats(parent, &stats), 0);
   assert_int_equal(stats.struct_size, sizeof(stats));
   return stats;
}

static void
numbers_are_those_of_the_pool(void **state)
{
   struct slab_parent_pool parent, other;
   struct slab_child_pool child, sibling, stranger;
   struct slab_parent_stats stats;
   void *objects[500];
   int i;

   (void)state;
   slab_create_parent(&parent, 90, 16);
   slab_create_parent(&other, 90, 16);
   slab_create_child(&child, &parent);
   slab_create_child(&sibling, &parent);
   slab_create_child(&stranger, &other);
   for (i = 0; i < 500; i++) {
      objects[i] = slab_alloc(&child);
      assert_non_null(objects[i]);
   }
   stats = stats_of(&parent);
   assert_int_equal(stats.item_size, 90);
   assert_int_equal(stats.element_size, 96);
   assert_int_equal(stats.slab_bytes, 4096);
   assert_int_equal(stats.objects_per_slab, 42);
   assert_true(stats.objects_out >= 500);
   assert_true(stats.objects_out <= 500 + stats.objects_per_child);
   assert_int_equal(stats.peak_objects_out, stats.objects_out);
   assert_int_equal(stats.children, 1);
   assert_int_equal(stats.foreign_frees, 0);

   slab_free(&stranger, objects[0]);
   slab_destroy_child(&stranger);
   slab_free(&stranger, objects[1]);
   for (i = 2; i < 500; i++)
      slab_free(&sibling, objects[i]);
   stats = stats_of(&parent);
   assert_int_equal(stats.foreign_frees, 2);
   assert_int_equal(stats.children, 2);
   assert_true(stats.exchanges > 0);
   assert_true(stats.peak_objects_out >= 500);

   slab_destroy_child(&child);
   slab_destroy_child(&sibling);
   stats = stats_of(&parent);
   assert_int_equal(stats.objects_out, 0);
   assert_int_equal(stats.slabs_full + stats.slabs_partial + stats.slabs_empty, 0);
   assert_int_equal(stats.children, 0);
   slab_destroy_parent(&parent);
   slab_destroy_parent(&other);
}

/* Allocates objects first..end - 1. Together with those before them they are in no more slabs than they fill. */
static void
allocate_without_slabs_ahead(struct slab_mempool *pool, void **objects, size_t first, size_t end)
{
   size_t of_slab = stats_of(&pool->parent).objects_per_slab;
   size_t n;

   for (n = first; n < end; n++) {
      struct slab_parent_stats stats;

      objects[n] = slab_alloc_st(pool);
      assert_non_null(objects[n]);
      stats = stats_of(&pool->parent);
      assert_int_equal(stats.slabs_full + stats.slabs_partial + stats.slabs_empty, (n + of_slab) / of_slab);
   }
}

/* A child takes several objects at a time, and of small ones more than it needs now. */
static void
no_slab_is_made_ahead_for_objects_above_a_page(void **state)
{
   static const unsigned sizes[] = {5000, 8000, 66632};
   enum { count = 300, more = 50 };
   void *objects[count + more];
   size_t i, n;

   (void)state;
   for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
      struct slab_mempool pool;
      unsigned round;

      slab_create(&pool, sizes[i], 1);
      allocate_without_slabs_ahead(&pool, objects, 0, count);
      for (round = 0; round < 3; round++) {
         for (n = 0; n < count; n++)
            slab_free_st(&pool, objects[n]);
         for (n = 0; n < count; n++) {
            objects[n] = slab_alloc_st(&pool);
            assert_non_null(objects[n]);
         }
      }
      /* By now the child is busy, and takes more at a time. What it had cached it has given out. */
      allocate_without_slabs_ahead(&pool, objects, count, count + more);
      for (n = 0; n < count + more; n++)
         slab_free_st(&pool, objects[n]);
      slab_destroy(&pool);
   }
}

static void
an_older_program_gets_the_fields_it_knows(void **state)
{
   struct slab_parent_pool parent;
   struct slab_parent_stats stats;

   (void)state;
   slab_create_parent(&parent, 96, 64);
   memset(&stats, 0x5a, sizeof(stats));
   stats.struct_size = offsetof(struct slab_parent_stats, element_size);
   assert_int_equal(slab_get_parent_stats(&parent, &stats), 0);
   assert_int_equal(stats.struct_size, offsetof(struct slab_parent_stats, element_size));
   assert_int_equal(stats.item_size, 96);
   assert_int_equal(((unsigned char *)&stats.element_size)[0], 0x5a);
   slab_destroy_parent(&parent);
}

static void
a_name_is_printed_and_ends_with_its_pool(void **state)
{
   struct slab_mempool pool;
   char name[] = "zink transfers";
   void *object;

   (void)state;
   slab_create(&pool, 88, 16);
   object = slab_alloc_st(&pool);
   assert_null(strstr(printed(SLAB_STATS_TABLE), name));
   assert_non_null(strstr(printed(SLAB_STATS_TABLE), "88x16"));
   assert_int_equal(slab_set_name(&pool.parent, name), 0);
   name[0] = 'Z';
   assert_non_null(strstr(printed(SLAB_STATS_TABLE), "zink transfers 88x16"));
   assert_int_equal(slab_set_name(&pool.parent, name), 0);
   assert_non_null(strstr(printed(SLAB_STATS_JSON), "\"name\": \"Zink transfers\""));
   slab_free_st(&pool, object);
   slab_destroy(&pool);

   slab_create(&pool, 88, 16);
   object = slab_alloc_st(&pool);
   assert_null(strstr(printed(SLAB_STATS_TABLE), "transfers"));
   slab_free_st(&pool, object);
   slab_destroy(&pool);
}

static void
a_name_that_is_too_long_is_cut(void **state)
{
   struct slab_mempool pool;
   char name[1000];
   void *object;

   (void)state;
   memset(name, 'n', sizeof(name) - 1);
   name[sizeof(name) - 1] = 0;
   slab_create(&pool, 88, 16);
   object = slab_alloc_st(&pool);
   assert_int_equal(slab_set_name(&pool.parent, name), 0);
   assert_non_null(strstr(printed(SLAB_STATS_TABLE), "nnnnnnnn 88x16"));
   slab_free_st(&pool, object);
   slab_destroy(&pool);
}

static void
free_twice_body(void *arg)
{
   struct slab_mempool pool;
   void *object;

   (void)arg;
   slab_create(&pool, 88, 16);
   MUST(slab_set_name(&pool.parent, "zink transfers") == 0);
   object = slab_alloc_st(&pool);
   slab_free_st(&pool, object);
   slab_free_st(&pool, object);
   slab_destroy(&pool);
}

static void
reports_say_the_name(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, free_twice_body, NULL));
   assert_non_null(strstr(child.said, "pool zink transfers 88x16 at 0x"));
   assert_non_null(strstr(child.said, "double free"));
}

static void
stats_can_be_written_to_a_file(void **state)
{
   struct slab_mempool pool;
   FILE *file = tmpfile();
   char line[200];
   int pools = 0;
   void *object;

   (void)state;
   assert_non_null(file);
   slab_create(&pool, 88, 16);
   object = slab_alloc_st(&pool);
   assert_int_equal(slab_print_stats_fd(fileno(file), SLAB_STATS_TABLE), 0);
   assert_int_equal(slab_print_stats_fd(-1, SLAB_STATS_TABLE), -1);
   rewind(file);
   while (fgets(line, sizeof(line), file))
      pools += line[0] != '#';
   assert_int_equal(pools, 1);
   fclose(file);
   slab_free_st(&pool, object);
   slab_destroy(&pool);
}

/* What the program does when it runs itself: leaves an object, so that there is something to write. */
static int
leave_an_object(void)
{
   static struct slab_mempool pool;

   slab_create(&pool, 88, 16);
   slab_set_name(&pool.parent, "left");
   return slab_alloc_st(&pool) == NULL;
}

static void
leave_one_with(const char *stats)
{
   MUST(setenv("SLAB_STATS", stats, 1) == 0);
   execl(program, program, "leave-an-object", (char *)NULL);
   MUST(!"execl");
}

static void
stats_to_stderr_body(void *arg)
{
   (void)arg;
   leave_one_with("stderr");
}

static void
stats_to_file_body(void *arg)
{
   leave_one_with((const char *)arg);
}

static void
slab_stats_writes_to_stderr_at_exit(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, stats_to_stderr_body, NULL));
   assert_non_null(strstr(child.said, "left 88x16"));
}

static void
slab_stats_writes_a_file_at_exit(void **state)
{
   char path[] = "/tmp/slab-stats-XXXXXX.json";
   struct child_process child;
   char text[20000];
   size_t length;
   FILE *file;
   int fd;

   (void)state;
   fd = mkstemps(path, 5);
   assert_true(fd >= 0);
   close(fd);
   assert_true(child_run(&child, stats_to_file_body, path));
   file = fopen(path, "r");
   assert_non_null(file);
   length = fread(text, 1, sizeof(text) - 1, file);
   text[length] = 0;
   fclose(file);
   unlink(path);
   assert_int_equal(text[0], '{');
   assert_non_null(strstr(text, "\"name\": \"left\""));
}

static void
slab_stats_follows_no_symbolic_link(void **state)
{
   char folder[] = "/tmp/slab-stats-XXXXXX", link[100], target[100], expected[200], kept[20];
   struct child_process child;
   FILE *file;

   (void)state;
   assert_non_null(mkdtemp(folder));
   snprintf(link, sizeof(link), "%s/link", folder);
   snprintf(target, sizeof(target), "%s/target", folder);
   snprintf(expected, sizeof(expected), "mesa-slab: cannot write statistics to %s\n", link);
   file = fopen(target, "w");
   assert_non_null(file);
   fputs("another's", file);
   fclose(file);
   assert_int_equal(symlink(target, link), 0);
   assert_true(child_run(&child, stats_to_file_body, link));
   assert_string_equal(child.said, expected);
   file = fopen(target, "r");
   assert_non_null(file);
   assert_non_null(fgets(kept, sizeof(kept), file));
   assert_string_equal(kept, "another's");
   fclose(file);
   assert_int_equal(unlink(link), 0);
   assert_int_equal(unlink(target), 0);
   assert_int_equal(rmdir(folder), 0);
}

int
main(int argc, char **argv)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_are_those_of_the_pool),
      cmocka_unit_test(no_slab_is_made_ahead_for_objects_above_a_page),
      cmocka_unit_test(an_older_program_gets_the_fields_it_knows),
      cmocka_unit_test(a_name_is_printed_and_ends_with_its_pool),
      cmocka_unit_test(a_name_that_is_too_long_is_cut),
      cmocka_unit_test(reports_say_the_name),
      cmocka_unit_test(stats_can_be_written_to_a_file),
      cmocka_unit_test(slab_stats_writes_to_stderr_at_exit),
      cmocka_unit_test(slab_stats_writes_a_file_at_exit),
      cmocka_unit_test(slab_stats_follows_no_symbolic_link),
   };

   if (argc > 1 && strcmp(argv[1], "leave-an-object") == 0)
      return leave_an_object();
   program = argv[0];
   return cmocka_run_group_tests(tests, NULL, NULL);
}
