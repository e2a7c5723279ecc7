// SPDX-License-Identifier: MIT
//! What happens to the whole library: it is loaded, its process forks, it is unloaded.

#[cfg(unix)]
pub(crate) mod fork;
mod load;
mod statistics;
mod unload;
