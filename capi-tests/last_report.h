/* SPDX-License-Identifier: MIT */
#ifndef LAST_REPORT_H
#define LAST_REPORT_H

#include "slab_ext.h"

#include <stdio.h>

/* What the library reports, once slab_set_report_handler(hear, NULL) was called: the last one, and how many. */
static char reported[1000];
static int reports;

static void
hear(void *data, const char *report)
{
   (void)data;
   reports++;
   snprintf(reported, sizeof(reported), "%s", report);
}

#endif
