// SPDX-License-Identifier: MIT
//! What a caller chooses when it makes a pool.

use core::ffi::{c_char, c_uint};
use core::mem::offset_of;

use super::heaps::slab_heap;
use crate::groups::options::Raw;

/// What a pool is to be like. What is zero is as with slab_create_parent().
#[repr(C)]
#[derive(Clone, Copy)]
pub struct slab_options {
    /// Set by the caller to sizeof(struct slab_options). Later versions add fields at the end: what
    /// a caller's struct does not have is zero; what this version does not know must be zero.
    pub struct_size: usize,
    /// Bytes of an object; 0 counts as 1.
    pub item_size: c_uint,
    /// A hint for how many objects are used at a time; 0 counts as 1.
    pub num_items: c_uint,
    /// For slab_create_parent_with(): objects are aligned to so many bytes, or to what
    /// slab_create_parent() says if that is more: 0, or a power of two up to 65536. An object takes
    /// a multiple of it.
    pub alignment: c_uint,
    /// 0.
    pub flags: c_uint,
    /// For statistics and reports, as for slab_set_name(); it is copied. NULL: no name.
    pub name: *const c_char,
    /// The heap that it is to be in (slab_create_heap()). NULL: that of the process.
    pub heap: *mut slab_heap,
}

const _: () = {
    assert!(size_of::<slab_options>() == size_of::<Raw>());
    assert!(offset_of!(slab_options, item_size) == offset_of!(Raw, item_size));
    assert!(offset_of!(slab_options, num_items) == offset_of!(Raw, num_items));
    assert!(offset_of!(slab_options, alignment) == offset_of!(Raw, alignment));
    assert!(offset_of!(slab_options, flags) == offset_of!(Raw, flags));
    assert!(offset_of!(slab_options, name) == offset_of!(Raw, name));
    assert!(offset_of!(slab_options, heap) == offset_of!(Raw, heap));
};
