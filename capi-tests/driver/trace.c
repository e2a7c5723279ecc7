/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_SIZE = 16, RECORD_SIZE = 16 };

static uint16_t
little_endian_16(const unsigned char *bytes)
{
   return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static uint32_t
little_endian_32(const unsigned char *bytes)
{
   return little_endian_16(bytes) | (uint32_t)little_endian_16(bytes + 2) << 16;
}

static bool
decode_records(struct trace *trace, const unsigned char *bytes, char error[TRACE_ERROR_SIZE])
{
   for (size_t i = 0; i < trace->count; i++, bytes += RECORD_SIZE) {
      struct trace_record *record = &trace->records[i];

      if (bytes[0] < TRACE_CREATE_PARENT || bytes[0] > TRACE_END) {
         snprintf(error, TRACE_ERROR_SIZE, "record %zu: unknown operation %u", i + 1, bytes[0]);
         return false;
      }
      record->op = (enum trace_op)bytes[0];
      record->flags = bytes[1];
      record->thread = little_endian_16(bytes + 2);
      record->pool = little_endian_32(bytes + 4);
      record->a = little_endian_32(bytes + 8);
      record->b = little_endian_32(bytes + 12);
   }
   return true;
}

bool
trace_parse(struct trace *trace, const unsigned char *bytes, size_t size, char error[TRACE_ERROR_SIZE])
{
   memset(trace, 0, sizeof(*trace));

   if (size < HEADER_SIZE || memcmp(bytes, "SLABTRC1", 8) != 0) {
      snprintf(error, TRACE_ERROR_SIZE, "not a slab trace: it does not begin with SLABTRC1");
      return false;
   }
   if (size % RECORD_SIZE != 0) {
      snprintf(error, TRACE_ERROR_SIZE, "truncated: record %zu has %zu of its %d bytes", size / RECORD_SIZE,
               size % RECORD_SIZE, RECORD_SIZE);
      return false;
   }

   trace->count = (size - HEADER_SIZE) / RECORD_SIZE;
   /* One more than needed: an empty trace is refused for what it lacks, not for a NULL. */
   trace->records = (struct trace_record *)calloc(trace->count + 1, sizeof(*trace->records));
   if (!trace->records) {
      snprintf(error, TRACE_ERROR_SIZE, "out of memory");
      return false;
   }

   if (decode_records(trace, bytes + HEADER_SIZE, error) && trace_walk(trace, error))
      return true;

   trace_release(trace);
   return false;
}

static unsigned char *
read_stream(FILE *file, size_t *size, char error[TRACE_ERROR_SIZE])
{
   unsigned char *bytes = NULL;
   size_t room = 0;

   *size = 0;
   do {
      if (*size == room) {
         unsigned char *grown = (unsigned char *)realloc(bytes, room ? room * 2 : 65536);
         if (!grown) {
            snprintf(error, TRACE_ERROR_SIZE, "out of memory");
            free(bytes);
            return NULL;
         }
         bytes = grown;
         room = room ? room * 2 : 65536;
      }
      *size += fread(bytes + *size, 1, room - *size, file);
   } while (!feof(file) && !ferror(file));

   if (ferror(file)) {
      snprintf(error, TRACE_ERROR_SIZE, "%s", strerror(errno));
      free(bytes);
      return NULL;
   }
   return bytes;
}

bool
trace_read(struct trace *trace, const char *path, char error[TRACE_ERROR_SIZE])
{
   FILE *file = fopen(path, "rb");
   if (!file) {
      snprintf(error, TRACE_ERROR_SIZE, "%s", strerror(errno));
      return false;
   }

   size_t size;
   unsigned char *bytes = read_stream(file, &size, error);
   fclose(file);
   if (!bytes)
      return false;

   bool valid = trace_parse(trace, bytes, size, error);
   free(bytes);
   return valid;
}

void
trace_release(struct trace *trace)
{
   free(trace->records);
   memset(trace, 0, sizeof(*trace));
}
