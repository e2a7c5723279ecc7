// SPDX-License-Identifier: MIT
//! The caller's errno, which no function of the library changes.
//!
//! Whatever calls the system keeps it meanwhile: fast paths call nothing, and pay nothing.

use core::ffi::c_int;

/// What errno was; it is that again when this is dropped.
pub(crate) struct Errno(c_int);

impl Errno {
    /// Keeps errno as it is.
    pub(crate) fn keep() -> Errno {
        Errno(errno())
    }
}

impl Drop for Errno {
    fn drop(&mut self) {
        let place = place();
        if !place.is_null() {
            // SAFETY: the word is the thread's own.
            unsafe { place.write(self.0) };
        }
    }
}

/// The number of the last error of this thread; 0 where it is not known.
pub(crate) fn errno() -> c_int {
    let place = place();
    // SAFETY: the word is the thread's own.
    if place.is_null() { 0 } else { unsafe { place.read() } }
}

/// Where it is, the thread's own; null where that is not known.
fn place() -> *mut c_int {
    #[cfg(any(target_os = "linux", target_os = "dragonfly"))]
    // SAFETY: always callable.
    return unsafe { libc::__errno_location() };
    #[cfg(any(target_os = "android", target_os = "openbsd", target_os = "netbsd"))]
    // SAFETY: always callable.
    return unsafe { libc::__errno() };
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    // SAFETY: always callable.
    return unsafe { libc::__error() };
    #[cfg(not(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "dragonfly",
        target_os = "openbsd",
        target_os = "netbsd"
    )))]
    core::ptr::null_mut()
}
