// SPDX-License-Identifier: MIT
//! Objects of any size.
#![expect(
    clippy::missing_safety_doc,
    non_camel_case_types,
    reason = "the comments are the C header's, and say the contract; so are the names"
)]

use core::ffi::c_void;
use core::ptr;

use super::options::slab_options;
use crate::groups::options::Options;
use crate::groups::sizes::{self, Sizes, SizesChild};

/// Objects of any size: a parent pool for each class of sizes.
pub struct slab_sizes {
    _private: u8,
}

/// One user's cache of objects of any size: a child pool for each class of sizes.
pub struct slab_sizes_child {
    _private: u8,
}

/// Makes a set of pools for objects of any size: what a context allocates besides objects of its
/// own pools, in one place that goes with it.
///
/// Objects are in classes by their size. Between two sizes of up to 128 KiB there is at most an
/// eighth, or the 16 bytes that objects are aligned to (8 bytes up to a size of 8); see
/// slab_sizes_size(). A class is a parent pool with an ordinary child for each child of the set,
/// made when it is first used. Of `options`, which may be NULL, `name` and `heap` are used: all of
/// these pools have them. `alignment` and `flags` must be 0.
///
/// Returns NULL if there is no memory, or with a report if the options are not valid. It takes 4
/// KiB, and each class that is used 512 bytes.
///
/// Threading: any thread.
/// Ownership: the set is the caller's until slab_destroy_sizes(); the options stay the caller's.
/// cbindgen:prefix=SLAB_NODISCARD_
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_create_sizes(options: *const slab_options) -> *mut slab_sizes {
    // SAFETY: the caller passes NULL or options.
    let options = unsafe { Options::read("slab_create_sizes", options.cast()) };
    options.map_or(ptr::null_mut(), |options| Sizes::create(&options).cast())
}

/// Destroys a set of sizes and gives back the memory of its free objects.
///
/// Its children must be destroyed before. Objects that are still out stay valid, and each may still
/// be freed through any child of another set, and by slab_free().
///
/// Threading: no other call may use `sizes`, its children or its objects at the same time.
/// NULL: does nothing if `sizes` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_destroy_sizes(sizes: *mut slab_sizes) {
    if !sizes.is_null() {
        // SAFETY: the caller passes a set that no other call is using.
        unsafe { Sizes::destroy(sizes.cast()) }
    }
}

/// Makes a child of a set of sizes, for one user.
///
/// Returns NULL if there is no memory. It takes 128 bytes, and 256 for each eight classes in a row
/// that it uses.
///
/// Threading: any thread; `sizes` may be in use by others.
/// Ownership: the child is the caller's until slab_destroy_sizes_child(). `sizes` must exist for as
/// long.
/// NULL: `sizes` must not be NULL.
/// cbindgen:prefix=SLAB_NODISCARD_
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_create_sizes_child(sizes: *mut slab_sizes) -> *mut slab_sizes_child {
    // SAFETY: the caller passes a set.
    unsafe { SizesChild::create(sizes.cast()).cast() }
}

/// Destroys a child: the free objects that it holds go back to the set. What was allocated from it
/// stays valid.
///
/// Threading: no other call may use `child` at the same time; its set may be in use by others.
/// NULL: does nothing if `child` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_destroy_sizes_child(child: *mut slab_sizes_child) {
    if !child.is_null() {
        // SAFETY: the caller passes a child that no other call is using.
        unsafe { SizesChild::destroy(child.cast()) }
    }
}

/// Allocates an object of `bytes` bytes; 0 counts as 1. Its contents are undefined.
///
/// It is aligned to 16 bytes, or to 8 if `bytes` is at most 8.
///
/// Returns NULL if there is no memory, or for 4 GiB and more; every pool and every object stays
/// usable then.
///
/// Threading: no other call may use `child` at the same time.
/// Ownership: the object is the caller's until slab_sizes_free(), and outlives `child`.
/// NULL: `child` must not be NULL.
/// cbindgen:prefix=SLAB_NODISCARD_
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_sizes_alloc(
    child: *mut slab_sizes_child,
    bytes: usize,
) -> *mut c_void {
    // SAFETY: the caller passes a child that no other call is using.
    unsafe { SizesChild::alloc(child.cast(), bytes) }
}

/// The same as slab_sizes_alloc(), with `bytes` bytes set to 0.
/// cbindgen:prefix=SLAB_NODISCARD_
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_sizes_zalloc(
    child: *mut slab_sizes_child,
    bytes: usize,
) -> *mut c_void {
    // SAFETY: as for slab_sizes_alloc().
    unsafe { SizesChild::zalloc(child.cast(), bytes) }
}

/// Frees an object.
///
/// `child` may be any child of the set, at the same cost. It may also be one of another set, and
/// `ptr` an object of any pool: then that one's lock is taken. What slab_free() says of misuse
/// holds here as well.
///
/// Threading: no other call may use `child` at the same time. If the object is not of the child's
/// set, its own must still exist, or must have been destroyed by slab_destroy_sizes().
/// NULL: `child` must not be NULL; does nothing if `ptr` is NULL.
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_sizes_free(child: *mut slab_sizes_child, ptr: *mut c_void) {
    // SAFETY: the caller passes a child that no other call is using, and NULL or an object.
    unsafe { SizesChild::free(child.cast(), ptr) }
}

/// How many bytes an object has, all of which may be used: those that it was allocated with,
/// rounded up to its class.
///
/// `ptr` is an object of any set of sizes or of any pool, whose item_size it is then. Returns 0 for
/// an address in memory that the library does not have; of any other address slab_sizes_size() must
/// not be asked.
///
/// Threading: any thread, while the object is not freed.
/// NULL: returns 0 if `ptr` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_sizes_size(ptr: *const c_void) -> usize {
    // SAFETY: the caller passes NULL, an object, or what is in no chunk.
    unsafe { sizes::size(ptr.cast_mut().cast()) }
}
