//! The instruments: what is looked at in pools, and what is said of it.

#[cfg(feature = "debug")]
pub mod debug;
#[cfg(not(feature = "debug"))]
#[path = "debug/off.rs"]
pub mod debug;
#[cfg(all(feature = "debug", unix))]
pub mod guard;
#[cfg(not(all(feature = "debug", unix)))]
#[path = "guard/off.rs"]
pub mod guard;
pub mod options;
pub mod report;
#[cfg(feature = "debug")]
pub mod tools;
#[cfg(not(feature = "debug"))]
#[path = "tools/off.rs"]
pub mod tools;
#[cfg(all(feature = "debug", unix))]
pub mod trace;
#[cfg(not(all(feature = "debug", unix)))]
#[path = "trace/off.rs"]
pub mod trace;
