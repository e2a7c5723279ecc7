//! What happens to the whole library: it is loaded, its process forks, it is unloaded.

#[cfg(unix)]
pub mod fork;
mod unload;
