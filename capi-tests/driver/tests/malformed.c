/* SPDX-License-Identifier: MIT */

/* A file that is not a whole and consistent trace is refused in one line that says why. */

#include "check.h"
#include "trace_bytes.h"

#include <string.h>

/* Offsets of the fields in a record; a pool or object id is changed through its lowest byte. */
enum { OP = 0, FLAGS = 1, POOL = 4, A = 8, HIGH_A = 11 };

static void
good_trace(struct trace_bytes *trace)
{
   trace_bytes_begin(trace);
   trace_bytes_add(trace, TRACE_CREATE_PARENT, 0, 1, 88, 16); /* 1 */
   trace_bytes_add(trace, TRACE_CREATE_CHILD, 0, 1, 1, 0);    /* 2 */
   trace_bytes_add(trace, TRACE_CREATE_CHILD, 0, 2, 1, 0);    /* 3 */
   trace_bytes_add(trace, TRACE_ZALLOC, 0, 1, 1, 0);          /* 4 */
   trace_bytes_add(trace, TRACE_ALLOC, 0, 2, 2, 0);           /* 5 */
   trace_bytes_add(trace, TRACE_FREE, 0, 2, 1, 0);            /* 6 */
   trace_bytes_add(trace, TRACE_DESTROY_CHILD, 0, 2, 0, 0);   /* 7 */
   trace_bytes_add(trace, TRACE_FREE, 0, 1, 2, 0);            /* 8 */
   trace_bytes_add(trace, TRACE_DESTROY_CHILD, 0, 1, 0, 0);   /* 9 */
   trace_bytes_add(trace, TRACE_DESTROY_PARENT, 0, 1, 0, 0);  /* 10 */
   trace_bytes_add(trace, TRACE_END, 0, 0, 2, 0);             /* 11 */
}

static bool
accepted(const unsigned char *bytes, size_t size, char error[TRACE_ERROR_SIZE])
{
   struct trace trace;

   error[0] = '\0';
   if (!trace_parse(&trace, bytes, size, error)) {
      CHECK(error[0] != '\0');
      CHECK(!strchr(error, '\n'));
      return false;
   }
   trace_release(&trace);
   return true;
}

static void
refused(const struct trace_bytes *trace, const char *reason)
{
   char error[TRACE_ERROR_SIZE];

   CHECK(!accepted(trace->bytes, trace->size, error));
   if (!strstr(error, reason)) {
      fprintf(stderr, "refused for \"%s\", not for \"%s\"\n", error, reason);
      exit(1);
   }
}

static void
each_change_has_its_reason(void)
{
   static const struct {
      size_t record;
      size_t offset;
      unsigned char value;
      const char *reason;
   } changes[] = {
      {1, OP, 0, "record 1: unknown operation 0"},
      {5, OP, 9, "record 5: unknown operation 9"},
      {2, A, 5, "record 2: parent 5 does not exist"},
      {2, A, 200, "record 2: parent 200 is out of range"},
      {2, FLAGS, TRACE_MEMPOOL, "record 2: parent 1 is not part of a slab_mempool"},
      {3, POOL, 1, "record 3: child 1 is created a second time"},
      {3, POOL, 0, "record 3: child 0 is created a second time"},
      {4, POOL, 7, "record 4: child 7 does not exist"},
      {4, POOL, 200, "record 4: child 200 is out of range"},
      {4, HIGH_A, 255, "is out of range"},
      {5, A, 1, "record 5: object 1 is allocated a second time"},
      {6, A, 2, "record 8: free of object 2, which is not live"},
      {6, A, 9, "record 6: free of object 9, which is not live"},
      {6, POOL, 9, "record 6: child 9 does not exist"},
      {8, FLAGS, TRACE_DEAD_POOL, "record 8: child 1 exists"},
      {8, POOL, 2, "record 8: child 2 does not exist"},
      {9, FLAGS, TRACE_NULL_PARENT, "record 9: child 1 exists"},
      {9, POOL, 2, "record 9: child 2 does not exist"},
      {10, POOL, 3, "record 10: parent 3 does not exist"},
      {10, OP, TRACE_CREATE_PARENT, "record 10: parent 1 is created a second time"},
      {3, OP, TRACE_DESTROY_PARENT, "record 3: parent 2 does not exist"},
      {11, A, 3, "record 11: the end counts 3 objects, the trace has 2"},
      {7, OP, TRACE_END, "record 7: the end counts 0 objects, the trace has 2"},
      {11, OP, TRACE_DESTROY_PARENT, "record 11: parent 0 does not exist"},
   };

   for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
      struct trace_bytes trace;

      good_trace(&trace);
      trace_bytes_record(&trace, changes[i].record)[changes[i].offset] = changes[i].value;
      refused(&trace, changes[i].reason);
   }
}

static void
wrong_beginning_or_end(void)
{
   struct trace_bytes trace;

   good_trace(&trace);
   trace.bytes[7] = '2';
   refused(&trace, "not a slab trace");

   good_trace(&trace);
   trace.size -= TRACE_RECORD_SIZE;
   refused(&trace, "truncated: no end record after record 10");

   good_trace(&trace);
   trace.size -= 5;
   refused(&trace, "truncated: record 11 has 11 of its 16 bytes");

   good_trace(&trace);
   trace_bytes_add(&trace, TRACE_END, 0, 0, 2, 0);
   refused(&trace, "record 11: 1 records after the end");

   trace_bytes_begin(&trace);
   refused(&trace, "truncated: no end record after record 0");
   trace_bytes_add(&trace, TRACE_END, 0, 0, 0, 0);
   refused(&trace, "the trace has no calls");
}

static void
every_prefix_is_refused(void)
{
   struct trace_bytes trace;
   char error[TRACE_ERROR_SIZE];

   good_trace(&trace);
   for (size_t size = 0; size < trace.size; size++)
      CHECK(!accepted(trace.bytes, size, error));
   CHECK(accepted(trace.bytes, trace.size, error));
}

/* Some changes make another valid trace. No change may do more than be refused. */
static void
any_change_of_a_byte(void)
{
   struct trace_bytes trace;
   char error[TRACE_ERROR_SIZE];

   good_trace(&trace);
   for (size_t i = 0; i < trace.size; i++) {
      unsigned char old = trace.bytes[i];

      for (unsigned value = 0; value < 256; value++) {
         trace.bytes[i] = (unsigned char)value;
         (void)accepted(trace.bytes, trace.size, error);
      }
      trace.bytes[i] = old;
   }
}

int
main(void)
{
   each_change_has_its_reason();
   wrong_beginning_or_end();
   every_prefix_is_refused();
   any_change_of_a_byte();
   return 0;
}
