//! Values and arithmetic, without state.

pub mod address;
pub mod config;
pub mod geometry;
pub mod line;
pub mod misuse;
pub mod modes;
pub mod pool_id;
pub mod redzone;
pub mod seal;
pub mod zero;
