// SPDX-License-Identifier: MIT
//! The C ABI: what `include/slab.h` declares, and nothing else. No logic lives here.
//!
//! The structs below are storage that C code owns, embeds and may leave uninitialised; the
//! core lays its own [`ParentPool`] and [`ChildPool`] over them. cbindgen reads this file alone,
//! so every comment on a public item is also the documentation in the header.
#![expect(
    clippy::missing_safety_doc,
    reason = "the comments are the C header's, and say the contract"
)]

use core::ffi::{c_uint, c_void};
use core::mem::{align_of, offset_of, size_of};

use crate::pool::child::ChildPool;
use crate::pool::parent::ParentPool;

/// A parent pool: the owner of all objects of one size.
///
/// Objects belong to the parent. They are allocated and freed through child pools, of which a
/// parent has as many as there are users (typically one per context). An object may be freed
/// through any child and outlives the child that it was allocated from.
///
/// The caller owns this memory, may leave it uninitialised before slab_create_parent(), and must
/// not move it while the pool is in use. `num_elements` is not 0 exactly while the pool exists,
/// provided the memory was zeroed before its first use.
#[repr(C)]
pub struct slab_parent_pool {
    /// Private: what the library keeps of the pool, from its first object on.
    pub pool: *mut c_void,
    /// Bytes from one object to the next: item_size rounded up to the alignment. Read only.
    pub element_size: c_uint,
    /// The num_items given to slab_create_parent(), at least 1. Read only.
    pub num_elements: c_uint,
    /// The item_size given to slab_create_parent(). Read only.
    pub item_size: c_uint,
    /// Private.
    pub reserved_flags: c_uint,
    /// Private.
    pub reserved: [c_uint; 10],
}

/// A child pool: one user's cache of free objects of a parent.
///
/// Calls on one child must not overlap in time; which thread makes them does not matter.
/// Different children are independent of each other, also when they share the parent.
///
/// The caller owns this memory. A zeroed child pool is a valid destroyed pool.
#[repr(C)]
pub struct slab_child_pool {
    /// The parent, NULL once the child is destroyed. Read only.
    pub parent: *mut slab_parent_pool,
    /// Private: the last filled word of the loaded magazine.
    pub top: *mut c_void,
    /// Private: the same of the previous magazine.
    pub previous: *mut c_void,
    /// Private: size of a magazine in bytes less 1, or 0 while there is none.
    pub mask: u32,
    /// The parent's item_size, at least 1; 0 if there is no parent. Read only.
    pub item_size: c_uint,
}

/// A parent and its only child in one, for a single user.
#[repr(C)]
pub struct slab_mempool {
    /// The parent pool; further children of it may be created.
    pub parent: slab_parent_pool,
    /// The child that slab_alloc_st() and slab_free_st() use.
    pub child: slab_child_pool,
}

/// Creates a parent pool of objects of `item_size` bytes.
///
/// `num_items` is a hint for how many objects are used at a time: that many, a busy child may cache
/// in a magazine, however few are in use just then. 0 counts as 1. An `item_size` of 0 counts as 1.
///
/// Objects are aligned to 16 bytes (to 8 if `item_size` is at most 8); if `item_size` is a power of
/// two, to `item_size`, up to 4096.
///
/// Nothing is allocated (but in some modes of SLAB_DEBUG) and the old contents of `*parent` are not
/// read, so that creating over uninitialised memory is legal. Creating again over a pool that was
/// never destroyed is legal too: objects of the old pool that are still out stay valid and may
/// still be freed, through any child. No child of the old pool may then be used any more: what such
/// a child has in its magazines is lost for the life of the process, as nobody can tell it from the
/// program's objects. That is up to 1022 objects of 96 bytes for each child (objects_per_child of
/// slab_get_parent_stats()), and the slabs that they lie in. SLAB_DEBUG=checks reports it.
///
/// Threading: no other call may use `parent` at the same time.
/// Ownership: `*parent` stays the caller's.
/// NULL: `parent` must not be NULL.
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_create_parent(
    parent: *mut slab_parent_pool,
    item_size: c_uint,
    num_items: c_uint,
) {
    // SAFETY: the caller passes writable storage that no other call is using.
    unsafe { ParentPool::create(parent.cast(), item_size, num_items) }
}

