// SPDX-License-Identifier: MIT
//! Magazines: small stacks of free objects (Bonwick and Adams, "Magazines and Vmem", USENIX 2001).
//!
//! A magazine is a block of `2^k` words, aligned to its size. Word 0 is its own; the others hold
//! *rounds*, addresses of free objects, filled from word 1 upwards. One pointer describes all of
//! it: it points at the last filled word, so that the magazine is empty when the pointer is aligned
//! to the block and full when the next word is. `mask`, the size of the block in bytes less 1, is
//! kept beside magazines rather than in them.
//!
//! Word 0 has one meaning at a time:
//! - in a depot's list, or in a list of blocks on their way to the heap: the next magazine of the
//!   list;
//! - in a child, or waiting as the depot's half-filled one: the quota, how many rounds the next
//!   fill from slabs takes at most. It grows each time that the child goes to the parent, beyond
//!   what the magazine holds: a child with a high quota is busy ([`crate::pool::parent`]). Of a child
//!   with two magazines one has the quota, and the other one says how many times the child has come for
//!   the same thing.
//!
//! No magazine at all is a null pointer, with which a mask of 0 counts as both empty and full.

use core::mem::{MaybeUninit, size_of};
use core::ops::Deref;
use core::ptr;

use crate::base::config::HARDENED;
use crate::base::geometry::MAGAZINE_WORDS;
use crate::base::layout::{Field, layout};
use crate::base::seal::seal;
use crate::heap::chunk::slab_of;
use crate::sys::sync::{reads, writes};

const WORD: usize = size_of::<usize>();

/// A magazine, as a pointer to its last filled word; or none.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Magazine(*mut *mut u8);

/// The place behind the last round of a magazine.
#[derive(Clone, Copy)]
pub(crate) struct Next(*mut *mut u8);

impl Next {
    /// Whether there is none: the magazine is full. True of no magazine with a mask of 0.
    #[inline(always)]
    pub(crate) fn is_beyond(self, mask: u32) -> bool {
        self.0.addr() as u32 & mask == 0
    }
}

impl Magazine {
    /// No magazine.
    pub(crate) const NONE: Magazine = Magazine(ptr::null_mut());

    /// An empty magazine in a block.
    ///
    /// # Safety
    /// `block` is a block of some `mask + 1` bytes that nothing else uses, aligned to its size.
    pub(crate) unsafe fn new(block: *mut u8) -> Magazine {
        Magazine(block.cast())
    }

    /// Whether this is no magazine.
    pub(crate) fn is_none(self) -> bool {
        self.0.is_null()
    }

    /// Whether there is no round in it. True of no magazine, whatever the mask.
    #[inline(always)]
    pub(crate) fn is_empty(self, mask: usize) -> bool {
        // The lower half of a word says it, and is what a child keeps of a mask.
        self.0.addr() as u32 & mask as u32 == 0
    }

    /// Whether there is no room in it. True of no magazine with a mask of 0.
    #[inline(always)]
    pub(crate) fn is_full(self, mask: usize) -> bool {
        (self.0.addr() + WORD) as u32 & mask as u32 == 0
    }

    /// How many rounds it holds.
    pub(crate) fn rounds(self, mask: usize) -> usize {
        (self.0.addr() & mask) / WORD
    }

    /// Its mask, as the slab of its block knows it; 0 for no magazine. It is for the one place that
    /// has no room for the mask: the depot's half-filled magazine.
    ///
    /// # Safety
    /// It is none, or its block is the heap's and not given back.
    pub(crate) unsafe fn mask(self) -> usize {
        if self.is_none() {
            return 0;
        }
        // SAFETY: the caller's promise; a block is as large as the stride of its slab.
        unsafe { (*slab_of(self.0.cast())).stride() as usize - 1 }
    }

    /// The block it lies in.
    pub(crate) fn block(self, mask: usize) -> *mut u8 {
        self.0.map_addr(|top| top & !mask).cast()
    }

