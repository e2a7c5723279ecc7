/* SPDX-License-Identifier: MIT */
#ifndef CONTENTS_H
#define CONTENTS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Contents that tell whose they are: each byte depends on the object's id and on its place in the
 * object, so that another object's bytes show, and the right bytes in the wrong place as well.
 */

void contents_write(unsigned char *object, size_t size, uint32_t id);

/* Returns the offset of the first byte that is not as written, or `size`. */
size_t contents_differ(const unsigned char *object, size_t size, uint32_t id);

/* Returns the offset of the first byte that is not 0, or `size`. */
size_t contents_nonzero(const unsigned char *object, size_t size);

#endif
