// SPDX-License-Identifier: MIT
//! The names of pools.
//!
//! A name lies in a block of the heap's, is found from its pool's entry ([`super::pools`]), and ends
//! with the pool.
//!
//! | field | written under | read under |
//! |---|---|---|
//! | `length`, `text` | the heap's lock and the pool's mutex | either |

use core::mem::size_of;
use core::{ptr, slice};

use super::locked::HeapLocked;
use crate::base::geometry::{NAME_BYTES, NAME_CLASS, magazine_bytes};
use crate::base::layout::{Field, layout};
use crate::sys::sync::{reads, writes};

/// A name.
#[repr(C)]
pub(crate) struct Name {
    length: usize,
    text: [u8; NAME_BYTES],
}

/// For a walker outside of the process.
pub(crate) const LAYOUT: &[Field] = layout!("name", Name: length, text);

const _: () = assert!(size_of::<Name>() <= magazine_bytes(NAME_CLASS));

impl Name {
    /// The bytes of the name.
    ///
    /// # Safety
    /// `this` is a pool's name for `'a`, and for as long its pool's mutex is held, or the heap's
    /// lock.
    pub(crate) unsafe fn text<'a>(this: *const Name) -> &'a [u8] {
        reads(this);
        // SAFETY: the caller's promise; the first bytes of the text are written.
        unsafe { slice::from_raw_parts((&raw const (*this).text).cast(), (*this).length) }
    }

    /// Writes a name, cut to [`NAME_BYTES`].
    ///
    /// # Safety
    /// `this` is a block for names, and its pool's mutex is held.
    pub(super) unsafe fn set(this: *mut Name, text: &[u8], _lock: HeapLocked<'_>) {
        let length = text.len().min(NAME_BYTES);
        // SAFETY: the caller's promise.
        unsafe {
            writes(this);
            ptr::copy_nonoverlapping(text.as_ptr(), (&raw mut (*this).text).cast(), length);
            (*this).length = length;
        }
    }
}
