//! What the library must do, in the simplest terms: a set of live objects with their contents, and
//! pools that exist or do not. A sequence of [`Operation`]s is run against both; the first thing
//! that differs panics.
//!
//! | part | what it is |
//! |---|---|
//! | [`operation`] | what can be done, and how it is read from bytes |
//! | [`world`] | the pools, the live objects, and what is checked |
//! | [`heaps`] | memory that pools are given: regions, and by hooks |
//! | [`contents`] | what each byte of a live object must be |
//! | [`system`] | calls to the system that fail, and a clock that can be put forward |
//!
//! The library's functions are called under the names and with the types that C has. Everything
//! runs in one thread: the library is one in the process, and so are the counts in [`system`].

pub mod contents;
pub mod heaps;
pub mod operation;
pub mod system;
pub mod world;

pub use operation::Operation;
pub use world::World;

/// Runs a sequence from nothing, takes everything down, and checks that nothing is left.
pub fn run(operations: &[Operation]) {
    let mut world = World::new();
    for (number, operation) in operations.iter().enumerate() {
        world.apply(number, operation);
    }
    world.finish();
}
