/* SPDX-License-Identifier: MIT */
#ifndef SHARE_GROUP_H
#define SHARE_GROUP_H

#include <stdbool.h>

/*
 * Contexts of one screen that unmap each other's buffers, also after the mapping context is gone.
 * Prints one line for each thing it checked. Returns false, with the reason on stderr, if one fails.
 */
bool share_group_run(void);

#endif
