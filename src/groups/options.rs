// SPDX-License-Identifier: MIT
//! What a caller chooses when it makes a group.

use core::ffi::{CStr, c_char, c_uint, c_void};
use core::ptr;

use crate::base::geometry::NAME_BYTES;
use crate::heap::Home;
use crate::hooks;

/// What `struct slab_options` is.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Raw {
    pub(crate) struct_size: usize,
    pub(crate) item_size: c_uint,
    pub(crate) num_items: c_uint,
    pub(crate) alignment: c_uint,
    pub(crate) flags: c_uint,
    pub(crate) name: *const c_char,
    pub(crate) heap: *mut c_void,
}

/// See the head of this file.
pub(crate) struct Options<'a> {
    pub(crate) item_size: u32,
    pub(crate) num_items: u32,
    /// Empty if there is none.
    pub(crate) name: &'a [u8],
    pub(crate) home: Home,
}

impl<'a> Options<'a> {
    /// Reads options as far as their `struct_size` goes; what is beyond counts as 0. None, with a
    /// report of `function`, if there is something in them that it does not know.
    ///
    /// # Safety
    /// They are null, or so many bytes are readable and the name is a string for `'a`, or null.
    pub(crate) unsafe fn read(function: &str, options: *const Raw) -> Option<Options<'a>> {
        if options.is_null() {
            return Some(Options { item_size: 0, num_items: 0, name: &[], home: Home::PROCESS });
        }
        // SAFETY: the caller's promise; zeroes are such options.
        unsafe {
            let mut raw = core::mem::zeroed::<Raw>();
            let bytes = (*options).struct_size.min(size_of::<Raw>());
            ptr::copy_nonoverlapping(options.cast::<u8>(), (&raw mut raw).cast(), bytes);
            let home = Home::named(raw.heap);
            let problem = if bytes < size_of::<usize>() {
                "options whose struct_size is not set"
            } else if raw.flags != 0 {
                "options with flags that are not known"
            } else if raw.alignment != 0 {
                "options with an alignment, which is not chosen here"
            } else if let Some(home) = home {
                let Raw { item_size, num_items, name, .. } = raw;
                let name = if name.is_null() { &[] } else { CStr::from_ptr(name).to_bytes() };
                return Some(Options { item_size, num_items, name, home });
            } else {
                "options with a heap that does not exist"
            };
            hooks::report(function, None, options.addr(), problem);
            None
        }
    }
}

/// A name, in memory of a group.
pub(super) struct Name {
    bytes: [u8; NAME_BYTES],
    length: usize,
}

impl Name {
    /// A copy, which is cut to [`NAME_BYTES`].
    pub(super) fn of(text: &[u8]) -> Name {
        let mut bytes = [0; NAME_BYTES];
        let length = text.len().min(NAME_BYTES);
        bytes[..length].copy_from_slice(&text[..length]);
        Name { bytes, length }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
