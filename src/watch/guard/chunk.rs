// SPDX-License-Identifier: MIT
//! Chunks of guarded objects: where each object lies, from its address to its slot and back.
//!
//! A chunk is a reservation like those of [`crate::heap::chunk`]: aligned to [`CHUNK`], with a
//! table of owner words at its start, so that `slab_free` finds by the same load that an object is
//! guarded. Behind the header, which is followed by one guard page, it is cut into *slots* of one
//! class: `1 << class` pages for an object, and a guard page. An object that takes `n` pages has
//! the first `n` of its slot, and ends where they end, as far as its alignment allows; all other
//! pages of the slot cannot be accessed.
//!
//! ```text
//!   header │guard│ fill, object, slack │guard│ fill, object, slack │guard│ ...
//!                └────── slot 0 ─────────────┴────── slot 1 ─────────────┘
//! ```
//!
//! If not even one slot fits in a chunk, the reservation is larger and has one slot, whose object
//! starts in the first [`CHUNK`] bytes.
//!
//! | field of [`GuardChunk`] | written | read |
//! |---|---|---|
//! | `owners`, `class`, `slots_total`, `bytes` | before the chunk is shared | by all |
//! | `next` | before the chunk is shared | by all |
//! | `slots_used` | lock of the guards | the same |
//!
//! | field of [`Slot`] | written | read |
//! |---|---|---|
//! | `next` | lock of the guards | the same |
//! | all others | lock of the guards | the same, and by the handler of faults, which may see them half written |

use core::cell::Cell;
use core::mem::{offset_of, size_of};
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use super::record::Record;
use crate::base::address::{self, chunk_of};
use crate::base::geometry::{CHUNK, PAGE, PAGES};
use crate::base::layout::{Field, layout, numbers};
use crate::base::pool_id::PoolId;
use crate::heap::chunk::GUARDED;
use crate::heap::registry;
use crate::sys::os;
use crate::sys::valgrind;

/// Pages for the metadata: an eighth of a chunk, of which only what slots have used is ever
/// written.
const HEADER: usize = CHUNK / 8;
/// No page of the system's is smaller than [`PAGE`], and no slot has less than two.
const MOST_SLOTS: usize = (CHUNK - HEADER) / PAGE / 2;
/// Enough for objects of 4 GiB in pages of [`PAGE`].
pub(crate) const CLASSES: usize = 22;

/// The caller has the object. (0: the slot has never had one.)
pub(crate) const LIVE: u32 = 1;
/// The object is freed.
pub(crate) const FREED: u32 = 2;

/// What is known of one object.
#[repr(C)]
pub(crate) struct Slot {
    /// The slot that was freed next. A cell, as others have references to the slot meanwhile.
    pub(crate) next: Cell<*mut Slot>,
    /// 0, [`LIVE`] or [`FREED`].
    pub(crate) state: AtomicU32,
    /// Bytes of the object as the pool was created with.
    pub(crate) item_size: AtomicU32,
    /// The hint that the pool was created with.
    pub(crate) num_items: AtomicU32,
    /// Bytes from the start of the object to the guard page.
    room: AtomicUsize,
    /// The address of the pool; 0 once the pool is gone.
    pub(crate) parent: AtomicUsize,
    /// Who allocated it.
    pub(crate) allocated: Record,
    /// Who freed it.
    pub(crate) freed: Record,
}

/// The header of a chunk of guarded objects.
#[repr(C)]
pub(crate) struct GuardChunk {
    owners: [AtomicUsize; PAGES],
    /// The chunk that was made before this one.
    pub(crate) next: *mut GuardChunk,
    bytes: usize,
    class: u8,
    slots_total: u16,
    slots_used: u16,
    slots: [Slot; MOST_SLOTS],
}

/// For a walker outside of the process.
pub(super) const LAYOUT: &[Field] =
    layout!("guards", GuardChunk: owners, next, bytes, class, slots_total, slots_used, slots);
/// The same.
pub(super) const SLOT_LAYOUT: &[Field] = layout!(
    "guarded", Slot: state, item_size, num_items, room, parent, allocated, freed
);
/// The same.
pub(super) const NUMBERS: &[Field] = numbers!("guards": HEADER, LIVE, FREED);

const _: () = assert!(size_of::<GuardChunk>() <= HEADER);
const _: () = assert!(offset_of!(GuardChunk, owners) == crate::heap::chunk::OWNERS_AT);

