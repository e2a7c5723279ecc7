/* SPDX-License-Identifier: MIT */
#include "os_requests.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct calls {
   unsigned made, failed, sites;
   unsigned fail_number; /* 0: none */
   bool sticky;
   struct os_site site[os_most_sites];
};

struct counts {
   struct calls calls[os_functions];
   size_t bytes_held;
   pid_t process; /* whose bytes these are, if the counts are shared */
   unsigned seconds;
};

static struct counts own_counts;
static struct counts *counts = &own_counts;

void
os_count_from_here(void)
{
   memset(counts->calls, 0, sizeof(counts->calls));
   counts->bytes_held = 0;
   counts->process = getpid();
}

/* Notes memory that was mapped, or unmapped. What a forked process unmaps, its parent still has. */
static void
hold(size_t length, int sign)
{
   if (counts != &own_counts && counts->process != getpid())
      return;
   __atomic_add_fetch(&counts->bytes_held, sign < 0 ? 0 - length : length, __ATOMIC_RELAXED);
}

void
os_fail_call(enum os_function function, unsigned number, bool sticky)
{
   struct calls *calls = &counts->calls[function];

   __atomic_store_n(&calls->sticky, sticky, __ATOMIC_RELAXED);
   __atomic_store_n(&calls->fail_number, os_calls_made(function) + number, __ATOMIC_RELAXED);
}

void
os_fail_request(unsigned number, bool sticky)
{
   os_fail_call(os_mmap, number, sticky);
}

void
os_fail_nothing(void)
{
   unsigned function;

   for (function = 0; function < os_functions; function++)
      __atomic_store_n(&counts->calls[function].fail_number, 0, __ATOMIC_RELAXED);
}

unsigned
os_calls_made(enum os_function function)
{
   return __atomic_load_n(&counts->calls[function].made, __ATOMIC_RELAXED);
}

unsigned
os_call_sites(enum os_function function, const struct os_site **sites)
{
   *sites = counts->calls[function].site;
   return counts->calls[function].sites;
}

const char *
os_function_name(enum os_function function)
{
   static const char *const names[] = {
      "mmap",
      "munmap",
      "madvise",
      "clock_gettime",
      "mprotect",
      "sysconf",
      "sigaction",
      "pthread_mutex_init",
      "pthread_mutex_destroy",
      "pthread_mutex_trylock",
      "pthread_atfork",
      "write",
      "open",
      "read",
      "pread",
      "close",
      "backtrace",
      "getauxval",
   };
   typedef char one_for_each[sizeof(names) / sizeof(names[0]) == os_functions ? 1 : -1];

   (void)sizeof(one_for_each);
   return names[function];
}

unsigned
os_calls_failed(enum os_function function)
{
   return __atomic_load_n(&counts->calls[function].failed, __ATOMIC_RELAXED);
}

unsigned
os_requests_made(void)
{
   return os_calls_made(os_mmap);
}

unsigned
os_requests_failed(void)
{
   return os_calls_failed(os_mmap);
}

size_t
os_bytes_held(void)
{
   return counts->bytes_held;
}

void
os_pass_time(unsigned seconds)
{
   __atomic_add_fetch(&counts->seconds, seconds, __ATOMIC_RELAXED);
}

/* Where the call was noted, or NULL if there were too many places. */
static struct os_site *
note_site(struct calls *calls, const void *address, unsigned number)
{
   unsigned i;

   for (i = 0; i < calls->sites; i++) {
      if (calls->site[i].address == address)
         return &calls->site[i];
   }
   if (calls->sites == os_most_sites)
      return NULL;
   calls->site[i].address = address;
   calls->site[i].first = number;
   calls->sites++;
   return &calls->site[i];
}

enum { no_stall = -1 };

static int stall_in = no_stall; /* the function of which the next call is to wait */
static int is_stalled;

static void
look_again(void)
{
   struct timespec moment = {0, 1000000};

   syscall(SYS_nanosleep, &moment, NULL);
}

void
os_stall_call(enum os_function function)
{
   __atomic_store_n(&stall_in, (int)function, __ATOMIC_RELEASE);
}

