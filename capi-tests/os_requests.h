/* SPDX-License-Identifier: MIT */
#ifndef OS_REQUESTS_H
#define OS_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The library's way to the system, in the test's hand. A program that links os_requests.c defines
 * mmap and munmap itself; the library, shared or static, is then bound to these. The C library
 * makes its own requests without going through these names, and a sanitizer too, except for some as
 * the program starts; so what is counted from main on is the library's.
 */

/* Forgets what was counted so far. */
void os_count_from_here(void);

/*
 * Lets the number-th anonymous request from now on fail, counting from 1; if sticky, all later ones
 * too. For programs of one thread.
 */
void os_fail_request(unsigned number, bool sticky);

/* Lets all requests succeed again. */
void os_fail_nothing(void);

/* How many anonymous requests were made, and how many of them were failed. */
unsigned os_requests_made(void);
unsigned os_requests_failed(void);

/* Bytes of address space that the library holds: what it mapped less what it unmapped. */
size_t os_bytes_held(void);

#endif
