/* SPDX-License-Identifier: MIT */
#include "strings.h"

const char *
driver_name(void)
{
   return "driver";
}
