// SPDX-License-Identifier: MIT
//! The names of parent pools, and in some modes how many children they have.
//!
//! A name lies in a block of the heap's and is found by the address of its pool, so that it can be
//! printed without touching the pool, whose memory may be gone. It ends with the pool, or when a
//! pool is created at the same address. A pool whose children are counted has one, which may be
//! empty.

use core::mem::size_of;
use core::{ptr, slice};

use super::locked::HeapLocked;
use crate::base::geometry::{NAME_BYTES, NAME_CLASS, magazine_bytes};
use crate::sys::sync::{reads, writes};

#[cfg(target_pointer_width = "64")]
type HalfWord = u32;
#[cfg(target_pointer_width = "32")]
type HalfWord = u16;

/// A name, in its list.
#[repr(C)]
pub(crate) struct Name {
    next: *mut Name,
    parent: usize,
    length: HalfWord,
    /// How many children in use the pool has; counted in the modes that report them.
    children: HalfWord,
    text: [u8; NAME_BYTES],
}

const _: () = assert!(size_of::<Name>() == magazine_bytes(NAME_CLASS));

impl Name {
    /// The bytes of the name. No reference to all of it: others write `next` under the heap's lock
    /// meanwhile.
    ///
    /// # Safety
    /// `this` is in the list for `'a`, and for as long its pool's lock is held, or the heap's.
    pub(crate) unsafe fn text<'a>(this: *const Name) -> &'a [u8] {
        reads(this);
        // SAFETY: the caller's promise; the first bytes of the text are written.
        unsafe { slice::from_raw_parts((&raw const (*this).text).cast(), (*this).length as usize) }
    }
}

/// All names.
///
/// | field of [`Name`] | written under | read under |
/// |---|---|---|
/// | `next`, `children` | the heap's lock | the same |
/// | `parent` | the heap's lock, before the name is in the list | the same |
/// | `length`, `text` | the heap's lock and the pool's | either |
pub(crate) struct Names {
    first: *mut Name,
}

impl Names {
    /// No names.
    pub(crate) const EMPTY: Names = Names { first: ptr::null_mut() };

    /// The name of a pool, or null.
    pub(crate) fn find(&self, parent: usize) -> *mut Name {
        let mut name = self.first;
        // SAFETY: the names in the list belong to the lock that is held.
        unsafe {
            while !name.is_null() && (*name).parent != parent {
                name = (*name).next;
            }
        }
        name
    }

    /// How many children a pool has, if they are counted.
    #[cfg(feature = "debug")]
    pub(crate) fn children(&self, parent: usize) -> usize {
        let name = self.find(parent);
        // SAFETY: the names in the list belong to the lock that is held.
        if name.is_null() { 0 } else { unsafe { (*name).children as usize } }
    }

    /// Counts one child more of a pool, or one less; not of a pool that has no name.
    #[cfg(feature = "debug")]
    pub(crate) fn count_child(&mut self, parent: usize, comes: bool) {
        let name = self.find(parent);
        if !name.is_null() {
            // SAFETY: as above.
            let children = unsafe { &mut (*name).children };
            *children = if comes { children.saturating_add(1) } else { children.saturating_sub(1) };
        }
    }

    /// Adds an empty name for a pool that has none.
    ///
    /// # Safety
    /// `block` is a block of the class for names that nothing else uses.
    pub(crate) unsafe fn add(&mut self, block: *mut u8, parent: usize) -> *mut Name {
        let name = block.cast::<Name>();
        // SAFETY: the caller's promise.
        unsafe {
            writes(name);
            (*name).next = self.first;
            (*name).parent = parent;
            (*name).length = 0;
            (*name).children = 0;
        }
        self.first = name;
        name
    }

    /// Takes the name of a pool out, and returns its block, if it has one.
    pub(crate) fn remove(&mut self, parent: usize) -> Option<*mut u8> {
        let mut link = &raw mut self.first;
        // SAFETY: the names in the list belong to the lock that is held.
        unsafe {
            while !(*link).is_null() {
                let name = *link;
                if (*name).parent == parent {
                    *link = (*name).next;
                    return Some(name.cast());
                }
                link = &raw mut (*name).next;
            }
        }
        None
    }
}

/// Writes a name.
///
/// # Safety
/// `name` is in the list, and its pool's lock is held.
pub(crate) unsafe fn set(name: *mut Name, text: &[u8], _lock: HeapLocked<'_>) {
    let length = text.len().min(NAME_BYTES);
    // SAFETY: the caller's promise.
    unsafe {
        writes(name);
        ptr::copy_nonoverlapping(text.as_ptr(), (&raw mut (*name).text).cast(), length);
        (*name).length = length as HalfWord;
    }
}
