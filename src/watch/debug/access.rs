// SPDX-License-Identifier: MIT
//! What is said of an access to an object that something else than the library has found: a
//! protected page, or a tool. It may be said from a signal handler: no lock is waited for, and
//! nothing is allocated.

use super::explain::{say, tell};
use super::table::User;
use crate::base::line::Text;
use crate::base::pool_id::PoolId;
use crate::heap::HEAP;

/// How an address is related to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// So many bytes behind its start, within it.
    In(usize),
    /// It is so manieth byte behind it, from 1.
    Behind(usize),
    /// It is so manieth byte before it, from 1.
    Before(usize),
}

impl Relation {
    /// Of an address to an object of so many bytes.
    pub(crate) fn new(address: usize, object: usize, size: usize) -> Relation {
        match address.checked_sub(object) {
            None => Relation::Before(object - address),
            Some(offset) if offset < size => Relation::In(offset),
            Some(offset) => Relation::Behind(offset - size + 1),
        }
    }

    /// How far the address is from the object.
    pub(crate) fn distance(self) -> usize {
        match self {
            Relation::In(_) => 0,
            Relation::Behind(bytes) | Relation::Before(bytes) => bytes,
        }
    }
}

/// Adds which pool it is, with its name if the heap is not locked just now.
#[inline(never)]
fn name(mut pool: PoolId, line: &mut Text) {
    if pool.address != 0 {
        HEAP.try_with_name(pool.address, |name| pool.set_name(name));
    }
    pool.write(line);
}

/// An access, and the object that it missed or met.
pub(crate) struct Access {
    /// Where it was.
    pub(crate) address: usize,
    /// The object.
    pub(crate) object: usize,
    /// Its pool.
    pub(crate) pool: PoolId,
    /// Whether the object is free.
    pub(crate) is_free: bool,
    /// Who allocated it, and who freed it.
    pub(crate) users: [User; 2],
}

impl Access {
    /// Says it on stderr; `found` is what found it.
    pub(crate) fn tell(&self, found: &str) {
        let size = self.pool.item_size.max(1) as usize;
        let (what, where_, bytes) = match Relation::new(self.address, self.object, size) {
            Relation::In(offset) => ("access to", "offset %", offset),
            Relation::Behind(bytes) => ("overrun of", "byte % behind it", bytes),
            Relation::Before(bytes) => ("underrun of", "byte % before it", bytes),
        };
        let mut line = Text::empty();
        line.text("mesa-slab: ").text(found).format(" at @: ", &[self.address]);
        line.text(if self.is_free { "use after free of" } else { what });
        line.format(" object @ of ", &[self.object]);
        name(self.pool, &mut line);
        line.format(where_, &[bytes]);
        say(&mut line, None);
        tell("  allocated", self.users[0], None);
        if self.is_free {
            tell("  freed", self.users[1], None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_an_object_or_behind_or_before_it() {
        assert_eq!(Relation::new(1000, 1000, 96), Relation::In(0));
        assert_eq!(Relation::new(1095, 1000, 96), Relation::In(95));
        assert_eq!(Relation::new(1096, 1000, 96), Relation::Behind(1));
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
