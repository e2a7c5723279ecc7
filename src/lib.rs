// SPDX-License-Identifier: MIT
//! Object pools for C graphics drivers: the core of `libmesa_slab`.
//!
//! A *parent pool* owns objects of one size, a *child pool* is one user's cache of them. An object
//! may be freed through any child, at the cost of a local free, and outlives the child that it came
//! from.
//!
//! The floors, top down. **A floor imports only from itself and from floors below it; `groups`,
//! `pool` and `heap` know of instruments nothing but `hooks`, and `hooks` alone looks up.**
//! `scripts/check-layers` holds the imports against this table.
//!
//! | floor | what it is |
//! |---|---|
//! | `abi/` | what C sees: the functions of `slab.h`, `slab_ext.h` and `slab_inline.h`, without logic |
//! | `typed/` | what Rust sees: pools of a type, without unsafe code in their users |
//! | `life/` | what happens to the whole library: it is loaded, its process forks, it is unloaded |
//! | `inspect/` | what reads every structure and changes none: statistics, printing, a walk that checks every invariant |
//! | `watch/` | the instruments: what is checked in pools that are chosen for it, guarded objects, what tools are told, recording, reports |
//! | `hooks.rs` | the one door between the core and the instruments |
//! | `groups/` | what is made of several pools: objects of any size, and objects for any thread |
//! | `pool/` | the owner of objects of one size, and its users' caches: fast paths, depot, slabs by fullness, and how much is kept |
//! | `heap/` | slabs, magazine blocks and limbo, process-wide: chunks, page runs, and when memory goes back to the system |
//! | `base/` | values and arithmetic: sizes, addresses, modes, kinds of misuse, text |
//! | `sys/` | the doors to the system and to locks |
//!
//! Where a `slab_alloc` goes: [`pool::child::ChildPool::alloc`] pops an object off the child's
//! loaded magazine. If that is empty, the previous magazine is swapped in; else, in a visit to the
//! parent ([`pool::visit`]), a full one from the depot ([`pool::exchange`]); else the magazine is
//! filled from the bitmaps of slabs ([`pool::partial`]), and if these are used up the heap carves a
//! new slab out of a chunk ([`heap::state`]), and reserves a chunk if need be.
//!
//! Where a `slab_free` goes: one load finds the owner of the object's page. If it is the child's
//! parent, the object is pushed onto the loaded magazine; a full one is swapped, exchanged for an
//! empty one, or drained into the slabs. If not, the object goes straight into its slab, under its
//! owner's lock.
//!
//! Locks: see [`sys::sync`]. The design and its reasons, and the words used here, are in
//! `docs/design.md`.
#![cfg_attr(not(any(test, loom)), no_std)]
#![cfg_attr(
    any(loom, not(all(feature = "abi", feature = "ext", feature = "debug", unix))),
    allow(
        dead_code,
        unused_imports,
        reason = "what is left out of a build is what uses some of the rest"
    )
)]

#[cfg(feature = "abi")]
pub mod abi;
mod base;
#[cfg(not(loom))]
mod groups;
mod heap;
mod hooks;
mod inspect;
mod life;
mod pool;
mod sys;
#[cfg(not(loom))]
mod typed;
mod watch;

#[cfg(not(loom))]
pub use typed::{Cache, Object, OutOfMemory, Pool};

#[doc(hidden)]
pub mod internals;
