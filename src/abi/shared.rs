// SPDX-License-Identifier: MIT
//! Objects of one size for any thread.
#![expect(
    clippy::missing_safety_doc,
    non_camel_case_types,
    reason = "the comments are the C header's, and say the contract; so are the names"
)]

use core::ffi::c_void;
use core::ptr;

use super::options::slab_options;
use crate::groups::options::Options;
use crate::groups::shared::Shared;

/// A pool that any thread calls, without a child of its own.
pub struct slab_shared_pool {
    _private: u8,
}

/// Makes a pool of objects of one size that any thread allocates from and frees to, without a child
/// pool to carry.
///
/// It is an ordinary parent with a child for each processor, which a thread that runs on it uses.
/// On Linux with glibc 2.35 or later, on x86-64, that takes no lock and no atomic operation
/// (restartable sequences); elsewhere, and in the hardened build, a child that no other thread is
/// using just then is locked, for which no thread waits. A thread that ends leaves nothing behind.
///
/// Of `options`, `item_size`, `num_items` and `name` are used as by slab_create_parent() and
/// slab_set_name(), and `heap` as by slab_create_parent_with(). `alignment` and `flags` must be 0.
///
/// Returns NULL if there is no memory, or with a report if the options are not valid. It takes 2
/// KiB, 512 bytes, and 128 bytes for each processor that uses it.
///
/// Threading: any thread.
/// Ownership: the pool is the caller's until slab_destroy_shared(); the options stay the caller's.
/// NULL: `options` must not be NULL.
/// cbindgen:prefix=SLAB_NODISCARD_
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_create_shared(options: *const slab_options) -> *mut slab_shared_pool {
    // SAFETY: the caller passes options.
    let options = unsafe { Options::read("slab_create_shared", options.cast()) };
    options.map_or(ptr::null_mut(), |options| Shared::create(&options).cast())
}

/// Destroys a pool and gives back the memory of its free objects.
///
/// Objects that are still out stay valid, and each may still be freed by slab_free(), through any
/// child, and by slab_shared_free() into another pool.
///
/// Threading: no other call may use `pool` or its objects at the same time.
/// NULL: does nothing if `pool` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_destroy_shared(pool: *mut slab_shared_pool) {
    if !pool.is_null() {
        // SAFETY: the caller passes a pool that no other call is using.
        unsafe { Shared::destroy(pool.cast()) }
    }
}

/// Allocates an object of the pool's `item_size` bytes. Its contents are undefined.
///
/// Returns NULL if there is no memory; every pool and every object stays usable then.
///
/// Threading: any thread, at any time while the pool exists.
/// Ownership: the object is the caller's until slab_shared_free().
/// NULL: `pool` must not be NULL.
/// cbindgen:prefix=SLAB_NODISCARD_
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_shared_alloc(pool: *mut slab_shared_pool) -> *mut c_void {
    // SAFETY: the caller passes a pool.
    unsafe { Shared::alloc(pool.cast()) }
}

/// The same as slab_shared_alloc(), with all `item_size` bytes set to 0.
/// cbindgen:prefix=SLAB_NODISCARD_
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_shared_zalloc(pool: *mut slab_shared_pool) -> *mut c_void {
    // SAFETY: as for slab_shared_alloc().
    unsafe { Shared::zalloc(pool.cast()) }
}

/// Frees an object.
///
/// `ptr` may be an object of any pool, to which it goes back, with that one's lock taken. What
/// slab_free() says of misuse holds here as well.
///
/// Threading: any thread, at any time while the pool exists. If the object is not of this pool, its
/// own must still exist, or must have been destroyed.
/// NULL: `pool` must not be NULL; does nothing if `ptr` is NULL.
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_shared_free(pool: *mut slab_shared_pool, ptr: *mut c_void) {
    // SAFETY: the caller passes a pool, and NULL or an object.
    unsafe { Shared::free(pool.cast(), ptr) }
}
