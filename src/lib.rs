//! Object pools for C graphics drivers: the core of `libmesa_slab`.
//!
//! A *parent pool* owns objects of one size, a *child pool* is one user's cache of them. An object
//! may be freed through any child, at the cost of a local free, and outlives the child that it came
//! from.
//!
//! The layers, top down; each uses only those below it:
//!
//! | room | what it is |
//! |---|---|
//! | [`capi`], [`capi_ext`], [`capi_inline`] | the functions of `slab.h`, `slab_ext.h`, `slab_inline.h` |
//! | [`child`] | one user's cache: the fast paths, and the slow paths behind them |
//! | [`parent`] | the owner of objects; in `parent::exchange`, how children get magazines and give them back |
//! | [`depot`], [`partial`] | what a parent keeps: magazines that no child has; slabs by fullness |
//! | [`surplus`] | what a parent gives back to the heap |
//! | [`heap`] | slabs, magazine blocks and limbo, process-wide |
//! | [`chunk_lists`], [`decay`] | chunks by what they have free; when it goes to the system |
//! | [`chunk`], [`registry`] | from an address to its owner and its slab; whether it is in a chunk at all |
//! | [`slab`], [`magazine`], [`buddy`] | the data structures: bitmap, stack of objects, free page runs |
//! | [`geometry`] | sizes: how objects are laid out |
//! | [`sync`], [`os`] | the doors to locks and to the system |
//! | `unload` | what happens at dlclose() |
//! | [`stats`], [`names`], [`print`] | what is held, and how it is shown |
//! | [`validate`] | a walk that checks every invariant |
//! | [`debug`] | what is checked in pools that are chosen for it, and the test on the slow paths |
//! | [`guard`] | objects against protected pages, and what is said when an access to one faults |
//! | [`tools`] | what AddressSanitizer, valgrind and the like are told of objects |
//! | [`trace`] | a record of all calls, for a replay |
//! | [`harden`] | what the hardened build has beyond others |
//! | [`report`], [`line`], [`options`] | what is said on misuse, and what SLAB_DEBUG says |
//!
//! Where a `slab_alloc` goes: [`child::ChildPool::alloc`] pops an object off the child's loaded magazine.
//! If that is empty, the previous magazine is swapped in; else, under the parent's mutex, a full one from
//! the depot; else the magazine is filled from the bitmaps of slabs, and if these are used up the heap
//! carves a new slab out of a chunk, and reserves a chunk if need be.
//!
//! Where a `slab_free` goes: one load finds the owner of the object's page. If it is the child's parent,
//! the object is pushed onto the loaded magazine; a full one is swapped, exchanged for an empty one, or
//! drained into the slabs. If not, the object goes straight into its slab, under its owner's lock.
//!
//! Locks: see [`sync`]. The design and its reasons are in
//! `docs/design.md`.
#![cfg_attr(not(any(test, loom)), no_std)]
#![cfg_attr(
    any(loom, not(all(feature = "ext", feature = "debug", unix))),
    allow(
        dead_code,
        unused_imports,
        reason = "what is left out of a build is what uses some of the rest"
    )
)]

pub mod abi;
mod base;
mod heap;
mod hooks;
mod inspect;
mod life;
mod pool;
mod sys;
mod watch;

/// What the packaging and the tests of this repository reach beside what C sees. No part of what the crate promises.
#[doc(hidden)]
pub mod internals {
    pub use crate::base::geometry::{CHUNK, CHUNK_SHIFT, PAGE_SHIFT};
    pub use crate::heap::registry::{add, has, remove};
    #[cfg(loom)]
    pub use crate::heap::{HEAP, model as heap_model};
    #[cfg(loom)]
    pub use crate::life::fork::around_fork;
    pub use crate::sys::os::broken_invariant;
    #[cfg(loom)]
    pub use crate::sys::os::{release, reserve};
    #[cfg(loom)]
    pub use crate::sys::sync::{model, writes};
    #[cfg(feature = "debug")]
    pub use crate::watch::debug::stacks::Stack;
    #[cfg(loom)]
    pub use crate::watch::report::count as reports;
}
