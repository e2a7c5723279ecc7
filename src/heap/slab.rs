// SPDX-License-Identifier: MIT
//! Slabs: a page run cut into objects of one size, described by a bitmap that lies elsewhere.
//!
//! Nothing is written into the run itself, neither when the slab is made nor later: an untouched
//! page stays untouched, and objects have no header.
//!
//! A bit that is set says that its object is *out*: the caller has it, or it lies in a magazine.
//! Bits behind the last object are set for good.
//!
//! States, and who makes the transitions:
//!
//! | state | `used` | where it is listed | owner word |
//! |---|---|---|---|
//! | empty | 0 | the parent's spare slab, or on its way to the heap ([`LEAVING`]) | the parent |
//! | partial | 1 to capacity - 1 | the parent's list for its fullness ([`crate::pool::partial`]) | the parent |
//! | full | capacity | the parent's list of full ones | the parent |
//! | limbo | 1 to capacity | nowhere | [`crate::heap::chunk::LIMBO`] |
//! | parked | 1 to capacity | nowhere ([`crate::heap::Kit`]) | [`crate::heap::chunk::PARKED`] |
//!
//! `take` makes empty and partial slabs fuller, `put` emptier; a parent that goes while objects are
//! out leaves its slabs in limbo ([`crate::heap`]).
//!
//! Ownership: what changes in a slab belongs to the lock of whoever owns it, which is the parent's
//! mutex, or the heap's for slabs in limbo and slabs of magazine blocks. A parked one is that of the
//! thread which makes the place of its kit busy ([`crate::heap::kit`]).
//!
//! | field of [`Slab`] | written | read |
//! |---|---|---|
//! | `bitmap`, `next`, `previous`, `list` | the owner's lock | the same |
//! | `used` | the owner's lock | the same, and statistics without |
//! | all others | by [`Slab::init`], before the slab is shared | by all |
//!
//! What changes lies in cells, so that a `&Slab` says nothing of it: one may exist anywhere while
//! the slab does, under whatever lock, and there is never a `&mut Slab` to a slab of a chunk.

use core::array;
use core::cell::Cell;
use core::ptr;

use crate::base::address;
use crate::base::alignment::Alignment;
use crate::base::config::HARDENED;
use crate::base::geometry::{
    CHUNK, Geometry, HEADER_PAGES, LARGE, MAX_OBJECTS, MOST_CACHED, PAGE, divide, page_multiple,
    reciprocal,
};
use crate::base::layout::{Field, layout, numbers};
use crate::base::misuse::Misuse;
use crate::base::redzone::lead;
use crate::base::seal::{check, random};
use crate::heap::registry;
use crate::sys::sync::atomic::{AtomicU16, Ordering::Relaxed};
use crate::sys::sync::{reads, writes};

const WORDS: usize = MAX_OBJECTS / 64;

/// Bytes of a line of the cache.
const LINE: u32 = 64;

/// Bits of an order; the others of its byte are an alignment.
const ORDER_BITS: u32 = u8::BITS - Alignment::BITS;
const _: () = assert!(LARGE < 1 << ORDER_BITS);

/// In place of a list: the parent has given the slab up under its lock, and the heap has yet to
/// take it, so that its owner word still names the parent.
pub(crate) const LEAVING: u8 = u8::MAX;

/// The descriptor of a slab.
#[repr(C)]
pub(crate) struct Slab {
    bitmap: [Cell<u64>; WORDS],
    /// The next slab of the list it is on.
    pub(crate) next: Cell<*mut Slab>,
    /// The previous slab of the list it is on; not kept in singly linked lists.
    pub(crate) previous: Cell<*mut Slab>,
    item_size: u32,
    num_items: u32,
    stride: u32,
    reciprocal: u32,
    capacity: u16,
    /// Written under the owner's lock like all of it, but read by statistics without.
    used: AtomicU16,
    /// Where in its chunk the run starts.
    page: u16,
    /// Which of its owner's lists it is on; of meaning if it is on one.
    pub(crate) list: Cell<u8>,
    /// And, above [`ORDER_BITS`], what objects are to be aligned to.
    order: u8,
}

