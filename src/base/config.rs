// SPDX-License-Identifier: MIT
//! What is chosen when the library is built.

/// Whether this is the hardened build ([`crate::base::seal`]).
pub(crate) const HARDENED: bool = cfg!(feature = "hardened");
