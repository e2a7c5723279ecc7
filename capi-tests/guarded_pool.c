/* SPDX-License-Identifier: MIT */
#include "guarded_pool.h"

#include "must.h"
#include "slab_ext.h"

#include <stdlib.h>

struct slab_parent_pool parent;
struct slab_child_pool child;

void
create_guarded(unsigned item_size)
{
   MUST(setenv("SLAB_DEBUG", "guard", 1) == 0);
   slab_create_parent(&parent, item_size, hint);
   slab_set_name(&parent, "queries");
   slab_create_child(&child, &parent);
}

void
destroy_guarded(void)
{
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
}
