//! The doors to the system and to locks.

pub mod os;
pub mod sync;
