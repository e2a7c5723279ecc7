/* SPDX-License-Identifier: MIT */
#ifndef CLASSIC_LOCK_H
#define CLASSIC_LOCK_H

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * A mutex of one futex word, as drivers use it today: cheaper than pthread_mutex_t when nobody
 * waits, so that the baseline is not slow for the sake of its lock.
 */
enum { LOCK_FREE, LOCK_HELD, LOCK_WAITED_FOR };

struct classic_lock {
   unsigned state;
};

static inline void
lock_acquire(struct classic_lock *lock)
{
   unsigned seen = LOCK_FREE;

   if (__builtin_expect(
          __atomic_compare_exchange_n(&lock->state, &seen, LOCK_HELD, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED), 1))
      return;
   /* Whoever has slept cannot know if others still do, and leaves the lock marked as waited for. */
   while (__atomic_exchange_n(&lock->state, LOCK_WAITED_FOR, __ATOMIC_ACQUIRE) != LOCK_FREE)
      syscall(SYS_futex, &lock->state, FUTEX_WAIT_PRIVATE, LOCK_WAITED_FOR, NULL, NULL, 0);
}

static inline void
lock_release(struct classic_lock *lock)
{
   if (__builtin_expect(__atomic_exchange_n(&lock->state, LOCK_FREE, __ATOMIC_RELEASE) == LOCK_WAITED_FOR, 0))
      syscall(SYS_futex, &lock->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#endif
