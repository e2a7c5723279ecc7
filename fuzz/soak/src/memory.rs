//! What the process has of the system's memory, and what the library holds.

use std::fs;

/// Memory at a moment, in bytes.
#[derive(Clone, Copy, Default)]
pub struct Sample {
    pub resident: usize,
    pub held: usize,
}

/// The samples of a minute.
#[derive(Default)]
pub struct Minute {
    sum: Sample,
    count: usize,
}

impl Minute {
    pub fn add(&mut self, sample: Sample) {
        self.sum.resident += sample.resident >> 10;
        self.sum.held += sample.held >> 10;
        self.count += 1;
    }

    /// The mean, in KiB.
    pub fn resident(&self) -> usize {
        self.sum.resident / self.count.max(1)
    }

    /// The mean, in KiB.
    pub fn held(&self) -> usize {
        self.sum.held / self.count.max(1)
    }
}

/// Bytes of the process that are in memory.
pub fn resident() -> usize {
    let numbers = fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: usize =
        numbers.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    // SAFETY: always callable.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize
}
