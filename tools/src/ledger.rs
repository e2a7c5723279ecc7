// SPDX-License-Identifier: MIT
//! What the modes `users`, `quarantine` and `leaks` keep of objects, and the stacks from where they
//! were allocated and freed.

use std::collections::HashMap;

use crate::image::{Image, Reader};
use crate::memory::Unreadable;
use crate::shapes::View;

/// Places of a pool's table at most, and ledgers.
const MOST_RECORDS: u64 = 1 << 26;
const MOST_LEDGERS: usize = 1 << 16;

/// Where an object is, as its record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Free,
    Out,
    Waiting,
}

/// What is kept of an object.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub state: State,
    /// Thread and stack of who allocated it, and of who freed it; 0 if nobody did.
    pub users: [(u64, u64); 2],
}

/// The records of all pools that have some.
#[derive(Default)]
pub struct Ledger {
    /// By the parent's address and the slot's.
    records: HashMap<(u64, u64), Record>,
}

impl Ledger {
    /// Reads all records. Tables that cannot be are left out, and noted.
    pub fn read(reader: &Reader<'_>, image: &mut Image) -> Ledger {
        let mut found = Ledger::default();
        let Some(debug) = &reader.shapes.debug else { return found };
        let place = reader.root.places.ledgers;
        let mut at = if place == 0 { 0 } else { reader.word(place).unwrap_or(0) };
        for _ in 0..MOST_LEDGERS {
            if at == 0 {
                return found;
            }
            let Ok(bytes) = reader.memory.bytes(at, debug.ledger.bytes) else {
                image.problems.add(at, "what is kept of objects cannot be read");
                return found;
            };
            let ledger = View::new(&bytes);
            let parent = ledger.get(debug.ledger.parent);
            if parent != 0 && found.read_table(reader, parent, ledger).is_err() {
                image.problems.add(at, "the table of what is kept of objects cannot be read");
            }
            at = ledger.get(debug.ledger.next);
        }
        image.problems.add(at, "the list of what is kept of objects does not end");
        found
    }

    fn read_table(
        &mut self,
        reader: &Reader<'_>,
        parent: u64,
        ledger: View<'_>,
    ) -> Result<(), Unreadable> {
        let Some(debug) = &reader.shapes.debug else { return Ok(()) };
        let pages = ledger.part(debug.ledger.pages, debug.pages.bytes);
        let table = pages.part(debug.pages.table, debug.records.bytes);
        let (start, capacity) =
            (table.get(debug.records.records), table.get(debug.records.capacity));
        if capacity == 0 {
            return Ok(());
        }
        if capacity > MOST_RECORDS {
            return Err(Unreadable);
        }
        // Not all at once: the number is not to be believed before the memory is there.
        const AT_ONCE: u64 = 4096;
        let each = debug.record.bytes as u64;
        for first in (0..capacity).step_by(AT_ONCE as usize) {
            let count = AT_ONCE.min(capacity - first);
            let from = start.checked_add(first * each).ok_or(Unreadable)?;
            let bytes = reader.memory.bytes(from, (count * each) as usize)?;
            for record in bytes.chunks_exact(debug.record.bytes) {
                let (record, shape) = (View::new(record), &debug.record);
                let slot = record.get(shape.slot);
                if slot == 0 {
                    continue;
                }
                let state = match record.get(shape.state) {
                    1 => State::Out,
                    2 => State::Waiting,
                    _ => State::Free,
                };
                let users = [
                    (record.get(shape.allocated_thread), record.get(shape.allocated_stack)),
                    (record.get(shape.freed_thread), record.get(shape.freed_stack)),
                ];
                self.records.insert((parent, slot), Record { state, users });
            }
        }
        Ok(())
    }

    /// What is kept of a slot of a pool.
    pub fn record(&self, parent: u64, slot: u64) -> Option<&Record> {
        self.records.get(&(parent, slot))
    }

    /// The return addresses of a stack, the innermost first.
    pub fn frames(&self, reader: &Reader<'_>, stack: u64) -> Vec<u64> {
        let Some(debug) = &reader.shapes.debug else { return Vec::new() };
        let (place, word) = (reader.root.places.stacks, reader.shapes.word as u64);
        let arena = if place == 0 { 0 } else { reader.word(place).unwrap_or(0) };
        if arena == 0 || stack < debug.stack_chains as u64 || stack >= debug.stack_words as u64 {
            return Vec::new();
        }
        let at = |index: u64| arena.saturating_add((stack + index) * word);
        let count = reader.word(at(1)).unwrap_or(0).min(debug.stack_frames as u64);
        (0..count).map_while(|index| reader.word(at(2 + index)).ok()).collect()
    }
}
