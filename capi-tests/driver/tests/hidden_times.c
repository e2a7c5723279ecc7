/* SPDX-License-Identifier: MIT */

/* A difference of two times that cannot be told from nothing is never printed as a number. */

#include "check.h"
#include "samples.h"

#include <string.h>

static const char *
text_of(const double *values, size_t count)
{
   static char text[MEDIAN_TEXT_SIZE];
   struct samples samples = {0, {0}};

   for (size_t i = 0; i < count; i++)
      samples_add(&samples, values[i]);
   samples_median_text(&samples, 1, text);
   return text;
}

int
main(void)
{
   static const double seen[] = {0.4, -0.1, 0.5, 0.3, 0.6, 0.5, 0.4};
   static const double hidden[] = {0.4, -0.1, 0.5, -0.3, 0.6, -0.5, 0.4};
   static const double below[] = {-0.4, -0.1, -0.5};
   static const double nothing[] = {0};

   CHECK(strcmp(text_of(seen, 7), "0.4") == 0);
   CHECK(strcmp(text_of(hidden, 7), "hidden") == 0);
   CHECK(strcmp(text_of(below, 3), "hidden") == 0);
   CHECK(strcmp(text_of(nothing, 1), "hidden") == 0);
   CHECK(strcmp(text_of(nothing, 0), "hidden") == 0);
   return 0;
}
