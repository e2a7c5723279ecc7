/* SPDX-License-Identifier: MIT */
#include "own_process.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

bool
in_own_process_with(bool (*work)(void *data), void *data)
{
   int status;

   /* Or both processes would write what is still buffered. */
   fflush(NULL);

   pid_t child = fork();
   if (child < 0) {
      perror("fork");
      return false;
   }
   if (child == 0) {
      bool good = work(data);
      fflush(NULL);
      _exit(good ? 0 : 1);
   }

   if (waitpid(child, &status, 0) != child) {
      perror("waitpid");
      return false;
   }
   if (WIFSIGNALED(status))
      fprintf(stderr, "died of signal %d\n", WTERMSIG(status));
   return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct plain_work {
   bool (*work)(void);
};

static bool
call(void *data)
{
   return ((struct plain_work *)data)->work();
}

bool
in_own_process(bool (*work)(void))
{
   struct plain_work plain = {work};

   return in_own_process_with(call, &plain);
}

void *
shared_memory(size_t size)
{
   void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

   if (memory == MAP_FAILED) {
      perror("mmap");
      exit(1);
   }
   return memory;
}
