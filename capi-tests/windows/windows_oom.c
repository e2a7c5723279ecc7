/* SPDX-License-Identifier: MIT */
/*
 * Requests for memory fail: linked with --wrap=VirtualAlloc, so that those of the static library come here.
 */
#include "cmocka_case.h"
#include "live_objects.h"
#include "slab.h"
#include "slab_ext.h"

#include <windows.h>

enum { most = 3000 };

static unsigned requests, fail_at, failed; /* fail_at 0: none */
static bool fail_later_ones;

#ifdef __cplusplus
extern "C" {
#endif
LPVOID WINAPI __real_VirtualAlloc(LPVOID start, SIZE_T bytes, DWORD kind, DWORD protection);
LPVOID WINAPI __wrap_VirtualAlloc(LPVOID start, SIZE_T bytes, DWORD kind, DWORD protection);

LPVOID WINAPI
__wrap_VirtualAlloc(LPVOID start, SIZE_T bytes, DWORD kind, DWORD protection)
{
   requests++;
   if (fail_at != 0 && (requests == fail_at || (fail_later_ones && requests > fail_at))) {
      failed++;
      SetLastError(ERROR_NOT_ENOUGH_MEMORY);
      return NULL;
   }
   return __real_VirtualAlloc(start, bytes, kind, protection);
}
#ifdef __cplusplus
}
#endif

/* Allocates until it is enough or NULL, frees, trims. Returns how many objects there were. */
static size_t
use(unsigned item_size, size_t wanted)
{
   struct slab_parent_pool parent;
   struct slab_child_pool child;
   struct live_objects live;
   size_t count;
   void *object;

   live_create(&live, wanted);
   slab_create_parent(&parent, item_size, 64);
   slab_create_child(&child, &parent);
   while (live.count < wanted && (object = slab_alloc(&child)) != NULL)
      live_add(&live, object, item_size);
   count = live.count;
   assert_true(live_intact(&live));
   assert_true(live_apart(&live));
   assert_int_equal(slab_validate(&parent), 0);
   while (live.count > wanted / 2)
      slab_free(&child, live_take(&live, live.count - 1));
   slab_trim_heap();
   assert_true(live_intact(&live));
   while (live.count > 0)
      slab_free(&child, live_take(&live, live.count - 1));
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   slab_trim_heap();
   live_destroy(&live);
   return count;
}

static void
fail_each_request(unsigned item_size, size_t wanted, bool later_ones)
{
   unsigned number, in_all;

   fail_at = requests = 0;
   assert_int_equal(use(item_size, wanted), wanted);
   in_all = requests;
   assert_true(in_all > 1);
   for (number = 1; number <= in_all; number++) {
      struct slab_heap_stats stats;

      requests = failed = 0;
      fail_at = number;
      fail_later_ones = later_ones;
      use(item_size, wanted);
      fail_at = 0;
      assert_true(failed > 0);
      stats.struct_size = sizeof(stats);
      slab_get_heap_stats(&stats);
      assert_int_equal(stats.mapped, 0);
      assert_int_equal(use(item_size, wanted), wanted);
   }
}

static void
one_request_fails(void **state)
{
   (void)state;
   fail_each_request(5000, most, false);
   fail_each_request(3000000, 4, false);
}

static void
all_requests_from_one_on_fail(void **state)
{
   (void)state;
   fail_each_request(5000, most, true);
   fail_each_request(3000000, 4, true);
}

static void
nothing_at_all_is_null(void **state)
{
   (void)state;
   requests = 0;
   fail_at = 1;
   fail_later_ones = true;
   assert_int_equal(use(96, 10), 0);
   assert_int_equal(use(3000000, 1), 0);
   fail_at = 0;
   assert_int_equal(use(96, 10), 10);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_request_fails),
      cmocka_unit_test(all_requests_from_one_on_fail),
      cmocka_unit_test(nothing_at_all_is_null),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
