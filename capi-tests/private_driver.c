/* SPDX-License-Identifier: MIT */
/*
 * A driver as a shared object with the static library inside and its symbols hidden. It is built
 * twice under two names, so that one process can load two copies.
 */
#include "private_driver.h"

void
private_driver_open(struct private_driver *driver)
{
   driver->create = slab_create;
   driver->destroy = slab_destroy;
   driver->alloc = slab_alloc_st;
   driver->release = slab_free_st;
}
