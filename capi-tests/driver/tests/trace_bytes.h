/* SPDX-License-Identifier: MIT */
#ifndef TRACE_BYTES_H
#define TRACE_BYTES_H

#include "trace.h"

/* The bytes of a trace file, written record by record. */

enum { MAX_TRACE_RECORDS = 64, TRACE_HEADER_SIZE = 16, TRACE_RECORD_SIZE = 16 };

struct trace_bytes {
   unsigned char bytes[TRACE_HEADER_SIZE + MAX_TRACE_RECORDS * TRACE_RECORD_SIZE];
   size_t size;
};

/* An empty trace: the header alone. */
void trace_bytes_begin(struct trace_bytes *trace);

void trace_bytes_add(struct trace_bytes *trace, enum trace_op op, unsigned flags, uint32_t pool, uint32_t a,
                     uint32_t b);

/* A record that is already there, counted from 1. */
unsigned char *trace_bytes_record(struct trace_bytes *trace, size_t number);

#endif