/// For a walker outside of the process.
pub(crate) const LAYOUT: &[Field] = layout!(
    "slab", Slab: bitmap, next, previous, item_size, num_items, stride, capacity, used, page, list,
    order
);
/// The same.
pub(crate) const NUMBERS: &[Field] = numbers!("slab": LEAVING);

impl Slab {
    /// Describes a new slab without objects out, on no list.
    ///
    /// # Safety
    /// `this` is a descriptor that is not in use: nobody else knows it.
    pub(crate) unsafe fn init(this: *mut Slab, page: usize, geometry: &Geometry) {
        writes(this);
        // SAFETY: the caller's promise. A descriptor has a value of each field's type from the
        // beginning, zero.
        unsafe {
            (*this).bitmap = without_objects(geometry.capacity);
            (*this).next = Cell::new(ptr::null_mut());
            (*this).previous = Cell::new(ptr::null_mut());
            (*this).item_size = geometry.item_size;
            (*this).num_items = geometry.num_items;
            (*this).stride = geometry.stride;
            (*this).reciprocal = reciprocal(geometry.stride);
            (*this).capacity = geometry.capacity;
            (*this).set_used(0);
            (*this).page = page as u16;
            (*this).list = Cell::new(0);
            (*this).order = if cfg!(feature = "ext") {
                geometry.order | geometry.alignment.to_bits() << ORDER_BITS
            } else {
                geometry.order
            };
        }
    }

    /// The first object, which is where the run starts. The descriptor lies in the same chunk, but
    /// its provenance, which is that of a reference, does not reach there.
    pub(crate) fn base(&self) -> *mut u8 {
        let chunk = (&raw const *self).addr() & !(CHUNK - 1);
        address::at(chunk + self.page as usize * PAGE)
    }

    /// The page of the chunk where the run starts.
    pub(crate) fn first_page(&self) -> usize {
        self.page as usize
    }

    /// Bytes of an object and objects at a time, as the pool was created with.
    pub(crate) fn item(&self) -> (u32, u32) {
        (self.item_size, self.num_items)
    }

    /// Bytes from one object to the next.
    pub(crate) fn stride(&self) -> u32 {
        self.stride
    }

    /// Whether no child caches the objects.
    pub(crate) fn is_uncached(&self) -> bool {
        self.stride as usize > MOST_CACHED
    }

    /// log2 of the pages of the run, or [`crate::base::geometry::LARGE`].
    pub(crate) fn order(&self) -> u8 {
        if cfg!(feature = "ext") { self.order & ((1 << ORDER_BITS) - 1) } else { self.order }
    }

    /// Bytes from a slot to its object.
    pub(crate) fn lead(&self) -> usize {
        let bits = if cfg!(feature = "ext") { self.order >> ORDER_BITS } else { 0 };
        lead(self.item_size, self.stride, Alignment::from_bits(bits))
    }

    /// Bytes of the run.
    #[inline(never)]
    pub(crate) fn bytes(&self) -> usize {
        let order = self.order();
        if order == LARGE { page_multiple(self.stride as usize) } else { PAGE << order }
    }

    /// How many objects there are.
    pub(crate) fn capacity(&self) -> u16 {
        self.capacity
    }

    /// How many objects are out.
    pub(crate) fn used(&self) -> u16 {
        // Relaxed: whoever acts on it holds the owner's lock; statistics take any recent value.
        self.used.load(Relaxed)
    }

    fn set_used(&self, used: u16) {
        // Relaxed: see `used`. Not an addition, as only the holder of the owner's lock writes.
        self.used.store(used, Relaxed);
    }

    /// Whether no object is out.
    pub(crate) fn is_empty(&self) -> bool {
        self.used() == 0
    }

    /// Whether all objects are out.
    pub(crate) fn is_full(&self) -> bool {
        self.used() == self.capacity
    }

