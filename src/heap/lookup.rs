// SPDX-License-Identifier: MIT
//! From any address to the slab that it lies in, and from one slab to the next in the order of
//! addresses, while the heap is locked.
//!
//! Whoever asks need not have an object, so that nothing but the lock keeps a chunk there. What the
//! registry has is mapped for as long as the lock is held: the bit of a chunk is set once it is
//! mapped, and cleared under the lock before it is released. (Chunks of guarded objects stay until
//! the library is unloaded.) An address above all that the registry has bits for is in no chunk
//! here: the system hands out such addresses only where it is asked for them.

use super::chunk::{Chunk, FREE, GUARDED, owner_of, slab_of};
use super::registry;
use super::slab::Slab;
use super::state::State;
use crate::base::address::at;
use crate::base::geometry::CHUNK;

/// What is at an address.
#[derive(Clone, Copy)]
pub(crate) enum At {
    /// No slab.
    Nothing,
    /// A guarded object, or memory beside it.
    Guarded,
    /// A slab, with this owner word.
    Slab(usize, *mut Slab),
}

/// A place between slabs, in the order of addresses. It stays whatever becomes of the slabs.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    chunk: usize,
    /// Slabs of the chunk that lie before the place, in the order of their descriptors.
    slots: usize,
}

impl Place {
    /// Before all slabs.
    pub(crate) const FIRST: Place = Place { chunk: 0, slots: 0 };
}

impl State {
    /// What is at an address, be it mapped or not.
    pub(crate) fn at(&self, address: usize) -> At {
        if !registry::is_noted(address) {
            return At::Nothing;
        }
        // SAFETY: the address is in a chunk, which stays while the lock is held; the slot of a page
        // that has an owner is written under it.
        unsafe {
            match owner_of(at(address)) {
                FREE => At::Nothing,
                GUARDED => At::Guarded,
                owner => At::Slab(owner, slab_of(at(address))),
            }
        }
    }

    /// The first slab behind a place, its owner word, and the place behind it.
    pub(crate) fn slab_from(&self, place: Place) -> Option<(usize, *mut Slab, Place)> {
        let Place { mut chunk, mut slots } = place;
        loop {
            let found = registry::first_from(chunk)?;
            if found != chunk {
                (chunk, slots) = (found, 0);
            }
            // SAFETY: the chunk stays while the lock is held. One of guarded objects has no slabs.
            unsafe {
                if !Chunk::is_guarded(at(chunk)) {
                    let slab = Chunk::slab_from(at(chunk), slots, self.locked());
                    if !slab.is_null() {
                        let slots = Chunk::slot_of(at(chunk), slab) + 1;
                        return Some((owner_of((*slab).base()), slab, Place { chunk, slots }));
                    }
                }
            }
            // There is none behind the last.
            chunk = chunk.checked_add(CHUNK)?;
            slots = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use core::ptr;

    use super::*;
    use crate::base::geometry::{Geometry, PAGE};
    use crate::heap::HEAP;
    use crate::heap::surplus::Surplus;

    fn what_is_at(address: usize) -> At {
        HEAP.with_state(|state| state.at(address))
    }

    #[test]
    fn any_address_may_be_asked() {
        let local = 0u8;
        for address in [0, 1, (&raw const local).addr(), CHUNK, usize::MAX, usize::MAX / 2 + 1] {
            assert!(matches!(what_is_at(address), At::Nothing), "{address:x}");
        }
        let slab = HEAP.make_slab(0x1000, &Geometry::new(96, 64));
        // SAFETY: the slab is the test's alone.
        let (base, bytes) = unsafe { ((*slab).base().addr(), (*slab).bytes()) };
        for address in [base, base + 1, base + bytes - 1] {
            assert!(matches!(what_is_at(address), At::Slab(0x1000, found) if found == slab));
        }
        assert!(matches!(what_is_at(slab.addr()), At::Nothing), "the header");
        let mut surplus = Surplus::EMPTY;
        // SAFETY: the slab is empty, and the test's alone.
        unsafe { surplus.add_slab(slab) };
        HEAP.take_back(&mut surplus);
        assert!(matches!(what_is_at(base), At::Nothing | At::Slab(..)), "others may use it");
    }

    #[test]
    fn each_slab_is_met_once_in_the_order_of_chunks() {
        const OWNER: usize = 0x2000;
        // Two chunks' worth, and large ones between.
        let small = Geometry::new((CHUNK / 8) as u32, 1);
        let large = Geometry::new(2 * CHUNK as u32, 1);
        let mut slabs: Vec<_> = (0..12).map(|_| HEAP.make_slab(OWNER, &small)).collect();
        slabs.extend((0..3).map(|_| HEAP.make_slab(OWNER, &large)));
        let (mut met, mut place, mut last) = (Vec::new(), Place::FIRST, ptr::null_mut::<Slab>());
        while let Some((owner, slab, next)) = HEAP.with_state(|state| state.slab_from(place)) {
            assert!(last.addr() < slab.addr());
            if owner == OWNER {
                met.push(slab);
            }
            (place, last) = (next, slab);
        }
        slabs.sort();
        assert_eq!(met, slabs);
        let mut surplus = Surplus::EMPTY;
        for slab in slabs {
            // SAFETY: the slabs are empty, and the test's alone.
            unsafe {
                assert!((*slab).base().addr() % PAGE == 0);
                surplus.add_slab(slab);
            }
        }
        HEAP.take_back(&mut surplus);
    }
}
