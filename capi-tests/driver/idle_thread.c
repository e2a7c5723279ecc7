/* SPDX-License-Identifier: MIT */
#include "idle_thread.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *
sleep_on(void *unused)
{
   for (;;)
      pause();
   return unused;
}

void
start_idle_thread(void)
{
   pthread_t thread;

   if (pthread_create(&thread, NULL, sleep_on, NULL) != 0) {
      fprintf(stderr, "no thread can be started\n");
      exit(1);
   }
   pthread_detach(thread);
}
