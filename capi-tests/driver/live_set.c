/* SPDX-License-Identifier: MIT */
#include "live_set.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Two objects compare as equal when they overlap. That is an order as long as nothing in the tree
 * overlaps, and it makes the tree's search find an overlapped object if there is one.
 */
static int
compare(const void *a, const void *b)
{
   const struct live_object *left = (const struct live_object *)a;
   const struct live_object *right = (const struct live_object *)b;

   if (left->address + left->size <= right->address)
      return -1;
   if (right->address + right->size <= left->address)
      return 1;
   return 0;
}

/* A node begins with the pointer to its key. */
static const struct live_object *
key(const void *node)
{
   return *(const struct live_object *const *)node;
}

const struct live_object *
live_set_add(struct live_set *set, const struct live_object *object)
{
   void *node = tsearch(object, &set->root, compare);

   if (!node) {
      fprintf(stderr, "out of memory\n");
      abort();
   }

   const struct live_object *found = key(node);
   return found == object ? NULL : found;
}

void
live_set_remove(struct live_set *set, const struct live_object *object)
{
   tdelete(object, &set->root, compare);
}

void
live_set_clear(struct live_set *set)
{
   while (set->root)
      tdelete(key(set->root), &set->root, compare);
}
