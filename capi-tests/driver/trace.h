/* SPDX-License-Identifier: MIT */
#ifndef TRACE_H
#define TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A recorded sequence of pool calls; traces/README.md describes the file.
 *
 * A struct trace is always valid: reading refuses a file in which an object is freed twice, a pool
 * is used before it exists, and so on. So whoever walks the records may index by their ids, and
 * anything that goes wrong in a replay is the allocator's doing.
 */

enum trace_op {
   TRACE_CREATE_PARENT = 1,
   TRACE_DESTROY_PARENT = 2,
   TRACE_CREATE_CHILD = 3,
   TRACE_DESTROY_CHILD = 4,
   TRACE_ALLOC = 5,
   TRACE_ZALLOC = 6,
   TRACE_FREE = 7,
   TRACE_END = 8,
};

/*
 * The flags that a replay needs. The others of the format say what the recorded allocator did, or
 * repeat what follows from the order of the records.
 */
enum trace_flag {
   TRACE_MEMPOOL = 1,      /* the call came through a struct slab_mempool */
   TRACE_DEAD_POOL = 8,    /* free: the child given to slab_free() is destroyed or was never created */
   TRACE_NULL_PARENT = 128 /* destroy_child: the child is destroyed or was never created */
};

struct trace_record {
   enum trace_op op;
   uint8_t flags;
   uint16_t thread;
   uint32_t pool;
   uint32_t a;
   uint32_t b;
};

/* What the walk through the records counted. */
struct trace_totals {
   uint32_t item_size;
   uint32_t num_items;
   size_t parents;
   size_t children;
   size_t peak_children;
   size_t allocs;
   size_t peak_live;
   size_t frees_own;     /* through the child that the object was allocated from */
   size_t frees_sibling; /* through another child while that one exists */
   size_t frees_dead;    /* after the child it was allocated from was destroyed */
};

struct trace {
   struct trace_record *records;
   /*
    * The first `recorded` records are the program's. Those from there up to `count` close what it
    * left open at its exit: they free its live objects and destroy its pools.
    */
   size_t recorded;
   size_t count;
   /* Every id is below its limit; child 0 is never created. */
   size_t parent_limit;
   size_t child_limit;
   size_t object_limit;
   struct trace_totals totals;
};

enum { TRACE_ERROR_SIZE = 200 };

/*
 * Reads a trace from a file, or from the bytes of one. Returns false with one line in `error` (no
 * newline) if it is not a whole and consistent trace; `*trace` then needs no trace_release().
 */
bool trace_read(struct trace *trace, const char *path, char error[TRACE_ERROR_SIZE]);
bool trace_parse(struct trace *trace, const unsigned char *bytes, size_t size, char error[TRACE_ERROR_SIZE]);

void trace_release(struct trace *trace);

/* The second half of trace_parse(): checks the order of the records and fills in the totals. */
bool trace_walk(struct trace *trace, char error[TRACE_ERROR_SIZE]);

#endif
