/* SPDX-License-Identifier: MIT */
#ifndef GUARDED_POOL_H
#define GUARDED_POOL_H

#include "slab.h"

/* A pool whose objects are guarded, for the tests of SLAB_DEBUG=guard. */

enum { size = 96, hint = 64 };

extern struct slab_parent_pool parent;
extern struct slab_child_pool child;

/* Creates the pool, named queries, and its child. The environment keeps asking for guarded pools. */
void create_guarded(unsigned item_size);
void destroy_guarded(void);

#endif
