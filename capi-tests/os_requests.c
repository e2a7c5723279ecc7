/* SPDX-License-Identifier: MIT */
#include "os_requests.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Threads may make requests at the same time, if none is to fail. */
static unsigned made, failed;
static size_t bytes_held;
static unsigned fail_number; /* 0: none */
static bool fail_sticky;

void
os_count_from_here(void)
{
   made = failed = 0;
   fail_number = 0;
   bytes_held = 0;
}

void
os_fail_request(unsigned number, bool sticky)
{
   fail_number = made + number;
   fail_sticky = sticky;
}

void
os_fail_nothing(void)
{
   fail_number = 0;
}

unsigned
os_requests_made(void)
{
   return made;
}

unsigned
os_requests_failed(void)
{
   return failed;
}

size_t
os_bytes_held(void)
{
   return bytes_held;
}

static bool
must_fail(unsigned number)
{
   if (fail_number == 0 || number < fail_number)
      return false;
   return fail_sticky || number == fail_number;
}

#ifdef __cplusplus
extern "C" {
#endif

/*
 * These go straight to the kernel: asking the dynamic linker for the next mmap may itself need
 * memory, and a sanitizer's own mmap would be found in its place.
 */

void *
mmap(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
   long result;

   if (flags & MAP_ANONYMOUS) {
      if (must_fail(__atomic_add_fetch(&made, 1, __ATOMIC_RELAXED))) {
         failed++;
         errno = ENOMEM;
         return MAP_FAILED;
      }
   }
#ifdef SYS_mmap2
   result = syscall(SYS_mmap2, address, length, protection, flags, file, offset >> 12);
#else
   result = syscall(SYS_mmap, address, length, protection, flags, file, offset);
#endif
   if ((flags & MAP_ANONYMOUS) && !(flags & MAP_FIXED) && result != -1)
      __atomic_add_fetch(&bytes_held, length, __ATOMIC_RELAXED);
   return (void *)(intptr_t)result;
}

int
munmap(void *address, size_t length)
{
   int result = (int)syscall(SYS_munmap, address, length);

   if (result == 0)
      __atomic_sub_fetch(&bytes_held, length, __ATOMIC_RELAXED);
   return result;
}

#ifdef __cplusplus
}
#endif
