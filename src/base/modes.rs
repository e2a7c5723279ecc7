// SPDX-License-Identifier: MIT
//! What is looked at in a pool: a set of modes, chosen when the pool is created or named.
//!
//! A pool without modes is an ordinary one, and all there is of this in it is one word, tested on
//! the slow paths. Without the feature `debug` there are no modes, and the test is compiled away.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A set of modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Modes(u32);

impl Modes {
    /// None: an ordinary pool.
    pub(crate) const NONE: Modes = Modes(0);
    /// Every call is checked: double free, wrong parent, wrong address, destroyed pools,
    /// overlapping calls.
    pub(crate) const CHECKS: Modes = Modes(1);
    /// Bytes before and behind each object.
    pub(crate) const REDZONE: Modes = Modes(1 << 1);
    /// Free objects have a pattern in them.
    pub(crate) const POISON: Modes = Modes(1 << 2);
    /// Who allocated and who freed is kept.
    pub(crate) const USERS: Modes = Modes(1 << 3);
    /// Freed objects wait before they are used again.
    pub(crate) const QUARANTINE: Modes = Modes(1 << 4);
    /// Objects that are out at the end are listed.
    pub(crate) const LEAKS: Modes = Modes(1 << 5);
    /// Each object lies against a protected page.
    pub(crate) const GUARD: Modes = Modes(1 << 6);
    /// Calls are written to a file.
    pub(crate) const TRACE: Modes = Modes(1 << 7);
    /// A tool that watches memory is told of objects (`watch::tools`).
    pub(crate) const TOOLS: Modes = Modes(1 << 8);
    /// Not a mode: what is left of a pool with modes that was destroyed.
    pub(crate) const DESTROYED: Modes = Modes(1 << 31);

    /// A mode by its number: the first, [`Modes::CHECKS`], is 0. (Without modes, the only one is
    /// [`Modes::LEAKS`].)
    pub(crate) const fn nth(number: u32) -> Modes {
        let modes = if cfg!(feature = "debug") { Modes(1 << number) } else { Modes::LEAKS };
        // A pool that is guarded is there to find whatever is wrong; every call is on the slow path
        // anyway, and of every object it is known who allocated it.
        if modes.has(Modes::GUARD) { modes.with(Modes::CHECKS).with(Modes::LEAKS) } else { modes }
    }

    /// Whether there is none.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `modes` are in the set.
    pub(crate) const fn has(self, modes: Modes) -> bool {
        self.0 & modes.0 == modes.0
    }

    /// Whether one of `modes` is in the set.
    pub(crate) const fn has_any(self, modes: Modes) -> bool {
        self.0 & modes.0 != 0
    }

    /// The set with `modes` added.
    pub(crate) const fn with(self, modes: Modes) -> Modes {
        Modes(self.0 | modes.0)
    }

    /// The set without `modes`.
    pub(crate) const fn without(self, modes: Modes) -> Modes {
        Modes(self.0 & !modes.0)
    }
}

/// The modes of a pool, where other threads may look.
#[repr(transparent)]
pub(crate) struct ModesWord(AtomicU32);

impl ModesWord {
    /// A word with these modes.
    pub(crate) const fn new(modes: Modes) -> ModesWord {
        ModesWord(AtomicU32::new(modes.0))
    }

    /// The modes. With the feature off there are none.
    #[inline(always)]
    pub(crate) fn get(&self) -> Modes {
        // Relaxed: it changes under the pool's lock only, where whoever acts on it looks again.
        if cfg!(feature = "debug") { Modes(self.0.load(Relaxed)) } else { Modes::NONE }
    }

    /// Sets the modes.
    pub(crate) fn set(&self, modes: Modes) {
        // Relaxed: see `get`.
        self.0.store(modes.0, Relaxed);
    }

    /// Adds modes, and returns what there was.
    pub(crate) fn add(&self, modes: Modes) -> Modes {
        // Relaxed: nothing else is read because of it.
        Modes(self.0.fetch_or(modes.0, Relaxed))
    }
}