    /// Takes the last round.
    ///
    /// # Safety
    /// It is not empty, and nobody else uses it.
    #[inline(always)]
    pub(crate) unsafe fn pop(&mut self) -> *mut u8 {
        // SAFETY: the last filled word of a magazine that is not empty is a round.
        unsafe {
            reads(self.0);
            let round = seal(*self.0, self.0);
            self.0 = self.0.sub(1);
            round
        }
    }

    /// The last round.
    ///
    /// # Safety
    /// It is not empty, and nobody else uses it.
    pub(crate) unsafe fn last(self) -> *mut u8 {
        reads(self.0);
        // SAFETY: the last filled word of a magazine that is not empty is a round.
        unsafe { seal(*self.0, self.0) }
    }

    /// The place behind the last round, which is the block's start or its end if there is no room.
    #[inline(always)]
    pub(crate) fn next(self) -> Next {
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut, reason = "nothing changes it"))]
        let mut next = self.0.wrapping_add(1);
        // So that it is computed once: the compiler would add anew for the lower half.
        #[cfg(target_arch = "x86_64")]
        // SAFETY: no instruction.
        unsafe {
            core::arch::asm!("/* {0} */", inout(reg) next, options(pure, readonly, nostack, preserves_flags));
        }
        Next(next)
    }

    /// Adds a round at the place that [`Magazine::next`] gave.
    ///
    /// # Safety
    /// There is room, and nobody else uses it.
    #[inline(always)]
    pub(crate) unsafe fn push_at(&mut self, next: Next, round: *mut u8) {
        self.0 = next.0;
        writes(self.0);
        // SAFETY: a magazine that is not full has a word behind the last filled one.
        unsafe { *self.0 = seal(round, self.0) }
    }

    /// Adds a round.
    ///
    /// # Safety
    /// It is not full, and nobody else uses it.
    #[inline(always)]
    pub(crate) unsafe fn push(&mut self, round: *mut u8) {
        // SAFETY: a magazine that is not full has a word behind the last filled one.
        unsafe {
            self.0 = self.0.add(1);
            writes(self.0);
            *self.0 = seal(round, self.0);
        }
    }

    /// Moves rounds from `other` until this is full or that is empty.
    ///
    /// # Safety
    /// The magazines have these masks, and nobody else uses them.
    pub(crate) unsafe fn pour(&mut self, mask: usize, other: &mut Magazine, other_mask: usize) {
        while !self.is_full(mask) && !other.is_empty(other_mask) {
            // SAFETY: the loop's condition.
            unsafe { self.push(other.pop()) }
        }
    }

    /// Takes rounds into `to`, the last one first, as many as there are and fit, and returns how many.
    ///
    /// # Safety
    /// It is none or of this mask, and nobody else uses it.
    #[inline(always)]
    pub(crate) unsafe fn pop_into(
        &mut self,
        mask: usize,
        to: &mut [MaybeUninit<*mut u8>],
    ) -> usize {
        let count = self.rounds(mask).min(to.len());
        // SAFETY: so many words up to the last filled one are rounds.
        unsafe {
            self.0 = self.0.wrapping_sub(count);
            for (index, place) in to[..count].iter_mut().rev().enumerate() {
                let word = self.0.add(1 + index);
                reads(word);
                place.write(seal(*word, word));
            }
        }
        count
    }

    /// Fills a magazine: `fill` is given room for `most` rounds, writes the first of them and returns
    /// how many.
    ///
    /// # Safety
    /// It is not none and has room for `most` rounds, and nobody else uses it.
    pub(crate) unsafe fn fill(&mut self, most: usize, fill: impl FnOnce(&mut [*mut u8]) -> usize) {
        // SAFETY: words 1 to `most` are in the block; whatever they hold is a value of their type.
        unsafe {
            let filled = fill(core::slice::from_raw_parts_mut(self.0.add(1), most));
            debug_assert!(filled <= most);
            (1..=filled).for_each(|word| writes(self.0.add(word)));
            self.seal_words(1, filled);
            self.0 = self.0.add(filled);
        }
    }

    /// Takes rounds away until it is empty, in `most` steps at most: `drain` is given those that are
    /// left, and returns how many of the first are left then.
    ///
    /// # Safety
    /// It is of this mask, and nobody else uses it.
    pub(crate) unsafe fn drain(
        &mut self,
        mask: usize,
        most: usize,
        mut drain: impl FnMut(&[*mut u8]) -> usize,
    ) {
        // SAFETY: words 1 to the last filled one are rounds.
        unsafe {
            let first = self.block(mask).cast::<*mut u8>().add(1);
            let mut rounds = self.rounds(mask);
            (0..rounds).for_each(|round| reads(first.add(round)));
            Magazine(first).seal_words(0, rounds);
            let mut steps = most;
            while rounds != 0 && steps != 0 {
                rounds = drain(core::slice::from_raw_parts(first, rounds));
                steps -= 1;
            }
            Magazine(first).seal_words(0, rounds);
            self.0 = first.add(rounds).sub(1);
        }
    }

    /// The rounds in it.
    ///
    /// # Safety
    /// It is of this mask and not none, and nobody changes it meanwhile.
    pub(crate) unsafe fn contents<'a>(self, mask: usize) -> Contents<'a> {
        // SAFETY: words 1 to the last filled one are rounds.
        unsafe {
            let first = self.block(mask).cast::<*mut u8>().add(1);
            (0..self.rounds(mask)).for_each(|round| reads(first.add(round)));
            Contents::new(core::slice::from_raw_parts(first, self.rounds(mask)))
        }
    }

    /// Seals words, or makes sealed ones readable, from the one that is so many behind the last
    /// filled one.
    ///
    /// # Safety
    /// They are in the block, and nobody else uses it.
    unsafe fn seal_words(self, first: usize, count: usize) {
        if HARDENED {
            for index in first..first + count {
                // SAFETY: the caller's promise.
                unsafe {
                    let word = self.0.add(index);
                    *word = seal(*word, word);
                }
            }
        }
    }

    /// How many rounds the next fill takes.
    ///
    /// # Safety
    /// It is not none, its word 0 is a quota (see the head of this file), and nobody else uses it.
    pub(crate) unsafe fn quota(self, mask: usize) -> usize {
        reads(self.word_0(mask));
        // SAFETY: word 0 is in the block.
        unsafe { seal(*self.word_0(mask), self.word_0(mask)).addr() }
    }

    /// Sets the quota.
    ///
    /// # Safety
    /// It is not none and on no list, and nobody else uses it.
    pub(crate) unsafe fn set_quota(self, mask: usize, quota: usize) {
        writes(self.word_0(mask));
        // SAFETY: word 0 is in the block.
        unsafe {
            let quota = ptr::without_provenance_mut(quota);
            *self.word_0(mask) = seal(quota, self.word_0(mask));
        }
    }

    /// The magazine that its word 0 links it to.
    ///
    /// # Safety
    /// It is on a list.
    unsafe fn link(self, mask: usize) -> Magazine {
        reads(self.word_0(mask));
        // SAFETY: word 0 of a magazine in a list is the link.
        unsafe { Magazine(seal(*self.word_0(mask), self.word_0(mask)).cast()) }
    }

    /// Links it to another one.
    ///
    /// # Safety
    /// It is not none, and nobody else uses it.
    unsafe fn set_link(self, mask: usize, next: Magazine) {
        writes(self.word_0(mask));
        // SAFETY: word 0 is in the block.
        unsafe { *self.word_0(mask) = seal(next.0.cast(), self.word_0(mask)) }
    }

    fn word_0(self, mask: usize) -> *mut *mut u8 {
        self.block(mask).cast()
    }
}

