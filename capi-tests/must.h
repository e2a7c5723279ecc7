/* SPDX-License-Identifier: MIT */
#ifndef MUST_H
#define MUST_H

#include <stdio.h>
#include <stdlib.h>

/*
 * A check for threads and for forked children, where cmocka's assertions cannot be used because
 * they jump to the main thread's frame. It ends the process; the parent process or ctest sees that.
 */
#define MUST(condition)                                                                 \
   do {                                                                                 \
      if (!(condition)) {                                                               \
         fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
         abort();                                                                       \
      }                                                                                 \
   } while (0)

#endif
