// SPDX-License-Identifier: MIT
//! What reads every structure and changes none.

pub(crate) mod gone;
pub(crate) mod print;
pub(crate) mod stats;
pub(crate) mod validate;
