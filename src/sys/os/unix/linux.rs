// SPDX-License-Identifier: MIT
//! Linux and Android.

use super::errno::Errno;
#[cfg(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64"))]
pub(crate) use super::linux_mutex::*;
// Where it is not known whether valgrind watches.
#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
pub(crate) use super::pthread_mutex::*;

pub(crate) const COARSE_CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_COARSE;

/// Takes the memory away from behind a range of address space, which stays reserved: its next use
/// finds zeroes. Returns whether it does: what is locked just stays.
///
/// # Safety
/// `start` and `bytes` are whole pages of the system's in a reservation, and nobody uses them.
#[inline(never)]
pub(crate) unsafe fn purge(start: *mut u8, bytes: usize) -> bool {
    let _errno = Errno::keep();
    // SAFETY: the caller's promise.
    unsafe { libc::madvise(start.cast(), bytes, libc::MADV_DONTNEED) == 0 }
}

/// Asks the system not to put huge pages behind a range of address space, where it knows such.
///
/// # Safety
/// `start` and `bytes` are whole pages of a reservation.
#[inline(never)]
pub(crate) unsafe fn without_huge_pages(start: *mut u8, bytes: usize) {
    let _errno = Errno::keep();
    // SAFETY: the caller's promise. A kernel without huge pages refuses, which is as well.
    unsafe { libc::madvise(start.cast(), bytes, libc::MADV_NOHUGEPAGE) };
}

/// Whether the program has more rights than its user.
pub(crate) fn is_privileged() -> bool {
    // SAFETY: always callable.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Sleeps until [`wake_one`], if the word has this value.
#[cfg(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64"))]
pub(crate) fn wait(word: &core::sync::atomic::AtomicU32, value: u32) {
    let no_timeout = core::ptr::null::<libc::timespec>();
    let _errno = Errno::keep();
    // SAFETY: the word exists for as long as the call.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            value,
            no_timeout,
        )
    };
}

/// Wakes one thread that sleeps on the word, if there is one.
#[cfg(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64"))]
#[cfg_attr(not(feature = "ext"), inline(never))]
pub(crate) fn wake_one(word: &core::sync::atomic::AtomicU32) {
    let _errno = Errno::keep();
    // SAFETY: the word is only an address to the kernel.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            1,
        )
    };
}