/// The rounds of a magazine: as they lie there, or a copy if they are sealed.
pub(crate) struct Contents<'a> {
    words: &'a [*mut u8],
    copy: [*mut u8; COPIED],
}

/// Rounds of the largest magazine, if they are sealed.
const COPIED: usize = if HARDENED { MAGAZINE_WORDS[0] } else { 0 };

impl<'a> Contents<'a> {
    fn new(words: &'a [*mut u8]) -> Contents<'a> {
        let mut copy = [ptr::null_mut(); COPIED];
        for (round, word) in copy.iter_mut().zip(words) {
            *round = seal(*word, word);
        }
        Contents { words, copy }
    }
}

impl Deref for Contents<'_> {
    type Target = [*mut u8];
    fn deref(&self) -> &[*mut u8] {
        if HARDENED { &self.copy[..self.words.len()] } else { self.words }
    }
}

/// A stack of magazines of one size, linked through their words 0.
///
/// A block that is on it twice makes the links a circle; the count ends every walk all the same.
/// Packed because a parent pool, whose size is part of the ABI, has four of them.
#[repr(C, packed(4))]
pub(crate) struct MagazineList {
    first: Magazine,
    count: u32,
}

/// For a walker outside of the process.
pub(crate) const LAYOUT: &[Field] = layout!("magazines", MagazineList: first, count);

