/* SPDX-License-Identifier: MIT */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdbool.h>

/* Each prints one table, and fails only for want of memory: nothing here judges a time. */

bool measure_memory(void);
bool measure_free(void);
bool measure_child(void);

#endif
