//! What was measured, as it is written to JSON.

use crate::allocators::{Allocator, Kind};
use crate::workloads::Group;
use crate::written;
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
    /// The same churn over more and more live objects, by their number.
    pub scaling: Vec<(usize, WorkloadResult)>,
    pub memory: Vec<Memory>,
    /// What is resident after a million objects were freed, by seconds.
    pub after_freeing: Vec<Timeline>,
    pub instructions: Vec<Instructions>,
    /// How long single calls take, and with what that was measured.
    #[serde(default)]
    pub latency: Vec<Latency>,
    /// How threads share a lock.
    #[serde(default)]
    pub queues: Vec<Queue>,
    #[serde(default)]
    pub latency_clock: Option<LatencyClock>,
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
    pub group: Group,
    /// What the times are of.
    pub operation: String,
    pub threads: usize,
    /// The workload that does the same on one thread.
    pub one_thread: Option<String>,
    /// Of those that the workload is for.
    pub allocators: Vec<Measurement>,
    /// The others, and why it is not.
    #[serde(default)]
    pub left_out: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
pub struct Measurement {
    pub allocator: String,
    /// Median for each operation, the harness's own time included.
    pub nanoseconds: f64,
    /// Half the distance between the quartiles, as a part of the median.
    pub spread: f64,
    /// To the baseline, both without the harness's time; None where that cannot be told. Where
    /// calls are inlined, the null allocator does not tell what the loop costs: of whole times
    /// then.
    pub ratio: Option<f64>,
    /// To the baseline, the harness's time included in both.
    pub gross: f64,
    /// Nanoseconds for each operation, by round.
    pub samples: Vec<f64>,
}

/// What an allocator held in one case. All in bytes of anonymous resident memory, beyond what was
/// there before.
#[derive(Serialize, Deserialize)]
pub struct Memory {
    pub case: String,
    pub allocator: String,
    /// Objects in use at the point that the case is about, ...
    pub live: usize,
    /// ... the bytes that were asked for with them, ...
    pub live_bytes: u64,
    /// ... and what was resident then.
    pub resident: u64,
    /// The most there ever was.
    pub peak: u64,
    /// With all objects freed and the pools alive.
    pub held: u64,
    /// With the pools destroyed as well.
    pub left: u64,
    /// Calls made, and bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<(f64, f64)>,
}

/// Bytes by seconds.
#[derive(Serialize, Deserialize)]
pub struct Timeline {
    pub allocator: String,
    pub samples: Vec<(f64, f64)>,
}

/// The clock that single calls are timed with; in nanoseconds.
#[derive(Serialize, Deserialize)]
pub struct LatencyClock {
    pub name: String,
    /// Of reading it twice with nothing between, which is subtracted from each time.
    pub cost: f64,
    /// By which times differ at least.
    pub step: f64,
}

/// How a thread of a workload visits the lock that all share; times in nanoseconds.
#[derive(Serialize, Deserialize)]
pub struct Queue {
    pub workload: String,
    pub allocator: String,
    /// Between two visits; None if there are none.
    pub operations: Option<f64>,
    /// Of a visit.
    pub hold: f64,
    /// Between two visits, without them.
    pub think: f64,
}

/// How long an allocator's calls take in one case, in nanoseconds: medians of several runs.
#[derive(Serialize, Deserialize)]
pub struct Latency {
    pub case: String,
    pub allocator: String,
    /// Of one run.
    pub calls: u64,
    /// Of all runs: calls in which the thread lost its core, of whose time that is left out.
    pub interrupted: u64,
    /// As many as `latency::QUANTILES`.
    pub quantiles: Vec<f64>,
    pub max: f64,
    /// The longest call of each run.
    pub maxima: Vec<f64>,
    /// Of so many calls, one takes longer than so long.
    pub curve: Vec<(f64, f64)>,
}

