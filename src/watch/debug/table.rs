// SPDX-License-Identifier: MIT
//! What is known of each object of a pool: a hash table, keyed by the address of the object's slot.
//!
//! Open addressing, linear probing, at most half full, or seven eighths if there is no memory for
//! more. Nothing is removed one by one: when the table is full, a new one is made without what
//! helps no report any more. The memory is the system's, reserved for the table alone.

use core::mem::size_of;
use core::ptr;

use super::stacks::Stack;
use crate::base::geometry::PAGE;
use crate::base::layout::{Field, layout};
use crate::heap::registry;
use crate::sys::os;

/// Where an object is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// In its slab.
    Free,
    /// The program has it.
    Out,
    /// It was freed and waits.
    Waiting,
}

/// Who did something.
#[derive(Clone, Copy)]
pub(crate) struct User {
    /// 0: nobody has.
    pub(crate) thread: usize,
    /// From where.
    pub(crate) stack: Stack,
}

impl User {
    /// Nobody.
    pub(crate) const NONE: User = User { thread: 0, stack: Stack::NONE };
}

/// What is known of an object.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    /// The address of the slot; 0 if the place is empty.
    pub(crate) slot: usize,
    /// The slot that was freed next, while both wait.
    pub(crate) next: usize,
    /// Who allocated it last.
    pub(crate) allocated: User,
    /// Who freed it last.
    pub(crate) freed: User,
    /// Where it is.
    pub(crate) state: State,
}

/// For a walker outside of the process.
pub(super) const RECORD_LAYOUT: &[Field] = layout!(
    "record", Record: slot, allocated.thread, allocated.stack, freed.thread, freed.stack, state
);

impl Record {
    /// Whether nothing needs to be known of the slot any more: it is free, and nobody is known who
    /// freed it, or the memory is gone.
    fn is_old(&self) -> bool {
        self.state == State::Free && (self.freed.thread == 0 || !registry::has(self.slot))
    }
}

/// See the head of this file. All zeroes is an empty table.
pub(crate) struct Table {
    /// Null if there is none yet.
    records: *mut Record,
    capacity: usize,
    used: usize,
    /// So many slots are entered before more room is asked for again, after there was no memory for
    /// it.
    patience: usize,
}

/// The same.
pub(super) const LAYOUT: &[Field] = layout!("records", Table: records, capacity, used);

impl Table {
    /// An empty table.
    pub(crate) const EMPTY: Table =
        Table { records: ptr::null_mut(), capacity: 0, used: 0, patience: 0 };

    #[inline(never)]
    fn place(&self, slot: usize) -> *mut Record {
        // The high bits of the product, as slots differ in few of the low ones.
        let hash = (slot as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let mut index = hash as usize & (self.capacity - 1);
        // SAFETY: the index is below the capacity, a power of two. The loop ends as some places are
        // empty.
        unsafe {
            loop {
                let record = self.records.add(index);
                if (*record).slot == slot || (*record).slot == 0 {
                    return record;
                }
                index = (index + 1) & (self.capacity - 1);
            }
        }
    }

    /// The record of a slot, if there is one.
    pub(crate) fn find(&self, slot: usize) -> Option<&Record> {
        if self.capacity == 0 {
            return None;
        }
        // SAFETY: `place` gives a place of the table.
        unsafe { self.place(slot).as_ref().filter(|record| record.slot != 0) }
    }

    /// The same, to change it.
    pub(crate) fn find_mut(&mut self, slot: usize) -> Option<&mut Record> {
        self.find(slot)?;
        // SAFETY: a place of the table, which is not empty.
        unsafe { self.place(slot).as_mut() }
    }

    /// The record of a slot, a new one if there is none. None if there is no memory.
    #[inline(never)]
    pub(crate) fn enter(&mut self, slot: usize) -> Option<&mut Record> {
        if self.used * 2 >= self.capacity && self.find(slot).is_none() {
            match self.patience {
                0 => self.make_room(),
                _ => self.patience -= 1,
            }
            if self.used >= self.capacity / 8 * 7 {
                return None;
            }
        }
        let record = self.place(slot);
        // SAFETY: a place of the table.
        let record = unsafe { &mut *record };
        if record.slot == 0 {
            self.used += 1;
            let nobody = User::NONE;
            *record =
                Record { slot, next: 0, allocated: nobody, freed: nobody, state: State::Free };
        }
        Some(record)
    }

    /// Calls `each` with every record.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&Record)) {
        for index in 0..self.capacity {
            // SAFETY: a place of the table.
            let record = unsafe { &*self.records.add(index) };
            if record.slot != 0 {
                each(record);
            }
        }
    }

    /// Makes a new table without what may be forgotten. If there is no memory, nothing changes.
    fn make_room(&mut self) {
        let mut kept = 0;
        self.for_each(|record| kept += usize::from(!record.is_old()));
        let least = PAGE / size_of::<Record>();
        let capacity = (4 * kept).max(least).next_power_of_two();
        let bytes = (capacity * size_of::<Record>()).next_multiple_of(PAGE);
        let records: *mut Record = os::reserve(bytes, PAGE).cast();
        if records.is_null() {
            self.patience = self.capacity / 8;
            return;
        }
        let mut new = Table { records, capacity, ..Table::EMPTY };
        self.for_each(|record| {
            if !record.is_old() {
                // SAFETY: a place of the new table, which is empty.
                unsafe { *new.place(record.slot) = *record };
                new.used += 1;
            }
        });
        core::mem::swap(self, &mut new);
        new.clear();
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        if self.capacity != 0 {
            let bytes = (self.capacity * size_of::<Record>()).next_multiple_of(PAGE);
            // SAFETY: the table's own reservation, which nothing refers to any more.
            unsafe { os::release(self.records.cast(), bytes) };
        }
        *self = Table::EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_one_record_however_many_there_are() {
        let mut table = Table::EMPTY;
        assert!(table.find(4096).is_none());
        for slot in (1..=10_000).map(|n| n * 96) {
            let record = table.enter(slot).unwrap();
            assert!(record.slot == slot && record.state == State::Free);
            record.state = State::Out;
            record.next = slot + 1;
        }
        let mut count = 0;
        table.for_each(|_| count += 1);
        assert_eq!(count, 10_000);
        for slot in (1..=10_000).map(|n| n * 96) {
            assert_eq!(table.find(slot).unwrap().next, slot + 1);
            assert_eq!(table.enter(slot).unwrap().next, slot + 1);
        }
        assert!(table.find(95).is_none());
        table.clear();
        assert!(table.find(96).is_none());
    }

    #[test]
    fn what_is_free_makes_room_for_others() {
        let mut table = Table::EMPTY;
        for slot in 1..=100_000 {
            table.enter(slot).unwrap().state = State::Out;
            if let Some(old) = table.find_mut(slot.saturating_sub(10)) {
                old.state = State::Free;
            }
            assert!(table.find(slot.saturating_sub(9).max(1)).is_some());
        }
        assert!(table.capacity < 1000);
        table.clear();
    }
}
