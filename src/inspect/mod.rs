// SPDX-License-Identifier: MIT
//! What reads every structure and changes none.

pub(crate) mod gone;
#[cfg(feature = "ext")]
pub(crate) mod objects;
pub(crate) mod print;
pub(crate) mod root;
pub(crate) mod stats;
pub(crate) mod validate;
