/* SPDX-License-Identifier: MIT */
/*
 * slab_ext.h: heaps whose memory functions of the program's give. Here they hand out a mapping of a file. Objects lie in
 * it, what is free goes back, each function fails or lies in turn, and may call the library itself.
 */
#include "child_process.h"
#include "cmocka_case.h"
#include "iterations.h"
#include "last_report.h"
#include "lent_memory.h"
#include "live_objects.h"
#include "must.h"
#include "os_requests.h"
#include "slab.h"
#include "slab_ext.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { slots = (96 << 20) / piece };

/* What a call of reserve does. */
enum lie { honest, fails, misaligned, overlapping };

/* A file, mapped, which is handed out in pieces. */
struct file_memory {
   pthread_mutex_t mutex;
   int file;
   unsigned char *start; /* aligned to a piece */
   size_t length;
   void *mapping;
   size_t lengths[slots]; /* of what begins in a slot, else 0 */
   bool taken[slots];
   unsigned reserves, releases, purges;
   unsigned lie_at; /* the number of the call of reserve that does not do what it should; 0: none */
   bool lie_on;     /* and all later ones */
   enum lie lie;
   void (*also)(void *data); /* called by each */
   void *also_data;
};

static void
file_create(struct file_memory *memory)
{
   memset(memory, 0, sizeof(*memory));
   MUST(pthread_mutex_init(&memory->mutex, NULL) == 0);
   memory->file = memfd_create("heap", 0);
   MUST(memory->file >= 0);
   memory->length = (slots + 1) * (size_t)piece;
   MUST(ftruncate(memory->file, (off_t)memory->length) == 0);
   memory->mapping = mmap(NULL, memory->length, PROT_READ | PROT_WRITE, MAP_SHARED, memory->file, 0);
   MUST(memory->mapping != MAP_FAILED);
   memory->start = (unsigned char *)(((uintptr_t)memory->mapping + piece - 1) & ~(uintptr_t)(piece - 1));
}

/* Everything is back. */
static void
file_destroy(struct file_memory *memory)
{
   unsigned i;

   for (i = 0; i < slots; i++)
      MUST(!memory->taken[i] && !memory->lengths[i]);
   MUST(munmap(memory->mapping, memory->length) == 0);
   close(memory->file);
   pthread_mutex_destroy(&memory->mutex);
}

static bool
is_in_file(const struct file_memory *memory, const void *object)
{
   return (const unsigned char *)object >= memory->start &&
          (const unsigned char *)object < memory->start + slots * (size_t)piece;
}

static void *
give(struct file_memory *memory, size_t bytes)
{
   unsigned count = (unsigned)((bytes + piece - 1) / piece), first, i;

   for (first = 0; first + count <= slots; first++) {
      for (i = 0; i < count && !memory->taken[first + i]; i++)
         ;
      if (i < count)
         continue;
      for (i = 0; i < count; i++)
         memory->taken[first + i] = true;
      memory->lengths[first] = bytes;
      return memory->start + first * (size_t)piece;
   }
   return NULL;
}

static void *
reserve(void *data, size_t bytes, size_t alignment)
{
   struct file_memory *memory = (struct file_memory *)data;
   unsigned char *start = NULL;
   enum lie lie = honest;
   unsigned i;

   MUST(alignment == piece && bytes >= piece);
   if (memory->also)
      memory->also(memory->also_data);
   MUST(pthread_mutex_lock(&memory->mutex) == 0);
   memory->reserves++;
   if (memory->lie_at && (memory->reserves == memory->lie_at || (memory->lie_on && memory->reserves > memory->lie_at)))
      lie = memory->lie;
   switch (lie) {
   case honest:
      start = (unsigned char *)give(memory, bytes);
      break;
   case fails:
      break;
   case misaligned:
      /* Of what is there for it, so that it is the caller's. */
      start = (unsigned char *)give(memory, bytes + 4096);
      if (start)
         start += 4096;
      break;
   case overlapping:
      for (i = 0; i < slots && !start; i++) {
         if (memory->lengths[i])
            start = memory->start + i * (size_t)piece;
      }
      break;
   }
   /* Of any content. */
   if (start && lie == honest)
      memset(start, 0xa5, bytes < 65536 ? bytes : 65536);
   MUST(pthread_mutex_unlock(&memory->mutex) == 0);
   return start;
}

