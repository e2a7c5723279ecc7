/* SPDX-License-Identifier: MIT */
#ifndef ADDRESS_SPACE_H
#define ADDRESS_SPACE_H

#include <stdbool.h>
#include <stddef.h>

/* What the kernel says is mapped in this process, read without allocating. */

struct address_space {
   bool has_file;    /* some mapping is of the file asked for */
   bool has_address; /* some mapping covers the address asked for */
};

/* file: the end of a path, or NULL; address: or NULL. Ends the process if /proc cannot be read. */
struct address_space address_space_look(const char *file, const void *address);

#endif
