//! What was measured, as it is written to JSON.

use crate::allocators::{Allocator, Kind};
use crate::own_process::Outcome;
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
    /// What allocators were to do and could not.
    #[serde(default)]
    pub failures: Vec<Failure>,
}

/// An allocator that has not done a case, which shows in tables as "n/a".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// As in what else is said of the case, or one of the names below.
    pub case: String,
    pub allocator: String,
    pub reason: String,
}

/// Cases of which there is one alone.
pub const AFTER_FREEING: &str = "memory, after freeing";
pub const QUEUES: &str = "many cores, on paper";
pub const INSTRUCTIONS: &str = "instructions";
/// What the names of other cases begin with.
pub const LATENCY: &str = "latency, ";
pub const MEMORY: &str = "memory, ";
pub const SCALING: &str = "scaling";

/// In the cells of tables.
pub const NOT_DONE: &str = "n/a";

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

/// Name, reason, and what it is the reason of.
pub type Reasons<'a> = Vec<(&'a str, &'a str, Vec<&'a str>)>;

fn by_reason<'a>(all: impl Iterator<Item = (&'a String, &'a String, &'a String)>) -> Reasons<'a> {
    let mut list: Reasons = Vec::new();
    for (name, reason, what) in all {
        match list.iter_mut().find(|(known, why, _)| known == name && why == reason) {
            Some((_, _, whats)) => whats.push(what),
            None => list.push((name, reason, vec![what])),
        }
    }
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
            failures: Vec::new(),
        }
    }

    /// Adds what was measured of an allocator, or why there is nothing.
    pub fn take<T>(
        &mut self,
        case: &str,
        allocator: &str,
        outcome: Outcome<T>,
        add: impl FnOnce(&mut Self, T),
    ) {
        match outcome {
            Ok(measured) => add(self, measured),
            Err(reason) => self.failures.push(Failure {
                case: case.into(),
                allocator: allocator.into(),
                reason,
            }),
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
        let measured = self.memory.iter().map(|of| of.case.as_str());
        distinct(measured.chain(self.failed_cases().map(|of| of.case.as_str())))
    }

    pub fn memory_allocators(&self) -> Vec<&str> {
        let measured = self.memory.iter().map(|of| of.allocator.as_str());
        distinct(measured.chain(self.failed_cases().map(|of| of.allocator.as_str())))
    }

    /// Those of memory that are rows of its tables.
    fn failed_cases(&self) -> impl Iterator<Item = &Failure> {
        self.failures_of(MEMORY).filter(|of| of.case != AFTER_FREEING)
    }

    /// By the beginning of the case's name.
    pub fn failures_of<'a>(&'a self, beginning: &'a str) -> impl Iterator<Item = &'a Failure> {
        self.failures.iter().filter(move |of| of.case.starts_with(beginning))
    }

    /// What a table has in place of a figure that is not there.
    pub fn missing(&self, case: &str, allocator: &str) -> String {
        let failed = self.failures.iter().any(|of| of.case == case && of.allocator == allocator);
        if failed { NOT_DONE.into() } else { "-".into() }
    }

    pub fn memory(&self, case: &str, allocator: &str) -> Option<&Memory> {
        self.memory.iter().find(|of| of.case == case && of.allocator == allocator)
    }

    /// What a table has of a case and an allocator.
    pub fn memory_cell(&self, case: &str, name: &str, cell: fn(&Memory) -> String) -> String {
        self.memory(case, name).map_or_else(|| self.missing(case, name), cell)
    }

    pub fn latency_cases(&self) -> Vec<&str> {
        let measured = self.latency.iter().map(|of| of.case.as_str());
        distinct(measured.chain(self.failures_of(LATENCY).map(|of| of.case.as_str())))
    }

    pub fn latencies(&self, case: &str) -> Vec<&Latency> {
        self.latency.iter().filter(|of| of.case == case).collect()
    }

    /// The allocators whose instructions were counted.
    pub fn counted(&self) -> Vec<&str> {
        let counts = self.instructions.iter().flat_map(|of| &of.counts);
        let counted = counts.map(|(name, _)| name.as_str());
        distinct(counted.chain(self.failures_of(INSTRUCTIONS).map(|of| of.allocator.as_str())))
    }

    /// Why workloads are not for allocators: name, reason, and the workloads.
    pub fn left_out(&self) -> Reasons<'_> {
        by_reason(self.workloads.iter().flat_map(|workload| {
            workload.left_out.iter().map(|(name, reason)| (name, reason, &workload.name))
        }))
    }

    /// The same of cases that allocators could not do, by the beginning of the cases' names.
    pub fn not_done<'a>(&'a self, beginning: &'a str) -> Reasons<'a> {
        by_reason(self.failures_of(beginning).map(|of| (&of.allocator, &of.reason, &of.case)))
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
        let ratio = self.of(allocator).and_then(|of| of.ratio);
        ratio.map_or(self.missing(allocator), |ratio| format!("{ratio:.2}"))
    }

    /// What a table has in place of a figure that is not there.
    pub fn missing(&self, allocator: &str) -> String {
        let left_out = self.left_out.iter().any(|(name, _)| name == allocator);
        if left_out { NOT_DONE.into() } else { "-".into() }
    }

    pub fn of(&self, allocator: &str) -> Option<&Measurement> {
        self.allocators.iter().find(|measurement| measurement.allocator == allocator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::CLASSIC;

    fn memory(case: &str, allocator: &str) -> Outcome<Memory> {
        let (case, allocator, samples) = (case.into(), allocator.into(), Vec::new());
        let (live, live_bytes, resident, peak, held, left) = (10, 960, 1_000, 2_000, 300, 40);
        Ok(Memory { case, allocator, live, live_bytes, resident, peak, held, left, samples })
    }

    #[test]
    fn what_was_not_done_is_told_from_what_was_not_measured() {
        let mut results = Results::new("test".into(), CLASSIC, 1, &[]);
        let add = |results: &mut Results, of| results.memory.push(of);
        let ended = || Err("its process has ended".to_owned());
        results.take("memory, 96 B", "malloc", memory("memory, 96 B", "malloc"), add);
        results.take("memory, 96 B", "peer", ended(), add);
        results.take("memory, churn", "peer", ended(), add);
        results.take(AFTER_FREEING, "peer", ended(), add);

        // A row and a column each, though nothing else is there of them; but for what is no row.
        assert_eq!(results.memory_cases(), ["memory, 96 B", "memory, churn"]);
        assert_eq!(results.memory_allocators(), ["malloc", "peer"]);
        let cell = |case, name| results.memory_cell(case, name, |of| of.held.to_string());
        assert_eq!(cell("memory, 96 B", "malloc"), "300");
        assert_eq!(cell("memory, 96 B", "peer"), "n/a");
        assert_eq!(cell("memory, churn", "malloc"), "-");
        let cases = vec!["memory, 96 B", "memory, churn", AFTER_FREEING];
        assert_eq!(results.not_done(MEMORY), [("peer", "its process has ended", cases)]);
    }

    #[test]
    fn failures_are_read_as_they_were_written_and_old_results_have_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let mut results = Results::new("test".into(), CLASSIC, 1, &[]);
        results.take::<()>("memory, churn", "peer", Err("no memory".into()), |_, ()| ());
        results.write(&path).unwrap();
        assert_eq!(Results::read(&path).unwrap().failures, results.failures);

        let mut json = serde_json::to_value(&results).unwrap();
        json.as_object_mut().unwrap().remove("failures");
        assert!(serde_json::from_value::<Results>(json).unwrap().failures.is_empty());
    }
}
