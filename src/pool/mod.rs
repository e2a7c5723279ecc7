// SPDX-License-Identifier: MIT
//! Pools: the owner of objects of one size, and its users' caches.
//!
//! | file | what it is |
//! |---|---|
//! | [`child`] | one user's cache of objects: the fast paths, and the slow paths behind them |
//! | `cache` | a child's two magazines |
//! | `bulk` | many objects in one call, and as many put by for later ones |
//! | [`parent`] | the owner of objects: what `slab.h` shows, and what fast paths read |
//! | `body` | what the parent's mutex protects |
//! | `options` | pools of which more is said than the size of their objects |
//! | `calls` | what callers do to a parent: create, destroy, name, count, trim |
//! | `visit` | a call that has a pool's lock |
//! | `transfer` | how objects pass between magazines, slabs and the heap |
//! | `equipment` | what caches begin with and leave behind |
//! | `exchange`, `comer` | how they exchange magazines; how often in a row, and for what |
//! | `depot`, `partial` | what a parent keeps: magazines that no child has; slabs by fullness |
//! | `policy`, `budget` | how much of it; how much all of them together |
//! | `shrink` | objects are moved out of sparse slabs, which then go to the heap |
//! | `sleepers` | pools that nobody calls give it back |
//! | [`blocks`] | memory for what the library keeps for its callers |
//! | `numbers` | what a pool holds |

use crate::base::layout::Field;

/// What a walker outside of the process reads here.
pub(crate) const LAYOUTS: &[&[Field]] = &[
    policy::NUMBERS,
    body::POOL_LAYOUT,
    body::LAYOUT,
    depot::LAYOUT,
    parent::LAYOUT,
    child::LAYOUT,
];

pub(crate) mod blocks;
pub(crate) mod body;
pub(crate) mod budget;
#[cfg(feature = "ext")]
mod bulk;
pub(crate) mod cache;
mod calls;
pub(crate) mod child;
mod comer;
pub(crate) mod depot;
mod equipment;
mod exchange;
pub(crate) mod numbers;
pub(crate) mod options;
pub(crate) mod parent;
pub(crate) mod partial;
pub(crate) mod policy;
#[cfg(feature = "ext")]
mod shrink;
pub(crate) mod sleepers;
mod transfer;
pub(crate) mod visit;