static void
release(void *data, void *start, size_t bytes)
{
   struct file_memory *memory = (struct file_memory *)data;
   size_t first = (size_t)((unsigned char *)start - memory->start) / piece, i;

   if (memory->also)
      memory->also(memory->also_data);
   MUST(is_in_file(memory, start));
   MUST(pthread_mutex_lock(&memory->mutex) == 0);
   memory->releases++;
   MUST(memory->taken[first]);
   MUST(memory->lengths[first] == bytes + ((unsigned char *)start - memory->start) % piece);
   for (i = 0; i < (memory->lengths[first] + piece - 1) / piece; i++)
      memory->taken[first + i] = false;
   memory->lengths[first] = 0;
   /* Nobody looks at it any more. */
   memset(start, 0xdd, bytes);
   MUST(pthread_mutex_unlock(&memory->mutex) == 0);
}

static void
purge(void *data, void *start, size_t bytes)
{
   struct file_memory *memory = (struct file_memory *)data;

   if (memory->also)
      memory->also(memory->also_data);
   MUST(is_in_file(memory, start) && bytes > 0);
   MUST((uintptr_t)start % (size_t)sysconf(_SC_PAGESIZE) == 0 && bytes % (size_t)sysconf(_SC_PAGESIZE) == 0);
   MUST(pthread_mutex_lock(&memory->mutex) == 0);
   memory->purges++;
   memset(start, 0xcc, bytes);
   MUST(pthread_mutex_unlock(&memory->mutex) == 0);
}

static struct slab_memory
hooks_of(struct file_memory *memory)
{
   struct slab_memory hooks;

   memset(&hooks, 0, sizeof(hooks));
   hooks.struct_size = sizeof(hooks);
   hooks.data = memory;
   hooks.reserve = reserve;
   hooks.release = release;
   hooks.purge = purge;
   return hooks;
}

static void
create_in(struct slab_parent_pool *parent, struct slab_heap *heap, unsigned item_size)
{
   struct slab_options options = options_in(heap, item_size, 64);

   MUST(slab_create_parent_with(parent, &options) == 0);
}