impl MagazineList {
    /// The empty list.
    pub(crate) const EMPTY: MagazineList = MagazineList { first: Magazine::NONE, count: 0 };

    /// How many magazines are in it.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The magazine that was added last, or none.
    pub(crate) fn first(&self) -> Magazine {
        self.first
    }

    /// The magazines, last added first.
    pub(crate) fn iter(&self, mask: usize) -> impl Iterator<Item = Magazine> + use<> {
        let mut next = self.first;
        let mut left = self.count;
        core::iter::from_fn(move || {
            let magazine = next;
            if magazine.is_none() || left == 0 {
                return None;
            }
            left -= 1;
            // SAFETY: word 0 of a magazine in the list is the link.
            next = unsafe { magazine.link(mask) };
            Some(magazine)
        })
    }

    /// Adds a magazine.
    ///
    /// # Safety
    /// It is not none, of this mask, and nobody else uses it.
    pub(crate) unsafe fn push(&mut self, magazine: Magazine, mask: usize) {
        // SAFETY: word 0 is in the block.
        unsafe { magazine.set_link(mask, self.first) }
        self.first = magazine;
        self.count += 1;
    }

    /// If the link of the last added magazine leads to none that `sound` takes for one, cuts the
    /// list behind it and returns it.
    pub(crate) fn cut_unsound(
        &mut self,
        mask: usize,
        sound: impl Fn(Magazine) -> bool,
    ) -> Option<Magazine> {
        if self.first.is_none() {
            return None;
        }
        // SAFETY: word 0 of a magazine in the list is the link.
        unsafe {
            let link = self.first.link(mask);
            if link.is_none() == (self.count == 1) && (link.is_none() || sound(link)) {
                return None;
            }
            self.first.set_link(mask, Magazine::NONE);
        }
        self.count = 1;
        Some(self.first)
    }

