/* SPDX-License-Identifier: MIT */
#ifndef MAPPINGS_H
#define MAPPINGS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What the library holds of the system's memory, seen from outside: the library calls mmap() and
 * munmap() by name, so defining the two in the program puts this file between the library and
 * the kernel, whether the library is linked shared or static. Mappings are counted while counting
 * is on; only one thread may use the library then.
 */

void mappings_count(bool on);

/* Bytes of address space in the counted mappings. */
size_t mappings_reserved(void);

/* Bytes of them that have memory behind them. Purged and untouched pages have none. */
size_t mappings_resident(void);

/*
 * Tries out both on a small mapping and on a pool. Returns false, with the reason on stderr, where
 * the numbers would be wrong.
 */
bool mappings_work(void);

#endif
