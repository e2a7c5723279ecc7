// SPDX-License-Identifier: MIT
//! The C ABI behind `include/slab_inline.h`: the slow paths, under names that carry the version of
//! the layout.
//!
//! The number rises with any change to what that header knows: the magazines, the fields of a child
//! pool, and where owner words are found.

use core::ffi::c_void;

use crate::abi::slab::slab_child_pool;
use crate::pool::child;

/// slab_alloc() when the loaded magazine is empty.
///
/// # Safety
/// As for [`crate::abi::slab::slab_alloc`], and the loaded magazine is empty or there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_alloc_layout_2(pool: *mut slab_child_pool) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { child::alloc_slow(&mut *pool.cast()) }
}

/// slab_free() when the loaded magazine is full or the object is not of the pool's parent.
///
/// # Safety
/// As for [`crate::abi::slab::slab_free`], and one of the two holds, or the object is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_free_layout_2(pool: *mut slab_child_pool, ptr: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { child::free_slow(&mut *pool.cast(), ptr.cast()) }
}
