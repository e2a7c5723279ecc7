//! Pools: the owner of objects of one size, and its users' caches.
//!
//! | file | what it is |
//! |---|---|
//! | [`child`] | one user's cache of objects: the fast paths, and the slow paths behind them |
//! | `cache` | a child's two magazines |
//! | [`parent`] | the owner of objects: what `slab.h` shows, and what fast paths read |
//! | `body` | what the parent's mutex protects |
//! | `visit` | a call that has a pool's lock |
//! | `exchange` | how caches get magazines and give them back |
//! | `depot`, `partial` | what a parent keeps: magazines that no child has; slabs by fullness |
//! | `policy` | how much of it |
//! | `numbers` | what a pool holds |

pub mod body;
pub mod cache;
pub mod child;
pub mod depot;
mod exchange;
pub mod numbers;
pub mod parent;
pub mod partial;
pub mod policy;
pub mod visit;
