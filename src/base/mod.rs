//! Values and arithmetic, without state.

pub mod geometry;
pub mod line;
pub mod seal;
pub mod zero;
