// SPDX-License-Identifier: MIT
//! The heap: slabs, magazine blocks and limbo, process-wide.
//!
//! | file | what it is |
//! |---|---|
//! | `page_heap` | the heap itself, behind its lock: what pools call |
//! | `state`, `parking`, `purge` | what the lock protects; what it does with kits; how memory goes to the system |
//! | `large` | large objects, and their chunks that are kept |
//! | `peak`, `regret` | how much was in use lately; what was given back to the system too early |
//! | [`home`] | which heap something is of |
//! | `lent`, `lending`, `owed`, `heaps` | heaps whose memory is the program's: regions, and what hooks give; what they do with their chunks; what is left to be done for them; what is done with them |
//! | `locked` | the proof that the lock is held |
//! | [`chunk_lists`], [`decay`] | chunks by what they have free; when it goes to the system |
//! | `descriptors` | which pages of a chunk's header nobody needs |
//! | [`chunk`], [`registry`] | from an address to its owner and its slab; whether it is in a chunk at all |
//! | [`slab`], [`magazine`], [`buddy`] | the data structures: bitmap, stack of objects, free page runs |
//! | `kit`, [`surplus`] | what a pool leaves for its next child; what it gives back |
//! | [`lookup`] | from any address to its slab, and from slab to slab, while the heap is locked |
//! | [`pools`], `spares`, `names` | which pools there are; entries for the next ones; what they are called |
//! | [`growth`], `numbers` | how far it has grown; what it holds |

pub(crate) mod buddy;
pub(crate) mod chunk;
pub(crate) mod chunk_lists;
pub(crate) mod decay;
#[cfg(feature = "ext")]
mod descriptors;
pub(crate) mod growth;
#[cfg(feature = "ext")]
mod heaps;
pub(crate) mod home;
mod kit;
mod large;
#[cfg(feature = "ext")]
mod lending;
#[cfg(feature = "ext")]
pub(crate) mod lent;
mod locked;
pub(crate) mod lookup;
pub(crate) mod magazine;
#[cfg(loom)]
pub(crate) mod model;
mod names;
mod numbers;
#[cfg(feature = "ext")]
mod owed;
mod page_heap;
mod parking;
mod peak;
pub(crate) mod pools;
mod purge;
pub(crate) mod registry;
mod regret;
pub(crate) mod slab;
mod spares;
mod state;
pub(crate) mod surplus;

use crate::base::layout::Field;

/// What a walker outside of the process reads here.
pub(crate) const LAYOUTS: &[&[Field]] = &[
    registry::NUMBERS,
    chunk::NUMBERS,
    chunk::LAYOUT,
    buddy::LAYOUT,
    buddy::NODE_LAYOUT,
    slab::NUMBERS,
    slab::LAYOUT,
    magazine::LAYOUT,
    page_heap::LAYOUT,
    state::LAYOUT,
    kit::LAYOUT,
    kit::KIT_LAYOUT,
    kit::NUMBERS,
    pools::NUMBERS,
    pools::LAYOUT,
    names::LAYOUT,
];

pub(crate) use home::Home;
pub(crate) use kit::Kit;
pub(crate) use numbers::HeapNumbers;
pub(crate) use page_heap::{HEAP, IsLocked, Owner, PLACE, owner};
pub(crate) use state::{State, Unused};
