/* SPDX-License-Identifier: MIT */

/*
 * What drivers do but none of the recorded traces shows: frees through a destroyed child, through a
 * zeroed one, through a child of another parent, after the parent is gone; a pool that is never
 * destroyed. Written as a trace, replayed like the recorded ones.
 */

#include "check.h"
#include "replay.h"
#include "trace_bytes.h"

enum { CROSS = 2, ORPHAN = 4, OTHER_PARENT = 64, NEVER_CREATED = 9 };

static void
write_trace(struct trace_bytes *trace)
{
   trace_bytes_begin(trace);
   trace_bytes_add(trace, TRACE_CREATE_PARENT, 0, 1, 88, 16);
   trace_bytes_add(trace, TRACE_CREATE_PARENT, 0, 2, 104, 16);
   trace_bytes_add(trace, TRACE_CREATE_PARENT, TRACE_MEMPOOL, 3, 66632, 4);
   trace_bytes_add(trace, TRACE_CREATE_CHILD, 0, 1, 1, 0);
   trace_bytes_add(trace, TRACE_CREATE_CHILD, 0, 2, 1, 0);
   trace_bytes_add(trace, TRACE_CREATE_CHILD, 0, 3, 2, 0);
   trace_bytes_add(trace, TRACE_CREATE_CHILD, TRACE_MEMPOOL, 4, 3, 0);
   for (uint32_t object = 1; object <= 4; object++)
      trace_bytes_add(trace, object % 2 ? TRACE_ALLOC : TRACE_ZALLOC, 0, 1, object, 0);
   trace_bytes_add(trace, TRACE_ALLOC, 0, 2, 5, 0);
   trace_bytes_add(trace, TRACE_ALLOC, 0, 3, 6, 0);
   trace_bytes_add(trace, TRACE_ALLOC, TRACE_MEMPOOL, 4, 7, 0);
   trace_bytes_add(trace, TRACE_ZALLOC, TRACE_MEMPOOL, 4, 8, 0);

   /* Child 1 dies with four objects out, which come home by four ways. */
   trace_bytes_add(trace, TRACE_DESTROY_CHILD, 0, 1, 4, 0);
   trace_bytes_add(trace, TRACE_DESTROY_CHILD, TRACE_NULL_PARENT, 1, 0, 0);
   trace_bytes_add(trace, TRACE_DESTROY_CHILD, TRACE_NULL_PARENT, NEVER_CREATED, 0, 0);
   trace_bytes_add(trace, TRACE_FREE, CROSS | ORPHAN, 2, 1, 0);
   trace_bytes_add(trace, TRACE_FREE, ORPHAN | TRACE_DEAD_POOL, 1, 2, 0);
   trace_bytes_add(trace, TRACE_FREE, CROSS | ORPHAN | OTHER_PARENT, 3, 3, 0);
   trace_bytes_add(trace, TRACE_FREE, CROSS | ORPHAN | TRACE_DEAD_POOL, NEVER_CREATED, 4, 0);

   /* Parent 1 dies with an object out. */
   trace_bytes_add(trace, TRACE_DESTROY_CHILD, 0, 2, 1, 0);
   trace_bytes_add(trace, TRACE_DESTROY_PARENT, 0, 1, 1, 0);
   trace_bytes_add(trace, TRACE_FREE, ORPHAN | TRACE_DEAD_POOL, 2, 5, 0);

   trace_bytes_add(trace, TRACE_FREE, TRACE_MEMPOOL, 4, 7, 0);
   trace_bytes_add(trace, TRACE_FREE, CROSS | OTHER_PARENT, 3, 8, 0);
   trace_bytes_add(trace, TRACE_DESTROY_CHILD, TRACE_MEMPOOL, 4, 0, 0);
   trace_bytes_add(trace, TRACE_DESTROY_PARENT, TRACE_MEMPOOL, 3, 0, 0);

   /* Object 6, child 3 and parent 2 are left for the closing records. */
   trace_bytes_add(trace, TRACE_END, 0, 0, 8, 0);
}

int
main(void)
{
   struct trace_bytes bytes;
   struct trace trace;
   struct replay_result result;
   char error[REPLAY_ERROR_SIZE] = "";

   write_trace(&bytes);
   bool good = trace_parse(&trace, bytes.bytes, bytes.size, error);
   if (!good)
      fprintf(stderr, "%s\n", error);
   CHECK(good);
   CHECK(trace.count == trace.recorded + 3);
   CHECK(trace.totals.parents == 3);
   CHECK(trace.totals.children == 4 && trace.totals.peak_children == 4);
   CHECK(trace.totals.allocs == 8 && trace.totals.peak_live == 8);
   CHECK(trace.totals.frees_own == 1);
   CHECK(trace.totals.frees_sibling == 1);
   CHECK(trace.totals.frees_dead == 5);

   good = replay_checked(&trace, &library_allocator, &result, error);
   if (!good)
      fprintf(stderr, "%s\n", error);
   CHECK(good);
   CHECK(result.peak_bytes >= 2 * 66632);
   /* Object 6 is still out at the last recorded call. */
   CHECK(result.final_bytes > 0);

   trace_release(&trace);
   return 0;
}
