// SPDX-License-Identifier: MIT
//! The mutex of Linux: one word and futex(2), or the C library's mutex where a tool watches that
//! knows threads by it.
//!
//! A word takes half the time: a lock and an unlock of the C library's take 12 ns in a process with
//! threads, as they are calls to another library, which looks at the mutex's type. ThreadSanitizer,
//! helgrind and drd see the C library's functions. Which of the two it is, is found out once,
//! before the first mutex of the process is used, and so is the same for all. Both are free when
//! their bytes are zero.

use core::ptr;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::pthread_mutex as pthread;
use super::word_mutex as word;
use crate::sys::valgrind;

/// Room for either.
pub(crate) type RawMutex = pthread::RawMutex;

/// A mutex that needs no initialisation at run time.
pub(crate) const RAW_MUTEX: RawMutex = pthread::RAW_MUTEX;

const _: () = assert!(size_of::<word::RawMutex>() <= size_of::<RawMutex>());
const _: () = assert!(align_of::<word::RawMutex>() <= align_of::<RawMutex>());

const UNKNOWN: u8 = 0;
const ALONE: u8 = 1;
const WATCHED: u8 = 2;

/// Whether a tool watches. Relaxed: threads that look for themselves find the same.
static TOOL: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Whether a tool watches that knows threads by their mutexes.
#[inline(always)]
pub(crate) fn is_watched() -> bool {
    match TOOL.load(Relaxed) {
        ALONE => false,
        WATCHED => true,
        _ => look(),
    }
}

#[cold]
#[inline(never)]
fn look() -> bool {
    let valgrind = valgrind::request(valgrind::RUNNING, 0, 0, 0) != 0;
    if valgrind {
        // Threads may look at the same time.
        valgrind::atomic((&raw const TOOL).addr(), size_of::<AtomicU8>());
    }
    let there = valgrind || has_thread_sanitizer();
    TOOL.store(if there { WATCHED } else { ALONE }, Relaxed);
    there
}

// Weak, so that nothing more has to be linked: 0 where the program has no ThreadSanitizer. So is the
// word itself, as a program may have two copies of the library, one of C and one of Rust.
#[cfg(target_pointer_width = "64")]
core::arch::global_asm!(
    ".weak __tsan_init",
    ".pushsection .data.rel.mesa_slab_tsan, \"aw\"",
    ".balign 8",
    ".weak mesa_slab_tsan",
    ".hidden mesa_slab_tsan",
    "mesa_slab_tsan: .quad __tsan_init",
    ".popsection",
);
#[cfg(target_pointer_width = "32")]
core::arch::global_asm!(
    ".weak __tsan_init",
    ".pushsection .data.rel.mesa_slab_tsan, \"aw\"",
    ".balign 4",
    ".weak mesa_slab_tsan",
    ".hidden mesa_slab_tsan",
    "mesa_slab_tsan: .long __tsan_init",
    ".popsection",
);

unsafe extern "C" {
    static mesa_slab_tsan: usize;
}

fn has_thread_sanitizer() -> bool {
    // SAFETY: the word is written by the loader before any code runs.
    unsafe { ptr::read_volatile(&raw const mesa_slab_tsan) != 0 }
}

/// Makes a mutex in uninitialised memory.
///
/// # Safety
/// `mutex` is writable, and no thread uses it.
pub(crate) unsafe fn init_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    unsafe {
        if is_watched() {
            pthread::init_mutex(mutex);
        } else {
            word::init_mutex(mutex.cast());
        }
    }
}

/// Ends a mutex.
///
/// # Safety
/// `mutex` is initialised, unlocked, and no thread uses it.
pub(crate) unsafe fn destroy_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    unsafe {
        if is_watched() {
            pthread::destroy_mutex(mutex);
        } else {
            word::destroy_mutex(mutex.cast());
        }
    }
}

/// Locks.
///
/// # Safety
/// `mutex` is initialised, and this thread does not hold it.
#[inline]
pub(crate) unsafe fn lock_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    unsafe {
        if is_watched() {
            pthread::lock_mutex(mutex);
        } else {
            word::lock_mutex(mutex.cast());
        }
    }
}

/// Locks if nobody else holds the mutex, and returns whether it did.
///
/// # Safety
/// As for [`lock_mutex`].
#[inline]
pub(crate) unsafe fn try_lock_mutex(mutex: *mut RawMutex) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        if is_watched() {
            pthread::try_lock_mutex(mutex)
        } else {
            word::try_lock_mutex(mutex.cast())
        }
    }
}

/// Unlocks.
///
/// # Safety
/// This thread holds `mutex`.
#[inline]
pub(crate) unsafe fn unlock_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    unsafe {
        if is_watched() {
            pthread::unlock_mutex(mutex);
        } else {
            word::unlock_mutex(mutex.cast());
        }
    }
}
