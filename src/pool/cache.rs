// SPDX-License-Identifier: MIT
//! A child's cache: its two magazines.
//!
//! | field | meaning |
//! |---|---|
//! | `loaded` | objects are taken from it and put into it |
//! | `previous` | swapped in when the loaded one is used up: none, empty or full |
//! | `mask` | size of a magazine less 1; 0: it has none yet, or the pool is uncached |
//! | `item_size` | bytes of an object, at least 1; 0 if the child has no parent |
//!
//! The size of an object is the parent's. It is here too so that zeroing an object does not touch
//! the parent, with whose lock other threads are busy; on 64-bit machines it shares a word with the
//! mask.
//!
//! With two, a child that allocates and frees in turns goes to the parent once in a magazine's
//! worth of calls at most, wherever it stands; one that goes on in one direction, and exchanges both
//! each time, once in two, and once more when it turns. Everything here belongs to the child's user, one
//! thread at a time. What the parent does to keep a cache in magazines is in [`super::exchange`].

use core::mem::{self, MaybeUninit};

use crate::heap::chunk::owner_if_any;
use crate::heap::magazine::Magazine;

/// See the head of this file.
#[repr(C)]
pub(crate) struct Cache {
    pub(crate) loaded: Magazine,
    pub(crate) previous: Magazine,
    pub(crate) mask: u32,
    pub(crate) item_size: u32,
}

impl Cache {
    /// No magazines, of objects of so many bytes.
    pub(crate) const fn of(item_size: u32) -> Cache {
        Cache { loaded: Magazine::NONE, previous: Magazine::NONE, mask: 0, item_size }
    }

    /// Size of a magazine less 1.
    #[inline(always)]
    pub(crate) fn mask(&self) -> usize {
        self.mask as usize
    }

    /// Goes on with magazines of another size.
    pub(crate) fn set_mask(&mut self, mask: usize) {
        self.mask = mask as u32;
    }

    /// Whether there are no magazines.
    #[inline(always)]
    pub(crate) fn is_none(&self) -> bool {
        self.mask == 0
    }

    /// Whether the loaded magazine has no round, or there is none.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.loaded.is_empty(self.mask())
    }

    /// Whether the loaded magazine has no room, or there is none.
    #[inline(always)]
    pub(crate) fn is_full(&self) -> bool {
        self.loaded.is_full(self.mask())
    }

    /// How many rounds the loaded magazine has.
    pub(crate) fn rounds(&self) -> usize {
        self.loaded.rounds(self.mask())
    }

    /// Takes a round.
    ///
    /// # Safety
    /// It is not empty.
    #[inline(always)]
    pub(crate) unsafe fn pop(&mut self) -> *mut u8 {
        // SAFETY: the caller's promise; a child's magazines are its own.
        unsafe { self.loaded.pop() }
    }

    /// Takes rounds into `to`, as [`Cache::pop`] would one by one, as many as the loaded magazine has
    /// and fit. Returns how many.
    #[inline(always)]
    pub(crate) fn pop_into(&mut self, to: &mut [MaybeUninit<*mut u8>]) -> usize {
        // SAFETY: a child's magazines are its own; with a mask of 0 there is no round.
        unsafe { self.loaded.pop_into(self.mask(), to) }
    }

    /// Adds a round.
    ///
    /// # Safety
    /// It is not full.
    #[inline(always)]
    pub(crate) unsafe fn push(&mut self, object: *mut u8) {
        // SAFETY: the caller's promise; a child's magazines are its own.
        unsafe { self.loaded.push(object) }
    }

    /// Whether the previous magazine has rounds.
    #[inline(always)]
    pub(crate) fn can_swap_to_alloc(&self) -> bool {
        !self.previous.is_empty(self.mask())
    }

    /// Whether the loaded magazine is full and the previous one empty. (Without magazines the words
    /// may be anything.)
    #[inline(always)]
    pub(crate) fn can_swap_to_free(&self) -> bool {
        self.mask != 0
            && !self.previous.is_none()
            && self.previous.is_empty(self.mask())
            && self.loaded.is_full(self.mask())
    }

    /// Swaps the magazines.
    #[inline(always)]
    pub(crate) fn swap(&mut self) {
        mem::swap(&mut self.loaded, &mut self.previous);
    }

    /// Whether there are rounds that no pool at this address owns.
    pub(crate) fn has_rounds_of_another(&self, parent: usize) -> bool {
        let of_another = |magazine: Magazine| {
            // SAFETY: a magazine that is not empty has a last round, which is in a chunk, as its
            // slab is not free while it is out; it may have been overwritten.
            !magazine.is_empty(self.mask()) && unsafe { owner_if_any(magazine.last()) != parent }
        };
        of_another(self.loaded) || of_another(self.previous)
    }
}
