// SPDX-License-Identifier: MIT
//! What an allocation gives if there is no memory.

use core::{error, fmt};

/// There is no memory for an object. Has what the object was to be made of.
///
/// Pools and objects stay as they are, and a later allocation may succeed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory<T>(pub T);

impl<T> fmt::Debug for OutOfMemory<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OutOfMemory")
    }
}

impl<T> fmt::Display for OutOfMemory<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of memory")
    }
}

impl<T> error::Error for OutOfMemory<T> {}
