/* SPDX-License-Identifier: MIT */
#ifndef ALIGNMENT_H
#define ALIGNMENT_H

#include <stddef.h>

/* The alignment that slab.h promises for objects of a size. */
static inline size_t
promised_alignment(size_t item_size)
{
   if (item_size >= 32 && item_size <= 4096 && (item_size & (item_size - 1)) == 0)
      return item_size;
   return item_size <= 8 ? 8 : 16;
}

#endif
