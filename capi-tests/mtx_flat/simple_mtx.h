/* SPDX-License-Identifier: MIT */
#ifndef SIMPLE_MTX_H
#define SIMPLE_MTX_H
/* Stands for the mutex header of a tree that has it beside slab.h. */
typedef struct {
   unsigned flat_value;
} simple_mtx_t;
#endif
