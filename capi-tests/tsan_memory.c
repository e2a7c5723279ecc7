/* SPDX-License-Identifier: MIT */
/*
 * A library built by rustc with ThreadSanitizer calls these in place of memset and its kin, so that
 * the runtime sees the access. Older runtimes do not define them, but they intercept memset and the
 * others, which comes to the same. Weak: a runtime that has them goes before.
 */
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

__attribute__((weak)) void *__tsan_memset(void *to, int value, size_t size);
__attribute__((weak)) void *__tsan_memcpy(void *to, const void *from, size_t size);
__attribute__((weak)) void *__tsan_memmove(void *to, const void *from, size_t size);

void *
__tsan_memset(void *to, int value, size_t size)
{
   return memset(to, value, size);
}

void *
__tsan_memcpy(void *to, const void *from, size_t size)
{
   return memcpy(to, from, size);
}

void *
__tsan_memmove(void *to, const void *from, size_t size)
{
   return memmove(to, from, size);
}

#ifdef __cplusplus
}
#endif
