/* SPDX-License-Identifier: MIT */
#ifndef PRIVATE_DRIVER_H
#define PRIVATE_DRIVER_H

#include "slab.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the driver in private_driver.c gives out: the functions of its own copy of the library. */
struct private_driver {
   void (*create)(struct slab_mempool *, unsigned, unsigned);
   void (*destroy)(struct slab_mempool *);
   void *(*alloc)(struct slab_mempool *);
   void (*release)(struct slab_mempool *, void *);
};

void private_driver_open(struct private_driver *driver);

#ifdef __cplusplus
}
#endif

#endif
