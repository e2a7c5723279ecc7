// SPDX-License-Identifier: MIT
//! Which heap something is of.
//!
//! All heaps are under one lock, which with the table of pools and the registry of chunks is the
//! process's; what each of them has for itself is a [`super::State`]. A chunk belongs to one heap
//! from when it is taken in to when it is released, and says so in its header. So whatever lies in a
//! chunk leads to its heap: a slab, a block, and by its body, which is a block, a pool.

#[cfg(not(feature = "ext"))]
use core::ffi::c_void;
#[cfg(feature = "ext")]
use core::ptr;

#[cfg(feature = "ext")]
use super::chunk::Chunk;
#[cfg(feature = "ext")]
use crate::base::address::chunk_of;
#[cfg(not(feature = "ext"))]
use crate::sys::os;

/// A heap: the process's own, or, in builds with `slab_ext.h`, one that the program has made
/// (`super::lent`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Home {
    /// Null: the process's own. What is there `lent` knows.
    #[cfg(feature = "ext")]
    pub(super) lent: *const (),
}

impl Home {
    /// The heap of all that no other one is chosen for.
    pub(crate) const PROCESS: Home = Home {
        #[cfg(feature = "ext")]
        lent: ptr::null(),
    };

    /// The heap of what lies in a chunk of the heaps'.
    ///
    /// # Safety
    /// It does.
    #[inline(always)]
    pub(crate) unsafe fn of<T>(_in_chunk: *const T) -> Home {
        #[cfg(feature = "ext")]
        // SAFETY: the caller's promise; the header of a chunk says it before the chunk is shared.
        return unsafe { Home { lent: (*chunk_of::<Chunk>(_in_chunk.cast_mut().cast())).home } };
        #[cfg(not(feature = "ext"))]
        Home::PROCESS
    }

    /// Whether it is the process's own.
    pub(crate) fn is_process(self) -> bool {
        self == Home::PROCESS
    }
}

/// What there is where the process's heap is the only one.
#[cfg(not(feature = "ext"))]
impl Home {
    /// The heap that a program's pointer names: null is the process's.
    pub(crate) fn named(heap: *const c_void) -> Option<Home> {
        heap.is_null().then_some(Home::PROCESS)
    }

    /// Whether a request that was not met is to be made again.
    #[inline(always)]
    pub(crate) fn more(self) -> bool {
        false
    }

    /// Gives back the memory behind pages, which stay the heap's. Returns whether their next use finds
    /// zeroes.
    ///
    /// # Safety
    /// They are pages of the heap that nobody uses.
    #[inline(always)]
    pub(super) unsafe fn purge(self, start: *mut u8, bytes: usize) -> bool {
        // SAFETY: the caller's promise.
        unsafe { os::purge(start, bytes) }
    }
}
