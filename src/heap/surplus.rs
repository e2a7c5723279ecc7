// SPDX-License-Identifier: MIT
//! What a parent pool has no use for any more, on its way to the heap.
//!
//! It is gathered under the parent's lock, and taken back by [`crate::heap::Heap::take_back`]
//! without it.

use core::ptr;

use crate::heap::magazine::{Magazine, MagazineList};
use crate::heap::slab::{LEAVING, Slab};
use crate::sys::os;

/// The mask under which an empty magazine, of any size, is its own block.
const BLOCK: usize = 0;

/// Slabs of which no caller has an object, and magazine blocks.
pub(crate) struct Surplus {
    /// Linked by `next`.
    slabs: *mut Slab,
    /// Of any size: as empty ones, which point at their block.
    blocks: MagazineList,
    block_bytes: usize,
    /// The time in seconds of the coarse clock, if it was read on the way.
    now: Option<u32>,
    /// If something was reaped: since when nobody has used that, for which all that is in it is taken; else 0.
    since: u32,
    /// Whether it is all that the pool had, as its last child goes.
    is_last: bool,
}

impl Surplus {
    /// Nothing.
    pub(crate) const EMPTY: Surplus = Surplus {
        slabs: ptr::null_mut(),
        blocks: MagazineList::EMPTY,
        block_bytes: 0,
        now: None,
        since: 0,
        is_last: false,
    };

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.slabs.is_null() && self.blocks.count() == 0
    }

    /// Notes that it is all that the pool has.
    pub(crate) fn set_last(&mut self) {
        self.is_last = true;
    }

    /// Whether it is all that the pool had.
    pub(crate) fn is_last(&self) -> bool {
        self.is_last
    }

    /// The time, from the clock once at most.
    pub(crate) fn now(&mut self) -> u32 {
        *self.now.get_or_insert_with(os::coarse_seconds)
    }

    /// Notes the time, if it was read before.
    pub(crate) fn set_now(&mut self, now: Option<u32>) {
        self.now = now;
    }

    /// The time, if it is known.
    pub(crate) fn known_now(&self) -> Option<u32> {
        self.now
    }

    /// Notes since when nobody has used what was reaped.
    pub(crate) fn set_since(&mut self, since: u32) {
        self.since = since;
    }

    /// Since when it is free; now, unless something else was noted.
    pub(crate) fn since(&mut self) -> u32 {
        if self.since != 0 { self.since } else { self.now() }
    }

    /// Bytes of the slabs and magazines in it.
    pub(crate) fn bytes(&self) -> usize {
        let mut bytes = self.block_bytes;
        let mut slab = self.slabs;
        while !slab.is_null() {
            // SAFETY: a slab in the surplus is nobody else's.
            unsafe {
                bytes += (*slab).bytes();
                slab = (*slab).next.get();
            }
        }
        bytes
    }

    /// Adds a slab that is empty, or whose objects go with it.
    ///
    /// # Safety
    /// It is on no list, its owner's lock is held, and nobody uses it from now on.
    pub(crate) unsafe fn add_slab(&mut self, slab: *mut Slab) {
        // SAFETY: the caller's promise.
        unsafe {
            (*slab).next.set(self.slabs);
            (*slab).list.set(LEAVING);
        }
        self.slabs = slab;
    }

    /// Adds a magazine whose rounds, if any, are of no meaning.
    ///
    /// # Safety
    /// It is not none, of this mask, and nobody else uses it.
    #[inline(never)]
    pub(crate) unsafe fn add_magazine(&mut self, magazine: Magazine, mask: usize) {
        self.block_bytes += mask + 1;
        // SAFETY: the caller's promise.
        unsafe { self.blocks.push(Magazine::new(magazine.block(mask)), BLOCK) }
    }

    /// Takes a slab out.
    pub(crate) fn take_slab(&mut self) -> Option<*mut Slab> {
        let slab = self.slabs;
        if slab.is_null() {
            return None;
        }
        // SAFETY: a slab in the surplus is nobody else's.
        self.slabs = unsafe { (*slab).next.get() };
        Some(slab)
    }

    /// Takes a magazine block out.
    pub(crate) fn take_block(&mut self) -> Option<*mut u8> {
        Some(self.blocks.pop(BLOCK)?.block(BLOCK))
    }
}
