// SPDX-License-Identifier: MIT
//! SLAB_STATS: where numbers are written when the program ends, or the library is unloaded.
//!
//! The variable is read when the library is loaded: a program may change its directory, its
//! environment or its root meanwhile. `stderr` and the names that a system gives to open
//! descriptors, as `/dev/stdout`, are these descriptors. Every other path is one of a file, which
//! is created then ([`crate::watch::own_file`]).
//!
//! A forked process that ends by itself would write over its parent's file; so it writes only what
//! is its own: a path with `%p` in it, a device, or a descriptor.

use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use crate::base::line::{Line, Text};
use crate::inspect::gone;
use crate::inspect::print::{Format, file_head, print_to};
use crate::sys::os;
use crate::watch::{own_file, report};

/// As long as a path may be.
const MOST: usize = 4096;

struct Pattern(UnsafeCell<[u8; MOST]>);

// SAFETY: written when the library is loaded, and from then on only read.
unsafe impl Sync for Pattern {}

static PATTERN: Pattern = Pattern(UnsafeCell::new([0; MOST]));
// Relaxed: as above.
static LENGTH: AtomicUsize = AtomicUsize::new(0);
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Where numbers go that are for an open descriptor.
fn descriptor(path: &[u8]) -> Option<c_int> {
    let number = match path {
        b"stderr" | b"/dev/stderr" => b"2",
        b"/dev/stdout" => b"1",
        _ => path.strip_prefix(b"/dev/fd/").or(path.strip_prefix(b"/proc/self/fd/"))?,
    };
    core::str::from_utf8(number).ok()?.parse().ok()
}

/// To be called when the library is loaded.
pub(super) fn at_load() {
    let Some(path) = os::variable(c"SLAB_STATS").filter(|path| !path.is_empty()) else { return };
    let path = path.to_bytes();
    gone::begin();
    // SAFETY: the library is being loaded, so nobody reads it.
    let pattern = unsafe { &mut *PATTERN.0.get() };
    let length = if descriptor(path).is_some() {
        pattern.get_mut(..path.len()).map(|place| {
            place.copy_from_slice(path);
            path.len()
        })
    } else {
        os::absolute(path, pattern)
    };
    match length {
        None => report::cannot_write("statistics", path),
        Some(length) => {
            PROCESS.store(os::process_id(), Relaxed);
            LENGTH.store(length, Relaxed);
        }
    }
}

/// To be called when the program ends, or the library is unloaded.
pub(super) fn write() {
    // SAFETY: it was written when the library was loaded.
    let pattern = unsafe { &(&*PATTERN.0.get())[..LENGTH.load(Relaxed)] };
    if pattern.is_empty() {
        return;
    }
    let format = if pattern.ends_with(b".json") { Format::Json } else { Format::Table };
    if let Some(fd) = descriptor(pattern) {
        print_to(fd, &[], format);
        return;
    }
    let process = os::process_id();
    let is_own = PROCESS.load(Relaxed) == process
        || pattern.starts_with(b"/dev/")
        || pattern.windows(2).any(|two| two == b"%p");
    if !is_own {
        return;
    }
    let mut path = Line::<MOST>::empty();
    let mut head = Text::empty();
    file_head(&mut head, format, own_file::mark());
    let fits = path.path(pattern, process as usize);
    let fd = if fits { own_file::create(&mut path, head.as_bytes()) } else { -1 };
    let written = fd >= 0 && print_to(fd, head.as_bytes(), format);
    if fd >= 0 {
        os::close_file(fd);
    }
    if !written {
        report::cannot_write("statistics", path.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::descriptor;

    #[test]
    fn names_of_open_descriptors_are_known() {
        assert_eq!(descriptor(b"stderr"), Some(2));
        assert_eq!(descriptor(b"/dev/stderr"), Some(2));
        assert_eq!(descriptor(b"/dev/stdout"), Some(1));
        assert_eq!(descriptor(b"/dev/fd/17"), Some(17));
        assert_eq!(descriptor(b"/proc/self/fd/3"), Some(3));
        for path in ["/dev/fd/", "/dev/fd/1x", "/dev/null", "stdout", "/dev/stderr.json"] {
            assert_eq!(descriptor(path.as_bytes()), None, "{path}");
        }
    }
}
