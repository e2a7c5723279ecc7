/* SPDX-License-Identifier: MIT */
#ifndef LIVE_OBJECTS_H
#define LIVE_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The objects that a test has allocated and not freed. Each gets contents made from an id that no
 * other object has, so that a stray write or an overlap shows as changed contents.
 */

struct live_object {
   unsigned char *ptr;
   size_t size;
   unsigned id;
};

struct live_objects {
   struct live_object *objects;
   struct live_object *sorted; /* room for live_apart(), which may run when there is no memory */
   size_t count;
   size_t capacity;
   unsigned next_id;
};

/* Room for capacity objects; a test that adds more is wrong and is ended. */
void live_create(struct live_objects *live, size_t capacity);
void live_destroy(struct live_objects *live);

/* Adds an object of size bytes and writes its contents. ptr must not be NULL. */
void live_add(struct live_objects *live, void *ptr, size_t size);

/*
 * Checks the contents of the object at index and removes it, the last one taking its place.
 * Returns its address, or NULL (and says so on stderr) if the contents have changed.
 */
void *live_take(struct live_objects *live, size_t index);

/* The same for the object at the address ptr, which must be in the set. */
void *live_take_at(struct live_objects *live, const void *ptr);

/* Whether every object has its contents. Says on stderr which has not. */
bool live_intact(const struct live_objects *live);

/* Whether no two objects share a byte. Says on stderr which do. */
bool live_apart(const struct live_objects *live);

/*
 * The contents alone, for objects that are tracked in another way. Objects of more than 8 KiB have
 * contents only in their first 8 KiB, at each further 4 KiB, and in their last 8 bytes.
 */
void contents_write(void *ptr, size_t size, unsigned id);
bool contents_hold(const void *ptr, size_t size, unsigned id);

#endif
