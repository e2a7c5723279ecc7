// SPDX-License-Identifier: MIT
//! What the last child of a pool leaves for the next one: a magazine, and the slab that all its
//! rounds are of.
//!
//! Some drivers create a child for every submit, and often there is no other one. Then the pool
//! would take a slab and a magazine from the heap, and give them back, for a few objects each time.
//! Instead the heap keeps both as they are, until a pool of such objects has a child again, or other
//! pools leave theirs, or its time is up, or the memory is wanted. The pool itself keeps nothing: its
//! memory may go unannounced, and a kit is not its any more. Kits are of the process's own heap: what
//! a program lends is given back to the last page.
//!
//! While the heap has it, the owner word of the slab is [`super::chunk::PARKED`].
//!
//! There are a few places, as a program with several contexts at a time may end one after the other
//! and begin as many again. A place has no lock. Its word says who may touch what is in it:
//!
//! | word | the place | who goes on |
//! |---|---|---|
//! | `EMPTY` | has nothing | who makes it `BUSY` may leave a kit |
//! | `FULL` | has a kit | who makes it `BUSY` may take it, or leave another one for it |
//! | `BUSY` | is one thread's, for a few instructions | that thread; all others do without |
//!
//! So nobody waits here, whatever locks are held. A process that is forked while another thread is
//! at it has that kit no more, and the place stays as it is.

use core::cell::UnsafeCell;
use core::ptr;

use crate::base::geometry::Geometry;
use crate::base::layout::{Field, layout, numbers};
use crate::heap::magazine::Magazine;
use crate::heap::slab::Slab;
use crate::heap::surplus::Surplus;
use crate::sys::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::sys::sync::{reads, writes};

/// A magazine and the slab of its rounds, of which no other object is out; or no slab, and an empty
/// magazine or none.
#[derive(Clone, Copy)]
pub(crate) struct Kit {
    /// Null if there is none. On no list.
    pub(crate) slab: *mut Slab,
    /// Its word 0 is its quota.
    pub(crate) magazine: Magazine,
    /// The mask of the magazine.
    pub(crate) mask: usize,
}

impl Kit {
    /// Nothing.
    pub(crate) const NONE: Kit = Kit { slab: ptr::null_mut(), magazine: Magazine::NONE, mask: 0 };

    /// Takes it apart.
    ///
    /// # Safety
    /// Nobody else uses what is in it: the objects that are out of the slab are its own.
    #[inline(never)]
    pub(super) unsafe fn add_to(&self, surplus: &mut Surplus) {
        // SAFETY: the caller's promise.
        unsafe {
            surplus.add_slab(self.slab);
            surplus.add_magazine(self.magazine, self.mask);
        }
    }

    /// Whether there is no slab in it.
    pub(crate) fn is_none(&self) -> bool {
        self.slab.is_null()
    }
}

const EMPTY: u32 = 0;
const FULL: u32 = 1;
const BUSY: u32 = 2;

/// How many kits are kept: one in small builds, and for the model checker, which is to meet a full
/// place.
const PLACES: usize = if cfg!(feature = "ext") && !cfg!(loom) { 4 } else { 1 };
const _: () = assert!(PLACES.is_power_of_two());

/// Which kits are claimed.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// Of such objects.
    Of(&'a Geometry),
    /// Left in this second or before.
    Until(u32),
}

impl Wanted<'_> {
    /// # Safety
    /// The slab of the kit is there.
    unsafe fn suits(self, kit: &Kit, since: u32) -> bool {
        match self {
            Wanted::Of(geometry) => {
                // SAFETY: the caller's promise; what a slab is of is constant.
                let (item, stride) = unsafe { ((*kit.slab).item(), (*kit.slab).stride()) };
                item == (geometry.item_size, geometry.num_items)
                    // Objects that are to be aligned to more are farther apart.
                    && (!cfg!(feature = "ext") || stride == geometry.stride)
            }
            Wanted::Until(until) => since <= until,
        }
    }
}

/// The places for kits.
pub(super) struct Parking {
    places: [Place; PLACES],
}

/// The place for one kit.
struct Place {
    word: AtomicU32,
    kit: UnsafeCell<Kit>,
    /// The second in which it was left.
    since: UnsafeCell<u32>,
}

// SAFETY: what is in cells is used by who made the word `BUSY`.
unsafe impl Sync for Place {}

/// For a walker outside of the process.
pub(crate) const LAYOUT: &[Field] = layout!("place", Place: word, kit);
/// The same.
pub(crate) const KIT_LAYOUT: &[Field] = layout!("kit", Kit: slab, magazine, mask);
/// The same.
pub(crate) const NUMBERS: &[Field] = numbers!("parking": PLACES, FULL);

impl Parking {
    pub(super) const fn empty() -> Parking {
        Parking { places: [const { Place::empty() }; PLACES] }
    }

    /// Leaves a kit. Returns one that had to go for it; or this one, if other threads are at the
    /// places just now; or none.
    pub(super) fn leave(&self, kit: Kit, since: u32) -> Kit {
        let free = self.places.iter().find(|place| place.is(EMPTY));
        // Any will do.
        let place =
            free.unwrap_or(&self.places[(kit.slab.addr() / size_of::<Slab>()) & (PLACES - 1)]);
        place.leave(kit, since)
    }

