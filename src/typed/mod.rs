// SPDX-License-Identifier: MIT
//! What Rust sees: pools of a type.
//!
//! | type | what it is | in C |
//! |---|---|---|
//! | [`Pool`] | the owner of the memory of all objects of a type | `struct slab_parent_pool` |
//! | [`Cache`] | one user's cache of free objects | `struct slab_child_pool` |
//! | [`Object`] | an object, which is dropped and freed when it goes | a pointer |
//! | [`OutOfMemory`] | what an allocation gives instead of an object, with what it was to become | `NULL` |
//!
//! **Who owns what.** A parent is known by its address, so that it may not move while there is an
//! object, a child, or free memory of it. A [`Pool`] is a pointer to one in the library's own memory
//! ([`crate::pool::blocks`]), made when it is first needed: so a pool may be moved, and lie in a
//! static. Caches and objects borrow the pool. The borrow is what keeps it from being destroyed
//! while a thread frees an object, which C has to see to by itself; it costs nothing, where a count
//! of the objects would cost each of them two atomic operations that all threads share.
//!
//! A child lies in its [`Cache`] and moves with it: nothing refers to it between calls.
//!
//! What is forgotten (`mem::forget`) is lost, and no more: the memory of a forgotten object is never
//! used again, also after its pool is gone.

mod cache;
mod object;
mod out_of_memory;
mod pool;

pub use cache::Cache;
pub use object::Object;
pub use out_of_memory::OutOfMemory;
pub use pool::Pool;
