// SPDX-License-Identifier: MIT
//! What a call finds wrong while it has locks: noted without memory of its own, and said once it
//! has none.

use core::mem::MaybeUninit;
use core::slice;

use super::report;
#[cfg(feature = "debug")]
use super::report::Report;
#[cfg(feature = "debug")]
use crate::base::line::Text;
use crate::base::pool_id::PoolId;
#[cfg(feature = "debug")]
use crate::watch::debug::{
    explain::explain,
    table::{Record, User},
};

/// So many are noted of a call; further ones are counted.
const MOST: usize = 8;

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

/// See the head of this file. The first `count` notes, [`MOST`] at most, are written.
pub(crate) struct Notes {
    notes: MaybeUninit<[Note; MOST]>,
    count: u32,
}

impl Notes {
    /// Nothing is wrong. (As a constant, all of it would be written for each visit to a pool.)
    #[inline(always)]
    pub(crate) fn none() -> Notes {
        Notes { notes: MaybeUninit::uninit(), count: 0 }
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
        if (self.count as usize) < MOST {
            // SAFETY: the place is one of the notes'.
            unsafe { self.notes.as_mut_ptr().cast::<Note>().add(self.count as usize).write(note) }
        }
        self.count += 1;
    }

    /// Says everything. No lock is held.
    #[cold]
    #[inline(never)]
    pub(crate) fn say(&self, function: &str, pool: Option<&PoolId>) {
        let kept = (self.count as usize).min(MOST);
        // SAFETY: so many are written, see the struct.
        let notes = unsafe { slice::from_raw_parts(self.notes.as_ptr().cast::<Note>(), kept) };
        notes.iter().for_each(|note| say_one(function, pool, note));
        let more = self.count - kept as u32;
        if more != 0 {
            report::count_more(function, pool, more);
        }
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

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let mut notes = Notes::none();
        assert!(notes.is_empty());
        for address in 0..MOST + 5 {
            notes.add(address, "double free");
        }
        assert_eq!(notes.count as usize, MOST + 5);
        let before = report::count();
        notes.say("test", None);
        assert!(report::count() - before >= MOST as u32 + 5);
    }
}
