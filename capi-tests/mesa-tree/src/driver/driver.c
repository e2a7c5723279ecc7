/* SPDX-License-Identifier: MIT */
#include "util/slab.h"
#include "util/strings.h"

#include <stddef.h>
#include <string.h>

/* What others came to rely on: slab.h brings simple_mtx.h. */
static simple_mtx_t screen_lock;

__attribute__((visibility("default"))) unsigned
driver_run(void)
{
   struct slab_parent_pool transfers;
   struct slab_child_pool a, b;

   screen_lock.value = 0;
   slab_create_parent(&transfers, 96, 16);
   slab_create_child(&a, &transfers);
   slab_create_child(&b, &transfers);
   void *transfer = slab_alloc(&a);
   if (!transfer)
      return 0;
   memset(transfer, 1, 96);
   slab_destroy_child(&a);
   slab_free(&b, transfer);
   slab_destroy_child(&b);
   slab_destroy_parent(&transfers);
   return strlen(driver_name()) == 6 ? (unsigned)sizeof transfers : 0;
}
