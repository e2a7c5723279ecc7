//! The operating system: the only door to it, one file per family.
//!
//! What every family offers: `reserve` and `release` of address space, a mutex, a coarse clock,
//! hooks around `fork` and at unloading, and a way to say a line and to abort.

#[cfg(unix)]
#[path = "unix.rs"]
mod family;

pub use family::*;

#[cfg(all(unix, feature = "debug"))]
#[path = "unix_faults.rs"]
mod faults;
#[cfg(all(unix, feature = "debug"))]
pub use faults::*;
#[cfg(all(unix, feature = "debug"))]
#[path = "unix_trace.rs"]
mod trace;
#[cfg(all(unix, feature = "debug"))]
pub use trace::*;
