//! Live objects, and which of them an operation picks.

use crate::contents;
use crate::operation::Pick;

/// A live object.
pub(super) struct Object {
    pub(super) address: *mut u8,
    pub(super) size: usize,
    /// What the library says of it: more, if it is of a set of sizes.
    pub(super) room: usize,
    /// That its contents are made of.
    pub(super) number: u64,
}

impl Object {
    pub(super) fn check(&self) {
        // SAFETY: the object is live.
        let change = unsafe { contents::first_change(self.address, self.size, self.number) };
        assert_eq!(change, None, "object of {} bytes at {:?} has changed", self.size, self.address);
    }
}

/// Takes so many of these objects, or all.
pub(super) fn pick_from(objects: &mut Vec<Object>, count: usize, pick: Pick) -> Vec<Object> {
    let count = count.min(objects.len());
    match pick {
        Pick::Newest => objects.drain(objects.len() - count..).rev().collect(),
        Pick::Oldest => objects.drain(..count).collect(),
        Pick::Spread(step) => {
            let mut picked = Vec::new();
            let mut index = 0;
            while picked.len() < count {
                index = (index + step) % objects.len();
                picked.push(objects.swap_remove(index));
            }
            picked
        }
    }
}

/// What `slab.h` promises.
pub(super) fn promised_alignment(size: usize) -> usize {
    match size {
        0..=8 => 8,
        32..=4096 if size.is_power_of_two() => size,
        _ => 16,
    }
}
