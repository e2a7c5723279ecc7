/* SPDX-License-Identifier: MIT */
#include "live_objects.h"

#include "must.h"

#include <stdint.h>
#include <string.h>

static const size_t dense_bytes = 8192;
static const size_t sparse_step = 4096;

/* Neighbouring ids and neighbouring words must not look alike, hence the odd multipliers. */
static uint64_t
contents_word(unsigned id, size_t offset)
{
   uint64_t word = ((uint64_t)id + 1) * 0x9e3779b97f4a7c15u + (uint64_t)offset * 0xd1b54a32d192ed03u;

   return word ^ (word >> 29);
}

/* The next offset at which contents stand. */
static size_t
contents_next(size_t offset)
{
   return offset + 8 < dense_bytes ? offset + 8 : (offset / sparse_step + 1) * sparse_step;
}

void
contents_write(void *ptr, size_t size, unsigned id)
{
   unsigned char *bytes = (unsigned char *)ptr;
   size_t offset = 0;

   for (; offset + 8 <= size; offset = contents_next(offset)) {
      uint64_t word = contents_word(id, offset);
      memcpy(bytes + offset, &word, sizeof(word));
   }
   if (size % 8 != 0 || size > dense_bytes) {
      size_t tail = size < 8 ? size : 8;
      uint64_t word = contents_word(id, size);
      memcpy(bytes + size - tail, &word, tail);
   }
}

/* The tail is written last and may cover the end of the last whole word. */
static bool
word_holds(const unsigned char *bytes, size_t offset, size_t end, unsigned id)
{
   uint64_t expected = contents_word(id, offset);
   uint64_t word;

   if (offset + 8 > end)
      return offset >= end || memcmp(bytes + offset, &expected, end - offset) == 0;
   memcpy(&word, bytes + offset, sizeof(word));
   return word == expected;
}

bool
contents_hold(const void *ptr, size_t size, unsigned id)
{
   const unsigned char *bytes = (const unsigned char *)ptr;
   bool has_tail = size % 8 != 0 || size > dense_bytes;
   size_t tail = size < 8 ? size : 8;
   size_t end = has_tail ? size - tail : size;
   size_t offset = 0;

   for (; offset + 8 <= size; offset = contents_next(offset)) {
      if (!word_holds(bytes, offset, end, id))
         return false;
   }
   if (has_tail) {
      uint64_t word = contents_word(id, size);
      if (memcmp(bytes + size - tail, &word, tail) != 0)
         return false;
   }
   return true;
}

void
live_create(struct live_objects *live, size_t capacity)
{
   live->objects = (struct live_object *)malloc(capacity * sizeof(*live->objects));
   live->sorted = (struct live_object *)malloc(capacity * sizeof(*live->sorted));
   MUST(live->objects && live->sorted);
   live->count = 0;
   live->capacity = capacity;
   live->next_id = 0;
}

void
live_destroy(struct live_objects *live)
{
   free(live->objects);
   free(live->sorted);
   live->objects = live->sorted = NULL;
}

void
live_add(struct live_objects *live, void *ptr, size_t size)
{
   struct live_object *object;

   MUST(ptr);
   MUST(live->count < live->capacity);
   object = &live->objects[live->count++];
   object->ptr = (unsigned char *)ptr;
   object->size = size;
   object->id = live->next_id++;
   contents_write(ptr, size, object->id);
}

static bool
object_intact(const struct live_object *object)
{
   if (contents_hold(object->ptr, object->size, object->id))
      return true;
   fprintf(stderr, "object %u of %zu bytes at %p has changed\n", object->id, object->size, (void *)object->ptr);
   return false;
}

void *
live_take(struct live_objects *live, size_t index)
{
   struct live_object object;

   MUST(index < live->count);
   object = live->objects[index];
   live->objects[index] = live->objects[--live->count];
   return object_intact(&object) ? object.ptr : NULL;
}

void *
live_take_at(struct live_objects *live, const void *ptr)
{
   size_t i = 0;

   while (i < live->count && live->objects[i].ptr != ptr)
      i++;
   return live_take(live, i);
}

bool
live_intact(const struct live_objects *live)
{
   size_t i;

   for (i = 0; i < live->count; i++) {
      if (!object_intact(&live->objects[i]))
         return false;
   }
   return true;
}

static int
compare_addresses(const void *a, const void *b)
{
   uintptr_t first = (uintptr_t)((const struct live_object *)a)->ptr;
   uintptr_t second = (uintptr_t)((const struct live_object *)b)->ptr;

   return (first > second) - (first < second);
}

bool
live_apart(const struct live_objects *live)
{
   struct live_object *sorted = live->sorted;
   size_t i;

   memcpy(sorted, live->objects, live->count * sizeof(*sorted));
   qsort(sorted, live->count, sizeof(*sorted), compare_addresses);
   for (i = 1; i < live->count; i++) {
      if ((uintptr_t)sorted[i].ptr - (uintptr_t)sorted[i - 1].ptr < sorted[i - 1].size) {
         fprintf(stderr, "objects %u at %p and %u at %p overlap\n", sorted[i - 1].id, (void *)sorted[i - 1].ptr,
                 sorted[i].id, (void *)sorted[i].ptr);
         return false;
      }
   }
   return true;
}