static void
objects_lie_in_the_file_and_what_is_free_goes_back(void **state)
{
   /* Several times what may lie free, which is so many bytes on machines of either width. */
   enum { size = piece / 1000, many = (20 << 20) / size };
   struct file_memory memory;
   struct slab_memory hooks;
   struct slab_heap *heap;
   struct slab_parent_pool parent, other;
   struct slab_child_pool child;
   struct live_objects live;
   unsigned char *object, byte;
   unsigned i, reserves;

   (void)state;
   file_create(&memory);
   hooks = hooks_of(&memory);
   live_create(&live, many);
   os_count_from_here();
   heap = slab_create_heap(&hooks);
   assert_non_null(heap);
   memset(&hooks, 0xa5, sizeof(hooks));
   assert_int_equal(memory.reserves, 0);
   create_in(&parent, heap, size);
   assert_int_equal(memory.reserves, 1);
   slab_create_child(&child, &parent);
   for (i = 0; i < many; i++) {
      object = (unsigned char *)slab_alloc(&child);
      assert_non_null(object);
      assert_true(is_in_file(&memory, object));
      live_add(&live, object, size);
   }
   assert_true(live_intact(&live) && live_apart(&live));
   reserves = memory.reserves;
   assert_true(reserves >= many * size / piece);
   if (!keeps_records())
      assert_int_equal(os_calls_made(os_mmap), 0);
   /* What is written there is in the file. */
   *object = 0x77;
   assert_int_equal(pread(memory.file, &byte, 1, object - (unsigned char *)memory.mapping), 1);
   assert_int_equal(byte, 0x77);
   contents_write(object, size, live.objects[many - 1].id);

   while (live.count)
      slab_free(&child, live_take(&live, live.count - 1));
   slab_destroy_child(&child);
   assert_int_equal(slab_validate(&parent), 0);
   /* Some at once, the rest when its time is over, in calls of whatever pool. */
   assert_true(memory.releases > 0);
   slab_create_parent(&other, 96, 64);
   for (i = 0; i < 20; i++) {
      os_pass_time(11);
      slab_create_child(&child, &other);
      slab_free(&child, slab_alloc(&child));
      slab_destroy_child(&child);
   }
   assert_true(memory.reserves - memory.releases <= 2);
   assert_true(memory.purges > 0);
   slab_destroy_parent(&other);
   slab_trim_heap();
   assert_true(memory.reserves - memory.releases == 1);
   slab_destroy_parent(&parent);
   slab_trim_heap();
   assert_int_equal(memory.reserves, memory.releases);
   assert_int_equal(slab_destroy_heap(heap), 0);
   assert_int_equal(slab_validate(NULL), 0);
   live_destroy(&live);
   file_destroy(&memory);
}

/* Allocates, frees and trims in a heap, for which memory may fail. Returns how many objects could not be had. */
static unsigned
use(struct slab_heap *heap)
{
   static const unsigned sizes[] = {piece / 4096, 5000, piece + 1000};
   static const unsigned counts[] = {ITERATIONS(6000, 1500), ITERATIONS(600, 150), 2};
   struct live_objects live;
   unsigned nulls = 0, round, kind;

   live_create(&live, 6000);
   for (round = 0; round < 2; round++) {
      for (kind = 0; kind < 3; kind++) {
         struct slab_options options = options_in(heap, sizes[kind], 64);
         struct slab_parent_pool parent;
         struct slab_child_pool child;
         unsigned i;

         options.name = round ? "named" : NULL;
         if (slab_create_parent_with(&parent, &options) != 0) {
            nulls++;
            continue;
         }
         slab_create_child(&child, &parent);
         for (i = 0; i < counts[kind]; i++) {
            void *object = slab_alloc(&child);

            if (object)
               live_add(&live, object, sizes[kind]);
            else if (++nulls > 50)
               break;
         }
         MUST(live_intact(&live));
         MUST(slab_validate(&parent) == 0);
         for (i = 0; i < live.count; i++)
            slab_free(&child, live_take(&live, i));
         slab_trim_heap();
         MUST(live_intact(&live));
         while (live.count)
            slab_free(&child, live_take(&live, live.count - 1));
         slab_destroy_child(&child);
         MUST(slab_validate(&parent) == 0);
         slab_destroy_parent(&parent);
      }
   }
   MUST(slab_validate(NULL) == 0);
   live_destroy(&live);
   return nulls;
}

/* A run in which a call of reserve does not do what it should, and perhaps all later ones. */
struct run {
   unsigned lie_at;
   bool lie_on;
   enum lie lie;
};

static void
run_body(void *arg)
{
   static const char *const said[] = {"", "no memory for this heap", "not aligned", "has already"};
   const struct run *run = (const struct run *)arg;
   struct file_memory memory;
   struct slab_memory hooks;
   struct slab_heap *heap;

   slab_set_report_handler(hear, NULL);
   file_create(&memory);
   hooks = hooks_of(&memory);
   memory.lie_at = run->lie_at;
   memory.lie_on = run->lie_on;
   memory.lie = run->lie;
   heap = slab_create_heap(&hooks);
   MUST(heap);
   MUST(use(heap) > 0);
   MUST(reports > 0);
   MUST(strstr(reported, "slab_memory.reserve") && strstr(reported, said[run->lie]));
   /* What is NULL is said once in a row. */
   MUST(run->lie != fails || reports <= 2);
   /* It goes on when there is memory again. */
   memory.lie_at = 0;
   MUST(use(heap) == 0);
   MUST(slab_destroy_heap(heap) == 0);
   file_destroy(&memory);
}