    /// Whether the objects that are out are exactly these, each once.
    pub(crate) fn out_are(&self, rounds: &[*mut u8]) -> bool {
        reads(self);
        let out = array::from_fn(|word| self.bitmap[word].clone());
        self.shape().clear(&out, rounds) == (0, Ok(())) && rounds.len() == self.used() as usize
    }

    /// The word and the bit of an object; none if it is not one of this slab.
    #[inline(always)]
    fn bit_of(&self, object: *mut u8) -> Option<(usize, u64)> {
        // An address below the base comes out as a huge offset.
        let offset = object.addr().wrapping_sub(self.base().addr());
        if offset >= self.stride as usize * self.capacity as usize {
            return None;
        }
        let index = divide(offset as u32, self.reciprocal) as usize % MAX_OBJECTS;
        (index * self.stride as usize == offset).then(|| (index / 64, 1 << (index % 64)))
    }

    /// Whether an object is out; none if it is not one of this slab.
    pub(crate) fn is_out(&self, object: *mut u8) -> Option<bool> {
        self.bit_of(object).map(|(word, bit)| self.bitmap[word].get() & bit != 0)
    }

    /// Takes as many objects as there are and fit: those of the lowest addresses. They are written
    /// to the end of `rounds`, the lowest last, so that a magazine hands them out from the lowest
    /// up; but those that share lines of the cache so that one of each line is handed out before
    /// the next ones: whoever allocates objects one after the other for several threads then gives
    /// each of them other lines. Returns how many.
    pub(crate) fn take(&self, rounds: &mut [*mut u8]) -> usize {
        writes(self);
        if HARDENED {
            return self.take_any(rounds);
        }
        let (base, stride) = (self.base(), self.stride as usize);
        let room = rounds.len();
        let mut rounds = rounds.iter_mut();
        let one_of_each_line = one_of_each_line(self.stride);
        for (index, cell) in self.bitmap.iter().enumerate() {
            let mut word = cell.get();
            let mut free = !word;
            if one_of_each_line != u64::MAX {
                free = lowest(free, rounds.len());
            }
            word |= free;
            let mut lane = one_of_each_line;
            while free != 0 {
                let mut objects = free & lane;
                free ^= objects;
                lane <<= 1;
                while objects != 0 {
                    let Some(round) = rounds.next_back() else { break };
                    let object = index * 64 + objects.trailing_zeros() as usize;
                    *round = base.wrapping_add(object * stride);
                    objects &= objects - 1;
                }
                word ^= objects;
            }
            cell.set(word);
            if rounds.len() == 0 {
                break;
            }
        }
        let taken = room - rounds.len();
        self.set_used(self.used() + taken as u16);
        taken
    }

    /// The same, in random order.
    fn take_any(&self, rounds: &mut [*mut u8]) -> usize {
        let (base, stride) = (self.base(), self.stride as usize);
        let capacity = self.capacity as usize;
        let taken = rounds.len().min(capacity - self.used() as usize);
        let left = rounds.len() - taken;
        for round in &mut rounds[left..] {
            let first = random(capacity);
            // One is free, as no more are taken than are.
            let is_free = |index: &usize| self.bitmap[index / 64].get() & (1 << (index % 64)) == 0;
            let Some(index) = (first..capacity).chain(0..first).find(is_free) else { break };
            let word = &self.bitmap[index / 64];
            word.set(word.get() | 1 << (index % 64));
            *round = base.wrapping_add(index * stride);
        }
        self.set_used(self.used() + taken as u16);
        taken
    }

    /// Takes objects back from the end of `rounds`, for as long as they lie in this slab and are
    /// out. Returns how many of `rounds` are left, and what is wrong with the last of these if it
    /// is in this slab. The last of `rounds` is.
    pub(crate) fn put(&self, rounds: &[*mut u8]) -> (usize, Result<(), Misuse>) {
        writes(self);
        if let &[object] = rounds {
            return self.put_one(object);
        }
        let (left, result) = self.shape().clear(&self.bitmap, rounds);
        self.set_used(self.used() - (rounds.len() - left) as u16);
        (left, result)
    }

