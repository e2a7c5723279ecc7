// SPDX-License-Identifier: MIT
//! What a call finds wrong while it has locks: noted, and said once it has none.
//!
//! The first few notes lie where the call keeps them, on its stack. A magazine may be full of what
//! was freed twice; for what is beyond the first few there are blocks of the heap's, as many as
//! hold what is said at most ([`report::MOST`]). Each is given back before what is in it is said.
//! Further notes, and those for which there is no memory, are counted.

use core::mem::{MaybeUninit, size_of};
use core::{ptr, slice};

use super::report;
#[cfg(feature = "debug")]
use super::report::Report;
use crate::base::geometry::magazine_bytes;
#[cfg(feature = "debug")]
use crate::base::line::Text;
use crate::base::pool_id::PoolId;
use crate::heap::magazine::Magazine;
use crate::heap::surplus::Surplus;
use crate::heap::{HEAP, Home};
#[cfg(feature = "debug")]
use crate::watch::debug::{
    explain::explain,
    table::{Record, User},
};

/// So many of a visit's notes are on the stack.
pub(crate) const FEW: usize = 4;
/// So many of who walks over all structures, with the heap locked.
pub(crate) const MANY: usize = 32;
/// The class of the blocks for further ones, and how many one holds beside a pointer.
const CLASS: u8 = 0;
const OF_A_BLOCK: usize = (magazine_bytes(CLASS) - size_of::<usize>()) / size_of::<Note>();

/// Something that is wrong at an address.
#[derive(Clone, Copy)]
struct Note {
    address: usize,
    words: &'static str,
    #[cfg(feature = "debug")]
    detail: Detail,
}

/// What pools with modes know of it.
#[cfg(feature = "debug")]
#[derive(Clone, Copy)]
pub(crate) struct Detail {
    /// Where from the start of the object another byte stands than should, and which.
    pub(crate) byte: Option<(isize, u8)>,
    /// Who makes this call.
    pub(crate) now: User,
    /// What is known of the object.
    pub(crate) record: Option<Record>,
}

#[cfg(feature = "debug")]
impl Detail {
    const NONE: Detail = Detail { byte: None, now: User::NONE, record: None };
}

/// A block of the heap's with notes.
#[repr(C)]
struct Block {
    /// The block that was filled before, or null.
    before: *mut Block,
    notes: [MaybeUninit<Note>; OF_A_BLOCK],
}

/// See the head of this file.
///
/// | field | meaning |
/// |---|---|
/// | `few` | the first notes; so many of them are written as `count` says, and all if it is more |
/// | `last` | the block that was filled last, or null; those before it are full |
/// | `in_last` | how many notes of it are written |
/// | `count` | how many notes there are, kept or not |
/// | `may_ask` | whether the heap may be asked for a block |
pub(crate) struct Notes<const FIRST: usize> {
    last: *mut Block,
    in_last: u32,
    count: u32,
    may_ask: bool,
    few: MaybeUninit<[Note; FIRST]>,
}

impl<const FIRST: usize> Notes<FIRST> {
    /// Nothing is wrong. (Field by field: as a whole, the compiler makes of what is not written, and
    /// the zeros around it, one call of memset for each visit to a pool.)
    #[inline(always)]
    pub(crate) fn none() -> Notes<FIRST> {
        let mut notes = MaybeUninit::<Notes<FIRST>>::uninit();
        let fields = notes.as_mut_ptr();
        // SAFETY: the fields are written but for `few`, of which none is to be.
        unsafe {
            (&raw mut (*fields).last).write(ptr::null_mut());
            (&raw mut (*fields).in_last).write(0);
            (&raw mut (*fields).count).write(0);
            (&raw mut (*fields).may_ask).write(true);
            notes.assume_init()
        }
    }

    /// The same for who has the heap's lock.
    pub(crate) fn under_the_heaps_lock() -> Notes<FIRST> {
        Notes { may_ask: false, ..Notes::none() }
    }

    /// Whether nothing is.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Notes what is wrong at an address.
    #[cold]
    #[inline(never)]
    pub(crate) fn add(&mut self, address: usize, words: &'static str) {
        self.keep(Note {
            address,
            words,
            #[cfg(feature = "debug")]
            detail: Detail::NONE,
        });
    }

