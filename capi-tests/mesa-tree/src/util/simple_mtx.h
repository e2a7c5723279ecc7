/* SPDX-License-Identifier: MIT */
#ifndef SIMPLE_MTX_H
#define SIMPLE_MTX_H

typedef struct {
   unsigned value;
} simple_mtx_t;

#endif
