/* SPDX-License-Identifier: MIT */
#ifndef COARSE_PAGES_H
#define COARSE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A system with larger pages than this one's, for the library alone. A program that links coarse_pages.c defines
 * mmap, munmap, madvise, mprotect and sysconf itself; the library, shared or static, is then bound to these. They
 * do as a kernel with such pages does, and note each call whose range is not made of whole ones. For programs of
 * one thread.
 */

/* What purged pages have in them at their next use. The library may not rely on either. */
enum coarse_purge {
   PURGE_TO_ZEROES,
   PURGE_TO_GARBAGE, /* as some systems leave what was there until they need the memory */
};

/* From now on pages have so many bytes, and all counts are 0. 0: those of the system, and nothing is noted. */
void coarse_pages_begin(size_t page_size, enum coarse_purge purge);

/* Calls whose range is not made of whole pages. Each is said on stderr. */
unsigned coarse_pages_broken(void);

/* Calls that were seen in all, so that a test knows that it was the library's calls that were looked at. */
unsigned coarse_pages_calls(void);

/* Bytes of address space that are mapped. */
size_t coarse_pages_mapped(void);

/* Bytes that were purged so far. */
size_t coarse_pages_purged(void);

#endif
