/* SPDX-License-Identifier: MIT */
#include "memory_gate.h"

#include "must.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * The other thread can go no further when its call has returned, or when it sleeps in it, which is seen
 * in /proc. It also sleeps for moments when it waits for a tool's own lock, so it has to be seen asleep
 * many times in a row.
 */
enum { asleep_in_a_row = 30, step_nanoseconds = 5000000 };

static _Thread_local int armed;
static int reached; /* a thread is at the gate, or it is open */
static long other;  /* its thread id, 0 before it begins, -1 when it has ended */

static const struct timespec step = {0, step_nanoseconds};

void
gate_arm(void)
{
   armed = 1;
}

void
gate_open(void)
{
   armed = 0;
   __atomic_store_n(&reached, 1, __ATOMIC_SEQ_CST);
}

void
gate_wait(void)
{
   while (!__atomic_load_n(&reached, __ATOMIC_SEQ_CST))
      nanosleep(&step, NULL);
}

void
gate_other_begins(void)
{
   __atomic_store_n(&other, syscall(SYS_gettid), __ATOMIC_SEQ_CST);
}

void
gate_other_ends(void)
{
   __atomic_store_n(&other, -1, __ATOMIC_SEQ_CST);
}

/* Whether a thread of this process sleeps. Its state stands behind its name, which is in brackets. */
static int
sleeps(long thread)
{
   char path[60], stat[200];
   const char *bracket;
   ssize_t length;
   int file;

   snprintf(path, sizeof(path), "/proc/self/task/%ld/stat", thread);
   file = open(path, O_RDONLY);
   MUST(file >= 0);
   length = read(file, stat, sizeof(stat) - 1);
   close(file);
   MUST(length > 0);
   stat[length] = 0;
   bracket = strrchr(stat, ')');
   MUST(bracket);
   return bracket[1] == ' ' && bracket[2] == 'S';
}

static void
stay_at_gate(void)
{
   int asleep = 0;

   gate_open();
   while (asleep < asleep_in_a_row) {
      long thread = __atomic_load_n(&other, __ATOMIC_SEQ_CST);

      if (thread == -1)
         return;
      asleep = thread != 0 && sleeps(thread) ? asleep + 1 : 0;
      nanosleep(&step, NULL);
   }
}

#ifdef MISUSE_CLASSIC

/* What the 2016 design is compiled to call for malloc. */
void *gate_malloc(size_t size);

void *
gate_malloc(size_t size)
{
   if (armed)
      stay_at_gate();
   return malloc(size);
}

#else

/* The program's own mmap, which the library is bound to. It asks the kernel itself, so that it works
 * before a tool is ready. */
void *
mmap(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
   if (armed && (flags & MAP_ANONYMOUS))
      stay_at_gate();
#ifdef SYS_mmap2
   return (void *)(intptr_t)syscall(SYS_mmap2, address, length, protection, flags, file, offset >> 12);
#else
   return (void *)(intptr_t)syscall(SYS_mmap, address, length, protection, flags, file, offset);
#endif
}

#endif
