/* SPDX-License-Identifier: MIT */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

/* Ends the test if the condition does not hold. */
#define CHECK(condition)                                                         \
   do {                                                                          \
      if (!(condition)) {                                                        \
         fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
         exit(1);                                                                \
      }                                                                          \
   } while (0)

#endif
