// SPDX-License-Identifier: MIT
//! The caller's errno, which no function of the library changes.
//!
//! Whatever calls the system keeps it meanwhile: fast paths call nothing, and pay nothing.

use core::ffi::c_int;

use super::system::errno_place;

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
        let place = errno_place();
        if !place.is_null() {
            // SAFETY: the word is the thread's own.
            unsafe { place.write(self.0) };
        }
    }
}

/// The number of the last error of this thread; 0 where it is not known.
pub(crate) fn errno() -> c_int {
    let place = errno_place();
    // SAFETY: the word is the thread's own.
    if place.is_null() { 0 } else { unsafe { place.read() } }
}
