//! What reads every structure and changes none.

pub mod print;
pub mod stats;
pub mod validate;
