//! What was measured, as it is written to JSON.

use crate::allocators::Kind;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

#[derive(Serialize, Deserialize)]
pub struct Results {
    /// "x86_64 linux, 2 cores": what the times belong to.
    pub machine: String,
    /// The allocator that the others are compared to.
    pub baseline: String,
    pub rounds: usize,
    pub allocators: Vec<Measured>,
    pub workloads: Vec<WorkloadResult>,
}

/// An allocator, in the order in which they are shown.
#[derive(Serialize, Deserialize)]
pub struct Measured {
    pub name: String,
    pub kind: Kind,
}

#[derive(Serialize, Deserialize)]
pub struct WorkloadResult {
    pub name: String,
    /// What the times are of.
    pub operation: String,
    pub threads: usize,
    /// The workload that does the same on one thread.
    pub one_thread: Option<String>,
    /// Of those that the workload is for.
    pub allocators: Vec<Measurement>,
}

#[derive(Serialize, Deserialize)]
pub struct Measurement {
    pub allocator: String,
    /// Median for each operation, the harness's own time included.
    pub nanoseconds: f64,
    /// Half the distance between the quartiles, as a part of the median.
    pub spread: f64,
    /// To the baseline, both without the harness's time; None where that cannot be told.
    pub ratio: Option<f64>,
    /// To the baseline, the harness's time included in both.
    pub gross: f64,
    /// Nanoseconds for each operation, by round.
    pub samples: Vec<f64>,
}

impl Results {
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }

    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no result", path.display()))
    }

    pub fn workload(&self, name: &str) -> Option<&WorkloadResult> {
        self.workloads.iter().find(|workload| workload.name == name)
    }

    /// The allocators that are compared to the baseline.
    pub fn compared(&self) -> impl Iterator<Item = &Measured> {
        self.allocators.iter().filter(|of| of.kind != Kind::Null && of.name != self.baseline)
    }

    pub fn kind(&self, allocator: &str) -> Option<Kind> {
        self.allocators.iter().find(|of| of.name == allocator).map(|of| of.kind)
    }

    /// The ratio to the baseline that counts: gross where calls are inlined, as the null allocator does not
    /// tell what the loop costs then, net otherwise.
    pub fn ratio(&self, of: &Measurement) -> Option<f64> {
        if self.kind(&of.allocator) == Some(Kind::Inlined) { Some(of.gross) } else { of.ratio }
    }

    /// How much more two threads do than one, by the medians.
    pub fn speed_up(&self, workload: &WorkloadResult, allocator: &str) -> Option<f64> {
        let one = self.workload(workload.one_thread.as_deref()?)?.of(allocator)?;
        Some(one.nanoseconds / workload.of(allocator)?.nanoseconds)
    }
}

impl WorkloadResult {
    pub fn of(&self, allocator: &str) -> Option<&Measurement> {
        self.allocators.iter().find(|measurement| measurement.allocator == allocator)
    }
}
