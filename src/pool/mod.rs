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

pub mod body;
pub mod cache;
mod calls;
pub mod child;
pub mod depot;
mod exchange;
pub mod numbers;
pub mod parent;
pub mod partial;
pub mod policy;
mod transfer;
pub mod visit;
