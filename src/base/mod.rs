// SPDX-License-Identifier: MIT
//! Values and arithmetic, without state.

pub(crate) mod address;
pub(crate) mod alignment;
pub(crate) mod config;
pub(crate) mod geometry;
pub(crate) mod layout;
pub(crate) mod line;
pub(crate) mod misuse;
pub(crate) mod modes;
pub(crate) mod pool_id;
pub(crate) mod redzone;
pub(crate) mod seal;
pub(crate) mod zero;