    /// The same for one object, which is how pools with modes free.
    fn put_one(&self, object: *mut u8) -> (usize, Result<(), Misuse>) {
        match self.bit_of(object) {
            Some((word, bit)) if self.bitmap[word].get() & bit != 0 => {
                self.bitmap[word].set(self.bitmap[word].get() ^ bit);
                self.set_used(self.used() - 1);
                (0, Ok(()))
            }
            Some(_) => (1, Err(Misuse::DoubleFree)),
            None => (1, Err(Misuse::NotAnObject)),
        }
    }

    fn shape(&self) -> Shape {
        Shape {
            base: self.base().addr(),
            stride: self.stride as usize,
            capacity: self.capacity as usize,
            reciprocal: self.reciprocal,
        }
    }
}

/// Where the objects of a slab are.
#[derive(Clone, Copy)]
struct Shape {
    base: usize,
    stride: usize,
    capacity: usize,
    reciprocal: u32,
}

impl Shape {
    /// Clears the bits of `rounds` from the last on, as [`Slab::put`] says.
    ///
    /// Objects that were handed out together often come back together. Those one behind the other,
    /// in either direction, are found by adding, and their bits cleared at once.
    fn clear(self, out: &[Cell<u64>; WORDS], rounds: &[*mut u8]) -> (usize, Result<(), Misuse>) {
        let Shape { base, stride, capacity, reciprocal } = self;
        let mut left = rounds;
        while let Some((round, others)) = left.split_last() {
            // An address below the base comes out as a huge offset.
            let offset = round.addr().wrapping_sub(base);
            if offset >= stride * capacity && left.len() != rounds.len() {
                break;
            }
            let index = divide(offset as u32, reciprocal) as usize % MAX_OBJECTS;
            // The caller found this slab by the last one, so that it is behind the last object if
            // it is elsewhere.
            if index * stride != offset || index >= capacity {
                return (left.len(), Err(Misuse::NotAnObject));
            }
            let (cell, bit) = (&out[index / 64], index % 64);
            let word = cell.get();
            let (mut bits, mut rest) = (1 << bit, others);
            if word & bits == 0 {
                return (left.len(), Err(Misuse::DoubleFree));
            }
            // Those behind it, upwards or downwards, as far as their bits are in the same word.
            let step = others.last().map_or(0, |next| next.addr().wrapping_sub(round.addr()));
            let up = step == stride;
            if up || step == stride.wrapping_neg() {
                let room = if up { 63 - bit } else { bit };
                let (mut place, mut count, mut further) = (round.addr(), 0, others);
                while let Some((next, behind)) = further.split_last() {
                    place = place.wrapping_add(step);
                    if count == room || next.addr() != place {
                        break;
                    }
                    count += 1;
                    further = behind;
                }
                let lowest = if up { bit } else { bit - count };
                let row = (u64::MAX >> (63 - count)) << lowest;
                // Else one of them is none, or here already, and is met by itself.
                if word & row == row && index - bit + lowest + count < capacity {
                    (bits, rest) = (row, further);
                }
            }
            cell.set(word & !bits);
            left = rest;
        }
        (left.len(), Ok(()))
    }
}

/// The objects that are out of a slab, as they were when they were copied.
#[derive(Clone)]
pub(crate) struct Out {
    bits: [u64; WORDS],
    /// The first slot.
    base: usize,
    stride: usize,
    /// Bytes from a slot to its object.
    lead: usize,
}

impl Slab {
    /// Those that are out of it, which begin so many bytes behind their slots.
    pub(crate) fn out(&self, lead: usize) -> Out {
        reads(self);
        let capacity = self.capacity as usize;
        let bits = array::from_fn(|word| {
            // Those behind the last one are set for good.
            let here = capacity.saturating_sub(word * 64).min(64);
            let objects = if here == 64 { !0 } else { (1 << here) - 1 };
            self.bitmap[word].get() & objects
        });
        Out { bits, base: self.base().addr(), stride: self.stride as usize, lead }
    }
}

