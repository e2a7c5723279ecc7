/* SPDX-License-Identifier: MIT */
/*
 * Objects that no child caches: what is freed is found again without a call of the system, goes in time, and goes
 * when it is wanted; and fresh ones are not zeroed again.
 */
#include "cmocka_case.h"
#include "os_requests.h"
#include "slab.h"
#include "slab_ext.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { batch = 32, kib = 1024, mib = kib * kib };

/* What a call gives back of what lies there. */
enum { slice = 64 * 4096 };

/* Several of a slab, which has 512 KiB at most on 32-bit machines; alone in a run of a chunk; in chunks of their own. */
static const unsigned sizes[] = {sizeof(void *) == 8 ? 140000 : 170000, 500000, 1100000, 3000000, 20000000};
enum { number_of_sizes = sizeof(sizes) / sizeof(sizes[0]) };

static char *objects[batch];

static struct slab_heap_stats
heap_stats(void)
{
   struct slab_heap_stats stats;

   stats.struct_size = sizeof(stats);
   slab_get_heap_stats(&stats);
   return stats;
}

/* Of the empty slab that a pool keeps for itself. */
static size_t
spare_bytes(struct slab_mempool *pool)
{
   struct slab_parent_stats stats;

   stats.struct_size = sizeof(stats);
   slab_get_parent_stats(&pool->parent, &stats);
   assert_true(stats.slabs_empty <= 1);
   return stats.slabs_empty * stats.slab_bytes;
}

/* One byte of each page is written, as programs would all of them. */
static void
touch(char *object, unsigned size)
{
   unsigned at;

   for (at = 0; at < size; at += 4096)
      object[at] = 1;
   object[size - 1] = 1;
}

static bool
is_clear(const char *object, unsigned size)
{
   return object[0] == 0 && memcmp(object, object + 1, size - 1) == 0;
}

static void
allocate_all(struct slab_mempool *pool, int count)
{
   int i;

   for (i = 0; i < count; i++) {
      objects[i] = (char *)slab_alloc_st(pool);
      assert_non_null(objects[i]);
      touch(objects[i], pool->parent.item_size);
   }
}

static void
free_all(struct slab_mempool *pool, int count)
{
   int i;

   for (i = 0; i < count; i++)
      slab_free_st(pool, objects[i]);
}

static void
trim_all(void)
{
   os_fail_nothing();
   slab_trim_heap();
   assert_int_equal(heap_stats().dirty, 0);
}

static unsigned
calls_of_the_system(void)
{
   return os_calls_made(os_mmap) + os_calls_made(os_munmap) + os_calls_made(os_madvise);
}

static void
what_is_freed_is_found_again(void **state)
{
   int size, round;

   (void)state;
   trim_all();
   for (size = 0; size < number_of_sizes; size++) {
      struct slab_mempool pool;

      slab_create(&pool, sizes[size], 4);
      allocate_all(&pool, batch);
      free_all(&pool, batch);
      os_count_from_here();
      for (round = 0; round < 5; round++) {
         slab_free_st(&pool, slab_alloc_st(&pool));
         allocate_all(&pool, batch);
         if (sizes[size] > mib)
            assert_int_equal(heap_stats().large, batch);
         free_all(&pool, batch);
         assert_int_equal(heap_stats().large, sizes[size] > mib);
         assert_true(spare_bytes(&pool) >= sizes[size]);
         assert_int_equal(slab_validate(&pool.parent), 0);
      }
      assert_int_equal(calls_of_the_system(), 0);
      slab_destroy(&pool);
   }
   trim_all();
}

static void
what_is_kept_is_nobodys(void **state)
{
   struct slab_mempool pool;
   volatile uintptr_t object;

   (void)state;
   slab_create(&pool, 3000000, 4);
   object = (uintptr_t)slab_alloc_st(&pool);
   assert_int_not_equal(object, 0);
   assert_int_equal(slab_is_object(&pool.parent, (void *)object), 1);
   slab_free_st(&pool, (void *)object);
   /* It lies in a slab of the pool's, */
   assert_true(spare_bytes(&pool) >= 3000000);
   assert_int_equal(slab_is_object(&pool.parent, (void *)object), 0);
   assert_int_equal(slab_object_size((void *)object), 0);
   slab_destroy(&pool);
   /* and that in the heap. */
   assert_true(heap_stats().dirty >= 3000000);
   assert_int_equal(slab_object_size((void *)object), 0);
   assert_int_equal(heap_stats().object_slabs, 0);
   trim_all();
}

