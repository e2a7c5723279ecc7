/* SPDX-License-Identifier: MIT */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void
samples_add(struct samples *samples, double value)
{
   if (samples->count < MAX_SAMPLES)
      samples->values[samples->count++] = value;
}

static int
compare(const void *a, const void *b)
{
   double left = *(const double *)a;
   double right = *(const double *)b;
   return (left > right) - (left < right);
}

double
samples_quantile(const struct samples *samples, double part)
{
   struct samples sorted = *samples;

   if (sorted.count == 0)
      return 0;
   qsort(sorted.values, sorted.count, sizeof(sorted.values[0]), compare);
   return sorted.values[(size_t)(part * (double)(sorted.count - 1) + 0.5)];
}

bool
samples_are_seen(const struct samples *samples)
{
   return samples_quantile(samples, 0.25) > 0;
}

void
samples_median_text(const struct samples *samples, int digits, char text[MEDIAN_TEXT_SIZE])
{
   if (samples_are_seen(samples))
      snprintf(text, MEDIAN_TEXT_SIZE, "%.*f", digits, samples_quantile(samples, 0.5));
   else
      snprintf(text, MEDIAN_TEXT_SIZE, "hidden");
}

void
samples_print_ratio(const struct samples *ratio, bool both_are_seen)
{
   if (both_are_seen)
      printf("%8.2f   %.2f to %.2f\n", samples_quantile(ratio, 0.5), samples_quantile(ratio, 0.25),
             samples_quantile(ratio, 0.75));
   else
      printf("%8s   -\n", "-");
}

static uint64_t
read_clock(clockid_t clock)
{
   struct timespec time;

   clock_gettime(clock, &time);
   return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t
now(void)
{
   return read_clock(CLOCK_MONOTONIC);
}

uint64_t
thread_now(void)
{
   return read_clock(CLOCK_THREAD_CPUTIME_ID);
}
