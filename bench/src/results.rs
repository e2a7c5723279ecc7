//! What was measured, as it is written to JSON.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

#[derive(Serialize, Deserialize)]
pub struct Results {
    /// "x86_64 linux, 2 cores": what the times belong to.
    pub machine: String,
    pub rounds: usize,
    pub workloads: Vec<WorkloadResult>,
}

#[derive(Serialize, Deserialize)]
pub struct WorkloadResult {
    pub name: String,
    /// What the times are of.
    pub operation: String,
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
}

impl WorkloadResult {
    pub fn of(&self, allocator: &str) -> Option<&Measurement> {
        self.allocators.iter().find(|measurement| measurement.allocator == allocator)
    }
}
