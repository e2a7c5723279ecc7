/* SPDX-License-Identifier: MIT */
/* A large object is freed again when its memory has gone back to the system. */
#include "scenario.h"

#ifndef MISUSE_CLASSIC
#include "slab_ext.h"
#endif

int
main(void)
{
   struct scenario scenario;
   struct slab_mempool textures;
   void *object;

   scenario_begin(&scenario);
   slab_create(&textures, 16 << 20, 1);
   object = slab_alloc_st(&textures);
   slab_free_st(&textures, object);
   slab_destroy(&textures);
#ifndef MISUSE_CLASSIC
   /* The heap keeps it for a while. */
   slab_trim_heap();
#endif
   misuse_begins();
   slab_free(&scenario.child, object);
   misuse_ends();
   return scenario_end(&scenario);
}