impl Out {
    /// All but those for whose slots `is_other` holds.
    pub(crate) fn without(mut self, is_other: impl Fn(usize) -> bool) -> Out {
        let Out { base, stride, .. } = self;
        for (word, bits) in self.bits.iter_mut().enumerate() {
            let mut left = *bits;
            while left != 0 {
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                if is_other(base + (word * 64 + bit) * stride) {
                    *bits ^= 1 << bit;
                }
            }
        }
        self
    }
}

impl Iterator for Out {
    type Item = *mut u8;

    fn next(&mut self) -> Option<*mut u8> {
        let word = self.bits.iter().position(|word| *word != 0)?;
        let bit = self.bits[word].trailing_zeros() as usize;
        self.bits[word] &= self.bits[word] - 1;
        Some(address::at(self.base + (word * 64 + bit) * self.stride + self.lead))
    }
}

/// For [`crate::inspect::validate`].
impl Slab {
    /// How many bits are set, those behind the last object included.
    pub(crate) fn bits_set(&self) -> usize {
        self.bitmap.iter().map(|word| word.get().count_ones() as usize).sum()
    }

    /// Clears the bit of an object, and returns whether it was set.
    pub(crate) fn clear_out(&self, object: *mut u8) -> bool {
        let Some((word, bit)) = self.bit_of(object) else { return false };
        let before = self.bitmap[word].get();
        self.bitmap[word].set(before & !bit);
        before & bit != 0
    }

    /// Sets the bit of an object.
    pub(crate) fn set_out(&self, object: *mut u8) {
        if let Some((word, bit)) = self.bit_of(object) {
            self.bitmap[word].set(self.bitmap[word].get() | bit);
        }
    }
}

/// A bit of every object that is the first on a line of the cache.
fn one_of_each_line(stride: u32) -> u64 {
    match stride {
        LINE.. => u64::MAX,
        17.. => u64::MAX / 3,
        9.. => u64::MAX / 0xf,
        _ => u64::MAX / 0xff,
    }
}

/// The lowest bits that are set, so many at most.
fn lowest(bits: u64, mut most: usize) -> u64 {
    let mut others = bits;
    while others != 0 && most != 0 {
        others &= others - 1;
        most -= 1;
    }
    bits ^ others
}

/// The bitmap of a slab with so many objects of which none is out: bits behind the last one are
/// set.
fn without_objects(capacity: u16) -> [Cell<u64>; WORDS] {
    let mut bitmap = [0; WORDS];
    let (word, bit) = (capacity as usize / 64, capacity % 64);
    for behind in bitmap.iter_mut().skip(word) {
        *behind = !0;
    }
    if let Some(last) = bitmap.get_mut(word) {
        *last <<= bit;
    }
    bitmap.map(Cell::new)
}

/// Whether an address may be a descriptor's: it is in the header of a chunk.
fn is_slab(slab: *const Slab) -> bool {
    registry::has(slab.addr()) && slab.addr() & (CHUNK - 1) < HEADER_PAGES * PAGE
}

/// A doubly linked list of slabs.
#[repr(transparent)]
pub(crate) struct SlabList {
    first: *mut Slab,
}

impl SlabList {
    /// The empty list.
    pub(crate) const EMPTY: SlabList = SlabList { first: ptr::null_mut() };

    /// The slab that was added last, or null.
    pub(crate) fn first(&self) -> *mut Slab {
        self.first
    }

    /// How many slabs there are.
    pub(crate) fn count(&self) -> usize {
        let mut count = 0;
        self.for_each(|_, _| count += 1);
        count
    }