/* Of which each has a call. */
static void
pass_seconds(int seconds, struct slab_mempool *other)
{
   for (; seconds > 0; seconds--) {
      os_pass_time(1);
      slab_free_st(other, slab_alloc_st(other));
   }
}

/* Each size by itself, so that what was in use lately is so much at most. */
static void
it_goes_in_time_and_no_call_waits_for_all_of_it(void **state)
{
   int size, call;

   (void)state;
   for (size = 0; size < number_of_sizes; size++) {
      const size_t bytes = (size_t)batch * sizes[size];
      struct slab_mempool pool, other;

      slab_create(&pool, sizes[size], 4);
      slab_create(&other, 140000, 4);
      allocate_all(&pool, batch);
      free_all(&pool, batch);
      assert_true(heap_stats().dirty + spare_bytes(&pool) >= bytes);
      /* Some more pass by themselves. */
      pass_seconds(6, &other);
      assert_true(heap_stats().dirty + spare_bytes(&other) >= bytes);
      /* The slab of the pool that was not used is the heap's now, and free for no longer than it was there. */
      assert_int_equal(spare_bytes(&pool), 0);
      pass_seconds(14, &other);
      for (call = 0; call < 2 + (int)(bytes / slice) && heap_stats().dirty > mib; call++) {
         os_count_from_here();
         slab_free_st(&other, slab_alloc_st(&other));
         assert_true(calls_of_the_system() <= 32);
      }
      assert_true(heap_stats().dirty <= mib);
      slab_destroy(&pool);
      slab_destroy(&other);
      trim_all();
   }
}

/* It does a slice, and three more for each second in which there was no call, up to ten. */
static void
the_first_call_after_a_while_does_more_but_not_all_of_it(void **state)
{
   const size_t most = (size_t)31 * slice, bytes = 20 * mib;
   struct slab_mempool pool, other;
   int object, count;

   (void)state;
   slab_create(&pool, mib, 4);
   slab_create(&other, 140000, 4);
   count = (int)(bytes / mib);
   assert_true(count <= batch);
   allocate_all(&pool, count);
   for (object = 0; object < count; object++)
      slab_free_st(&pool, objects[object]);
   slab_destroy(&pool);
   assert_true(heap_stats().dirty >= most + slice);
   os_pass_time(100);
   os_count_from_here();
   slab_free_st(&other, slab_alloc_st(&other));
   assert_in_range(heap_stats().dirty, bytes - mib - most, bytes - slice);
   assert_true(calls_of_the_system() <= 31 * 32);
   slab_destroy(&other);
   trim_all();
}

static void
trimming_and_a_decay_time_of_zero_take_all_of_it(void **state)
{
   int size;

   (void)state;
   trim_all();
   for (size = 0; size < number_of_sizes; size++) {
      struct slab_mempool pool;
      size_t before;

      slab_create(&pool, sizes[size], 4);
      slab_free_st(&pool, slab_alloc_st(&pool));
      slab_trim_heap();
      before = heap_stats().mapped;
      allocate_all(&pool, batch);
      free_all(&pool, batch);
      assert_true(heap_stats().dirty + spare_bytes(&pool) >= (size_t)batch * sizes[size]);
      assert_true(slab_trim_heap() >= (size_t)batch * sizes[size]);
      assert_int_equal(heap_stats().dirty, 0);
      assert_int_equal(heap_stats().mapped, before);

      allocate_all(&pool, batch);
      free_all(&pool, batch / 2);
      assert_int_equal(slab_set_decay(0), 10);
      assert_int_equal(heap_stats().dirty, 0);
      memmove(objects, objects + batch / 2, batch / 2 * sizeof(objects[0]));
      free_all(&pool, batch / 2);
      assert_int_equal(heap_stats().dirty, 0);
      assert_int_equal(heap_stats().large, 0);
      assert_int_equal(spare_bytes(&pool), 0);
      assert_int_equal(slab_set_decay(10), 0);

      /* Nor does a pool keep what it has when the time is set. */
      slab_free_st(&pool, slab_alloc_st(&pool));
      assert_true(spare_bytes(&pool) >= sizes[size]);
      assert_int_equal(slab_set_decay(0), 10);
      assert_int_equal(spare_bytes(&pool), 0);
      assert_int_equal(heap_stats().dirty, 0);
      assert_int_equal(heap_stats().large, 0);
      assert_int_equal(slab_set_decay(10), 0);
      slab_destroy(&pool);
      trim_all();
   }
}