/// Where in a slot an address lies.
pub(crate) struct Place {
    /// What is known of the object.
    pub(crate) slot: *const Slot,
    /// The start of its object.
    pub(crate) object: usize,
    /// The first byte behind the pages of its object.
    pub(crate) end: usize,
    index: usize,
}

/// The class for an object that takes so many bytes up to the guard page.
pub(crate) fn class_of(room: usize) -> u8 {
    room.div_ceil(os::page_size()).next_power_of_two().trailing_zeros() as u8
}

/// Bytes of a slot of a class that has slots, guard page included.
pub(crate) fn slot_bytes(class: u8) -> usize {
    let page = os::page_size();
    (page << class) + page
}

/// The same of any class, and what one slot takes with all before it; none if there are fewer
/// addresses.
fn slot_and_least(class: u8, first: usize) -> Option<(usize, usize)> {
    let page = os::page_size();
    let slot = page.checked_mul(1usize.checked_shl(class.into())?)?.checked_add(page)?;
    Some((slot, first.checked_add(slot)?))
}

fn first_slot() -> usize {
    os::whole_pages(HEADER) + os::page_size()
}

impl GuardChunk {
    /// Reserves a chunk of slots of a class, of which no page can be accessed. Null if there is no
    /// memory.
    pub(crate) fn reserve(class: u8) -> *mut GuardChunk {
        let first = first_slot();
        let Some((slot, least)) = slot_and_least(class, first) else { return ptr::null_mut() };
        let fit = CHUNK.saturating_sub(first) / slot;
        let bytes = least.max(CHUNK);
        let chunk: *mut GuardChunk = os::reserve(bytes, CHUNK).cast();
        if chunk.is_null() {
            return chunk;
        }
        // Here and once: see `base::address`.
        chunk.expose_provenance();
        let header = first - os::page_size();
        // SAFETY: a new reservation is writable and zeroed, all zeroes is a chunk without slots,
        // and nobody else knows it. What is behind the header is not in use.
        unsafe {
            if !os::protect(chunk.cast::<u8>().add(header), bytes - header, os::Access::None) {
                os::release(chunk.cast(), bytes);
                return ptr::null_mut();
            }
            // The handler of faults reads what is noted of objects without the lock.
            let slots = offset_of!(GuardChunk, slots);
            valgrind::atomic(chunk.addr() + slots, header - slots);
            (*chunk).bytes = bytes;
            (*chunk).class = class;
            (*chunk).slots_total = fit.clamp(1, MOST_SLOTS) as u16;
            for owner in &(&(*chunk).owners)[header / PAGE..] {
                owner.store(GUARDED, Relaxed);
            }
            // Now it may be found by whoever asks of any address.
            if !registry::add(chunk.addr()) {
                os::release(chunk.cast(), bytes);
                return ptr::null_mut();
            }
        }
        chunk
    }

    /// Gives a chunk back to the system.
    ///
    /// # Safety
    /// Nobody uses it or an object of it.
    pub(crate) unsafe fn release(chunk: *mut GuardChunk) {
        registry::remove(chunk.addr());
        // SAFETY: the caller's promise.
        unsafe { os::release(chunk.cast(), (*chunk).bytes) }
    }

    /// Takes a slot that was never used, or null.
    ///
    /// # Safety
    /// The lock of the guards is held.
    pub(crate) unsafe fn unused_slot(chunk: *mut GuardChunk) -> *mut Slot {
        // SAFETY: the caller's promise.
        unsafe {
            if (*chunk).slots_used == (*chunk).slots_total {
                return ptr::null_mut();
            }
            (*chunk).slots_used += 1;
            (&raw mut (*chunk).slots).cast::<Slot>().add((*chunk).slots_used as usize - 1)
        }
    }

    /// A slot that was ever used, by its number; none if there is no such.
    ///
    /// # Safety
    /// The lock of the guards is held.
    pub(crate) unsafe fn used_slot<'a>(chunk: *const GuardChunk, index: usize) -> Option<&'a Slot> {
        // SAFETY: the caller's promise.
        unsafe { (index < (*chunk).slots_used as usize).then(|| &(&(*chunk).slots)[index]) }
    }

