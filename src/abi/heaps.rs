// SPDX-License-Identifier: MIT
//! Heaps with memory of the program's.
#![expect(
    clippy::missing_safety_doc,
    non_camel_case_types,
    reason = "the comments are the C header's, and say the contract; so are the names"
)]

use core::ffi::{c_int, c_void};
use core::ptr;

use super::versioned;
use crate::heap::lent::Memory;
use crate::heap::{HEAP, Home};
use crate::hooks;

/// Memory of the program's that pools can be in, instead of the process's heap.
pub struct slab_heap {
    _private: u8,
}

/// Functions of the program's that give a heap memory. They are called with nothing locked, by any
/// thread that is in a call of the library, also one that uses no pool of this heap, and by several
/// at once. They may call the library. They must not destroy the heap, nor leave otherwise than
/// by returning: not by longjmp(), an exception, or a cancellation at what they call (see
/// pthread_setcancelstate()).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct slab_memory {
    /// Set by the caller to sizeof(struct slab_memory). Later versions add fields at the end: what
    /// a caller's struct does not have is zero; what this version does not know must be zero.
    pub struct_size: usize,
    /// Given to the functions.
    pub data: *mut c_void,
    /// Returns `bytes` bytes of memory, which may be read and written and which nobody else uses
    /// until they are released, or the heap is destroyed. They are aligned to `alignment`, a power
    /// of two. What is in them does not matter. Mostly it is 4 MiB aligned to 4 MiB (1 MiB on
    /// 32-bit machines); for an object that is larger, or that would waste much of that, it is
    /// more.
    ///
    /// NULL: there is none; the call that needs it fails then, as when the system has none. The
    /// first time that there is none is reported, until there was some again. Memory that is not
    /// aligned so is reported, and released; memory that the library has already is reported, and
    /// left alone.
    pub reserve: Option<
        unsafe extern "C" fn(data: *mut c_void, bytes: usize, alignment: usize) -> *mut c_void,
    >,
    /// Takes memory back: `start` and `bytes` are what `reserve` returned and was asked for. NULL:
    /// all memory stays with the heap until that is destroyed.
    pub release: Option<unsafe extern "C" fn(data: *mut c_void, start: *mut c_void, bytes: usize)>,
    /// May give up what is behind a part of what `reserve` returned, in whole pages of the
    /// system's, which stays the heap's: nothing in it is needed, and it is written before it is
    /// read again.
    /// NULL: nothing is given up but by `release`.
    pub purge: Option<unsafe extern "C" fn(data: *mut c_void, start: *mut c_void, bytes: usize)>,
}

/// Makes a heap: pools that are created with it (struct slab_options) lie in its memory, with all
/// that they are made of. It has none yet; `*memory` has functions that it gets some by, and
/// slab_add_region() adds some. Without either, nothing can be created in it.
///
/// When it keeps free memory, and for how long, is as for the process's heap; slab_trim_heap() and
/// slab_set_decay() are for all heaps.
///
/// Returns NULL if there is no memory, or with a report if `*memory` is not valid. The first eight
/// heaps of a process take no memory of the system's, further ones 1 KiB of the process's heap.
///
/// Threading: any thread.
/// Ownership: the heap is the caller's until slab_destroy_heap(); `*memory` is copied.
/// NULL: if `memory` is NULL, the heap has what slab_add_region() gives it.
/// cbindgen:prefix=SLAB_NODISCARD_
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_create_heap(memory: *const slab_memory) -> *mut slab_heap {
    const FUNCTION: &str = "slab_create_heap";
    if memory.is_null() {
        return HEAP.create_heap(Memory::NONE).cast_mut().cast();
    }
    // SAFETY: the caller passes a struct of the size that it says.
    let words = match unsafe { versioned::read(memory) } {
        None => "memory of another version",
        Some(slab_memory { reserve: None, .. }) => "memory without a function to reserve it",
        Some(slab_memory { data, reserve, release, purge, .. }) => {
            let memory = Memory { data, reserve, release, purge };
            return HEAP.create_heap(memory).cast_mut().cast();
        }
    };
    hooks::report(FUNCTION, None, memory.addr(), words);
    ptr::null_mut()
}

/// Gives a heap a region of memory, of any content. It stays the heap's until that is destroyed.
///
/// Memory is used in pieces that are aligned to 4 MiB (1 MiB on 32-bit machines): what lies in the
/// region before the first multiple of that is of no use, and the first 128 KiB of each piece (a
/// 32nd of it) are the library's. The last piece may be shorter, in steps of 128 KiB. So a region
/// is best aligned to 4 MiB. An object of more than half a piece takes whole pieces that lie side
/// by side.
///
/// The library never gives memory of a region to the system, and takes none from it for pools in
/// such a heap. What SLAB_DEBUG keeps of them, and recordings, is the library's own memory; guarded
/// objects (slab_set_sampling()) are not used in them.
///
/// Returns how many bytes of it can be used for objects and for what is kept of them. 0: there is
/// no room for a piece, or the library has the memory already, both of which are reported; or there
/// is no heap, or no memory to note it (which no program on 64-bit machines sees that has its
/// memory within four ranges of 128 GiB).
///
/// Threading: any thread.
/// Ownership: the region stays the caller's, who must not use or free it before the heap is
/// destroyed.
/// NULL: returns 0 if `heap` is NULL, or `start` is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_add_region(
    heap: *mut slab_heap,
    start: *mut c_void,
    bytes: usize,
) -> usize {
    const FUNCTION: &str = "slab_add_region";
    if heap.is_null() || start.is_null() {
        return 0;
    }
    let Some(home) = Home::named(heap.cast()) else {
        hooks::report(FUNCTION, None, heap.addr(), "a heap that does not exist");
        return 0;
    };
    // SAFETY: the caller's promise.
    unsafe { HEAP.add_region(FUNCTION, home, start.cast(), bytes) }
}

/// Destroys a heap. What was reserved for it is released, and its regions are the caller's again.
///
/// Returns 0; or -1, and nothing happens, while a pool, a set of sizes or a shared pool is in it,
/// or an object of one that is destroyed is not freed. If another thread of the library just has
/// something of it, it waits for that, for half a second at most.
///
/// Threading: no other call may use `heap` or what is in it at the same time.
/// NULL: returns 0 if `heap` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_destroy_heap(heap: *mut slab_heap) -> c_int {
    if heap.is_null() {
        return 0;
    }
    let Some(home) = Home::named(heap.cast()) else {
        hooks::report("slab_destroy_heap", None, heap.addr(), "a heap that does not exist");
        return -1;
    };
    // SAFETY: the caller passes a heap that no other call is using.
    if unsafe { HEAP.destroy_heap(home) } { 0 } else { -1 }
}
