// SPDX-License-Identifier: MIT
//! What stands in bytes that the program must not write: around objects, and in objects that are
//! free.
//!
//! | bytes | what | from | until |
//! |---|---|---|---|
//! | around each object | [`REDZONE`] | its slab is made | its slab goes |
//! | of a free object | [`FREE`] | its slab is made, or it is freed | it is allocated |
//! | of a new object | [`FRESH`] | it is allocated | the program writes to it |
//!
//! Read as a pointer, the last two lead to no address that a 64-bit program can have.

use core::{ptr, slice};

/// Around objects.
pub(crate) const REDZONE: u8 = 0xbb;
/// In free objects.
pub(crate) const FREE: u8 = 0x6b;
/// In objects that were just allocated.
pub(crate) const FRESH: u8 = 0x5a;

/// Of a larger object only so many bytes are filled.
const MOST: usize = 1 << 20;

/// A byte that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// What it comes from.
    pub(crate) words: &'static str,
    /// Where it is, from the beginning of the object.
    pub(crate) offset: isize,
    /// What is there.
    pub(crate) found: u8,
}

/// A slot: redzone, object, redzone.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    start: *mut u8,
    /// Bytes before the object.
    lead: usize,
    /// Bytes of the object.
    item: usize,
    /// Bytes of all of it.
    bytes: usize,
}

impl Slot {
    /// # Safety
    /// So many bytes are readable and writable for as long as the slot is used, and whoever uses it
    /// has the pool's lock. (The program's own writes to its object are not seen by what is done
    /// here to an object that is out.)
    pub(crate) unsafe fn new(start: *mut u8, lead: usize, item: usize, bytes: usize) -> Slot {
        Slot { start, lead, item, bytes }
    }

    fn part(self, from: usize, to: usize) -> &'static mut [u8] {
        // SAFETY: both are at most `bytes`; see `new`.
        unsafe { slice::from_raw_parts_mut(self.start.add(from), to - from) }
    }

    fn before(self) -> &'static mut [u8] {
        self.part(0, self.lead)
    }

    fn behind(self) -> &'static mut [u8] {
        self.part(self.lead + self.item, self.bytes)
    }

    /// Fills what is around the object.
    pub(crate) fn fence(self, byte: u8) {
        self.before().fill(byte);
        self.behind().fill(byte);
    }

    /// Fills the object.
    pub(crate) fn fill(self, byte: u8) {
        // SAFETY: see `new`.
        unsafe { ptr::write_bytes(self.start.add(self.lead), byte, self.item.min(MOST)) }
    }

    /// The first byte behind the object that is not what it should be, else the last one before it.
    pub(crate) fn fence_damage(self, byte: u8) -> Option<Damage> {
        if let Some((first, _)) = others(self.behind(), byte) {
            return Some(self.damage("overrun", self.lead + self.item + first));
        }
        let (_, last) = others(self.before(), byte)?;
        Some(self.damage("underrun", last))
    }

    /// The first byte of a free object that is not what it should be.
    pub(crate) fn free_damage(self) -> Option<Damage> {
        let (first, _) = others(self.part(self.lead, self.lead + self.item.min(MOST)), FREE)?;
        Some(self.damage("write after free", self.lead + first))
    }

    fn damage(self, words: &'static str, at: usize) -> Damage {
        // SAFETY: the byte is in the slot; see `new`.
        let found = unsafe { *self.start.add(at) };
        Damage { words, offset: at as isize - self.lead as isize, found }
    }
}

/// The first and the last index of other bytes.
fn others(bytes: &[u8], byte: u8) -> Option<(usize, usize)> {
    let mut others = None;
    for (index, other) in bytes.iter().enumerate() {
        if *other != byte {
            others = Some((others.map_or(index, |(first, _)| first), index));
        }
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A filled slot of a free object of 96 bytes with 16 before it and behind it, and its bytes.
    fn slot(bytes: &mut [u8; 128]) -> Slot {
        // SAFETY: the slot is the test's alone, and the bytes are not used meanwhile.
        let slot = unsafe { Slot::new(bytes.as_mut_ptr(), 16, 96, 128) };
        slot.fence(REDZONE);
        slot.fill(FREE);
        slot
    }

    #[test]
    fn every_byte_of_a_slot_is_filled_and_watched() {
        for at in 0..128 {
            let mut bytes = [0; 128];
            let slot = slot(&mut bytes);
            assert_eq!((slot.fence_damage(REDZONE), slot.free_damage()), (None, None));
            slot.part(at, at + 1)[0] ^= 1;
            let offset = at as isize - 16;
            let (damage, words) = match at {
                0..16 => (slot.fence_damage(REDZONE), "underrun"),
                16..112 => (slot.free_damage(), "write after free"),
                _ => (slot.fence_damage(REDZONE), "overrun"),
            };
            let found = slot.part(at, at + 1)[0];
            assert_eq!(damage, Some(Damage { words, offset, found }));
        }
    }

    #[test]
    fn the_byte_next_to_the_object_is_named_of_several() {
        let mut bytes = [0; 128];
        let slot = slot(&mut bytes);
        slot.before().fill(1);
        assert_eq!(slot.fence_damage(REDZONE).unwrap().offset, -1);
        slot.behind().fill(2);
        assert_eq!(slot.fence_damage(REDZONE).unwrap().offset, 96);
    }
}
