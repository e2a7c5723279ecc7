// SPDX-License-Identifier: MIT
//! What a heap of the program's does with its chunks: [`super::lent`] says on which terms it has
//! them.

use super::chunk::{Chunk, Terms};
use super::home::Home;
use super::owed::{Lack, wake};
use super::registry;
use super::state::State;
use crate::base::address::at;
use crate::base::geometry::{CHUNK, HEADER_PAGES, PAGE};
use crate::heap::buddy::STEP_PAGES;

/// Calls `each` with the chunks that there is room for in a range of memory, and how many bytes they
/// have. What is before the first multiple of a chunk's size is of no use, as a chunk is found by its
/// address; nor is what has room for a header alone.
#[inline(never)]
pub(super) fn cut(start: usize, bytes: usize, each: &mut dyn FnMut(usize, usize)) {
    const STEP: usize = STEP_PAGES * PAGE;
    let end = start.saturating_add(bytes);
    let Some(mut chunk) = start.checked_next_multiple_of(CHUNK) else { return };
    while let Some(left) = end.checked_sub(chunk) {
        let bytes = left.min(CHUNK) & !(STEP - 1);
        if bytes <= HEADER_PAGES * PAGE {
            return;
        }
        each(chunk, bytes);
        let Some(next) = chunk.checked_add(CHUNK) else { return };
        chunk = next;
    }
}

impl State {
    /// Notes that a run of a chunk was freed: the program's heaps are not looked at in any call.
    ///
    /// # Safety
    /// The chunk is on a list of this heap.
    #[inline(always)]
    pub(super) unsafe fn freed_in(&self, chunk: *mut Chunk) {
        // SAFETY: the caller's promise.
        if !unsafe { Home::of(chunk) }.is_process() && self.is_over() {
            wake();
        }
    }

    /// Whether more is free than is kept.
    #[cold]
    fn is_over(&self) -> bool {
        let limit = self.dirty_limit();
        self.decay.keeps_nothing()
            || limit.excess(self.dirty_pages) != 0
            || self.chunks.count_whole() > limit.whole_chunks()
    }

    /// A chunk that is off its list, unless it is of memory that the program gave, which is seen to
    /// here.
    ///
    /// # Safety
    /// It was on a list of this heap, nothing of it is handed out, and it is forgotten.
    pub(super) unsafe fn not_lent(&mut self, chunk: *mut Chunk) -> Option<*mut Chunk> {
        // SAFETY: the caller's promise.
        unsafe {
            if Home::of(chunk).is_process() {
                return Some(chunk);
            }
            self.give_up(chunk);
        }
        None
    }

    /// Makes chunks again of the memory of one that is free, if it is fixed; else it leaves.
    ///
    /// # Safety
    /// The chunk is one of the program's memory, on no list and forgotten, and nothing of it is used.
    #[cold]
    unsafe fn give_up(&mut self, chunk: *mut Chunk) {
        // SAFETY: the caller's promise.
        unsafe {
            let (home, terms, bytes) = (Home::of(chunk), (*chunk).terms, (*chunk).bytes);
            if terms.is_fixed {
                let lend = &mut |start, bytes| self.lend(at(start), bytes, home, terms);
                cut(chunk.addr(), bytes, lend);
            } else {
                self.owed.leaving.add(chunk);
                wake();
            }
        }
    }

    /// Gives up what is ready for large objects: nobody has come back for it.
    pub(super) fn give_up_ready(&mut self) {
        while let Some(chunk) = self.owed.ready.take_any() {
            Chunk::forget(chunk, self.locked());
            // SAFETY: what was ready is nobody else's.
            unsafe { self.give_up(chunk) }
        }
    }

