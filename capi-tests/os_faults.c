/* SPDX-License-Identifier: MIT */
/* The part of os_requests.h that is not memory and time. Each function fails as its manual says it may. */
#include "os_requests.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef int mutex_function(pthread_mutex_t *mutex);
typedef int init_function(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
typedef int action_function(int signal, const struct sigaction *action, struct sigaction *before);
typedef ssize_t pread_function(int file, void *text, size_t length, off_t place);
typedef int backtrace_function(void **frames, int most);
typedef void hook_function(void);
#ifdef __GLIBC__
typedef int atfork_function(hook_function *before, hook_function *parent, hook_function *child, void *object);
#else
typedef int atfork_function(hook_function *before, hook_function *parent, hook_function *child);
typedef long sysconf_function(int name);
typedef unsigned long auxiliary_function(unsigned long type);
#endif

/* Where the C library's own is. ISO C does not turn the address of an object into a function. */
static void
find(void *function, const char *name)
{
   void *address = dlsym(RTLD_NEXT, name);

   memcpy(function, &address, sizeof(address));
}

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __GLIBC__
/* The C library's other names for them. */
long __sysconf(int name);
unsigned long __getauxval(unsigned long type);

/* What pthread_atfork is, in each object that calls it. */
int __register_atfork(hook_function *before, hook_function *parent, hook_function *child, void *object);

static long
next_sysconf(int name)
{
   return __sysconf(name);
}

static unsigned long
next_getauxval(unsigned long type)
{
   return __getauxval(type);
}
#else
static long
next_sysconf(int name)
{
   sysconf_function *next;

   find(&next, "sysconf");
   return next(name);
}

static unsigned long
next_getauxval(unsigned long type)
{
   auxiliary_function *next;

   find(&next, "getauxval");
   return next(type);
}
#endif

long
sysconf(int name)
{
   if (name == _SC_PAGESIZE && os_count_call(os_sysconf, __builtin_return_address(0))) {
      errno = EINVAL;
      return -1;
   }
   return next_sysconf(name);
}

/* Fails for lack of memory to split a mapping, or if there are as many as there may be. */
int
mprotect(void *address, size_t length, int protection)
{
   if (os_count_call(os_mprotect, __builtin_return_address(0))) {
      errno = ENOMEM;
      return -1;
   }
   return (int)syscall(SYS_mprotect, address, length, protection);
}

/* Its manual names no reason for the signals of faults; a filter of system calls may have one. */
int
sigaction(int signal, const struct sigaction *action, struct sigaction *before)
{
   action_function *next;

   if (os_count_call(os_sigaction, __builtin_return_address(0))) {
      errno = EPERM;
      return -1;
   }
   find(&next, "sigaction");
   return next(signal, action, before);
}

/* As if the kernel said nothing of it. */
unsigned long
getauxval(unsigned long type)
{
   bool of_library = type == AT_SECURE || type == AT_RANDOM;

   return of_library && os_count_call(os_getauxval, __builtin_return_address(0)) ? 0 : next_getauxval(type);
}

/* No frames. */
int
backtrace(void **frames, int most)
{
   backtrace_function *next;

   if (os_count_call(os_backtrace, __builtin_return_address(0)))
      return 0;
   find(&next, "backtrace");
   return next(frames, most);
}

/* The library locks by the C library's mutex, whose functions can fail, where ThreadSanitizer is: it looks for this. */
__attribute__((weak)) void
__tsan_init(void)
{
}

int
pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
   init_function *init;

   if (os_count_call(os_mutex_init, __builtin_return_address(0)))
      return ENOMEM;
   find(&init, "pthread_mutex_init");
   return init(mutex, attributes);
}

int
pthread_mutex_destroy(pthread_mutex_t *mutex)
{
   mutex_function *destroy;

   if (os_count_call(os_mutex_destroy, __builtin_return_address(0)))
      return EBUSY;
   find(&destroy, "pthread_mutex_destroy");
   return destroy(mutex);
}

int
pthread_mutex_trylock(pthread_mutex_t *mutex)
{
   mutex_function *trylock;

   if (os_count_call(os_mutex_trylock, __builtin_return_address(0)))
      return EBUSY;
   find(&trylock, "pthread_mutex_trylock");
   return trylock(mutex);
}

/*
 * The library registers its hooks as it is loaded, before main; so what decides whether that fails is how the program
 * was started.
 */
static bool
atfork_fails(const void *site)
{
   if (getenv("FAIL_ATFORK"))
      os_fail_call(os_atfork, 1, true);
   return os_count_call(os_atfork, site);
}

#ifdef __GLIBC__
int
__register_atfork(hook_function *before, hook_function *parent, hook_function *child, void *object)
{
   atfork_function *atfork;

   if (atfork_fails(__builtin_return_address(0)))
      return ENOMEM;
   find(&atfork, "__register_atfork");
   return atfork(before, parent, child, object);
}
#else
int
pthread_atfork(hook_function *before, hook_function *parent, hook_function *child)
{
   atfork_function *atfork;

   if (atfork_fails(__builtin_return_address(0)))
      return ENOMEM;
   find(&atfork, "pthread_atfork");
   return atfork(before, parent, child);
}
#endif

/*
 * Writes nothing, with an error; or without one, by returning 0, if the calls before that one were odd
 * in number.
 */
ssize_t
write(int file, const void *text, size_t length)
{
   if (os_count_call(os_write, __builtin_return_address(0))) {
      errno = EIO;
      return (os_calls_made(os_write) - os_calls_failed(os_write)) % 2 ? 0 : -1;
   }
   return syscall(SYS_write, file, text, length);
}

int
open(const char *path, int flags, ...)
{
   va_list arguments;
   unsigned mode;

   if (os_count_call(os_open, __builtin_return_address(0))) {
      errno = EMFILE;
      return -1;
   }
   va_start(arguments, flags);
   mode = flags & O_CREAT ? va_arg(arguments, unsigned) : 0;
   va_end(arguments);
   return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* As write: with an error, or at the end of the file. */
ssize_t
read(int file, void *text, size_t length)
{
   if (os_count_call(os_read, __builtin_return_address(0))) {
      errno = EIO;
      return (os_calls_made(os_read) - os_calls_failed(os_read)) % 2 ? 0 : -1;
   }
   return syscall(SYS_read, file, text, length);
}

/* With an error, as of a FIFO, or at the end of the file. */
ssize_t
pread(int file, void *text, size_t length, off_t place)
{
   pread_function *next;

   if (os_count_call(os_pread, __builtin_return_address(0))) {
      errno = ESPIPE;
      return (os_calls_made(os_pread) - os_calls_failed(os_pread)) % 2 ? 0 : -1;
   }
   find(&next, "pread");
   return next(file, text, length, place);
}

/* The file is closed all the same, as Linux does. */
int
close(int file)
{
   int result = (int)syscall(SYS_close, file);

   if (os_count_call(os_close, __builtin_return_address(0))) {
      errno = EIO;
      return -1;
   }
   return result;
}

#ifdef __cplusplus
}
#endif