    /// Calls `each` with every slab, and whether it is linked to the one before.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&Slab, bool)) {
        let (mut slab, mut previous) = (self.first, ptr::null_mut());
        while !slab.is_null() {
            // SAFETY: a listed slab belongs to the lock that whoever has the list holds.
            unsafe {
                each(&*slab, (*slab).previous.get() == previous);
                (previous, slab) = (slab, (*slab).next.get());
            }
        }
    }

    /// Adds a slab.
    ///
    /// # Safety
    /// `slab` is on no list, and of the same owner as the list, whose lock whoever has `self`
    /// holds.
    pub(crate) unsafe fn insert(&mut self, slab: *mut Slab) {
        // SAFETY: the caller's promise; slabs of one list have one owner.
        unsafe {
            writes(slab);
            (*slab).previous.set(ptr::null_mut());
            (*slab).next.set(self.first);
            if !self.first.is_null() {
                check(|| is_slab(self.first) && (*self.first).previous.get().is_null());
                (*self.first).previous.set(slab);
            }
        }
        self.first = slab;
    }

    /// Removes a slab.
    ///
    /// # Safety
    /// `slab` is on this list.
    pub(crate) unsafe fn remove(&mut self, slab: *mut Slab) {
        // SAFETY: the caller's promise; slabs of one list have one owner.
        unsafe {
            writes(slab);
            let (next, previous) = ((*slab).next.get(), (*slab).previous.get());
            check(|| {
                let back = next.is_null() || is_slab(next) && (*next).previous.get() == slab;
                let forth = if previous.is_null() {
                    self.first == slab
                } else {
                    is_slab(previous) && (*previous).next.get() == slab
                };
                back && forth
            });
            if !next.is_null() {
                (*next).previous.set(previous);
            }
            if previous.is_null() {
                self.first = next;
            } else {
                (*previous).next.set(next);
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::heap::chunk::tests::Memory;

    /// A slab over addresses that are never used as memory. It moves with its descriptor, but not
    /// within the stack of a test.
    pub(crate) fn slab(item_size: u32, num_items: u32) -> Slab {
        // SAFETY: all zeroes is a valid value of each field.
        let mut slab: Slab = unsafe { core::mem::zeroed() };
        // SAFETY: the slab is this function's alone.
        unsafe { Slab::init(&raw mut slab, 64, &Geometry::new(item_size, num_items)) };
        slab
    }

    #[test]
    #[cfg(not(feature = "hardened"))]
    fn objects_are_handed_out_from_the_lowest_address_up() {
        let slab = slab(96, 64);
        let base = slab.base().addr();
        let mut rounds = [ptr::null_mut(); 100];
        assert_eq!(slab.take(&mut rounds[..10]), 10);
        for (index, round) in rounds[..10].iter().rev().enumerate() {
            assert_eq!(round.addr(), base + index * 96);
        }
        assert_eq!(slab.take(&mut rounds), 75, "the rest of 85");
        assert!(slab.is_full());
        assert_eq!(rounds[99].addr(), base + 10 * 96);
        assert_eq!(rounds[25].addr(), base + 84 * 96);
        assert_eq!(slab.take(&mut rounds), 0);
    }

    #[test]
    #[cfg(not(feature = "hardened"))]
    fn neighbours_on_a_line_of_the_cache_are_not_handed_out_one_after_the_other() {
        for (item_size, order) in [
            (8, [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15]),
            (16, [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15]),
            (32, [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15]),
            (48, [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15]),
            (64, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
        ] {
            let slab = slab(item_size, 64);
            let mut rounds = [ptr::null_mut(); 16];
            for first in [0, 16] {
                assert_eq!(slab.take(&mut rounds), 16);
                let index = |round: &*mut u8| {
                    (round.addr() - slab.base().addr()) / item_size as usize - first
                };
                assert!(rounds.iter().rev().map(index).eq(order), "{item_size} bytes, {first}");
            }
        }
    }

    #[test]
    #[cfg(feature = "hardened")]
    fn objects_are_handed_out_in_random_order_each_once() {
        let slab = slab(96, 64);
        let base = slab.base();
        let mut rounds = [ptr::null_mut(); 100];
        assert_eq!(slab.take(&mut rounds[..10]), 10);
        assert_eq!(slab.take(&mut rounds[10..]), 75, "the rest of 85");
        assert!(slab.is_full() && rounds[10..25].iter().all(|round| round.is_null()));
        assert_eq!(slab.take(&mut rounds[10..25]), 0);
        rounds.copy_within(25.., 10);
        let rounds = &mut rounds[..85];
        assert!(!rounds.is_sorted() && !rounds.is_sorted_by(|a, b| a > b));
        rounds.sort();
        assert!((0..85).all(|index| rounds[index] == base.wrapping_add(index * 96)));
    }

    #[test]
    fn every_object_can_be_put_back_once() {
        for (item_size, num_items) in
            [(8, 512), (16, 64), (88, 16), (96, 512), (4096, 3), (66_632, 4)]
        {
            let slab = slab(item_size, num_items);
            let mut rounds = [ptr::null_mut(); MAX_OBJECTS];
            let taken = slab.take(&mut rounds);
            assert_eq!(taken, slab.capacity() as usize);
            for &object in &rounds[MAX_OBJECTS - taken..] {
                assert_eq!(slab.put(&[object]), (0, Ok(())));
                assert_eq!(slab.put(&[object]), (1, Err(Misuse::DoubleFree)));
            }
            assert!(slab.is_empty());
            let taken = slab.take(&mut rounds);
            assert_eq!(slab.put(&rounds[MAX_OBJECTS - taken..]), (0, Ok(())), "all at once");
            assert!(slab.is_empty());
        }
    }

    #[test]
    fn an_address_that_is_no_object_is_refused() {
        let slab = slab(96, 64);
        let mut rounds = [ptr::null_mut(); MAX_OBJECTS];
        slab.take(&mut rounds);
        let base = slab.base();
        for wrong in [1usize, 8, 95, 97, 84 * 96 + 1, 85 * 96 - 1] {
            let result = slab.put(&[base.wrapping_add(wrong)]);
            assert_eq!(result, (1, Err(Misuse::NotAnObject)));
        }
        assert!(slab.is_full());
    }

    #[test]
    fn rounds_of_another_slab_are_left() {
        let slab = slab(96, 64);
        let mut rounds = [ptr::null_mut(); 3];
        slab.take(&mut rounds);
        let far = isize::try_from(1i64 << 32).unwrap_or(1 << 30);
        for elsewhere in [-96isize, 85 * 96, 8191, far] {
            let elsewhere = slab.base().wrapping_offset(elsewhere);
            assert_eq!(slab.put(&[elsewhere, rounds[0]]), (1, Ok(())));
            assert_eq!(slab.take(&mut rounds[..1]), 1);
        }
        assert_eq!(slab.put(&[ptr::null_mut(), rounds[0], rounds[1]]), (1, Ok(())));
        assert_eq!(slab.put(&[rounds[2], rounds[1]]), (2, Err(Misuse::DoubleFree)));
        assert_eq!(slab.used(), 1);
    }

    /// As [`Slab::put`], each round by itself.
    fn put_one_by_one(slab: &Slab, rounds: &[*mut u8]) -> (usize, Result<(), Misuse>) {
        let end = slab.base().wrapping_add(slab.stride as usize * slab.capacity as usize);
        for left in (1..=rounds.len()).rev() {
            let round = &rounds[left - 1..left];
            let is_elsewhere = !(slab.base()..end).contains(&round[0]);
            if is_elsewhere && left != rounds.len() {
                return (left, Ok(()));
            }
            let (_, result) = slab.put(round);
            if result.is_err() {
                return (left, result);
            }
        }
        (0, Ok(()))
    }

    #[test]
    fn objects_in_a_row_come_back_as_each_by_itself() {
        let mut seed = 1u32;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as usize % below
        };
        let (mut all, mut some) = (0, 0);
        for (item_size, num_items) in [(8, 512), (16, 64), (96, 64), (96, 300), (5000, 20)] {
            for _ in 0..400 {
                let slab = slab(item_size, num_items);
                let (capacity, stride) = (slab.capacity as usize, slab.stride as usize);
                let mut rounds = vec![ptr::null_mut(); capacity];
                slab.take(&mut rounds);
                // Few are back already, or none.
                for _ in 0..random(3) {
                    let _ = slab.put(&[rounds[random(capacity)]]);
                }
                // Rows up and down, of which some go beyond the last object or meet, or are of no
                // objects.
                rounds.clear();
                for _ in 0..=random(5) {
                    let (first, length) = (random(capacity), 1 + random(capacity));
                    let shift = usize::from(random(20) == 0);
                    let row = (first..first + length)
                        .map(|index| slab.base().wrapping_add(index * stride + shift));
                    if random(2) == 0 { rounds.extend(row) } else { rounds.extend(row.rev()) }
                }
                let state = || (slab.bitmap.clone(), slab.used());
                let (out, used) = state();
                let expected = (put_one_by_one(&slab, &rounds), state());
                slab.bitmap.iter().zip(&out).for_each(|(word, before)| word.set(before.get()));
                slab.set_used(used);
                assert_eq!((slab.put(&rounds), state()), expected);
                *if expected.0.0 == 0 { &mut all } else { &mut some } += 1;
            }
        }
        assert!(all > 100 && some > 100, "{all} {some}");
    }

    #[test]
    fn an_address_behind_the_last_object_is_no_object() {
        let slab = slab(96, 64);
        let mut rounds = [ptr::null_mut(); 1];
        slab.take(&mut rounds);
        let behind = slab.base().wrapping_add(85 * 96);
        assert_eq!(slab.put(&[rounds[0], behind]), (2, Err(Misuse::NotAnObject)));
        assert_eq!(slab.used(), 1);
    }

    #[test]
    fn the_objects_out_are_told_from_any_others() {
        let slab = slab(96, 64);
        let mut rounds = [ptr::null_mut(); 4];
        slab.take(&mut rounds);
        let [d, c, b, a] = rounds;
        assert!(slab.out_are(&[b, d, a, c]));
        assert!(!slab.out_are(&[a, b, c]));
        assert!(!slab.out_are(&[a, b, c, c]));
        assert!(!slab.out_are(&[a, b, c, d.wrapping_add(96)]));
        assert!(!slab.out_are(&[a, b, c, d.wrapping_add(1)]));
        assert_eq!(slab.put(&rounds), (0, Ok(())));
        assert!(slab.out_are(&[]));
    }

    #[test]
    fn those_that_are_out_are_each_met_once_and_none_behind_the_last() {
        for (item_size, num_items) in [(8, 512), (96, 64), (1024, 4), (66_632, 4)] {
            let slab = slab(item_size, num_items);
            assert_eq!(slab.out(0).count(), 0);
            let mut rounds = vec![ptr::null_mut(); slab.capacity() as usize];
            slab.take(&mut rounds);
            rounds.sort();
            assert!(slab.out(0).eq(rounds.iter().copied()), "{item_size}");
            let (kept, back): (Vec<_>, Vec<_>) = rounds.iter().partition(|r| r.addr() % 3 == 0);
            back.iter().for_each(|object| assert_eq!(slab.put(&[*object]), (0, Ok(()))));
            assert!(slab.out(16).eq(kept.iter().map(|object| object.wrapping_add(16))));
            let none = slab.out(0).without(|slot| kept.iter().any(|object| object.addr() == slot));
            assert_eq!(none.count(), 0);
        }
    }

    #[test]
    fn a_list_can_lose_any_of_its_slabs() {
        // Of a chunk, as the hardened build takes no other address for a slab's.
        let chunk = Memory::new();
        let [a, b, c] = [0, 1, 2].map(|index| chunk.cast::<Slab>().wrapping_add(index));
        let mut list = SlabList::EMPTY;
        // SAFETY: the slabs lie in the header of a chunk that is this test's alone.
        unsafe {
            for new in [a, b, c] {
                new.write(slab(8, 1));
            }
            list.insert(a);
            list.insert(b);
            list.insert(c);
            list.remove(b);
            assert_eq!(list.first(), c);
            assert_eq!((*c).next.get(), a);
            list.remove(c);
            assert_eq!(list.first(), a);
            list.remove(a);
            assert!(list.first().is_null());
        }
    }
}
