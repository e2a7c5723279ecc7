// SPDX-License-Identifier: MIT
//! What a recording needs beside a file: a clock.

use super::Errno;

/// Microseconds since some moment.
#[inline(never)]
pub(crate) fn microseconds() -> u64 {
    let _errno = Errno::keep();
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable. Should the clock fail, time stands still, which is harmless.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}
