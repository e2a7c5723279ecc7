/* SPDX-License-Identifier: MIT */
/*
 * Some drivers get their mutex header through slab.h. This file is built three times: with mtx_flat
 * in the include path, with mtx_util, and with neither; MTX_FLAT or MTX_UTIL says which. Most of
 * the test is that it compiles.
 */
#include "slab.h"

#include "cmocka_case.h"

#if defined(MTX_FLAT) || defined(MTX_UTIL)

struct driver_queue {
   simple_mtx_t lock;
   struct slab_mempool jobs;
};

static void
mutex_header_comes_with_slab_h(void **state)
{
   struct driver_queue queue;

   (void)state;
#ifdef MTX_FLAT
   queue.lock.flat_value = 1;
   assert_int_equal(queue.lock.flat_value, 1);
#else
   queue.lock.util_value = 1;
   assert_int_equal(queue.lock.util_value, 1);
#endif
   slab_create(&queue.jobs, 48, 16);
   slab_destroy(&queue.jobs);
}

/* The layout of the pools must not depend on what the including tree has. */
static void
mutex_header_changes_no_layout(void **state)
{
   (void)state;
   assert_int_equal(sizeof(struct slab_parent_pool), sizeof(void *) + 56);
   assert_int_equal(sizeof(struct slab_child_pool), 3 * sizeof(void *) + 8);
   assert_int_equal(offsetof(struct slab_mempool, child), sizeof(struct slab_parent_pool));
}

#else

#ifdef SIMPLE_MTX_H
#error "the include path of this build has a simple_mtx.h: the test shows nothing"
#endif

/* Without the header its name is free for the driver's own use. */
typedef int simple_mtx_t;

static void
slab_h_works_without_a_mutex_header(void **state)
{
   struct slab_mempool pool;
   simple_mtx_t own = 3;

   (void)state;
   slab_create(&pool, 48, 16);
   slab_destroy(&pool);
   assert_int_equal(own, 3);
}

#endif

int
main(void)
{
   const struct CMUnitTest tests[] = {
#if defined(MTX_FLAT) || defined(MTX_UTIL)
      cmocka_unit_test(mutex_header_comes_with_slab_h),
      cmocka_unit_test(mutex_header_changes_no_layout),
#else
      cmocka_unit_test(slab_h_works_without_a_mutex_header),
#endif
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