static void
each_call_of_reserve_fails_or_lies_in_turn_and_nothing_is_lost(void **state)
{
   struct file_memory memory;
   struct slab_memory hooks;
   struct slab_heap *heap;
   unsigned calls, lie_on;
   struct run run;
   int lie;

   (void)state;
   file_create(&memory);
   hooks = hooks_of(&memory);
   heap = slab_create_heap(&hooks);
   assert_non_null(heap);
   assert_int_equal(use(heap), 0);
   calls = memory.reserves;
   assert_int_equal(slab_destroy_heap(heap), 0);
   assert_int_equal(memory.reserves, memory.releases);
   file_destroy(&memory);

   assert_true(calls > 4);
   if (calls > ITERATIONS(20u, 3u))
      calls = ITERATIONS(20u, 3u);
   for (lie = fails; lie <= overlapping; lie++) {
      for (lie_on = 0; lie_on < 2; lie_on++) {
         /* There must be something to overlap with. */
         for (run.lie_at = lie == overlapping ? 2 : 1; run.lie_at <= calls; run.lie_at++) {
            struct child_process child;

            run.lie = (enum lie)lie;
            run.lie_on = lie_on;
            /* Of a process there are so many reports at most. */
            assert_true(child_run(&child, run_body, &run));
         }
      }
   }
}

static void
without_one_of_the_others_memory_stays(void **state)
{
   unsigned without;

   (void)state;
   for (without = 1; without < 4; without++) {
      struct file_memory memory;
      struct slab_memory hooks;
      struct slab_heap *heap;
      unsigned reserves;
      int round;

      file_create(&memory);
      hooks = hooks_of(&memory);
      if (without & 1)
         hooks.release = NULL;
      if (without & 2)
         hooks.purge = NULL;
      heap = slab_create_heap(&hooks);
      assert_int_equal(use(heap), 0);
      slab_trim_heap();
      reserves = memory.reserves;
      if (without & 1)
         assert_int_equal(memory.releases, 0);
      else
         assert_int_equal(memory.releases, reserves);
      assert_int_equal(memory.purges != 0, !(without & 2));
      /* What stays is used again, or there would be no end to it: by large ones what small ones had. */
      for (round = 0; round < ITERATIONS(8, 2); round++)
         assert_int_equal(use(heap), 0);
      if (without & 1)
         assert_true(memory.reserves <= 2 * reserves);
      assert_int_equal(slab_destroy_heap(heap), 0);
      if (without & 1) {
         memset(memory.taken, 0, sizeof(memory.taken));
         memset(memory.lengths, 0, sizeof(memory.lengths));
      }
      file_destroy(&memory);
   }
}

static void
what_is_no_memory_is_reported_and_refused(void **state)
{
   struct file_memory memory;
   struct slab_memory hooks;

   (void)state;
   file_create(&memory);
   slab_set_report_handler(hear, NULL);
   reports = 0;
   hooks = hooks_of(&memory);
   hooks.struct_size = 3;
   assert_null(slab_create_heap(&hooks));
   assert_non_null(strstr(reported, "slab_create_heap"));
   hooks = hooks_of(&memory);
   hooks.reserve = NULL;
   assert_null(slab_create_heap(&hooks));
   assert_int_equal(reports, 2);
   slab_set_report_handler(NULL, NULL);
   file_destroy(&memory);
}

