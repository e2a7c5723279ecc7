// SPDX-License-Identifier: MIT
//! The chunks of the heap, by the largest run they have free.
//!
//! - list 0: no run is free; list `k + 1`: the largest free run is of order `k`;
//! - [`WHOLE`]: everything is free, nobody is just committing more of it, and it need not stay;
//! - [`LARGE_OBJECTS`]: reservations with one large object each, from which nothing is handed out;
//! - [`KEPT`]: reservations that had one, and are kept for the next (`super::large`): those that were
//!   freed last come first.
//!
//! A request is served from the first list that can, so that chunks in use fill up before others
//! are begun. Everything here belongs to the heap's lock.

use core::ptr;

use super::locked::HeapLocked;
use crate::base::geometry::MAX_ORDER;
use crate::heap::chunk::{Chunk, Listed};
use crate::sys::sync::writes;

/// The list of chunks of which nothing is handed out.
const WHOLE: usize = MAX_ORDER as usize + 2;
const LARGE_OBJECTS: usize = WHOLE + 1;
const KEPT: usize = LARGE_OBJECTS + 1;
const LISTS: usize = KEPT + 1;
/// The list number of a chunk that is on its way to the system.
pub(crate) const RELEASED: u8 = LISTS as u8;

const NOTED_OTHERWISE: &str = "a list of chunks is not noted as it is";

/// See the head of this file.
pub(crate) struct ChunkLists {
    first: [*mut Chunk; LISTS],
    /// Bit `n` is set if list `n` has chunks.
    occupied: u32,
    /// How many chunks are wholly free.
    whole: u32,
}

impl ChunkLists {
    /// No chunks.
    pub(crate) const EMPTY: ChunkLists =
        ChunkLists { first: [ptr::null_mut(); LISTS], occupied: 0, whole: 0 };

    /// A chunk with a free run of this order or a larger one, or null.
    pub(crate) fn with_run(&self, order: u8) -> *mut Chunk {
        let fit = self.occupied & ((2 << WHOLE) - 1) & (!0 << (order + 1));
        if fit == 0 {
            return ptr::null_mut();
        }
        let mut chunk = self.first[fit.trailing_zeros() as usize];
        // One that is wholly free need not be wholly committed. Of such there is one.
        // SAFETY: the chunks here belong to the lock that is held.
        unsafe {
            while !chunk.is_null() && (*chunk).buddy.largest() < Some(order) {
                chunk = (*chunk).next;
            }
        }
        chunk
    }

    /// Whether everything of a chunk is free, nobody is just committing more of it, and it need not
    /// stay.
    ///
    /// # Safety
    /// It is on a list.
    pub(crate) unsafe fn is_whole(&self, chunk: *mut Chunk) -> bool {
        // SAFETY: the caller's promise; the chunks here belong to the lock that is held.
        unsafe { (*chunk).list as usize == WHOLE }
    }

    /// A chunk of which everything is free, or null.
    pub(crate) fn whole(&self) -> *mut Chunk {
        self.first[WHOLE]
    }

    /// The chunk that is kept for a large object and was freed last, or null.
    pub(super) fn newest_kept(&self) -> *mut Chunk {
        self.first[KEPT]
    }

    /// The one of them that was freed first, or null.
    pub(super) fn oldest_kept(&self) -> *mut Chunk {
        let mut chunk = self.first[KEPT];
        // SAFETY: the chunks here belong to the lock that is held.
        unsafe {
            while !chunk.is_null() && !(*chunk).next.is_null() {
                chunk = (*chunk).next;
            }
        }
        chunk
    }

    /// How many chunks are wholly free.
    pub(crate) fn count_whole(&self) -> usize {
        self.whole as usize
    }

    /// The first chunk of every list from which runs are handed out, or null; those with most free
    /// first.
    pub(crate) fn emptiest_first(&self) -> impl Iterator<Item = *mut Chunk> + use<> {
        let first = self.first;
        (0..=WHOLE).rev().map(move |list| first[list])
    }

    /// Puts a chunk on its list.
    ///
    /// # Safety
    /// It is on none.
    pub(crate) unsafe fn insert(&mut self, chunk: *mut Chunk) {
        // SAFETY: the caller's promise; the chunks here belong to the lock that is held.
        unsafe {
            writes(chunk);
            let list = list_of(chunk);
            let first = &mut self.first[list];
            (*chunk).list = list as u8;
            (*chunk).previous = ptr::null_mut();
            (*chunk).next = *first;
            if !first.is_null() {
                (**first).previous = chunk;
            }
            *first = chunk;
            self.occupied |= 1 << list;
            self.whole += u32::from(list == WHOLE);
        }
    }

    /// Takes a chunk off its list.
    ///
    /// # Safety
    /// It was put there by `insert`.
    pub(crate) unsafe fn remove(&mut self, chunk: *mut Chunk) {
        // SAFETY: the caller's promise; the chunks here belong to the lock that is held.
        unsafe {
            writes(chunk);
            let (next, previous, list) = ((*chunk).next, (*chunk).previous, (*chunk).list as usize);
            self.whole -= u32::from(list == WHOLE);
            if !next.is_null() {
                (*next).previous = previous;
            }
            if !previous.is_null() {
                (*previous).next = next;
                return;
            }
            self.first[list] = next;
            if next.is_null() {
                self.occupied &= !(1 << list);
            }
        }
    }

