/* SPDX-License-Identifier: MIT */
#ifndef GONE_THREADS_H
#define GONE_THREADS_H

/*
 * A process that is forked beside other threads has none of them, and what they alone had is lost there for good.
 * valgrind, which looks for such things when a process ends, is told not to in this one: of what the library loses, the
 * process that forked is told.
 */

#ifdef SLAB_TEST_MEMCHECK
#include <valgrind/valgrind.h>
#define THREADS_ARE_GONE() VALGRIND_CLO_CHANGE("--leak-check=no")
#else
#define THREADS_ARE_GONE() ((void)0)
#endif

#endif
