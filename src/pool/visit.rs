// SPDX-License-Identifier: MIT
//! A visit: a call that has a pool's lock, what it found wrong, and what it leaves over.
//!
//! Memory is called for with the pool's mutex held, and given back without it: what is not needed
//! any more is gathered in a [`Surplus`]. What is found wrong is noted, and said once nothing is
//! locked: so who takes reports may call any function of the library, and need not come back.
//!
//! | part | meaning |
//! |---|---|
//! | `pool`, `owner`, `function` | which pool is visited, its owner word, and by which function of the headers |
//! | `body` | what the lock protects; that there is a visit proves that it is held |
//! | `surplus` | on its way to the heap |
//! | `notes` | what is to be reported |
//! | `has_reaped` | what went unused was drained, which is work enough for a call |

use core::mem::ManuallyDrop;

use super::body::{Body, Pool};
use crate::heap::surplus::Surplus;
use crate::heap::{HEAP, Home};
use crate::hooks::Notes;
use crate::sys::sync::Locked;

/// See the head of this file. It ends when it is dropped.
pub(crate) struct Visit<'a> {
    pub(crate) pool: &'a Pool,
    owner: usize,
    pub(crate) function: &'static str,
    pub(crate) body: ManuallyDrop<Locked<'a, Body>>,
    pub(crate) surplus: Surplus,
    pub(crate) notes: Notes,
    pub(super) has_reaped: bool,
}

impl<'a> Visit<'a> {
    /// Locks a pool.
    #[inline(always)]
    pub(crate) fn begin(pool: &'a Pool, function: &'static str) -> Visit<'a> {
        Visit::with(pool, pool.lock(), function)
    }

    /// Goes on with a pool that is locked.
    #[inline(always)]
    pub(super) fn with(
        pool: &'a Pool,
        body: Locked<'a, Body>,
        function: &'static str,
    ) -> Visit<'a> {
        Visit {
            pool,
            owner: pool.entry().owner(),
            function,
            body: ManuallyDrop::new(body),
            surplus: Surplus::EMPTY,
            notes: Notes::none(),
            has_reaped: false,
        }
    }

    /// The address of the parent, which is the pool's owner word.
    pub(crate) fn owner(&self) -> usize {
        self.owner
    }

    /// The heap that the pool is in.
    pub(crate) fn home(&self) -> Home {
        self.pool.home()
    }
}

impl Visit<'_> {
    /// Unlocks the pool, gives the heap what is left over, and then reports what was noted. Returns whether
    /// the system was given anything.
    ///
    /// # Safety
    /// It is the last use of the visit, which is not dropped then.
    #[cfg_attr(feature = "ext", inline(always))]
    #[cfg_attr(not(feature = "ext"), inline(never))]
    pub(super) unsafe fn leave(&mut self) -> bool {
        let id = if self.notes.is_empty() {
            None
        } else {
            Some(self.pool.id_at(self.owner, &self.body))
        };
        // SAFETY: the caller's promise: nobody uses the guard after this.
        unsafe { ManuallyDrop::drop(&mut self.body) }
        let gave = HEAP.take_back(&mut self.surplus);
        if let Some(id) = id {
            self.notes.say(self.function, Some(&id));
        }
        gave
    }
}

impl Drop for Visit<'_> {
    #[inline(never)]
    fn drop(&mut self) {
        // SAFETY: nobody uses what is dropped.
        unsafe { self.leave() };
    }
}
