//! The part of the libc crate that the core uses, on Linux and on Windows: for builds without cargo.
//!
//! A driver's build must not need the network, nor care for the version of a crate that another
//! subproject brings. `tests/libc_part.rs` checks every item against the crate. For other systems
//! `meson.build` takes the crate itself.
#![no_std]
#![allow(non_camel_case_types, non_upper_case_globals, missing_docs)]

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;

#[cfg(not(any(target_os = "linux", windows)))]
compile_error!("the libc crate is needed for this system: see the option libc-crate");
