//! What is chosen when the library is built.

/// Whether this is the hardened build ([`crate::base::seal`]).
pub const HARDENED: bool = cfg!(feature = "hardened");
