/* SPDX-License-Identifier: MIT */
#include "contents.h"

/* The multiplication spreads neighbouring ids and offsets over all bits; the high byte is used. */
static unsigned char
byte_at(size_t offset, uint32_t id)
{
   uint64_t key = ((uint64_t)id << 32) + offset + 1;
   return (unsigned char)(key * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

void
contents_write(unsigned char *object, size_t size, uint32_t id)
{
   for (size_t i = 0; i < size; i++)
      object[i] = byte_at(i, id);
}

size_t
contents_differ(const unsigned char *object, size_t size, uint32_t id)
{
   size_t i = 0;

   while (i < size && object[i] == byte_at(i, id))
      i++;
   return i;
}

size_t
contents_nonzero(const unsigned char *object, size_t size)
{
   size_t i = 0;

   while (i < size && object[i] == 0)
      i++;
   return i;
}
