// SPDX-License-Identifier: MIT
//! Which pool something is said of: its address, what it was created with, and its name.
//!
//! It is a copy. Whoever makes one with a name holds the lock of the pool or of the heap, under
//! which names are written; whoever has one needs no lock, nor the pool.

use core::cmp::Ordering;
use core::mem::MaybeUninit;
use core::slice;

use super::alignment::Alignment;
use super::geometry::{Geometry, NAME_BYTES, stride};
use super::line::Text;

/// See the head of this file.
#[derive(Clone, Copy)]
pub(crate) struct PoolId {
    /// The address of the pool.
    pub(crate) address: usize,
    /// Bytes of an object, as given to slab_create_parent().
    pub(crate) item_size: u32,
    /// The hint given to slab_create_parent().
    pub(crate) num_items: u32,
    /// What objects are to be aligned to, where it matters how they lie.
    pub(crate) alignment: Alignment,
    /// The first `name_length` bytes are written.
    pub(crate) name: [MaybeUninit<u8>; NAME_BYTES],
    pub(crate) name_length: u8,
}

impl PoolId {
    /// A pool without a name, or one whose name is not known.
    pub(crate) const fn new(address: usize, item_size: u32, num_items: u32) -> PoolId {
        let name = [const { MaybeUninit::uninit() }; NAME_BYTES];
        let alignment = Alignment::NATURAL;
        PoolId { address, item_size, num_items, alignment, name, name_length: 0 }
    }

    /// Notes the name, which is cut to [`NAME_BYTES`].
    #[inline(never)]
    pub(crate) fn set_name(&mut self, name: &[u8]) {
        let length = name.len().min(NAME_BYTES);
        for (place, byte) in self.name.iter_mut().zip(name) {
            place.write(*byte);
        }
        self.name_length = length as u8;
    }

    /// The name; empty if there is none.
    pub(crate) fn name(&self) -> &[u8] {
        // SAFETY: so many bytes are written, see the struct.
        unsafe { slice::from_raw_parts(self.name.as_ptr().cast(), self.name_length as usize) }
    }

    /// How the objects of such a pool lie if it has no modes.
    pub(crate) fn geometry(&self) -> Geometry {
        let PoolId { item_size, num_items, alignment, .. } = *self;
        Geometry::with_stride(item_size, num_items, alignment, stride(item_size, alignment))
    }

    /// What tells pools apart: several may have been at one address.
    pub(crate) fn key(&self) -> (usize, u32, u32) {
        (self.address, self.item_size, self.num_items)
    }

    /// Adds name, size and hint, and where it is, to the line of a report.
    #[inline(never)]
    pub(crate) fn write(&self, line: &mut Text) {
        let name = self.name();
        line.text("pool ");
        if !name.is_empty() {
            line.bytes(name).text(" ");
        }
        let words = if self.address == 0 { "%x%, which is gone: " } else { "%x% at @: " };
        line.format(words, &[self.item_size as usize, self.num_items as usize, self.address]);
    }
}

impl PartialEq for PoolId {
    fn eq(&self, other: &PoolId) -> bool {
        self.key() == other.key()
    }
}

impl Eq for PoolId {}

impl PartialOrd for PoolId {
    fn partial_cmp(&self, other: &PoolId) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PoolId {
    fn cmp(&self, other: &PoolId) -> Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(id: &PoolId) -> String {
        let mut line = Text::empty();
        id.write(&mut line);
        String::from_utf8(line.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_pool_is_written_with_what_is_known_of_it() {
        assert_eq!(written(&PoolId::new(0xdead0, 96, 64)), "pool 96x64 at 0xdead0: ");
        let mut gone = PoolId::new(0, 96, 64);
        gone.set_name(b"a");
        assert_eq!(written(&gone), "pool a 96x64, which is gone: ");
    }

    #[test]
    fn a_long_name_is_cut_and_names_do_not_tell_pools_apart() {
        let id = PoolId::new(16, 96, 64);
        let mut named = id;
        named.set_name(&[b'x'; 1000]);
        assert_eq!(named.name(), [b'x'; NAME_BYTES]);
        assert!(id == named && id < PoolId::new(16, 97, 1));
    }
}
