/* SPDX-License-Identifier: MIT */
#include "allocator.h"

const struct allocator library_allocator = {
   slab_create_parent, slab_destroy_parent, slab_create_child, slab_destroy_child, slab_alloc,   slab_zalloc,
   slab_free,          slab_create,         slab_destroy,      slab_alloc_st,      slab_free_st,
};
