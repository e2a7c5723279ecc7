//! Debug modes: pools of which every call is checked.
//!
//! A pool with modes is *uncached*: its children have no magazines, so that all calls on them are slow paths,
//! where one test leads here. A pool without is none the slower for it.
//!
//! | file | what it is |
//! |---|---|
//! | `modes` | the set of modes |
//! | `choice` | which modes a pool gets, and when |
//! | `layout` | where the object lies in its slot |
//! | `entry` | which thread is inside a call on a child |
//! | `call` | allocating, freeing and destroying |
//! | `recorded` | what is recorded |
//! | `stack` | call stacks |
//!
//! What the rest of the library asks is named after what it would do otherwise: `instead_of_alloc` and so on.
//! Without the feature `debug`, `off` answers.
//!
//! Everything here that is kept of a pool belongs to the pool's lock. No lock of the library's is held when a
//! stack is captured, and none is taken when a report is made.

mod call;
mod choice;
mod entry;
mod layout;
mod modes;
mod recorded;
pub mod stack;

pub use call::{
    after_destroy_parent, before_destroy_parent, before_guarded_free, instead_of_alloc,
    instead_of_destroy_child, instead_of_free, instead_of_owner, new_slab,
};
pub use choice::{geometry, layout, set, set_default};
pub use layout::lead;
pub use modes::{Modes, ModesWord};
pub use recorded::{after_create_child, before_destroy_child, before_free, before_parent_goes};
