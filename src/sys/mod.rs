// SPDX-License-Identifier: MIT
//! The doors to the system and to locks.

pub(crate) mod os;
pub(crate) mod sync;
#[cfg(any(feature = "debug", target_os = "linux", target_os = "android"))]
pub(crate) mod valgrind;
