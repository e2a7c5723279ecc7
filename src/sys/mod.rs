// SPDX-License-Identifier: MIT
//! The doors to the system and to locks.

pub(crate) mod os;
pub(crate) mod sync;