    /// Moves a chunk to another list if its free runs have changed so.
    ///
    /// # Safety
    /// It was put on a list by `insert`.
    pub(crate) unsafe fn update(&mut self, chunk: *mut Chunk) {
        // SAFETY: the caller's promise; the chunks here belong to the lock that is held.
        unsafe {
            if (*chunk).list as usize != list_of(chunk) {
                self.remove(chunk);
                self.insert(chunk);
            }
        }
    }

    /// Checks that chunks are linked and on the right lists, and calls `problem` with those that
    /// are not.
    pub(crate) fn validate(&self, problem: &mut dyn FnMut(usize, &'static str)) {
        for (list, &first) in self.first.iter().enumerate() {
            if first.is_null() == (self.occupied & (1 << list) != 0) {
                problem(list, NOTED_OTHERWISE);
            }
            let (mut chunk, mut previous) = (first, ptr::null_mut());
            let mut count = 0;
            while !chunk.is_null() {
                count += 1;
                // SAFETY: the chunks here belong to the lock that is held.
                unsafe {
                    if (*chunk).previous != previous
                        || (*chunk).list as usize != list
                        || list_of(chunk) != list
                    {
                        problem(chunk.addr(), "a chunk is on the wrong list");
                    }
                    (previous, chunk) = (chunk, (*chunk).next);
                }
            }
            if list == WHOLE && count != self.whole {
                problem(list, NOTED_OTHERWISE);
            }
        }
    }

    /// Every chunk. The lists stay as they are meanwhile.
    pub(crate) fn iter<'a>(&'a self, lock: HeapLocked<'a>) -> impl Iterator<Item = Listed<'a>> {
        let mut chunk = ptr::null_mut();
        core::iter::from_fn(move || {
            // SAFETY: the last one is on a list still, and so is the next.
            unsafe {
                chunk = self.behind(chunk);
                (!chunk.is_null()).then(|| Listed::new(chunk, lock))
            }
        })
    }

    /// The chunk behind another one, or the first one behind null; null behind the last one.
    ///
    /// # Safety
    /// It is on a list, or null.
    pub(crate) unsafe fn behind(&self, chunk: *mut Chunk) -> *mut Chunk {
        let (mut next, mut list) = (ptr::null_mut(), 0);
        if !chunk.is_null() {
            // SAFETY: the caller's promise; the chunks here belong to the lock that is held.
            (next, list) = unsafe { ((*chunk).next, (*chunk).list as usize + 1) };
        }
        while next.is_null() && list < LISTS {
            next = self.first[list];
            list += 1;
        }
        next
    }
}

/// The list a chunk should be on.
///
/// # Safety
/// It is on one.
unsafe fn list_of(chunk: *mut Chunk) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        let buddy = &(*chunk).buddy;
        if (*chunk).large {
            if (*chunk).idle.pages == 0 { LARGE_OBJECTS } else { KEPT }
        } else if buddy.is_whole() && (*chunk).steps == 0 && !Chunk::terms(chunk).is_fixed {
            WHOLE
        } else {
            buddy.largest().map_or(0, |order| order as usize + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::geometry::PAGES;
    use crate::heap::State;
    use crate::heap::chunk::tests::Memory;

    #[test]
    fn a_chunk_is_on_the_list_of_its_largest_run() {
        let (state, memory) = (State::EMPTY, [(); 3].map(|()| Memory::new()));
        let chunks = [0, 1, 2].map(|index| *memory[index]);
        let [full, whole, large] = chunks;
        let mut lists = ChunkLists::EMPTY;
        let sound = |lists: &ChunkLists| lists.validate(&mut |_, words| panic!("{words}"));
        // SAFETY: the chunks are the test's alone.
        unsafe {
            (*whole).buddy.seed();
            (*whole).buddy.commit(PAGES);
            (*large).large = true;
            chunks.into_iter().for_each(|chunk| lists.insert(chunk));
            sound(&lists);
            assert_eq!(lists.iter(state.locked()).count(), 3);
            assert_eq!((lists.whole(), lists.count_whole()), (whole, 1));
            assert_eq!(lists.with_run(0), whole, "there is no run in the others");

            let half = (*whole).buddy.alloc(MAX_ORDER).unwrap();
            lists.update(whole);
            sound(&lists);
            assert_eq!(lists.whole(), ptr::null_mut());
            assert_eq!(lists.with_run(MAX_ORDER), ptr::null_mut());
            assert_eq!(lists.with_run(MAX_ORDER - 1), whole);

            (*whole).buddy.free(half, MAX_ORDER, 0);
            (*full).buddy.seed();
            (*full).buddy.commit(PAGES);
            lists.update(whole);
            lists.update(full);
            sound(&lists);
            assert_eq!((lists.whole(), lists.count_whole()), (full, 2));
            lists.remove(full);
            assert_eq!((lists.whole(), lists.count_whole()), (whole, 1));
            lists.remove(whole);
            lists.remove(large);
        }
        sound(&lists);
        assert_eq!(lists.iter(state.locked()).count(), 0);
    }

    #[test]
    fn a_list_that_is_noted_and_empty_is_seen() {
        let lists = ChunkLists { occupied: 1 << 3, ..ChunkLists::EMPTY };
        let mut problems = Vec::new();
        lists.validate(&mut |list, words| problems.push((list, words)));
        assert_eq!(problems, [(3, "a list of chunks is not noted as it is")]);
    }
}
