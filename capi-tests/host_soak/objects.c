/* SPDX-License-Identifier: MIT */
/* Objects, whose first words tell whose they are, on their way from thread to thread. */
#include "program.h"

#include "must.h"

#include <string.h>

const unsigned sizes[pool_count] = {16, 96, 3000, 40000};
struct slab_parent_pool pools[pool_count];
void *slots[pool_count][slot_count];

static void
fill(void *object, unsigned pool)
{
   uintptr_t words[2] = {(uintptr_t)object ^ 0x5aa5, pool};

   memcpy(object, words, sizeof(words));
   memcpy((char *)object + sizes[pool] - sizeof(words[0]), &words[sizes[pool] == sizeof(words)], sizeof(words[0]));
}

static void
check(const void *object, unsigned pool)
{
   uintptr_t words[2], last;

   memcpy(words, object, sizeof(words));
   memcpy(&last, (const char *)object + sizes[pool] - sizeof(last), sizeof(last));
   MUST(words[0] == ((uintptr_t)object ^ 0x5aa5) && words[1] == pool);
   MUST(last == words[sizes[pool] == sizeof(words)]);
}

void
drop(struct slab_child_pool *child, void *object, unsigned pool)
{
   check(object, pool);
   soak_does(self, soak_free);
   slab_free(child, object);
   soak_count(soak, soak_frees, 1);
}

void *
take(struct slab_child_pool *child, unsigned pool)
{
   void *object;

   soak_does(self, soak_alloc);
   object = soak_random(self, 4) ? slab_alloc(child) : slab_zalloc(child);
   MUST(object);
   fill(object, pool);
   soak_count(soak, soak_allocations, 1);
   return object;
}

/* Allocates some, hands some of them to other threads, and frees the others and those that it gets in return. */
void
use(struct slab_child_pool *child, unsigned pool)
{
   void *objects[objects_at_a_time];
   unsigned count = 1 + soak_random(self, sizes[pool] > 4096 ? 20 : objects_at_a_time), i;

   for (i = 0; i < count; i++)
      objects[i] = take(child, pool);
   for (i = 0; i < count; i++) {
      void *object = objects[i];

      if (soak_random(self, 4) == 0)
         object = __atomic_exchange_n(&slots[pool][soak_random(self, slot_count)], object, __ATOMIC_ACQ_REL);
      if (object)
         drop(child, object, pool);
   }
}
