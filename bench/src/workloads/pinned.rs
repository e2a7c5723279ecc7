//! Threads that stay on a core: the main thread on the first, a second one on the next.

use core_affinity::CoreId;
use std::sync::OnceLock;
use std::thread::{JoinHandle, spawn};

/// The cores of the process, listed before any thread is confined to one of them.
static CORES: OnceLock<Vec<CoreId>> = OnceLock::new();

fn pin(index: usize) {
    let cores = CORES.get_or_init(|| core_affinity::get_core_ids().unwrap_or_default());
    // With fewer cores than threads, or where pinning is forbidden, the scheduler decides.
    if let Some(&core) = cores.get(index) {
        core_affinity::set_for_current(core);
    }
}

/// To be called first, by the main thread.
pub fn pin_main() {
    pin(0);
}

/// A thread beside the main one.
pub fn spawn_second(run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    spawn(move || {
        pin(1);
        run();
    })
}
