// SPDX-License-Identifier: MIT
//! What threads may be inside of until the library is unloaded: memory that no lock protects.
//!
//! Whoever uses it enters first. When the library is unloaded the gate is shut, and if nobody is
//! inside, nobody ever will be, so that the memory can go. As a process ends other threads may go
//! on calling: they find the gate shut, and do without.
//!
//! Sequentially consistent: of one who enters and one who shuts, at least one sees the other.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// See the head of this file.
pub(crate) struct Gate {
    inside: AtomicUsize,
    is_shut: AtomicBool,
}

/// A stay inside.
pub(crate) struct Stay<'a>(&'a Gate);

impl Gate {
    /// An open gate.
    pub(crate) const fn open() -> Gate {
        Gate { inside: AtomicUsize::new(0), is_shut: AtomicBool::new(false) }
    }

    /// Enters, unless the gate is shut.
    pub(crate) fn enter(&self) -> Option<Stay<'_>> {
        self.inside.fetch_add(1, SeqCst);
        let stay = Stay(self);
        (!self.is_shut.load(SeqCst)).then_some(stay)
    }

    /// Shuts the gate, and returns whether nobody is inside any more.
    pub(crate) fn shut(&self) -> bool {
        self.is_shut.store(true, SeqCst);
        self.inside.load(SeqCst) == 0
    }
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_is_shut_lets_nobody_in_and_knows_who_is_inside() {
        let gate = Gate::open();
        let stays = (gate.enter(), gate.enter());
        assert!(stays.0.is_some() && stays.1.is_some());
        drop(stays.0);
        assert!(!gate.shut() && gate.enter().is_none());
        drop(stays.1);
        assert!(gate.shut() && gate.enter().is_none());
    }
}