void
os_wait_for_stall(void)
{
   while (!__atomic_load_n(&is_stalled, __ATOMIC_ACQUIRE))
      look_again();
}

void
os_go_on(void)
{
   __atomic_store_n(&is_stalled, 0, __ATOMIC_RELEASE);
}

static void
stall_if_asked(enum os_function function)
{
   int asked = (int)function;

   if (!__atomic_compare_exchange_n(&stall_in, &asked, (int)no_stall, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
      return;
   __atomic_store_n(&is_stalled, 1, __ATOMIC_RELEASE);
   while (__atomic_load_n(&is_stalled, __ATOMIC_ACQUIRE))
      look_again();
}

bool
os_count_call(enum os_function function, const void *address)
{
   struct calls *calls = &counts->calls[function];
   unsigned number = __atomic_add_fetch(&calls->made, 1, __ATOMIC_RELAXED);
   unsigned fail_number = __atomic_load_n(&calls->fail_number, __ATOMIC_RELAXED);
   /* Shared counts are of one thread. */
   struct os_site *site = counts != &own_counts ? note_site(calls, address, number) : NULL;

   stall_if_asked(function);
   if (fail_number == 0 || number < fail_number)
      return false;
   if (number != fail_number && !__atomic_load_n(&calls->sticky, __ATOMIC_RELAXED))
      return false;
   __atomic_add_fetch(&calls->failed, 1, __ATOMIC_RELAXED);
   if (site)
      site->failed++;
   return true;
}

#ifdef __cplusplus
extern "C" {
#endif

/*
 * These go straight to the kernel: asking the dynamic linker for the next mmap may itself need
 * memory, and a sanitizer's own mmap would be found in its place.
 */

static long
map(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
#ifdef SYS_mmap2
   return syscall(SYS_mmap2, address, length, protection, flags, file, offset >> 12);
#else
   return syscall(SYS_mmap, address, length, protection, flags, file, offset);
#endif
}

void *
mmap(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
   long result;

   if ((flags & MAP_ANONYMOUS) && os_count_call(os_mmap, __builtin_return_address(0))) {
      errno = ENOMEM;
      return MAP_FAILED;
   }
   result = map(address, length, protection, flags, file, offset);
   if ((flags & MAP_ANONYMOUS) && !(flags & MAP_FIXED) && result != -1)
      hold(length, 1);
   return (void *)(intptr_t)result;
}

#if defined(__GLIBC__) && __SIZEOF_POINTER__ == 8
/* Not the library's: the Rust runtime's, which gives it back with munmap. */
void *
mmap64(void *address, size_t length, int protection, int flags, int file, off64_t offset)
{
   long result = map(address, length, protection, flags, file, offset);

   if ((flags & MAP_ANONYMOUS) && !(flags & MAP_FIXED) && result != -1)
      hold(length, 1);
   return (void *)(intptr_t)result;
}
#endif

/* Fails for lack of memory to split a mapping. */
int
munmap(void *address, size_t length)
{
   int result;

   if (os_count_call(os_munmap, __builtin_return_address(0))) {
      errno = ENOMEM;
      return -1;
   }
   result = (int)syscall(SYS_munmap, address, length);
   if (result == 0)
      hold(length, -1);
   return result;
}

int
madvise(void *address, size_t length, int advice)
{
   if (os_count_call(os_madvise, __builtin_return_address(0))) {
      errno = EAGAIN;
      return -1;
   }
   return (int)syscall(SYS_madvise, address, length, advice);
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
   int result;

   if ((clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_MONOTONIC) &&
       os_count_call(os_clock_gettime, __builtin_return_address(0))) {
      errno = EINVAL;
      return -1;
   }
   result = (int)syscall(SYS_clock_gettime, clock, now);
   if (clock == CLOCK_MONOTONIC_COARSE)
      now->tv_sec += (time_t)__atomic_load_n(&counts->seconds, __ATOMIC_RELAXED);
   return result;
}

#ifdef __cplusplus
}
#endif

void
os_share_counts(void)
{
   long page = map(NULL, sizeof(own_counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

   if (page == -1)
      return;
   counts = (struct counts *)(intptr_t)page;
   memcpy(counts, &own_counts, sizeof(own_counts));
}
