//! What a recording needs: a file, a clock, and the number of the process.

use core::ffi::{CStr, c_int, c_uint};

/// Creates a file, or empties it, and returns its descriptor; a negative number if that is not possible, or if the last
/// part of the path is a symbolic link.
pub fn create_file(path: &CStr) -> c_int {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: `path` is a string.
    unsafe { libc::open(path.as_ptr(), flags, 0o666 as c_uint) }
}

/// Closes a descriptor.
pub fn close_file(fd: c_int) {
    // SAFETY: always callable.
    unsafe { libc::close(fd) };
}

/// Microseconds since some moment.
pub fn microseconds() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable. Should the clock fail, time stands still, which is harmless.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}

/// The number of this process.
pub fn process_id() -> u32 {
    // SAFETY: always callable.
    unsafe { libc::getpid() as u32 }
}