    /// The same, with what is known of the object.
    #[cfg(feature = "debug")]
    #[cold]
    #[inline(never)]
    pub(crate) fn add_detailed(&mut self, address: usize, words: &'static str, detail: Detail) {
        self.keep(Note { address, words, detail });
    }

    fn keep(&mut self, note: Note) {
        let index = self.count as usize;
        self.count += 1;
        // SAFETY: the place is one of the first notes', or of the last block's.
        unsafe {
            if index < FIRST {
                self.few.as_mut_ptr().cast::<Note>().add(index).write(note);
            } else if index < report::MOST as usize && self.has_room() {
                (&mut (*self.last).notes)[self.in_last as usize].write(note);
                self.in_last += 1;
            }
        }
    }

    /// Whether there is room in the last block, or a new one.
    fn has_room(&mut self) -> bool {
        if !self.last.is_null() && (self.in_last as usize) < OF_A_BLOCK {
            return true;
        }
        if !self.may_ask {
            return false;
        }
        let magazine = HEAP.make_magazine(Home::PROCESS, CLASS);
        if magazine.is_none() {
            return false;
        }
        let block: *mut Block = magazine.block(magazine_bytes(CLASS) - 1).cast();
        // SAFETY: the block is new, and as large as a `Block` at least.
        unsafe { (&raw mut (*block).before).write(self.last) }
        self.last = block;
        self.in_last = 0;
        true
    }

    /// Says everything. No lock is held.
    #[cold]
    #[inline(never)]
    pub(crate) fn say(&mut self, function: &str, pool: Option<&PoolId>) {
        let first = (self.count as usize).min(FIRST);
        // SAFETY: so many are written, see the struct.
        let few = unsafe { slice::from_raw_parts(self.few.as_ptr().cast::<Note>(), first) };
        few.iter().for_each(|note| say_one(function, pool, note));
        let mut said = first;
        while !self.last.is_null() {
            said += self.say_last_block(function, pool);
        }
        let more = self.count - said as u32;
        if more != 0 {
            report::count_more(function, pool, more);
        }
    }

    /// Takes the last block off, says what is in it, and returns how many notes that were.
    #[inline(never)]
    fn say_last_block(&mut self, function: &str, pool: Option<&PoolId>) -> usize {
        let count = self.in_last as usize;
        // SAFETY: the block is these notes' own, and so many notes of it are written. It is read
        // before it is given back.
        let notes = unsafe {
            let block = self.last;
            let notes = (*block).notes;
            self.last = (*block).before;
            let mut surplus = Surplus::EMPTY;
            surplus.add_magazine(Magazine::new(block.cast()), magazine_bytes(CLASS) - 1);
            HEAP.take_back(&mut surplus);
            notes
        };
        self.in_last = OF_A_BLOCK as u32;
        for note in &notes[..count] {
            // SAFETY: as above.
            say_one(function, pool, unsafe { note.assume_init_ref() });
        }
        count
    }
}

#[cfg(not(feature = "debug"))]
fn say_one(function: &str, pool: Option<&PoolId>, note: &Note) {
    report::problem(function, pool, note.address, note.words);
}

#[cfg(feature = "debug")]
fn say_one(function: &str, pool: Option<&PoolId>, note: &Note) {
    let mut line = Text::empty();
    report::begin(&mut line, function, pool);
    line.format("@: ", &[note.address]).text(note.words);
    if let Some((offset, found)) = note.detail.byte {
        let words = if offset < 0 { ": @ at offset -%" } else { ": @ at offset %" };
        line.format(words, &[found as usize, offset.unsigned_abs()]);
    }
    let report = Report::say(&mut line);
    explain(note.detail.now, note.detail.record.as_ref(), &report);
    report.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many reports so many notes make.
    fn reports<const FIRST: usize>(notes: &mut Notes<FIRST>, count: usize) -> u32 {
        assert!(notes.is_empty());
        for address in 0..count {
            notes.add(address, "double free");
        }
        let before = report::count();
        notes.say("test", None);
        report::count() - before
    }

    #[test]
    fn every_note_is_said_or_counted() {
        // Other tests may report something just then.
        for count in [1, FEW, FEW + 1, FEW + 2 * OF_A_BLOCK, report::MOST as usize + 5] {
            assert!(reports(&mut Notes::<FEW>::none(), count) as usize >= count);
            assert!(reports(&mut Notes::<MANY>::under_the_heaps_lock(), count) as usize >= count);
        }
    }
}
