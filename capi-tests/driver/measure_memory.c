/* SPDX-License-Identifier: MIT */
#include "mappings.h"
#include "measure.h"
#include "slab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OBJECTS = 1000000, ITEM_SIZE = 96, NUM_ITEMS = 64 };

static void
print_state(const char *state)
{
   printf("  %-44s %10.1f %10.1f %10.2f\n", state, (double)mappings_reserved() / 1048576,
          (double)mappings_resident() / 1048576, (double)mappings_resident() / OBJECTS);
}

static bool
fill(struct slab_child_pool *pool, void **objects)
{
   for (size_t i = 0; i < OBJECTS; i++) {
      objects[i] = slab_alloc(pool);
      if (!objects[i]) {
         fprintf(stderr, "out of memory at object %zu\n", i);
         return false;
      }
      memset(objects[i], 0x5a, ITEM_SIZE);
   }
   return true;
}

/* All mappings of the library are counted, those of its bookkeeping too. */
bool
measure_memory(void)
{
   void **objects = (void **)malloc(OBJECTS * sizeof(*objects));
   struct slab_parent_pool parent;
   struct slab_child_pool child;

   if (!objects) {
      fprintf(stderr, "out of memory\n");
      return false;
   }

   printf("\nMemory: %d objects of %d bytes, %d per slab, one parent, one child\n", OBJECTS, ITEM_SIZE, NUM_ITEMS);
   printf("  %-44s %10s %10s %10s\n", "", "mapped MiB", "held MiB", "held B/obj");

   mappings_count(true);
   slab_create_parent(&parent, ITEM_SIZE, NUM_ITEMS);
   slab_create_child(&child, &parent);
   bool filled = fill(&child, objects);
   if (filled) {
      print_state("all live and written");
      for (size_t i = 0; i < OBJECTS; i++)
         slab_free(&child, objects[i]);
      print_state("all freed");
      slab_destroy_child(&child);
      print_state("child destroyed");
      slab_destroy_parent(&parent);
      print_state("parent destroyed");
   }
   mappings_count(false);

   free(objects);
   return filled;
}