static void
regions_are_used_beside_hooks(void **state)
{
   struct file_memory memory;
   struct slab_memory hooks;
   struct slab_heap *heap;
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   unsigned char *region = region_of(2 * piece);
   void *objects[1000];
   unsigned i;

   (void)state;
   file_create(&memory);
   hooks = hooks_of(&memory);
   heap = slab_create_heap(&hooks);
   assert_int_equal(slab_add_region(heap, region, 2 * piece), 2 * (piece - piece_header));
   create_in(&parent, heap, piece / 64);
   slab_create_child(&child, &parent);
   for (i = 0; i < 40; i++)
      objects[i] = slab_alloc(&child);
   assert_int_equal(memory.reserves, 0);
   for (; i < 200; i++)
      objects[i] = slab_alloc(&child);
   assert_true(memory.reserves > 0);
   for (i = 0; i < 200; i++) {
      assert_non_null(objects[i]);
      slab_free(&child, objects[i]);
   }
   slab_destroy_child(&child);
   slab_trim_heap();
   assert_int_equal(memory.reserves, memory.releases);
   slab_destroy_parent(&parent);
   assert_int_equal(slab_destroy_heap(heap), 0);
   free(region);
   file_destroy(&memory);
}

static void
many_objects_in_one_call_ask_as_often_as_need_be(void **state)
{
   enum { many = 6000 };
   struct file_memory memory;
   struct slab_memory hooks;
   struct slab_heap *heap;
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   void **objects = (void **)malloc(many * sizeof(*objects));
   unsigned count;

   (void)state;
   file_create(&memory);
   hooks = hooks_of(&memory);
   heap = slab_create_heap(&hooks);
   create_in(&parent, heap, piece / 1024);
   slab_create_child(&child, &parent);
   assert_int_equal(slab_alloc_bulk(&child, many, objects), many);
   assert_true(memory.reserves > 4);
   /* There is an end to it. */
   memory.lie_at = memory.reserves + 1;
   memory.lie_on = true;
   memory.lie = fails;
   slab_set_report_handler(hear, NULL);
   reports = 0;
   slab_free_bulk(&child, many, objects);
   count = slab_alloc_bulk(&child, many, objects);
   assert_true(count > 0);
   slab_free_bulk(&child, count, objects);
   slab_set_report_handler(NULL, NULL);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   assert_int_equal(slab_destroy_heap(heap), 0);
   free(objects);
   file_destroy(&memory);
}

/* A pool that a hook uses, and one that it is called for. */
struct nested {
   struct slab_parent_pool *parent;
   struct slab_child_pool *own;
   unsigned calls;
};

static void
call_the_library(void *data)
{
   struct nested *nested = (struct nested *)data;
   struct slab_parent_stats stats;
   void *object;

   nested->calls++;
   /* Takes the lock of the pool that memory is for, and then the heap's. */
   stats.struct_size = sizeof(stats);
   MUST(slab_get_parent_stats(nested->parent, &stats) == 0);
   MUST(slab_validate(nested->parent) == 0);
   object = slab_alloc(nested->own);
   MUST(object && slab_is_object(NULL, object));
   slab_free(nested->own, object);
   slab_trim_parent(nested->parent);
}

static void
hooks_call_the_library(void **state)
{
   struct file_memory memory;
   struct slab_memory hooks;
   struct slab_heap *heap;
   struct slab_parent_pool parent, own;
   struct slab_child_pool child, own_child;
   struct live_objects live;
   struct nested nested;
   unsigned round, i;

   (void)state;
   file_create(&memory);
   hooks = hooks_of(&memory);
   heap = slab_create_heap(&hooks);
   slab_create_parent(&own, 96, 64);
   slab_create_child(&own_child, &own);
   create_in(&parent, heap, piece / 500);
   slab_create_child(&child, &parent);
   live_create(&live, 2000);
   nested.parent = &parent;
   nested.own = &own_child;
   nested.calls = 0;
   memory.also = call_the_library;
   memory.also_data = &nested;
   for (round = 0; round < 3; round++) {
      for (i = 0; i < 2000; i++) {
         void *object = slab_alloc(&child);

         assert_non_null(object);
         live_add(&live, object, piece / 500);
      }
      assert_true(live_intact(&live));
      while (live.count)
         slab_free(&child, live_take(&live, live.count - 1));
      slab_trim_child(&child);
      slab_trim_heap();
   }
   assert_true(nested.calls > 10);
   memory.also = NULL;
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   slab_destroy_child(&own_child);
   slab_destroy_parent(&own);
   assert_int_equal(slab_destroy_heap(heap), 0);
   live_destroy(&live);
   file_destroy(&memory);
}

