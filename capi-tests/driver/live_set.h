/* SPDX-License-Identifier: MIT */
#ifndef LIVE_SET_H
#define LIVE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An object that a replay holds. */
struct live_object {
   unsigned char *address; /* NULL: not live */
   size_t size;
   uint32_t id;
};

/* The live objects by address, of which no two share a byte. Starts as { NULL }. */
struct live_set {
   void *root;
};

/*
 * Adds an object, which stays the caller's and must not move. Returns NULL, or an object of the
 * set that it overlaps; it is not added then.
 */
const struct live_object *live_set_add(struct live_set *set, const struct live_object *object);

void live_set_remove(struct live_set *set, const struct live_object *object);

/* Forgets all objects. */
void live_set_clear(struct live_set *set);

#endif