/* Twice what was in use at a time, and a constant. */
static void
objects_of_many_sizes_do_not_pile_up(void **state)
{
   unsigned size;

   (void)state;
   /* What other tests had in use is not lately any more. */
   os_pass_time(30);
   for (size = 2 * mib; size <= 40u * mib; size += mib) {
      struct slab_mempool pool;
      char *object;

      slab_create(&pool, size, 1);
      object = (char *)slab_alloc_st(&pool);
      assert_non_null(object);
      slab_free_st(&pool, object);
      assert_true(heap_stats().dirty <= (size_t)size + 8 * mib);
      assert_true(heap_stats().mapped <= 2 * (size_t)size + 16 * mib);
      slab_destroy(&pool);
   }
   trim_all();
}

/* The empty slabs of all pools have 32 MiB at most, and those of pools that are not used go in a second or two. */
static void
slabs_of_many_pools_do_not_pile_up(void **state)
{
   enum { pools = 40, size = 3000000 };
   static struct slab_mempool all[pools];
   size_t spare = 0;
   int i;

   (void)state;
   os_pass_time(30);
   for (i = 0; i < pools; i++) {
      slab_create(&all[i], size, 1);
      slab_free_st(&all[i], slab_alloc_st(&all[i]));
   }
   for (i = 0; i < pools; i++)
      spare += spare_bytes(&all[i]);
   assert_true(spare >= 9 * size && spare <= 32u * mib);
   assert_true(heap_stats().dirty <= 8u * mib + size);
   /* One that was not granted a slab has one once others gave theirs. */
   assert_int_equal(spare_bytes(&all[pools - 1]), 0);
   for (i = 0; i < 3 * pools; i++) {
      if (i % pools == 0)
         os_pass_time(1);
      slab_free_st(&all[pools - 1], slab_alloc_st(&all[pools - 1]));
   }
   assert_true(spare_bytes(&all[pools - 1]) >= size);
   for (i = 0; i < pools - 1; i++)
      assert_int_equal(spare_bytes(&all[i]), 0);
   for (i = 0; i < pools; i++)
      slab_destroy(&all[i]);
   trim_all();
}

static void
it_is_given_up_when_there_is_no_memory(void **state)
{
   enum { many_small = 200 };
   static void *smalls[many_small];
   struct slab_mempool pool, other, small;
   char *object;
   int i;

   (void)state;
   slab_create(&pool, 3000000, 4);
   slab_create(&other, 5000000, 4);
   allocate_all(&pool, batch);
   free_all(&pool, batch);

   /* For a large object of another size, */
   os_fail_call(os_mmap, 1, false);
   object = (char *)slab_alloc_st(&other);
   assert_int_equal(os_calls_failed(os_mmap), 1);
   assert_non_null(object);
   touch(object, 5000000);
   assert_true(heap_stats().dirty <= mib);

   /* for others, */
   allocate_all(&pool, batch);
   free_all(&pool, batch);
   slab_create(&small, 100000, 4);
   os_fail_call(os_mmap, 1, true);
   for (i = 0; i < many_small; i++)
      if (!(smalls[i] = slab_alloc_st(&small)))
         break;
   assert_true(i < many_small);
   assert_true(heap_stats().dirty <= mib);
   os_fail_nothing();
   while (i > 0)
      slab_free_st(&small, smalls[--i]);

   /* and if that is not enough, it is NULL, and all goes on. */
   allocate_all(&pool, batch);
   free_all(&pool, batch / 2);
   os_fail_call(os_mmap, 1, true);
   assert_null(slab_alloc_st(&other));
   assert_null(slab_alloc_st(&pool));
   assert_int_equal(heap_stats().large, batch / 2 + 1);
   assert_int_equal(slab_validate(&pool.parent), 0);
   os_fail_nothing();
   for (i = 0; i < batch / 2; i++)
      assert_non_null(objects[i] = (char *)slab_alloc_st(&pool));
   free_all(&pool, batch);
   slab_free_st(&other, object);
   slab_destroy(&small);
   slab_destroy(&other);
   slab_destroy(&pool);
   trim_all();
}

