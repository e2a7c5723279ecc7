// SPDX-License-Identifier: MIT
//! What a recording knows of pools, objects and threads: a hash table in memory of its own.
//!
//! Open addressing, linear probing; an entry that goes leaves no gap: those behind it that belong
//! before it move up. So a search ends at the first free place.

use core::mem::size_of;
use core::ptr;

use crate::base::geometry::PAGE;
use crate::sys::os;

/// What a key is of. Keys are addresses, or numbers that the recording gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Kind {
    /// No entry. All zeroes is a table of these.
    Free = 0,
    /// A parent by its address: its number.
    Parent,
    /// A child by its address: its number, and its parent's. It is 0 once the child is destroyed.
    Child,
    /// An object by its address: its number, and that of the child that it was allocated from.
    Object,
    /// A parent by its number: objects that are live, and children that are not destroyed.
    ParentCounts,
    /// A child by its number: objects that are live, or that it is destroyed; and its parent's
    /// number.
    ChildCounts,
    /// A thread: its number.
    Thread,
}

#[derive(Clone, Copy)]
struct Entry {
    key: usize,
    kind: Kind,
    values: [u32; 2],
}

/// See the head of this file.
pub(crate) struct Map {
    entries: *mut Entry,
    /// A power of two, or 0.
    room: usize,
    used: usize,
}

/// Entries that the first table has room for.
const FIRST_ROOM: usize = 1 << 12;

impl Map {
    /// An empty table.
    pub(crate) const EMPTY: Map = Map { entries: ptr::null_mut(), room: 0, used: 0 };

    /// Where an entry is, or would be.
    fn place(&self, kind: Kind, key: usize) -> usize {
        let hash = (key ^ (kind as usize) << 2).wrapping_mul(0x9e37_79b9_7f4a_7c15u64 as usize);
        let mut at = (hash >> (usize::BITS / 2)) & (self.room - 1);
        loop {
            let entry = self.entry(at);
            if entry.kind == Kind::Free || entry.kind == kind && entry.key == key {
                return at;
            }
            at = (at + 1) & (self.room - 1);
        }
    }

    fn entry(&self, at: usize) -> Entry {
        // SAFETY: the table has `room` entries, and `at` is below it.
        unsafe { *self.entries.add(at) }
    }

    fn set_entry(&mut self, at: usize, entry: Entry) {
        // SAFETY: as above.
        unsafe { *self.entries.add(at) = entry }
    }

    /// The values of a key, if it is in the table.
    #[inline(never)]
    pub(crate) fn get(&self, kind: Kind, key: usize) -> Option<[u32; 2]> {
        if self.room == 0 {
            return None;
        }
        let entry = self.entry(self.place(kind, key));
        (entry.kind != Kind::Free).then_some(entry.values)
    }

    /// Sets the values of a key. Returns false if there is no memory.
    pub(crate) fn set(&mut self, kind: Kind, key: usize, values: [u32; 2]) -> bool {
        if self.used * 4 >= self.room * 3 && !self.grow() {
            return false;
        }
        let at = self.place(kind, key);
        if self.entry(at).kind == Kind::Free {
            self.used += 1;
        }
        self.set_entry(at, Entry { key, kind, values });
        true
    }

    /// Takes a key out, and returns its values if it was in the table.
    pub(crate) fn remove(&mut self, kind: Kind, key: usize) -> Option<[u32; 2]> {
        let values = self.get(kind, key)?;
        let mut gap = self.place(kind, key);
        let mut at = gap;
        self.used -= 1;
        loop {
            self.set_entry(gap, Entry { key: 0, kind: Kind::Free, values: [0; 2] });
            loop {
                at = (at + 1) & (self.room - 1);
                let entry = self.entry(at);
                if entry.kind == Kind::Free {
                    return Some(values);
                }
                // With the gap there, a search for it ends at the gap if it would pass it.
                if self.place(entry.kind, entry.key) == gap {
                    self.set_entry(gap, entry);
                    gap = at;
                    break;
                }
            }
        }
    }

    fn grow(&mut self) -> bool {
        let room = (self.room * 2).max(FIRST_ROOM);
        let bytes = os::whole_pages(room * size_of::<Entry>());
        let mut larger = Map { entries: os::reserve(bytes, PAGE).cast(), room, used: 0 };
        if larger.entries.is_null() {
            return false;
        }
        for at in 0..self.room {
            let entry = self.entry(at);
            if entry.kind != Kind::Free {
                larger.set(entry.kind, entry.key, entry.values);
            }
        }
        self.release();
        *self = larger;
        true
    }

    /// Forgets everything.
    pub(crate) fn release(&mut self) {
        if self.room != 0 {
            let bytes = os::whole_pages(self.room * size_of::<Entry>());
            // SAFETY: the table is a reservation of so many bytes, and is not used any more.
            unsafe { os::release(self.entries.cast(), bytes) }
        }
        *self = Map::EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn it_holds_what_a_map_of_the_standard_library_holds() {
        let kinds = [Kind::Parent, Kind::Child, Kind::Object, Kind::Thread];
        let mut map = Map::EMPTY;
        let mut model = HashMap::new();
        let mut random = 1u64;
        for step in 0..60_000u32 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let kind = kinds[(random >> 40) as usize % kinds.len()];
            // More keys than fit into the first table, then fewer, so that entries are removed next
            // to others.
            let keys = if step < 30_000 { 9000 } else { 500 };
            let key = (random >> 45) as usize % keys * 16;
            if random >> 63 == 0 {
                assert!(map.set(kind, key, [step, step + 1]));
                model.insert((kind as u32, key), [step, step + 1]);
            } else {
                assert_eq!(map.remove(kind, key), model.remove(&(kind as u32, key)));
            }
        }
        for kind in kinds {
            for key in (0..9000 * 16).step_by(16) {
                assert_eq!(map.get(kind, key), model.get(&(kind as u32, key)).copied());
            }
        }
        assert_eq!(map.used, model.len());
        map.release();
        assert_eq!(map.get(Kind::Child, 0), None);
    }
}
