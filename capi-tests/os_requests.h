/* SPDX-License-Identifier: MIT */
#ifndef OS_REQUESTS_H
#define OS_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The library's way to the system, in the test's hand. A program that links os_requests.c defines
 * mmap, munmap, madvise and clock_gettime itself, and one that links os_faults.c the others as well;
 * the library, shared or static, is then bound to these. The C library makes its own requests without
 * going through these names, and a sanitizer too, except for some as the program starts; so what is
 * counted from main on is the library's and, of the functions in os_faults.c, the test's own.
 */

enum os_function {
   os_mmap, /* anonymous memory only */
   os_munmap,
   os_madvise,
   os_clock_gettime, /* the coarse clock and the monotonic one, which are the library's */
   /* Those of os_faults.c. */
   os_mprotect,
   os_sysconf,
   os_sigaction,
   os_mutex_init,
   os_mutex_destroy,
   os_mutex_trylock,
   os_atfork,
   os_write,
   os_open,
   os_read,
   os_pread,
   os_close,
   os_backtrace,
   os_getauxval, /* whether the program is privileged, and random bytes */
   os_functions
};

/* Forgets what was counted so far, and lets every call succeed. */
void os_count_from_here(void);

/*
 * Lets the number-th call from now on fail, counting from 1; if sticky, all later ones too. Which one that
 * is, is certain in a program of one thread.
 */
void os_fail_call(enum os_function function, unsigned number, bool sticky);

/* The same for mmap. */
void os_fail_request(unsigned number, bool sticky);

/*
 * Lets the next call wait, within the library and with whatever that has locked, until os_go_on(). os_wait_for_stall()
 * returns once it waits.
 */
void os_stall_call(enum os_function function);
void os_wait_for_stall(void);
void os_go_on(void);

/* Lets all calls succeed again. */
void os_fail_nothing(void);

/* How many calls were made, and how many were failed. */
unsigned os_calls_made(enum os_function function);
unsigned os_calls_failed(enum os_function function);

enum { os_most_sites = 48 };

/* A place that calls a function. */
struct os_site {
   const void *address;
   unsigned first; /* the number of its first call */
   unsigned failed;
};

/* How many places made calls, if the counts are shared; sets sites to where they are noted. */
unsigned os_call_sites(enum os_function function, const struct os_site **sites);

const char *os_function_name(enum os_function function);

/* The same for mmap. */
unsigned os_requests_made(void);
unsigned os_requests_failed(void);

/* Bytes of address space that the library holds: what it mapped less what it unmapped. */
size_t os_bytes_held(void);

/* Puts the library's clock forward. */
void os_pass_time(unsigned seconds);

/* What was counted is shared with the processes forked from now on. */
void os_share_counts(void);

/* For os_faults.c: counts a call and returns whether it is to fail. */
bool os_count_call(enum os_function function, const void *site);

#endif