static void
used_again_it_is_clear_all_the_same(void **state)
{
   int size, round, i;

   (void)state;
   for (size = 0; size < number_of_sizes; size++) {
      const int count = sizes[size] < 4000000 ? 9 : 2;
      struct slab_mempool pool;

      slab_create(&pool, sizes[size], 4);
      for (round = 0; round < 5; round++) {
         for (i = 0; i < count; i++) {
            objects[i] = (char *)slab_zalloc(&pool.child);
            assert_non_null(objects[i]);
            assert_true(is_clear(objects[i], sizes[size]));
            memset(objects[i], 0xff, sizes[size]);
         }
         /* Not in the order in which they were handed out; one in between, alone and not clear. */
         for (i = 0; i < count; i += 2)
            slab_free_st(&pool, objects[i]);
         objects[0] = (char *)slab_alloc_st(&pool);
         assert_non_null(objects[0]);
         memset(objects[0], 0xff, sizes[size]);
         slab_free_st(&pool, objects[0]);
         for (i = 1; i < count; i += 2)
            slab_free_st(&pool, objects[i]);
         /* Part of it is purged, or all of it, or none. */
         if (round == 1)
            os_pass_time(11);
         if (round == 2)
            slab_trim_heap();
         if (round == 3) {
            assert_int_equal(slab_alloc_bulk(&pool.child, (unsigned)count, (void **)objects), count);
            for (i = 0; i < count; i++)
               memset(objects[i], 0xff, sizes[size]);
            slab_free_bulk(&pool.child, (unsigned)count, (void **)objects);
         }
      }
      slab_destroy(&pool);
      trim_all();
   }
}

/* What the system does not take stays as it was. */
static void
what_could_not_be_purged_is_zeroed(void **state)
{
   struct slab_mempool pool;
   int i;

   (void)state;
   slab_create(&pool, 500000, 4);
   for (i = 0; i < 2; i++) {
      objects[i] = (char *)slab_alloc_st(&pool);
      assert_non_null(objects[i]);
      memset(objects[i], 0xff, 500000);
   }
   slab_free_st(&pool, objects[1]);
   os_fail_call(os_madvise, 1, true);
   slab_trim_heap();
   assert_true(os_calls_failed(os_madvise) > 0);
   os_fail_nothing();
   assert_int_equal(heap_stats().dirty, 0);
   objects[1] = (char *)slab_zalloc(&pool.child);
   assert_non_null(objects[1]);
   assert_true(is_clear(objects[1], 500000));
   free_all(&pool, 2);
   slab_destroy(&pool);
   trim_all();
}

static size_t
resident(char *object, size_t bytes)
{
   static unsigned char pages[32 * mib / 4096];
   const size_t page = (size_t)sysconf(_SC_PAGESIZE);
   const uintptr_t start = (uintptr_t)object & ~(uintptr_t)(page - 1);
   size_t count = 0, i, all = (bytes + page - 1) / page;

   assert_true(all <= sizeof(pages));
   assert_int_equal(mincore((void *)start, all * page, pages), 0);
   for (i = 0; i < all; i++)
      count += pages[i] & 1;
   return count * page;
}

static void
a_fresh_one_is_clear_and_takes_no_memory(void **state)
{
   static const unsigned fresh[] = {140000, 500000, mib, 3000000, 20000000};
#ifdef HARDENED
   /* Objects of a slab are handed out in any order, and not each is known to be fresh. */
   const int first_certain = 1;
#else
   const int first_certain = 0;
#endif
   int size, i;

   (void)state;
   trim_all();
   for (size = 0; size < number_of_sizes; size++) {
      struct slab_mempool pool;

      slab_create(&pool, fresh[size], 4);
      for (i = 0; i < 4; i++) {
         objects[i] = (char *)slab_zalloc(&pool.child);
         assert_non_null(objects[i]);
         if (size >= first_certain)
            assert_true(resident(objects[i], fresh[size]) <= 64 * kib);
         assert_true(is_clear(objects[i], fresh[size]));
         memset(objects[i], 0xff, fresh[size]);
      }
      free_all(&pool, 4);
      slab_destroy(&pool);
      trim_all();
   }
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_fresh_one_is_clear_and_takes_no_memory),
      cmocka_unit_test(what_is_freed_is_found_again),
      cmocka_unit_test(what_is_kept_is_nobodys),
      cmocka_unit_test(it_goes_in_time_and_no_call_waits_for_all_of_it),
      cmocka_unit_test(the_first_call_after_a_while_does_more_but_not_all_of_it),
      cmocka_unit_test(trimming_and_a_decay_time_of_zero_take_all_of_it),
      cmocka_unit_test(objects_of_many_sizes_do_not_pile_up),
      cmocka_unit_test(slabs_of_many_pools_do_not_pile_up),
      cmocka_unit_test(it_is_given_up_when_there_is_no_memory),
      cmocka_unit_test(used_again_it_is_clear_all_the_same),
      cmocka_unit_test(what_could_not_be_purged_is_zeroed),
   };

   os_count_from_here();
   return cmocka_run_group_tests(tests, NULL, NULL);
}
