// SPDX-License-Identifier: MIT
//! FreeBSD, DragonFly, OpenBSD, NetBSD.

use super::errno::Errno;
#[cfg(target_os = "netbsd")]
pub(crate) use super::pthread_mutex::*;
#[cfg(not(target_os = "netbsd"))]
pub(crate) use super::word_mutex::*;

#[cfg(any(target_os = "freebsd", target_os = "dragonfly"))]
pub(crate) const COARSE_CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_FAST;
#[cfg(not(any(target_os = "freebsd", target_os = "dragonfly")))]
pub(crate) const COARSE_CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;

/// Lets the system take the memory away from behind a range of address space, which stays reserved:
/// its next use finds zeroes, or what was there. Returns whether it finds zeroes for certain.
///
/// MADV_DONTNEED keeps the contents on these systems.
///
/// # Safety
/// `start` and `bytes` are whole pages of the system's in a reservation, and nobody uses them.
pub(crate) unsafe fn purge(start: *mut u8, bytes: usize) -> bool {
    let _errno = Errno::keep();
    // SAFETY: the caller's promise. If it fails, the memory just stays.
    unsafe { libc::madvise(start.cast(), bytes, libc::MADV_FREE) };
    false
}

/// There is no such request: a huge page is made of pages that are in use.
///
/// # Safety
/// None is needed.
pub(crate) unsafe fn without_huge_pages(_start: *mut u8, _bytes: usize) {}

/// Whether the program has more rights than its user.
pub(crate) fn is_privileged() -> bool {
    // SAFETY: always callable.
    unsafe { libc::issetugid() != 0 }
}

#[cfg(not(target_os = "netbsd"))]
pub(crate) use word::{wait, wake_one};

/// Sleeping until a word changes.
#[cfg(not(target_os = "netbsd"))]
mod word {
    #[cfg(not(target_os = "dragonfly"))]
    use core::ptr;
    use core::sync::atomic::AtomicU32;

    /// Sleeps until [`wake_one`], if the word has this value. May also return for no reason.
    pub(crate) fn wait(word: &AtomicU32, value: u32) {
        let word = word.as_ptr();
        // SAFETY: the word exists for as long as the call.
        unsafe {
            #[cfg(target_os = "freebsd")]
            libc::_umtx_op(
                word.cast(),
                libc::UMTX_OP_WAIT_UINT_PRIVATE,
                value.into(),
                ptr::null_mut(),
                ptr::null_mut(),
            );
            #[cfg(target_os = "dragonfly")]
            libc::umtx_sleep(word.cast(), value as core::ffi::c_int, 0);
            #[cfg(target_os = "openbsd")]
            libc::futex(
                word,
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                value as core::ffi::c_int,
                ptr::null(),
                ptr::null_mut(),
            );
        }
    }

    /// Wakes one thread that sleeps on the word, if there is one.
    pub(crate) fn wake_one(word: &AtomicU32) {
        let word = word.as_ptr();
        // SAFETY: the word is only an address to the kernel.
        unsafe {
            #[cfg(target_os = "freebsd")]
            libc::_umtx_op(
                word.cast(),
                libc::UMTX_OP_WAKE_PRIVATE,
                1,
                ptr::null_mut(),
                ptr::null_mut(),
            );
            #[cfg(target_os = "dragonfly")]
            libc::umtx_wakeup(word.cast(), 1);
            #[cfg(target_os = "openbsd")]
            libc::futex(
                word,
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                1,
                ptr::null(),
                ptr::null_mut(),
            );
        }
    }
}
