//! What is said when an access to a guarded object faults.
//!
//! The handler of SIGSEGV and SIGBUS is installed with the first guarded object, and not before. It says whose object
//! it was, and then the signal goes its way: to the handler that was there before, or to the default, by letting the
//! instruction fault again, so that debuggers and core dumps see it where it happened.
//!
//! It runs wherever the program was interrupted, so it takes no lock, nor waits for one, and allocates nothing: the
//! list of chunks only grows, and what is read of a slot is atomic. A slot that another thread changes just then may be
//! told half as it was and half as it is.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use super::chunk::{FREED, GuardChunk, LIVE, Place};
use super::{About, find_chunk};
use crate::os::{self, Fault};
use crate::report::Text;

/// So many faults are told of, should the program go on after them.
const MOST: u32 = 10;

// Relaxed: whoever comes first installs the handler; an object is not handed to others before that.
static WATCHED: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Installs the handler, once. No lock is held.
pub fn watch() {
    if !WATCHED.load(Relaxed) && !WATCHED.swap(true, Relaxed) {
        // So that nothing has to be loaded when the first stack is captured.
        crate::debug::stack::prepare();
        os::watch_faults(tell);
    }
}

/// Puts the handler back that was there before, unless another one has been installed since.
pub fn unwatch() {
    if WATCHED.swap(false, Relaxed) {
        os::unwatch_faults();
    }
}

/// How an address is related to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// So many bytes behind its start, within it.
    In(usize),
    /// So many bytes behind its end: 0 is the first byte that is not its own.
    Behind(usize),
    /// So many bytes before its start.
    Before(usize),
}

impl Relation {
    fn new(address: usize, object: usize, size: usize) -> Relation {
        match address.checked_sub(object) {
            None => Relation::Before(object - address),
            Some(offset) if offset < size => Relation::In(offset),
            Some(offset) => Relation::Behind(offset - size),
        }
    }

    /// How far it is from the object.
    fn distance(self) -> usize {
        match self {
            Relation::In(_) => 0,
            Relation::Behind(bytes) => bytes + 1,
            Relation::Before(bytes) => bytes,
        }
    }
}

fn tell(fault: &Fault) {
    let chunk = find_chunk(fault.address);
    // Relaxed: it is a count.
    if chunk.is_null() || COUNT.fetch_add(1, Relaxed) >= MOST {
        return;
    }
    // SAFETY: chunks that are found stay.
    let Some(place) = (unsafe { culprit(chunk, fault.address) }) else { return };
    let mut line = Text::EMPTY;
    line.text("mesa-slab: ").text(fault.name).text(" at ").address(fault.address).text(": ");
    // SAFETY: the slot is one of the chunk's, which stays; what is read of it is atomic.
    let (freed, relation, about, allocated, free) = unsafe {
        let slot = place.slot;
        let size = (*slot).item_size.load(Relaxed).max(1) as usize;
        let relation = Relation::new(fault.address, place.object, size);
        let freed = (*slot).state.load(Relaxed) == FREED;
        (freed, relation, About::new(slot), (*slot).allocated.copy(), (*slot).freed.copy())
    };
    match relation {
        _ if freed => line.text("use after free of"),
        Relation::In(_) => line.text("access to"),
        Relation::Behind(_) => line.text("overrun of"),
        Relation::Before(_) => line.text("underrun of"),
    };
    line.text(" object ").address(place.object).text(" of ");
    about.pool(&mut line).text(": ");
    match relation {
        Relation::In(offset) => line.text("offset ").decimal(offset),
        Relation::Behind(bytes) => line.text("byte ").decimal(bytes + 1).text(" behind it"),
        Relation::Before(bytes) => line.text("byte ").decimal(bytes).text(" before it"),
    };
    let mut say = |line: &mut Text| os::say(line.text("\n").as_bytes());
    say(&mut line);
    allocated.say("allocated", &mut say);
    if freed {
        free.say("freed", &mut say);
    }
}

/// The object that an address belongs to, or missed by least; none if there never was one near.
///
/// # Safety
/// The chunk exists.
unsafe fn culprit(chunk: *const GuardChunk, address: usize) -> Option<Place> {
    // SAFETY: the caller's promise; what is read of slots is atomic.
    unsafe {
        let found = GuardChunk::find(chunk, address);
        let known = |place: &Place| {
            let slot = &*place.slot;
            let size = slot.item_size.load(Relaxed).max(1) as usize;
            let state = slot.state.load(Relaxed);
            let distance = Relation::new(address, place.object, size).distance();
            // Of two that are as near, the one that is in use.
            (state == LIVE || state == FREED).then_some((distance, state != LIVE))
        };
        let next = match &found {
            Some(place) if address < place.end => None,
            Some(place) => GuardChunk::behind(chunk, place),
            None => GuardChunk::first(chunk),
        };
        let candidates = [found, next];
        let known =
            candidates.into_iter().flatten().filter_map(|place| Some((known(&place)?, place)));
        known.min_by_key(|(rank, _)| *rank).map(|(_, place)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_an_object_or_behind_or_before_it() {
        assert_eq!(Relation::new(1000, 1000, 96), Relation::In(0));
        assert_eq!(Relation::new(1095, 1000, 96), Relation::In(95));
        assert_eq!(Relation::new(1096, 1000, 96), Relation::Behind(0));
        assert_eq!(Relation::new(999, 1000, 96), Relation::Before(1));
    }

    #[test]
    fn the_nearer_of_two_objects_is_blamed() {
        let behind = Relation::new(1096, 1000, 96);
        let before = Relation::new(1098, 1100, 96);
        assert!(behind.distance() < before.distance());
        assert_eq!(Relation::new(1050, 1000, 96).distance(), 0);
    }
}
