/* SPDX-License-Identifier: MIT */
#include "coarse_pages.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static size_t page; /* 0: this system's */
static enum coarse_purge purge_to;
static unsigned calls, broken;
static size_t mapped, purged;

void
coarse_pages_begin(size_t page_size, enum coarse_purge purge)
{
   page = page_size;
   purge_to = purge;
   calls = broken = 0;
   mapped = purged = 0;
}

unsigned
coarse_pages_broken(void)
{
   return broken;
}

unsigned
coarse_pages_calls(void)
{
   return calls;
}

size_t
coarse_pages_mapped(void)
{
   return mapped;
}

size_t
coarse_pages_purged(void)
{
   return purged;
}

static size_t
whole_pages(size_t length)
{
   return (length + page - 1) & ~(page - 1);
}

/* Notes a call. Returns whether a kernel takes it, which rounds the length up by itself. */
static bool
note(const char *call, uintptr_t start, size_t length)
{
   if (!page)
      return true;
   calls++;
   if (start % page == 0 && length % page == 0)
      return true;
   broken++;
   fprintf(stderr, "%s(0x%zx, 0x%zx) with pages of 0x%zx\n", call, (size_t)start, length, page);
   errno = EINVAL;
   return start % page == 0;
}

#ifdef __cplusplus
extern "C" {
#endif

/* These go straight to the kernel, for the reasons given in os_requests.c. */

static uintptr_t
map(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
#ifdef SYS_mmap2
   return (uintptr_t)syscall(SYS_mmap2, address, length, protection, flags, file, offset >> 12);
#else
   return (uintptr_t)syscall(SYS_mmap, address, length, protection, flags, file, offset);
#endif
}

void *
mmap(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
   uintptr_t start, aligned;
   size_t whole;

   if (!page || !(flags & MAP_ANONYMOUS) || (flags & MAP_FIXED))
      return (void *)map(address, length, protection, flags, file, offset);

   /* A length that is no whole number of pages is legal here: the kernel maps the rest of the last one too. */
   calls++;
   whole = whole_pages(length);
   start = map(NULL, whole + page, protection, flags, file, offset);
   if ((void *)start == MAP_FAILED)
      return MAP_FAILED;
   aligned = whole_pages(start);
   if (aligned != start)
      syscall(SYS_munmap, start, aligned - start);
   if (start + page != aligned)
      syscall(SYS_munmap, aligned + whole, start + page - aligned);
   mapped += whole;
   return (void *)aligned;
}

int
munmap(void *address, size_t length)
{
   if (!note("munmap", (uintptr_t)address, length))
      return -1;
   if (page)
      mapped -= length = whole_pages(length);
   return (int)syscall(SYS_munmap, address, length);
}

int
madvise(void *address, size_t length, int advice)
{
   if (!note("madvise", (uintptr_t)address, length))
      return -1;
   if (page)
      length = whole_pages(length);
   if (advice == MADV_DONTNEED) {
      purged += length;
      if (purge_to == PURGE_TO_GARBAGE) {
         memset(address, 0x5a, length);
         return 0;
      }
   }
   return (int)syscall(SYS_madvise, address, length, advice);
}

int
mprotect(void *address, size_t length, int protection)
{
   if (!note("mprotect", (uintptr_t)address, length))
      return -1;
   if (page)
      length = whole_pages(length);
   return (int)syscall(SYS_mprotect, address, length, protection);
}

/* The C library knows it by this name as well, musl only by the other one. */
extern long __sysconf(int name) __attribute__((weak));

long
sysconf(int name)
{
   if (page && name == _SC_PAGESIZE)
      return (long)page;
   if (__sysconf)
      return __sysconf(name);
   errno = EINVAL;
   return -1;
}

#ifdef __cplusplus
}
#endif
