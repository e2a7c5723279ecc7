/* SPDX-License-Identifier: MIT */
#ifndef SAMPLES_H
#define SAMPLES_H

#include <stdbool.h>
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

/*
 * Whether differences of two times are times: whether the lower quartile is above 0. Otherwise what was
 * subtracted takes as long as what it was subtracted from, and the difference says nothing.
 */
bool samples_are_seen(const struct samples *samples);

enum { MEDIAN_TEXT_SIZE = 16 };

/* The median with so many digits after the point, or "hidden" where the samples are not seen. */
void samples_median_text(const struct samples *samples, int digits, char text[MEDIAN_TEXT_SIZE]);

/* Ends a line of a table with the median of ratios and their quartiles; with none if a side is not seen. */
void samples_print_ratio(const struct samples *ratio, bool both_are_seen);

/* Nanoseconds from an arbitrary start. */
uint64_t now(void);

/* Nanoseconds that this thread has used of its core: what other programs use is left out. */
uint64_t thread_now(void);

#endif
