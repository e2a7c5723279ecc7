// SPDX-License-Identifier: MIT
//! A visit: a call that has a pool's lock, what it found wrong, and what it leaves over.
//!
//! Memory is called for with the pool's mutex held, and given back without it: what is not needed
//! any more is gathered in a [`Surplus`]. What is found wrong is noted, and said once nothing is
//! locked: so who takes reports may call any function of the library, and need not come back.
//!
//! | part | meaning |
//! |---|---|
//! | `parent`, `function` | which pool is visited, by which function of the headers |
//! | `body` | what the lock protects; that there is a visit proves that it is held |
//! | `surplus` | on its way to the heap |
//! | `notes` | what is to be reported |

use core::mem::ManuallyDrop;

use super::body::Body;
use super::parent::ParentPool;
use crate::heap::HEAP;
use crate::heap::surplus::Surplus;
use crate::hooks::{self, Notes};
use crate::sys::sync::Locked;

/// See the head of this file. It ends when it is dropped.
pub(crate) struct Visit<'a> {
    pub(crate) parent: &'a ParentPool,
    pub(crate) function: &'static str,
    pub(crate) body: ManuallyDrop<Locked<'a, Body>>,
    pub(crate) surplus: Surplus,
    pub(crate) notes: Notes,
}

impl<'a> Visit<'a> {
    /// Locks a pool.
    #[inline(always)]
    pub(crate) fn begin(parent: &'a ParentPool, function: &'static str) -> Visit<'a> {
        Visit {
            parent,
            function,
            body: ManuallyDrop::new(parent.lock()),
            surplus: Surplus::EMPTY,
            notes: Notes::none(),
        }
    }

    /// The address of the pool, which is its owner word.
    pub(crate) fn owner(&self) -> usize {
        self.parent.address()
    }
}

impl ParentPool {
    /// Calls `work` with the pool locked; see [`Visit`].
    #[inline(always)]
    pub(crate) fn visit<T>(
        &self,
        function: &'static str,
        work: impl FnOnce(&mut Visit<'_>) -> T,
    ) -> T {
        work(&mut Visit::begin(self, function))
    }
}

impl Drop for Visit<'_> {
    /// Unlocks the pool, gives the heap what is left over, and then reports what was noted.
    #[inline(never)]
    fn drop(&mut self) {
        let pool = if self.notes.is_empty() { None } else { Some(self.body.id(self.owner())) };
        // SAFETY: nobody uses the guard after this.
        unsafe { ManuallyDrop::drop(&mut self.body) }
        HEAP.take_back(&mut self.surplus);
        hooks::after_slow_path(self.parent);
        if let Some(pool) = pool {
            self.notes.say(self.function, Some(&pool));
        }
    }
}