    /// Takes in a new chunk.
    ///
    /// # Safety
    /// As for [`Chunk::lend`].
    #[inline(never)]
    pub(super) unsafe fn lend(
        &mut self,
        chunk: *mut Chunk,
        bytes: usize,
        home: Home,
        terms: Terms,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            Chunk::lend(chunk, bytes, false, home.lent, terms, self.locked());
            self.adopt(chunk);
        }
    }

    /// Keeps new memory ready for a large object.
    ///
    /// # Safety
    /// As for [`Chunk::lend`].
    pub(super) unsafe fn make_ready(
        &mut self,
        chunk: *mut Chunk,
        bytes: usize,
        home: Home,
        terms: Terms,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            Chunk::lend(chunk, bytes, true, home.lent, terms, self.locked());
            self.owed.ready.add(chunk);
        }
        self.starved = false;
    }

    /// Takes memory out for a large object of so many bytes, header included: what is ready, or fixed
    /// chunks that lie side by side and are wholly free. It is a chunk on no list. Notes it if there is
    /// none.
    pub(super) fn take_for_large(&mut self, bytes: usize, home: Home) -> Option<*mut Chunk> {
        // SAFETY: what is ready is nobody else's.
        let ready = self.owed.ready.take(|chunk| unsafe { (*chunk).bytes == bytes });
        let chunk = ready.or_else(|| self.take_side_by_side(bytes, home));
        if chunk.is_none() {
            self.owed.lack = Lack { large: bytes, ..self.owed.lack };
        }
        chunk
    }

    fn take_side_by_side(&mut self, bytes: usize, home: Home) -> Option<*mut Chunk> {
        let count = bytes.div_ceil(CHUNK);
        let first = {
            let mut chunks = self.chunks.iter(self.locked()).map(|chunk| chunk.place());
            chunks.find(|first| {
                (0..count).all(|index| {
                    let next = first.addr().checked_add(index * CHUNK);
                    next.is_some_and(|next| self.is_free_piece(next, home))
                })
            })?
        };
        // SAFETY: they are on lists of this heap, and wholly free.
        unsafe {
            let terms = (*first).terms;
            for index in 0..count {
                let chunk: *mut Chunk = at(first.addr() + index * CHUNK);
                self.chunks.remove(chunk);
                Chunk::forget(chunk, self.locked());
                self.mapped -= (*chunk).bytes;
                self.free_pages -= (*chunk).buddy.free_pages();
                self.dirty_pages -= (*chunk).buddy.dirty_pages();
            }
            Chunk::lend(first, count * CHUNK, true, home.lent, terms, self.locked());
            Some(first)
        }
    }

    /// Whether there is a fixed chunk of this heap at an address, whole and free.
    fn is_free_piece(&self, address: usize, home: Home) -> bool {
        if !registry::is_noted(address) {
            return false;
        }
        let chunk: *mut Chunk = at(address);
        // SAFETY: what the registry has is there while the lock is held, and all of this heap but what
        // is ready is on a list.
        unsafe {
            !Chunk::is_guarded(chunk)
                && Home::of(chunk) == home
                && (*chunk).terms.is_fixed
                && !(*chunk).large
                && (*chunk).bytes == CHUNK
                && (*chunk).buddy.is_whole()
        }
    }

    /// Whether nothing is handed out.
    pub(super) fn is_unused(&self) -> bool {
        self.chunks.iter(self.locked()).all(|chunk| {
            !chunk.is_large() && chunk.buddy().free_pages() == chunk.pages() - HEADER_PAGES
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_cut_into_pieces_and_the_last_one_may_be_shorter() {
        const STEP: usize = STEP_PAGES * PAGE;
        const HEADER: usize = HEADER_PAGES * PAGE;
        let pieces = |start: usize, bytes: usize| {
            let mut pieces = Vec::new();
            cut(start, bytes, &mut |start, bytes| pieces.push((start, bytes)));
            pieces
        };
        let start = 8 * CHUNK;
        assert_eq!(pieces(start, 2 * CHUNK), [(start, CHUNK), (start + CHUNK, CHUNK)]);
        assert_eq!(pieces(start, CHUNK + HEADER), [(start, CHUNK)]);
        let short = HEADER + STEP;
        assert_eq!(pieces(start, CHUNK + short + 7), [(start, CHUNK), (start + CHUNK, short)]);
        assert_eq!(pieces(start + 1, 2 * CHUNK - 1), [(start + CHUNK, CHUNK)]);
        assert_eq!(pieces(start - 5, short + 5), [(start, short)]);
        assert_eq!(pieces(start - 5, short + 4), []);
        assert_eq!(pieces(start, 0), []);
        assert_eq!(pieces(usize::MAX - 5, 5), []);
        let last = usize::MAX & !(CHUNK - 1);
        assert_eq!(pieces(last, usize::MAX), [(last, CHUNK - STEP)]);
    }
}
