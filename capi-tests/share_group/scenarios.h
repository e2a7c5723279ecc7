/* SPDX-License-Identifier: MIT */
#ifndef SCENARIOS_H
#define SCENARIOS_H

#include "pool_ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What contexts of a share group do to each other's buffers. Each runs to its end or ends the process. */
struct scenario {
   const char *name;
   const char *what;
   void (*run)(const struct pool_ops *ops);
};

extern const struct scenario scenarios[];
extern const unsigned scenario_count;

/* NULL if there is none of that name. */
const struct scenario *scenario_find(const char *name);

#ifdef __cplusplus
}
#endif

#endif