/// Destroys a parent pool and gives back the memory of its free objects.
///
/// Its children should be destroyed before, or after, while `*parent` is as this call leaves it:
/// the objects that a child caches are lost with it otherwise, for the life of the process
/// (SLAB_DEBUG=leaks reports such children). Objects that are still out stay valid, and each may
/// still be freed through any child pool, destroyed or not; their memory is given back as the last
/// object of a slab goes.
///
/// Destroying a zeroed or an already destroyed pool does nothing. The pool may be created again.
/// Never destroying a parent is legal: once its last child is gone and its last object is freed it
/// keeps 512 bytes for itself, until a pool is created in the same memory.
///
/// Threading: no other call may use `parent`, its children or its objects at the same time.
/// NULL: does nothing if `parent` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_destroy_parent(parent: *mut slab_parent_pool) {
    if !parent.is_null() {
        // SAFETY: the caller passes a created, destroyed or zeroed pool that no other call is
        // using.
        unsafe { ParentPool::destroy(parent.cast()) }
    }
}

/// Creates a child pool of `parent`.
///
/// Nothing is allocated and the old contents of `*pool` are not read. A child pool costs what it
/// takes itself until its first allocation.
///
/// Threading: no other call may use `pool` at the same time; `parent` may be in use by others.
/// Ownership: `*pool` stays the caller's. `parent` must exist for as long as the child is used.
/// NULL: `pool` and `parent` must not be NULL.
/// cbindgen:postfix=SLAB_NONNULL_((1, 2))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_create_child(
    pool: *mut slab_child_pool,
    parent: *mut slab_parent_pool,
) {
    // SAFETY: the caller passes writable storage that no other call is using, and a created parent.
    unsafe { ChildPool::create(pool.cast(), parent.cast()) }
}

/// Destroys a child pool: the free objects it holds go back to the parent.
///
/// Objects that were allocated from it and are still out stay valid, and may be freed through any
/// other child of the parent. slab_free() with a destroyed child is legal as well, slab_alloc()
/// returns NULL.
///
/// Destroying a zeroed or an already destroyed child does nothing. Sets `pool->parent` to NULL.
///
/// Threading: no other call may use `pool` at the same time; `parent` may be in use by others.
/// NULL: does nothing if `pool` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_destroy_child(pool: *mut slab_child_pool) {
    if !pool.is_null() {
        // SAFETY: the caller passes a created, destroyed or zeroed child that no other call is
        // using.
        unsafe { ChildPool::destroy(pool.cast()) }
    }
}

/// Allocates an object of the parent's `item_size` bytes. Its contents are undefined.
///
/// Returns NULL if there is no memory or if `pool` is destroyed; every pool and every object stays
/// usable then, and a later call may succeed.
///
/// Threading: no other call may use `pool` at the same time.
/// Ownership: the object is the caller's until slab_free(), and outlives `pool`.
/// NULL: `pool` must not be NULL.
/// cbindgen:prefix=SLAB_NODISCARD_
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_alloc(pool: *mut slab_child_pool) -> *mut c_void {
    // SAFETY: the caller passes a created, destroyed or zeroed child that no other call is using.
    unsafe { ChildPool::alloc(pool.cast()) }
}

/// The same as slab_alloc(), with all `item_size` bytes set to 0.
/// cbindgen:prefix=SLAB_NODISCARD_
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_zalloc(pool: *mut slab_child_pool) -> *mut c_void {
    // SAFETY: as for slab_alloc().
    unsafe { ChildPool::zalloc(pool.cast()) }
}

/// Frees an object.
///
/// `pool` may be any child pool: the one the object was allocated from, another one of the same
/// parent (which costs the same), one of another parent, a destroyed or a zeroed one. The object
/// always goes back to the parent that it came from.
///
/// The bytes of the object are not written.
///
/// Freeing an object twice, or an address that is not an object's, is an error. Where it is seen it
/// is reported on stderr with the function, the pool and the address, and changes nothing.
///
/// Threading: no other call may use `pool` at the same time. If `pool` is not a child of the
/// object's parent, that parent must still exist, or must have been destroyed by
/// slab_destroy_parent(). NULL: `pool` must not be NULL; does nothing if `ptr` is NULL.
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_free(pool: *mut slab_child_pool, ptr: *mut c_void) {
    // SAFETY: the caller passes a created, destroyed or zeroed child that no other call is using,
    // and NULL or an object.
    unsafe { ChildPool::free(pool.cast(), ptr) }
}

