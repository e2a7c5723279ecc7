// SPDX-License-Identifier: MIT
//! What C sees: one file for each header below `include/`, and no logic but how structs are read
//! that grow from version to version (`versioned`).

#[cfg(feature = "ext")]
pub mod ext;
#[cfg(all(feature = "ext", not(feature = "hardened")))]
pub mod inline;
pub mod slab;
#[cfg(feature = "ext")]
mod versioned;