    /// The slot that an address lies in, or whose guard page; none if it lies in the header or
    /// behind the last.
    ///
    /// # Safety
    /// The chunk exists.
    pub(crate) unsafe fn find(chunk: *const GuardChunk, address: usize) -> Option<Place> {
        // SAFETY: the caller's promise; what is read of slots here is atomic.
        unsafe {
            let offset = address.wrapping_sub(chunk.addr()).checked_sub(first_slot())?;
            place(chunk, offset / slot_bytes((*chunk).class))
        }
    }

    /// The slot behind another one.
    ///
    /// # Safety
    /// The chunk exists.
    pub(crate) unsafe fn behind(chunk: *const GuardChunk, other: &Place) -> Option<Place> {
        // SAFETY: the caller's promise.
        unsafe { place(chunk, other.index + 1) }
    }

    /// The first slot.
    ///
    /// # Safety
    /// The chunk exists.
    pub(crate) unsafe fn first(chunk: *const GuardChunk) -> Option<Place> {
        // SAFETY: the caller's promise.
        unsafe { place(chunk, 0) }
    }

    /// Whether an address lies in the reservation.
    ///
    /// # Safety
    /// The chunk exists.
    pub(crate) unsafe fn contains(chunk: *const GuardChunk, address: usize) -> bool {
        // SAFETY: the caller's promise.
        unsafe { address.wrapping_sub(chunk.addr()) < (*chunk).bytes }
    }
}

#[inline(never)]
unsafe fn place(chunk: *const GuardChunk, index: usize) -> Option<Place> {
    // SAFETY: the caller has the chunk; what is read of slots here is atomic.
    unsafe {
        if index >= (*chunk).slots_total as usize {
            return None;
        }
        let slot = (&raw const (*chunk).slots).cast::<Slot>().add(index);
        let end = start_of(chunk, index) + (*slot).object_pages();
        Some(Place { slot, object: end - (*slot).room.load(Relaxed), end, index })
    }
}

unsafe fn start_of(chunk: *const GuardChunk, index: usize) -> usize {
    // SAFETY: the caller has the chunk.
    unsafe { chunk.addr() + first_slot() + index * slot_bytes((*chunk).class) }
}

impl Slot {
    /// The pool of its object.
    #[inline(never)]
    pub(crate) fn pool(&self) -> PoolId {
        PoolId::new(
            self.parent.load(Relaxed),
            self.item_size.load(Relaxed),
            self.num_items.load(Relaxed),
        )
    }

    /// Bytes of the pages that the object takes.
    #[inline(never)]
    pub(crate) fn object_pages(&self) -> usize {
        os::whole_pages(self.room.load(Relaxed))
    }

    /// Sets how many bytes there are from the start of the object to the guard page.
    pub(crate) fn set_room(&self, room: usize) {
        self.room.store(room, Relaxed);
    }

    /// Where the slot starts: the first page of its object.
    ///
    /// # Safety
    /// The slot is one of a chunk's.
    #[inline(never)]
    pub(crate) unsafe fn start(this: *mut Slot) -> *mut u8 {
        let chunk: *mut GuardChunk = chunk_of(this.cast());
        // SAFETY: the caller's promise; the slots lie in the first bytes of their chunk.
        unsafe {
            let index = this.offset_from((&raw mut (*chunk).slots).cast::<Slot>()) as usize;
            address::at(start_of(chunk, index))
        }
    }

    /// The object.
    ///
    /// # Safety
    /// The slot is one of a chunk's.
    pub(crate) unsafe fn object(this: *mut Slot) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { Slot::start(this).add((*this).object_pages() - (*this).room.load(Relaxed)) }
    }
}

/// The class that a slot is of.
///
/// # Safety
/// The slot is one of a chunk's.
pub(crate) unsafe fn class_of_slot(slot: *mut Slot) -> u8 {
    // SAFETY: the caller's promise.
    unsafe { (*chunk_of::<GuardChunk>(slot.cast())).class }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_there_are_not_enough_addresses_for_is_none() {
        let page = os::page_size();
        let last = usize::BITS as u8 - 1 - page.trailing_zeros() as u8;
        let slot = (page << last) + page;
        assert_eq!(slot_bytes(last), slot);
        assert_eq!(slot_and_least(last, page), Some((slot, slot + page)));
        assert_eq!(slot_and_least(last, usize::MAX - slot + 1), None);
        assert_eq!(slot_and_least(last + 1, page), None);
        assert_eq!(slot_and_least(usize::BITS as u8, page), None);
        assert!(GuardChunk::reserve(last + 1).is_null());
    }
}
