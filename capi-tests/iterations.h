/* SPDX-License-Identifier: MIT */
#ifndef ITERATIONS_H
#define ITERATIONS_H

/*
 * How often a loop runs. CMake defines SLAB_TEST_SLOW where a program runs many times slower than
 * by itself, under valgrind or a sanitizer; no test is left out there, its loops are shorter.
 */
#ifdef SLAB_TEST_SLOW
#define ITERATIONS(normal, slow) (slow)
#else
#define ITERATIONS(normal, slow) (normal)
#endif

#endif
