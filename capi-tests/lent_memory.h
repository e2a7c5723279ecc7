/* SPDX-License-Identifier: MIT */
#ifndef LENT_MEMORY_H
#define LENT_MEMORY_H

#include "must.h"
#include "slab_ext.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What heaps with memory of the program's take it in, and what of a piece is the library's. */
enum {
   piece = sizeof(void *) == 8 ? 4 << 20 : 1 << 20,
#ifdef HARDENED
   piece_header = piece / 16,
#else
   piece_header = piece / 32,
#endif
   piece_step = piece / 32
};

static inline struct slab_options
options_in(struct slab_heap *heap, unsigned item_size, unsigned num_items)
{
   struct slab_options options;

   memset(&options, 0, sizeof(options));
   options.struct_size = sizeof(options);
   options.item_size = item_size;
   options.num_items = num_items;
   options.heap = heap;
   return options;
}

/* Whether pools are in modes, or tools are told of objects: what is kept of them then is the library's own memory. */
static inline bool
keeps_records(void)
{
   return getenv("SLAB_DEBUG") || !getenv("SLAB_TOOLS");
}

/* Memory of any content, aligned to a piece. */
static inline unsigned char *
region_of(size_t bytes)
{
   void *region;

   MUST(posix_memalign(&region, piece, bytes) == 0);
   memset(region, 0xa5, bytes);
   return (unsigned char *)region;
}

#endif
