/* SPDX-License-Identifier: MIT */
#include "trace_bytes.h"

#include "check.h"

#include <string.h>

static void
write_32(unsigned char *bytes, uint32_t value)
{
   for (unsigned i = 0; i < 4; i++)
      bytes[i] = (unsigned char)(value >> (8 * i));
}

void
trace_bytes_begin(struct trace_bytes *trace)
{
   memset(trace, 0, sizeof(*trace));
   memcpy(trace->bytes, "SLABTRC1", 8);
   trace->size = TRACE_HEADER_SIZE;
}

void
trace_bytes_add(struct trace_bytes *trace, enum trace_op op, unsigned flags, uint32_t pool, uint32_t a, uint32_t b)
{
   unsigned char *record = trace->bytes + trace->size;

   CHECK(trace->size + TRACE_RECORD_SIZE <= sizeof(trace->bytes));
   record[0] = (unsigned char)op;
   record[1] = (unsigned char)flags;
   record[2] = 1;
   write_32(record + 4, pool);
   write_32(record + 8, a);
   write_32(record + 12, b);
   trace->size += TRACE_RECORD_SIZE;
}

unsigned char *
trace_bytes_record(struct trace_bytes *trace, size_t number)
{
   return trace->bytes + TRACE_HEADER_SIZE + (number - 1) * TRACE_RECORD_SIZE;
}