    /// Takes such a kit.
    pub(super) fn claim(&self, wanted: Wanted<'_>) -> Option<Kit> {
        self.places.iter().find_map(|place| place.claim(wanted))
    }

    /// The first use of the words, for the model checker.
    #[cfg(loom)]
    pub(super) fn begin(&self) {
        for place in &self.places {
            place.word.load(Relaxed);
        }
    }

    /// Forgets what is there. For the model checker.
    #[cfg(loom)]
    pub(super) fn reset(&self) {
        self.places.iter().for_each(|place| place.word.store(EMPTY, Relaxed));
    }
}

impl Place {
    const fn empty() -> Place {
        Place {
            word: AtomicU32::new(EMPTY),
            kit: UnsafeCell::new(Kit::NONE),
            since: UnsafeCell::new(0),
        }
    }

    fn is(&self, word: u32) -> bool {
        // Relaxed: who acts on it reads it again.
        self.word.load(Relaxed) == word
    }

    /// Leaves a kit. Returns the one that was there; or this one, if another thread is at the place
    /// just now; or none.
    #[cfg_attr(feature = "ext", inline(never))]
    fn leave(&self, kit: Kit, since: u32) -> Kit {
        let before = if self.is(FULL) { FULL } else { EMPTY };
        if !self.enter(before) {
            return kit;
        }
        // SAFETY: the place is this thread's.
        let last = unsafe {
            writes(self.kit.get());
            *self.since.get() = since;
            self.kit.get().replace(kit)
        };
        self.word.store(FULL, Release);
        if before == FULL { last } else { Kit::NONE }
    }

    /// Takes the kit, if there is one and it suits.
    #[inline(never)]
    fn claim(&self, wanted: Wanted<'_>) -> Option<Kit> {
        if !self.is(FULL) || !self.enter(FULL) {
            return None;
        }
        // SAFETY: the place is this thread's, with a kit whose slab nobody else has.
        let (kit, suits) = unsafe {
            reads(self.kit.get());
            let kit = *self.kit.get();
            (kit, wanted.suits(&kit, *self.since.get()))
        };
        self.word.store(if suits { EMPTY } else { FULL }, Release);
        suits.then_some(kit)
    }

    /// Makes the place this thread's, which leaves it by a store with release. Returns false if it
    /// has changed.
    fn enter(&self, word: u32) -> bool {
        self.word.compare_exchange(word, BUSY, Acquire, Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Wanted<'_> = Wanted::Until(u32::MAX);

    fn kit(address: usize) -> Kit {
        Kit { slab: ptr::without_provenance_mut(address), ..Kit::NONE }
    }

    #[test]
    fn a_kit_is_claimed_once_when_it_is_due() {
        let place = Place::empty();
        assert!(place.claim(ALL).is_none());
        assert!(place.leave(kit(64), 7).is_none());
        assert!(place.claim(Wanted::Until(6)).is_none());
        assert_eq!(place.claim(Wanted::Until(7)).map(|kit| kit.slab.addr()), Some(64));
        assert!(place.claim(ALL).is_none());
    }

    #[test]
    fn a_kit_is_claimed_by_whom_it_suits() {
        let mut other = [Geometry::new(96, 64); 3];
        other[0].item_size += 1;
        other[1].num_items += 1;
        other[2].stride += 16;
        let mut slab = crate::heap::slab::tests::slab(96, 64);
        let (place, kit) = (Place::empty(), Kit { slab: &raw mut slab, ..Kit::NONE });
        assert!(place.leave(kit, 7).is_none());
        let others = if cfg!(feature = "ext") { &other[..] } else { &other[..2] };
        assert!(others.iter().all(|other| place.claim(Wanted::Of(other)).is_none()));
        assert!(place.claim(Wanted::Of(&Geometry::new(96, 64))).is_some());
    }

    #[test]
    fn a_kit_takes_the_place_of_the_one_that_is_there() {
        let place = Place::empty();
        assert!(place.leave(kit(64), 1).is_none());
        assert_eq!(place.leave(kit(128), 2).slab.addr(), 64);
        assert_eq!(place.claim(ALL).map(|kit| kit.slab.addr()), Some(128));
        assert!(place.leave(kit(64), 3).is_none(), "what was claimed is not there any more");
    }

    #[test]
    fn as_many_are_kept_as_there_are_places() {
        let parking = Parking::empty();
        let leave = |number: usize| parking.leave(kit(number * 64), 1).slab.addr();
        let gone: Vec<usize> = (1..=PLACES + 2).map(leave).collect();
        assert!(gone[..PLACES].iter().all(|&kit| kit == 0));
        assert!(gone[PLACES..].iter().all(|&kit| kit != 0));
        assert!((0..PLACES).all(|_| parking.claim(ALL).is_some()));
        assert!(parking.claim(ALL).is_none());
    }

    #[test]
    fn who_finds_another_thread_at_it_does_without() {
        let place = Place::empty();
        assert!(place.leave(kit(64), 1).is_none());
        assert!(place.enter(FULL));
        assert_eq!(place.leave(kit(128), 2).slab.addr(), 128);
        assert!(place.claim(ALL).is_none());
        place.word.store(FULL, Release);
        assert_eq!(place.claim(ALL).map(|kit| kit.slab.addr()), Some(64));
    }
}
