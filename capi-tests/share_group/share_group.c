/* SPDX-License-Identifier: MIT */
/*
 * A share group of GL contexts on one of two allocators:
 *
 *    share_group --pool old|slab [SCENARIO...]
 *
 * The scenarios (own, destroyed, threads, churn; all if none is named) run one after the other. With
 * slab all end well:
 *
 *    cmake -S capi-tests -B build && cmake --build build && build/share_group-shared-c11 --pool slab
 *
 * With the old pool, all but own use a transfer after the memory of its pool was freed; built with
 * -fsanitize=address, which share_group_old-asan-* always is, that is caught in the unmap:
 *
 *    build/share_group_old-asan-c11 --pool old destroyed
 *
 * share_group_old-asan-* has only the old pool in it and is not linked with the library.
 */
#include "gl_model.h"
#include "pool_ops.h"
#include "scenarios.h"

#include <stdio.h>
#include <string.h>

/* Called by AddressSanitizer, in the thread that erred, before it reports. */
#ifdef __cplusplus
extern "C" {
#endif
void __asan_on_error(void);
#ifdef __cplusplus
}
#endif

void
__asan_on_error(void)
{
   fprintf(stderr, "share_group: error during %s\n", model_step());
}

static const struct pool_ops *
find_pool(const char *name)
{
   if (strcmp(name, old_pool_ops.name) == 0)
      return &old_pool_ops;
#ifndef ONLY_OLD_POOL
   if (strcmp(name, slab_pool_ops.name) == 0)
      return &slab_pool_ops;
#endif
   return NULL;
}

static void
run(const struct scenario *scenario, const struct pool_ops *ops)
{
   printf("%-4s  %-9s  %s: ", ops->name, scenario->name, scenario->what);
   fflush(stdout);
   scenario->run(ops);
   printf("ok\n");
}

int
main(int argc, char **argv)
{
   const struct pool_ops *ops = argc >= 3 && strcmp(argv[1], "--pool") == 0 ? find_pool(argv[2]) : NULL;
   int i;

   if (!ops) {
      fprintf(stderr, "usage: share_group --pool old|slab [SCENARIO...]\n");
      return 2;
   }
   for (i = 3; i < argc; i++) {
      if (!scenario_find(argv[i])) {
         fprintf(stderr, "share_group: no scenario %s\n", argv[i]);
         return 2;
      }
   }
   if (argc == 3) {
      unsigned all;
      for (all = 0; all < scenario_count; all++)
         run(&scenarios[all], ops);
   }
   for (i = 3; i < argc; i++)
      run(scenario_find(argv[i]), ops);
   return 0;
}
