// SPDX-License-Identifier: MIT
//! Debug modes: pools of which every call is checked.
//!
//! A pool with modes is *uncached*: its children have no magazines, so that all calls on them are
//! slow paths, where one test leads here. A pool without is none the slower for it.
//!
//! | file | what it is |
//! |---|---|
//! | `choice` | which modes a pool gets, and when |
//! | `entry` | which thread is inside a call on a child |
//! | `call` | allocating, freeing and destroying |
//! | `object` | what becomes of an object, and who finds out what was written beyond it |
//! | `fill` | redzones, and what free objects are filled with |
//! | `gate` | what threads may be inside of until the library is unloaded |
//! | `ledger`, `table` | what is kept of a pool, and of each object |
//! | `stack`, `stacks` | call stacks: taking one, and keeping each once |
//! | `access` | what is said of an access that a protected page or a tool has found |
//! | `explain` | the lines of a report that say who had an object |
//! | `recorded` | what is recorded |
//! | `leaks` | what is out at the end |
//!
//! What the rest of the library asks, through [`crate::hooks`], is named after what it would do
//! otherwise: `instead_of_alloc` and so on.
//!
//! Everything here that is kept of a pool belongs to the pool's lock. No lock of the library's is
//! held when a stack is captured.

use crate::base::layout::Field;

pub(crate) mod access;
mod call;
mod choice;
mod entry;
pub(crate) mod explain;
pub(crate) mod fill;
mod gate;
mod leaks;
pub(crate) mod ledger;
mod object;
mod recorded;
pub(crate) mod stack;
pub(crate) mod stacks;
pub(crate) mod table;

#[cfg(unix)]
pub(crate) use call::before_guarded_free;
pub(crate) use call::{
    after_destroy_parent, before_create_parent, before_destroy_parent, instead_of_alloc,
    instead_of_destroy_child, instead_of_free, instead_of_owner,
};
pub(crate) use choice::{geometry, modes, set, set_default};
pub(crate) use leaks::{at_end, places};
#[cfg(feature = "ext")]
pub(crate) use object::is_waiting;
pub(crate) use object::let_all_go;
pub(crate) use object::{Kept, Records, check_slab, keep, kept, new_slab, records};
#[cfg(unix)]
pub(crate) use recorded::{
    after_create_child, before_destroy_child, before_free, before_parent_goes,
};

/// What a walker outside of the process reads here.
pub(crate) const LAYOUTS: &[&[Field]] =
    &[ledger::LAYOUT, ledger::PAGES_LAYOUT, table::LAYOUT, table::RECORD_LAYOUT, stacks::NUMBERS];
/// Where it begins: the first ledger, and the arena of stacks.
pub(crate) const PLACES: [*const (); 2] = [ledger::PLACE, stacks::PLACE];

/// Gives back what is kept of pools that are gone: when the library is unloaded.
pub(crate) fn at_unload() {
    ledger::Ledger::at_unload();
    stacks::at_unload();
}