static void
groups_ask_when_nothing_is_locked(void **state)
{
   struct file_memory memory;
   struct slab_memory hooks;
   struct slab_heap *heap;
   struct slab_options options;
   struct slab_sizes *sizes;
   struct slab_sizes_child *child;
   struct slab_shared_pool *shared;
   void *objects[400];
   unsigned i;

   (void)state;
   file_create(&memory);
   hooks = hooks_of(&memory);
   heap = slab_create_heap(&hooks);
   options = options_in(heap, 3000, 64);
   options.name = "by hooks";
   sizes = slab_create_sizes(&options);
   shared = slab_create_shared(&options);
   assert_true(sizes && shared);
   child = slab_create_sizes_child(sizes);
   for (i = 0; i < 400; i++) {
      objects[i] = i % 2 ? slab_sizes_alloc(child, 1 + i * 157) : slab_shared_alloc(shared);
      assert_non_null(objects[i]);
      assert_true(is_in_file(&memory, objects[i]));
   }
   assert_true(memory.reserves > 2);
   for (i = 0; i < 400; i++) {
      if (i % 2)
         slab_sizes_free(child, objects[i]);
      else
         slab_shared_free(shared, objects[i]);
   }
   slab_destroy_sizes_child(child);
   slab_destroy_sizes(sizes);
   slab_destroy_shared(shared);
   assert_int_equal(slab_destroy_heap(heap), 0);
   file_destroy(&memory);
}

static void *
work(void *arg)
{
   MUST(use((struct slab_heap *)arg) == 0);
   return NULL;
}

static void
threads_use_heaps_of_hooks(void **state)
{
   enum { threads = 3 };
   struct file_memory memories[2];
   struct slab_heap *heaps[2];
   pthread_t ids[threads];
   int i;

   (void)state;
   for (i = 0; i < 2; i++) {
      struct slab_memory hooks;

      file_create(&memories[i]);
      hooks = hooks_of(&memories[i]);
      heaps[i] = slab_create_heap(&hooks);
      assert_non_null(heaps[i]);
   }
   for (i = 0; i < threads; i++)
      MUST(pthread_create(&ids[i], NULL, work, heaps[i % 2]) == 0);
   for (i = 0; i < threads; i++)
      MUST(pthread_join(ids[i], NULL) == 0);
   for (i = 0; i < 2; i++) {
      assert_int_equal(slab_destroy_heap(heaps[i]), 0);
      assert_int_equal(memories[i].reserves, memories[i].releases);
      file_destroy(&memories[i]);
   }
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(objects_lie_in_the_file_and_what_is_free_goes_back),
      cmocka_unit_test(each_call_of_reserve_fails_or_lies_in_turn_and_nothing_is_lost),
      cmocka_unit_test(without_one_of_the_others_memory_stays),
      cmocka_unit_test(what_is_no_memory_is_reported_and_refused),
      cmocka_unit_test(regions_are_used_beside_hooks),
      cmocka_unit_test(many_objects_in_one_call_ask_as_often_as_need_be),
      cmocka_unit_test(hooks_call_the_library),
      cmocka_unit_test(groups_ask_when_nothing_is_locked),
      cmocka_unit_test(threads_use_heaps_of_hooks),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