/// Creates a parent pool with one child, for a single user: slab_create_parent() and
/// slab_create_child() in one.
///
/// Threading: no other call may use `mempool` at the same time.
/// Ownership: `*mempool` stays the caller's.
/// NULL: `mempool` must not be NULL.
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_create(
    mempool: *mut slab_mempool,
    item_size: c_uint,
    num_items: c_uint,
) {
    // SAFETY: the caller passes writable storage that no other call is using.
    unsafe {
        slab_create_parent(&raw mut (*mempool).parent, item_size, num_items);
        slab_create_child(&raw mut (*mempool).child, &raw mut (*mempool).parent);
    }
}

/// Destroys the child and the parent of `mempool`. Does nothing if it is zeroed or already
/// destroyed.
///
/// Threading: no other call may use `mempool` or its objects at the same time.
/// NULL: does nothing if `mempool` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_destroy(mempool: *mut slab_mempool) {
    if !mempool.is_null() {
        // SAFETY: the caller passes a created, destroyed or zeroed mempool that no other call is
        // using.
        unsafe {
            slab_destroy_child(&raw mut (*mempool).child);
            slab_destroy_parent(&raw mut (*mempool).parent);
        }
    }
}

/// slab_alloc() from the child of `mempool`.
/// cbindgen:prefix=SLAB_NODISCARD_
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_alloc_st(mempool: *mut slab_mempool) -> *mut c_void {
    // SAFETY: the caller passes a mempool that no other call is using.
    unsafe { slab_alloc(&raw mut (*mempool).child) }
}

/// slab_free() through the child of `mempool`.
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_free_st(mempool: *mut slab_mempool, ptr: *mut c_void) {
    // SAFETY: the caller passes a mempool that no other call is using, and NULL or an object.
    unsafe { slab_free(&raw mut (*mempool).child, ptr) }
}

/// Asserts that a field of the core's struct stands where the header says.
macro_rules! same_place {
    ($($inner:ident . $($field:ident).+ == $outer:ident . $public:ident;)*) => {
        $(const _: () = assert!(offset_of!($inner, $($field).+) == offset_of!($outer, $public));)*
    };
}

same_place! {
    ParentPool.pool == slab_parent_pool.pool;
    ParentPool.element_size == slab_parent_pool.element_size;
    ParentPool.num_elements == slab_parent_pool.num_elements;
    ParentPool.item_size == slab_parent_pool.item_size;
    ChildPool.parent == slab_child_pool.parent;
    ChildPool.cache.loaded == slab_child_pool.top;
    ChildPool.cache.previous == slab_child_pool.previous;
    ChildPool.cache.mask == slab_child_pool.mask;
    ChildPool.cache.item_size == slab_child_pool.item_size;
}

const _: () = {
    assert!(size_of::<slab_parent_pool>() == size_of::<usize>() + 56);
    assert!(size_of::<slab_child_pool>() == 3 * size_of::<usize>() + 8);
    assert!(offset_of!(slab_mempool, child) == size_of::<slab_parent_pool>());
    assert!(size_of::<ParentPool>() <= size_of::<slab_parent_pool>());
    assert!(align_of::<ParentPool>() <= align_of::<slab_parent_pool>());
    assert!(size_of::<ChildPool>() == size_of::<slab_child_pool>());
    assert!(align_of::<ChildPool>() == align_of::<slab_child_pool>());
};

// Each of these functions begins a line of the cache: built for size they begin anywhere, and a
// fast path that lies on two lines took a tenth to a quarter longer. What is said of a section here
// holds for the function that is put into it.
#[cfg(all(target_arch = "x86_64", unix, not(target_vendor = "apple")))]
core::arch::global_asm!(
    ".pushsection .text.slab_alloc, \"ax\", @progbits",
    ".p2align 6",
    ".popsection",
    ".pushsection .text.slab_zalloc, \"ax\", @progbits",
    ".p2align 6",
    ".popsection",
    ".pushsection .text.slab_free, \"ax\", @progbits",
    ".p2align 6",
    ".popsection",
);
