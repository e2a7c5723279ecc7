// SPDX-License-Identifier: MIT
//! What can be wrong with an address that is freed.

/// What is wrong with an address that was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misuse {
    /// It is free already.
    DoubleFree,
    /// It is in no slab, or in a slab but not where an object starts.
    NotAnObject,
}

impl Misuse {
    /// What is said of it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Misuse::DoubleFree => "double free",
            Misuse::NotAnObject => "not an object of a pool",
        }
    }
}
