// SPDX-License-Identifier: MIT
//! The doors to the system and to locks, and to what belongs to a processor.

pub(crate) mod expect;
pub(crate) mod os;
#[cfg(not(loom))]
pub(crate) mod per_processor;
pub(crate) mod probe;
pub(crate) mod sync;
#[cfg(any(feature = "debug", target_os = "linux", target_os = "android"))]
pub(crate) mod valgrind;
