/* SPDX-License-Identifier: MIT */
#ifndef STRINGS_H
#define STRINGS_H

const char *driver_name(void);

#endif
