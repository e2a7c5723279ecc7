// SPDX-License-Identifier: MIT
//! Files that the library writes, by the path that an environment variable gives.
//!
//! A process may have several copies of the library, which all read the same variable. So a file
//! begins with a mark of the process that wrote it, and a copy that finds the mark of its own
//! process takes the next name, with `.2` behind it, or `.3`. A file of another process is
//! replaced, as it may be from the last run.
//!
//! The mark is the number of the process and 32 bits that are others in each program that is
//! started: in a container, the number alone is often the same.

use core::ffi::{CStr, c_int};

use crate::base::line::Line;
use crate::sys::os;

/// So many names are tried.
const MOST: usize = 99;
/// The mark of a file lies in its first bytes.
pub(crate) const HEAD: usize = 64;

/// What is the same in all copies of the library in a process, and in no other process.
pub(crate) fn mark() -> [u8; 8] {
    let program = os::secret().wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize);
    let mut mark = [0; 8];
    mark[..4].copy_from_slice(&os::process_id().to_le_bytes());
    mark[4..].copy_from_slice(&((program >> (usize::BITS - 32)) as u32).to_le_bytes());
    mark
}

/// Creates a file, or empties it, and returns its descriptor; a negative number if that is not
/// possible. If the file at `path` begins with `head`, which has the mark in it, or with more
/// before that, another one is created, whose name `path` then is. The caller writes the head at
/// once: without it, another copy takes the file for one of another process.
pub(crate) fn create<const BYTES: usize>(path: &mut Line<BYTES>, head: &[u8]) -> c_int {
    let length = path.as_bytes().len();
    for number in 1..=MOST {
        path.cut(length);
        if number > 1 {
            path.text(".").decimal(number);
        }
        let end = path.as_bytes().len();
        path.bytes(&[0]);
        // SAFETY: it ends with its first 0: a path from a variable has none.
        let name = unsafe { CStr::from_bytes_with_nul_unchecked(path.as_bytes()) };
        let is_device = name.to_bytes().starts_with(b"/dev/");
        let mut first = [0; HEAD];
        let is_own = !is_device && {
            let read = os::read_head(name, &mut first);
            first[..read].windows(head.len()).any(|bytes| bytes == head)
        };
        if !is_own {
            let fd = os::create_file(name);
            path.cut(end);
            return fd;
        }
    }
    -1
}
