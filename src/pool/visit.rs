//! A visit: a call that has a pool's lock, what it found wrong, and what it leaves over.
//!
//! Memory is called for with the pool's mutex held, and given back without it: what is not needed any more is
//! gathered in a [`Surplus`]. What is found wrong is noted, and said once nothing is locked: so who takes reports may call
//! any function of the library, and need not come back.
//!
//! | part | meaning |
//! |---|---|
//! | `parent`, `function` | which pool is visited, by which function of the headers |
//! | `body` | what the lock protects; that there is a visit proves that it is held |
//! | `surplus` | on its way to the heap |
//! | `notes` | what is to be reported |

use super::body::Body;
use super::parent::ParentPool;
use crate::heap::HEAP;
use crate::heap::surplus::Surplus;
use crate::hooks::{self, Notes};
use crate::sys::sync::Guard;

/// See the head of this file.
pub(crate) struct Visit<'a> {
    pub parent: &'a ParentPool,
    pub function: &'static str,
    pub body: Guard<'a, Body>,
    pub surplus: Surplus,
    pub notes: Notes,
}

impl<'a> Visit<'a> {
    /// Locks a pool.
    #[inline(always)]
    pub fn begin(parent: &'a ParentPool, function: &'static str) -> Visit<'a> {
        Visit { parent, function, body: parent.lock(), surplus: Surplus::EMPTY, notes: Notes::NONE }
    }

    /// Unlocks it, gives the heap what is left over, and then reports what was noted.
    #[inline(always)]
    pub fn end(self) {
        let Visit { parent, function, body, mut surplus, notes } = self;
        if !notes.is_empty() {
            return report_at_the_end(Visit { parent, function, body, surplus, notes });
        }
        drop(body);
        HEAP.take_back(&mut surplus);
        hooks::after_slow_path(parent);
    }

    /// The address of the pool, which is its owner word.
    pub fn owner(&self) -> usize {
        (&raw const *self.parent).addr()
    }
}

#[cold]
#[inline(never)]
fn report_at_the_end(visit: Visit<'_>) {
    let Visit { parent, function, body, mut surplus, notes } = visit;
    let pool = body.id(parent);
    drop(body);
    HEAP.take_back(&mut surplus);
    hooks::after_slow_path(parent);
    notes.say(function, Some(&pool));
}