    /// Takes the last added magazine, if there is one. Its quota is not set.
    pub(crate) fn pop(&mut self, mask: usize) -> Option<Magazine> {
        if self.first.is_none() {
            return None;
        }
        let magazine = self.first;
        self.count -= 1;
        self.first = match self.count {
            0 => Magazine::NONE,
            // SAFETY: word 0 of a magazine in the list is the link.
            _ => unsafe { magazine.link(mask) },
        };
        Some(magazine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: usize = 8 * WORD - 1;

    #[repr(align(64))]
    struct Block(#[expect(dead_code, reason = "only its place is used")] [usize; 8]);

    #[test]
    fn a_list_with_a_magazine_twice_ends() {
        let mut block = Block([0; 8]);
        let mut list = MagazineList::EMPTY;
        // SAFETY: the block is aligned to its size; that it is on the list twice is what is tried.
        unsafe {
            let magazine = Magazine::new((&raw mut block).cast());
            list.push(magazine, MASK);
            list.push(magazine, MASK);
        }
        assert_eq!(list.iter(MASK).count(), 2);
        assert!(list.pop(MASK).is_some() && list.pop(MASK).is_some());
        assert!(list.pop(MASK).is_none());
        assert_eq!((list.count(), list.iter(MASK).count()), (0, 0));
    }

    fn objects() -> Vec<u8> {
        vec![0; 16]
    }

    #[test]
    fn a_magazine_is_a_stack_of_one_word_less_than_its_block() {
        let mut block = Block([0; 8]);
        let mut objects = objects();
        // SAFETY: the block is aligned to its size and used by this magazine only.
        unsafe {
            let mut magazine = Magazine::new((&raw mut block).cast());
            assert!(magazine.is_empty(MASK) && !magazine.is_full(MASK));
            for object in &mut objects[..7] {
                assert!(!magazine.is_full(MASK));
                magazine.push(object);
            }
            assert!(magazine.is_full(MASK));
            assert_eq!(magazine.rounds(MASK), 7);
            for object in objects[..7].iter_mut().rev() {
                assert_eq!(magazine.pop(), &raw mut *object);
            }
            assert!(magazine.is_empty(MASK));
        }
    }

    #[test]
    fn no_magazine_is_both_empty_and_full() {
        assert!(Magazine::NONE.is_empty(0) && Magazine::NONE.is_full(0));
        assert!(Magazine::NONE.is_empty(MASK));
    }

    #[test]
    fn pouring_stops_when_one_is_full_or_the_other_empty() {
        let (mut a, mut b) = (Block([0; 8]), Block([0; 8]));
        let mut objects = objects();
        // SAFETY: as above.
        unsafe {
            let mut into = Magazine::new((&raw mut a).cast());
            let mut from = Magazine::new((&raw mut b).cast());
            for object in &mut objects[..5] {
                into.push(object);
            }
            for object in &mut objects[5..10] {
                from.push(object);
            }
            into.pour(MASK, &mut from, MASK);
            assert!(into.is_full(MASK));
            assert_eq!(from.rounds(MASK), 3);
        }
    }

    #[test]
    fn a_list_with_an_overwritten_link_is_cut() {
        let mut blocks = [Block([0; 8]), Block([0; 8]), Block([0; 8])];
        let mut list = MagazineList::EMPTY;
        assert!(list.cut_unsound(MASK, |_| false).is_none());
        for block in &mut blocks {
            // SAFETY: as above.
            unsafe { list.push(Magazine::new((&raw mut *block).cast()), MASK) }
        }
        assert!(list.cut_unsound(MASK, |_| true).is_none());
        let cut = list.cut_unsound(MASK, |_| false);
        assert!(cut == Some(list.first) && list.count() == 1);
        assert!(list.cut_unsound(MASK, |_| false).is_none(), "nothing is behind it any more");
        assert!(list.pop(MASK).is_some() && list.pop(MASK).is_none());
    }

    #[test]
    fn a_list_gives_magazines_back_last_first() {
        let mut blocks = [Block([0; 8]), Block([0; 8]), Block([0; 8])];
        let mut list = MagazineList::EMPTY;
        let mut magazines = Vec::new();
        for block in &mut blocks {
            // SAFETY: as above.
            unsafe {
                let magazine = Magazine::new((&raw mut *block).cast());
                list.push(magazine, MASK);
                magazines.push(magazine);
            }
        }
        assert_eq!(list.count(), 3);
        while let Some(magazine) = magazines.pop() {
            assert!(list.pop(MASK) == Some(magazine));
        }
        assert!(list.pop(MASK).is_none());
        assert_eq!(list.count(), 0);
    }
}
