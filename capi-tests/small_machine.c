/* SPDX-License-Identifier: MIT */
/*
 * Little memory may be committed: a limit of the data segment, all memory locked, a limit of mappings. Each case is
 * a process of its own, in which the library has not been used.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "must.h"
#include "slab.h"
#include "slab_ext.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { first_object_kib = 256, chunk_kib = 4 << 10 };

/* How many mappings more each 4 MiB take, as pages of chunks are protected; and a chunk has less room. */
#ifdef HARDENED
enum { guards = 5 };
#else
enum { guards = 0 };
#endif

static struct slab_mempool pool;

/* A number of /proc/self/status, in KiB. */
static long
kib_of(const char *name)
{
   FILE *file = fopen("/proc/self/status", "r");
   char line[256];
   long kib = -1;

   MUST(file);
   while (fgets(line, sizeof(line), file)) {
      if (strncmp(line, name, strlen(name)) == 0)
         kib = atol(line + strlen(name));
   }
   fclose(file);
   MUST(kib >= 0);
   return kib;
}

static int
mappings(void)
{
   FILE *file = fopen("/proc/self/maps", "r");
   int lines = 0, byte;

   MUST(file);
   while ((byte = fgetc(file)) != EOF)
      lines += byte == '\n';
   fclose(file);
   return lines;
}

static void
limit_data(long kib)
{
   struct rlimit limit;

   MUST(getrlimit(RLIMIT_DATA, &limit) == 0);
   limit.rlim_cur = (rlim_t)(kib_of("VmData:") + kib) << 10;
   MUST(setrlimit(RLIMIT_DATA, &limit) == 0);
}

static void
under_a_limit(void *arg)
{
   long room = *(const long *)arg, count = 0, more = 0;
   void *object;

   limit_data(room);
   slab_create(&pool, 96, 16);
   MUST(slab_alloc_st(&pool));
   while (slab_alloc_st(&pool))
      count++;
   MUST(slab_validate(&pool.parent) == 0);

   /* Half of the room at least holds objects, but for what the first one takes. */
   MUST(count * 96 >= (room - first_object_kib) / 2 * 1024);

   /* Nothing is lost, and it goes on once there is more. */
   limit_data(first_object_kib);
   while ((object = slab_alloc_st(&pool)) != NULL) {
      memset(object, 1, 96);
      more++;
   }
   MUST(more > 0 && slab_validate(NULL) == 0);
   slab_destroy(&pool);
}

static void
objects_come_from_as_little_data_as_there_may_be(void **state)
{
   static const long rooms[] = {256, 300, 500, 1000, 2000, 4000, 4200, 8000, 16000};
   struct child_process child;
   size_t i;

   (void)state;
   for (i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
      long room = rooms[i];

      assert_true(child_run(&child, under_a_limit, &room));
   }
}

static void
count_the_first(void *arg)
{
   long before, data;
   void *object;

   (void)arg;
   before = kib_of("VmData:");
   slab_create(&pool, 96, 16);
   object = slab_alloc_st(&pool);
   MUST(object);
   data = kib_of("VmData:") - before;
   MUST(data > 0 && data <= first_object_kib);
   slab_free_st(&pool, object);
   slab_destroy(&pool);
   slab_trim_heap();
   MUST(kib_of("VmData:") <= before);
}

static void
the_first_object_commits_256_kib(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, count_the_first, NULL));
}

static void
lock_all(void *arg)
{
   long before;

   (void)arg;
   /* What reading the number itself brings in. */
   kib_of("RssAnon:");
   MUST(mlockall(MCL_FUTURE) == 0);
   before = kib_of("RssAnon:");
   slab_create(&pool, 96, 16);
   MUST(slab_alloc_st(&pool));
   /* Beside it are pages of the library's data that come in with the first call; its code is a file's. */
   if (kib_of("RssAnon:") - before > first_object_kib + 64) {
      fprintf(stderr, "%ld KiB\n", kib_of("RssAnon:") - before);
      abort();
   }
}

static void
the_first_object_locks_256_kib(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, lock_all, NULL));
}

/* Locked memory cannot be purged: the system refuses it, and says so in errno. */
static void
free_locked(void *arg)
{
   enum { count = 50000 };
   static void *objects[count];
   int round, i;

   (void)arg;
   slab_set_decay(0);
   slab_create(&pool, 96, 64);
   MUST(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
   for (round = 0; round < 3; round++) {
      for (i = 0; i < count; i++) {
         objects[i] = slab_alloc_st(&pool);
         MUST(objects[i]);
         memset(objects[i], 0xff, 96);
      }
      for (i = 0; i < count; i++) {
         errno = 12345;
         slab_free_st(&pool, objects[i]);
         MUST(errno == 12345);
      }
      errno = 12345;
      slab_trim_heap();
      MUST(errno == 12345);
   }
   slab_destroy(&pool);
}

static void
a_free_of_locked_memory_leaves_errno(void **state)
{
   struct child_process child;

   (void)state;
   assert_true(child_run(&child, free_locked, NULL));
}

static void
map_many(void *arg)
{
   const unsigned object = 128 << 10;
   long chunk, chunks = *(const long *)arg;
   int before, most = 0;

   slab_create(&pool, object, 1);
   before = mappings();
   for (chunk = 0; chunk < chunks; chunk++) {
      long i;

      for (i = 0; i < chunk_kib / (long)(object >> 10); i++) {
         void *new_object = slab_alloc_st(&pool);

         MUST(new_object);
         *(char *)new_object = 1;
      }
      if (mappings() - before > most)
         most = mappings() - before;
   }
   MUST(most <= 10 + guards * chunks);
   slab_destroy(&pool);
}

static void
a_thousand_chunks_are_ten_mappings(void **state)
{
   struct child_process child;
   /* As many as find room in half of what there is of 32-bit addresses. */
   long chunks = sizeof(void *) == 8 ? 1000 : 500;

   (void)state;
   assert_true(child_run(&child, map_many, &chunks));
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(objects_come_from_as_little_data_as_there_may_be),
      cmocka_unit_test(the_first_object_commits_256_kib),
      cmocka_unit_test(the_first_object_locks_256_kib),
      cmocka_unit_test(a_free_of_locked_memory_leaves_errno),
      cmocka_unit_test(a_thousand_chunks_are_ten_mappings),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
