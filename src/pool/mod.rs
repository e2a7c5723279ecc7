// SPDX-License-Identifier: MIT
//! Pools: the owner of objects of one size, and its users' caches.
//!
//! | file | what it is |
//! |---|---|
//! | [`child`] | one user's cache of objects: the fast paths, and the slow paths behind them |
//! | `cache` | a child's two magazines |
//! | [`parent`] | the owner of objects: what `slab.h` shows, and what fast paths read |
//! | `body` | what the parent's mutex protects |
//! | `calls` | what callers do to a parent: create, destroy, name, count, trim |
//! | `visit` | a call that has a pool's lock |
//! | `transfer` | how objects pass between magazines, slabs and the heap |
//! | `exchange` | how caches get magazines and give them back |
//! | `depot`, `partial` | what a parent keeps: magazines that no child has; slabs by fullness |
//! | `policy` | how much of it |
//! | `numbers` | what a pool holds |

pub(crate) mod body;
pub(crate) mod cache;
mod calls;
pub(crate) mod child;
pub(crate) mod depot;
mod exchange;
pub(crate) mod numbers;
pub(crate) mod parent;
pub(crate) mod partial;
pub(crate) mod policy;
mod transfer;
pub(crate) mod visit;