/// What valgrind counts, for each operation.
#[derive(Serialize, Deserialize)]
pub struct Instructions {
    pub workload: String,
    pub operation: String,
    /// By allocator, the harness's own included.
    pub counts: Vec<(String, f64)>,
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut list = Vec::new();
    names.for_each(|name| {
        if !list.contains(&name) {
            list.push(name);
        }
    });
    list
}

impl Instructions {
    pub fn of(&self, allocator: &str) -> Option<f64> {
        self.counts.iter().find(|(name, _)| name == allocator).map(|(_, count)| *count)
    }
}

impl Memory {
    pub fn bytes_per_object(&self) -> f64 {
        self.resident as f64 / self.live as f64
    }

    /// What is resident, as a multiple of what is in use.
    pub fn multiple(&self) -> f64 {
        self.resident as f64 / self.live_bytes as f64
    }
}

impl Results {
    /// Nothing measured yet.
    pub fn new(machine: String, baseline: &str, rounds: usize, allocators: &[Allocator]) -> Self {
        let measured = |of: &Allocator| Measured { name: of.name.clone(), kind: of.kind };
        Self {
            machine,
            baseline: baseline.into(),
            rounds,
            allocators: allocators.iter().map(measured).collect(),
            workloads: Vec::new(),
            scaling: Vec::new(),
            memory: Vec::new(),
            after_freeing: Vec::new(),
            instructions: Vec::new(),
            latency: Vec::new(),
            queues: Vec::new(),
            latency_clock: None,
        }
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        written::whole(path, |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            Ok(writeln!(file)?)
        })
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

    /// The cases, and the allocators, of which there are figures of memory.
    pub fn memory_cases(&self) -> Vec<&str> {
        distinct(self.memory.iter().map(|of| of.case.as_str()))
    }

    pub fn memory_allocators(&self) -> Vec<&str> {
        distinct(self.memory.iter().map(|of| of.allocator.as_str()))
    }

    pub fn memory(&self, case: &str, allocator: &str) -> Option<&Memory> {
        self.memory.iter().find(|of| of.case == case && of.allocator == allocator)
    }

    pub fn latency_cases(&self) -> Vec<&str> {
        distinct(self.latency.iter().map(|of| of.case.as_str()))
    }

    pub fn latencies(&self, case: &str) -> Vec<&Latency> {
        self.latency.iter().filter(|of| of.case == case).collect()
    }

    /// The allocators whose instructions were counted.
    pub fn counted(&self) -> Vec<&str> {
        distinct(self.instructions.iter().flat_map(|of| &of.counts).map(|(name, _)| name.as_str()))
    }

    /// Why workloads are not for allocators: name, reason, and the workloads.
    pub fn left_out(&self) -> Vec<(&str, &str, Vec<&str>)> {
        let mut list: Vec<(&str, &str, Vec<&str>)> = Vec::new();
        for workload in &self.workloads {
            for (name, reason) in &workload.left_out {
                let known = list.iter_mut().find(|(known, why, _)| known == name && why == reason);
                match known {
                    Some((_, _, workloads)) => workloads.push(&workload.name),
                    None => list.push((name, reason, vec![&workload.name])),
                }
            }
        }
        list
    }

    /// How much more two threads do than one, by the medians.
    pub fn speed_up(&self, workload: &WorkloadResult, allocator: &str) -> Option<f64> {
        let one = self.workload(workload.one_thread.as_deref()?)?.of(allocator)?;
        Some(one.nanoseconds / workload.of(allocator)?.nanoseconds)
    }
}

impl WorkloadResult {
    /// The ratio in a cell of a table; "n/a" for an allocator that the workload is not for.
    pub fn ratio_text(&self, allocator: &str) -> String {
        if self.left_out.iter().any(|(name, _)| name == allocator) {
            return "n/a".into();
        }
        let ratio = self.of(allocator).and_then(|of| of.ratio);
        ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"))
    }

    pub fn of(&self, allocator: &str) -> Option<&Measurement> {
        self.allocators.iter().find(|measurement| measurement.allocator == allocator)
    }
}
