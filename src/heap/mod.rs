// SPDX-License-Identifier: MIT
//! The heap: slabs, magazine blocks and limbo, process-wide.
//!
//! | file | what it is |
//! |---|---|
//! | `page_heap` | the heap itself, behind its lock: what pools call |
//! | `state`, `parking`, `purge` | what the lock protects; what it does with kits; how memory goes to the system |
//! | `locked` | the proof that the lock is held |
//! | [`chunk_lists`], [`decay`] | chunks by what they have free; when it goes to the system |
//! | [`chunk`], [`registry`] | from an address to its owner and its slab; whether it is in a chunk at all |
//! | [`slab`], [`magazine`], [`buddy`] | the data structures: bitmap, stack of objects, free page runs |
//! | `kit`, [`surplus`] | what a pool leaves for its next child; what it gives back |
//! | `known`, [`names`] | whether the heap knows anything of a pool; what it is called |
//! | `numbers` | what the heap holds |

pub(crate) mod buddy;
pub(crate) mod chunk;
pub(crate) mod chunk_lists;
pub(crate) mod decay;
mod kit;
mod known;
mod locked;
pub(crate) mod magazine;
#[cfg(loom)]
pub(crate) mod model;
pub(crate) mod names;
mod numbers;
mod page_heap;
mod parking;
mod purge;
pub(crate) mod registry;
pub(crate) mod slab;
mod state;
pub(crate) mod surplus;

pub(crate) use kit::Kit;
#[cfg(feature = "debug")]
pub(crate) use known::atomics as known_atomics;
pub(crate) use numbers::HeapNumbers;
pub(crate) use page_heap::{HEAP, Owner, owner};
pub(crate) use state::State;
