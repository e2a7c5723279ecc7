//! Pools: the owner of objects of one size, and its users' caches.

pub mod body;
pub mod child;
pub mod depot;
mod exchange;
pub mod parent;
pub mod partial;
