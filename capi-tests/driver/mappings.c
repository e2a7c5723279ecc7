/* SPDX-License-Identifier: MIT */

/* With 64-bit offsets on a 32-bit system, mmap() below would get the name mmap64(). */
#undef _FILE_OFFSET_BITS

#include "mappings.h"

#include "slab.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __cplusplus
#define NOTHROW noexcept
#else
#define NOTHROW
#endif

struct mapping {
   uintptr_t start;
   uintptr_t end;
};

enum { MAX_MAPPINGS = 4096 };

/* Disjoint, in no order. */
static struct mapping mappings[MAX_MAPPINGS];
static size_t mapping_count;
static bool counting;

static void
add(uintptr_t start, uintptr_t end)
{
   if (mapping_count == MAX_MAPPINGS) {
      fprintf(stderr, "mappings: the library holds more than %d mappings\n", MAX_MAPPINGS);
      abort();
   }
   mappings[mapping_count].start = start;
   mappings[mapping_count].end = end;
   mapping_count++;
}

/* Takes a range out of the set; what sticks out of it at either side stays. */
static void
subtract(uintptr_t start, uintptr_t end)
{
   for (size_t i = mapping_count; i-- > 0;) {
      struct mapping old = mappings[i];

      if (old.end <= start || end <= old.start)
         continue;
      mappings[i] = mappings[--mapping_count];
      if (old.start < start)
         add(old.start, start);
      if (end < old.end)
         add(end, old.end);
   }
}

void *
mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) NOTHROW
{
#ifdef SYS_mmap2
   long result = syscall(SYS_mmap2, address, length, protection, flags, fd, offset / 4096);
#else
   long result = syscall(SYS_mmap, address, length, protection, flags, fd, offset);
#endif

   if (result == -1)
      return MAP_FAILED;

   uintptr_t start = (uintptr_t)result;
   subtract(start, start + length);
   if (counting)
      add(start, start + length);
   return (void *)start;
}

int
munmap(void *address, size_t length) NOTHROW
{
   int result = (int)syscall(SYS_munmap, address, length);

   if (result == 0)
      subtract((uintptr_t)address, (uintptr_t)address + length);
   return result;
}

void
mappings_count(bool on)
{
   counting = on;
}

size_t
mappings_reserved(void)
{
   size_t bytes = 0;

   for (size_t i = 0; i < mapping_count; i++)
      bytes += mappings[i].end - mappings[i].start;
   return bytes;
}

static size_t
resident_pages(struct mapping mapping, size_t page_size)
{
   unsigned char present[2048];
   size_t pages = 0;

   while (mapping.start < mapping.end) {
      size_t some = (mapping.end - mapping.start + page_size - 1) / page_size;

      if (some > sizeof(present))
         some = sizeof(present);
      if (mincore((void *)mapping.start, some * page_size, present) != 0) {
         perror("mappings: mincore");
         abort();
      }
      for (size_t i = 0; i < some; i++)
         pages += present[i] & 1;
      mapping.start += some * page_size;
   }
   return pages;
}

size_t
mappings_resident(void)
{
   size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
   size_t pages = 0;

   for (size_t i = 0; i < mapping_count; i++)
      pages += resident_pages(mappings[i], page_size);
   return pages * page_size;
}

/* Some sandboxes answer mincore() with "all present". */
static bool
residency_is_told(void)
{
   size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
   size_t before = mappings_resident();
   bool told = true;

   mappings_count(true);
   char *pages = (char *)mmap(NULL, 3 * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
   mappings_count(false);
   if (pages == MAP_FAILED)
      return false;

   told &= mappings_resident() == before;
   pages[page_size] = 1;
   told &= mappings_resident() == before + page_size;
   madvise(pages, 3 * page_size, MADV_DONTNEED);
   told &= mappings_resident() == before;
   munmap(pages, 3 * page_size);
   return told;
}

/* The pool's object lies in a counted mapping, and no byte of it is missing there. */
static bool
library_is_seen(void)
{
   struct slab_mempool pool;
   bool seen = false;

   mappings_count(true);
   slab_create(&pool, 4096, 1);
   uintptr_t object = (uintptr_t)slab_alloc_st(&pool);
   mappings_count(false);

   for (size_t i = 0; i < mapping_count; i++)
      seen |= mappings[i].start <= object && object + 4096 <= mappings[i].end;

   slab_free_st(&pool, (void *)object);
   slab_destroy(&pool);
   return seen;
}

bool
mappings_work(void)
{
   if (!residency_is_told()) {
      fprintf(stderr, "mappings: this system does not tell which pages have memory (mincore)\n");
      return false;
   }
   if (!library_is_seen()) {
      fprintf(stderr, "mappings: the library gets its memory past the program's mmap\n");
      return false;
   }
   return true;
}
