/* SPDX-License-Identifier: MIT */

/*
 * A process with two drivers, one in C and one in Rust, each with a copy of the library of its own. First the one alone,
 * then both at the same time.
 */

#include "share_group.h"

#include <pthread.h>
#include <stdio.h>

enum { ROUNDS = 20 };

/* driver.rs */
void rust_share_group_run(void);

static void *
run_rust(void *data)
{
   (void)data;
   for (int round = 0; round < ROUNDS; round++)
      rust_share_group_run();
   return NULL;
}

int
main(int argc, char **argv)
{
   pthread_t thread;
   bool good = true;

   (void)argv;
   rust_share_group_run();
   if (argc > 1)
      return 0;
   if (pthread_create(&thread, NULL, run_rust, NULL) != 0) {
      fprintf(stderr, "both: no thread\n");
      return 1;
   }
   for (int round = 0; round < ROUNDS && good; round++)
      good = share_group_run();
   pthread_join(thread, NULL);
   return good ? 0 : 1;
}
