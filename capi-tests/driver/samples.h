/* SPDX-License-Identifier: MIT */
#ifndef SAMPLES_H
#define SAMPLES_H

#include <stddef.h>
#include <stdint.h>

enum { MAX_SAMPLES = 64 };

/* One number from each round of a measurement. Starts as { 0 }. */
struct samples {
   size_t count;
   double values[MAX_SAMPLES];
};

/* Rounds beyond MAX_SAMPLES are not kept. */
void samples_add(struct samples *samples, double value);

/* The value below which a part of the samples lies: 0.5 is the median. */
double samples_quantile(const struct samples *samples, double part);

/* Nanoseconds from an arbitrary start. */
uint64_t now(void);

#endif
