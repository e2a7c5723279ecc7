/* SPDX-License-Identifier: MIT */
#include "samples.h"

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

uint64_t
now(void)
{
   struct timespec time;

   clock_gettime(CLOCK_MONOTONIC, &time);
   return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}
