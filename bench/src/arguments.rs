//! The command line.

use crate::allocators::{self, Allocator, CLASSIC, Kind, NULL, NamedLibrary};
use crate::latency;
use crate::memory::{self, Case};
use crate::own_process::OwnProcess;
use crate::queueing;
use crate::results::AFTER_FREEING;
use crate::rounds::Effort;
use crate::trace::{self, Trace};
use crate::workloads::{self, Workload};
use anyhow::{Context, Result, ensure};
use clap::Parser;
use std::ffi::OsString;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// Times the functions of slab.h, as several allocators have them, and looks at the memory they
/// hold.
#[derive(Parser)]
#[command(version)]
pub struct Arguments {
    /// Fewer and shorter rounds, fewer objects
    #[arg(long)]
    pub quick: bool,

    /// Only workloads whose names contain this; may be given more than once
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,

    /// Rounds for each workload, instead of what --quick and its absence mean
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,

    /// The shared library that is measured
    #[arg(long, value_name = "PATH",
          default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/libmesa_slab.so"))]
    library: PathBuf,

    /// Another shared object with the functions of slab.h; may be given more than once
    #[arg(long = "lib", value_name = "NAME=PATH")]
    libraries: Vec<NamedLibrary>,

    /// Only these allocators, beside null and the baseline; may be given more than once
    #[arg(long = "allocator", value_name = "NAME")]
    allocators: Vec<String>,

    /// The allocator that the others are compared to
    #[arg(long, value_name = "NAME", default_value = CLASSIC)]
    pub baseline: String,

    /// The folder of the recorded traces
    #[arg(long, value_name = "FOLDER",
          default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../capi-tests/driver/traces"))]
    traces: PathBuf,

    /// Where the results go
    #[arg(long, value_name = "FILE",
          default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench/results.json"))]
    pub json: PathBuf,

    /// Where the page with the charts goes
    #[arg(long, value_name = "FILE",
          default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench/results.html"))]
    pub page: PathBuf,

    /// Also say what changed against the results of an earlier run
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,

    /// Count instructions with valgrind instead, and add them to the results that are there
    #[arg(long, conflicts_with = "compare")]
    pub instructions: bool,

    /// Measure nothing: show the results that are there, and draw the page anew
    #[arg(long, conflicts_with = "instructions")]
    pub show: bool,

    /// Print Markdown tables at the end
    #[arg(long)]
    pub markdown: bool,

    /// Also write what was measured as a function of the numbers that are the names of libraries
    #[arg(long, value_name = "PATH")]
    pub curve: Option<PathBuf>,

    /// List the workloads and do nothing else
    #[arg(long)]
    pub list: bool,

    /// What the program tells itself, run for one allocator
    #[command(flatten)]
    pub here: Here,
    #[command(flatten)]
    pub latency_part: latency::Part,
}

#[derive(clap::Args)]
#[group(multiple = false)]
pub struct Here {
    #[arg(long, hide = true)]
    pub memory_case: Option<String>,
    #[arg(long, hide = true)]
    pub after_freeing: Option<f64>,
    #[arg(long, hide = true)]
    pub count_here: bool,
    #[arg(long, hide = true)]
    pub visits_here: bool,
    #[arg(long, hide = true)]
    pub latency_here: bool,
}

impl Arguments {
    pub fn effort(&self) -> Effort {
        let (rounds, turn) = if self.quick { (3, 3) } else { (9, 15) };
        Effort {
            rounds: self.rounds.map_or(rounds, usize::from),
            turn: Duration::from_millis(turn),
        }
    }

    /// Fewer rounds, as setting them up takes longer than they do.
    pub fn scaling_effort(&self) -> Effort {
        Effort { rounds: if self.quick { 1 } else { 3 }, ..self.effort() }
    }

    pub fn scaling(&self) -> Vec<(usize, Workload)> {
        let mut list = workloads::scaling(if self.quick { 100_000 } else { 10_000_000 });
        list.retain(|(_, workload)| self.is_wanted(&workload.name));
        list
    }

    pub fn time_after_freeing(&self) -> Option<Duration> {
        let time = Duration::from_secs(if self.quick { 3 } else { 15 });
        self.is_wanted(AFTER_FREEING).then_some(time)
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| name.contains(text))
    }

    /// Whatever --only says.
    fn every_workload(&self) -> Result<Vec<Workload>> {
        let traces: Vec<_> = Trace::all_in(&self.traces)?.into_iter().map(Rc::new).collect();
        Ok(workloads::all(&traces))
    }

    /// Those that are wanted, and what they are compared to.
    pub fn wanted_with_their_base(&self) -> Result<Vec<Workload>> {
        let mut workloads = self.every_workload()?;
        let mut names: Vec<String> = Vec::new();
        for workload in workloads.iter().filter(|workload| self.is_wanted(&workload.name)) {
            names.extend([workload.name.clone(), queueing::base_name(workload).into()]);
        }
        workloads.retain(|workload| names.contains(&workload.name));
        Ok(workloads)
    }

    pub fn workloads(&self) -> Result<Vec<Workload>> {
        let mut workloads = self.every_workload()?;
        workloads.retain(|workload| self.is_wanted(&workload.name));
        Ok(workloads)
    }

    pub fn cases(&self) -> Result<Vec<Case>> {
        let mut cases = memory::all(trace::files(&self.traces)?, self.quick);
        cases.retain(|case| self.is_wanted(&case.name));
        Ok(cases)
    }

    pub fn allocators(&self) -> Result<Vec<Allocator>> {
        let mut list = allocators::all(&self.library, &self.libraries)?;
        for name in self.allocators.iter().chain([&self.baseline]) {
            ensure!(
                list.iter().any(|of| of.name == *name),
                "there is no allocator {name}; there are {}",
                list.iter().map(|of| of.name.as_str()).collect::<Vec<_>>().join(", ")
            );
        }
        ensure!(
            list.iter()
                .all(|of| of.name != self.baseline
                    || !(of.kind.is_inlined() || of.kind == Kind::Null)),
            "{} cannot be the baseline",
            self.baseline
        );
        let wanted = |name: &String| {
            self.allocators.is_empty()
                || self.allocators.contains(name)
                || self.libraries.iter().any(|library| library.name == *name)
        };
        list.retain(|of| of.name == NULL || of.name == self.baseline || wanted(&of.name));
        Ok(list)
    }

    /// In a process for one allocator: that one.
    pub fn allocator(&self) -> Result<Allocator> {
        let [name] = &self.allocators[..] else { anyhow::bail!("one --allocator is needed") };
        let allocator = self.named_allocators()?.pop();
        allocator.with_context(|| format!("there is no allocator {name}"))
    }

    /// In a process for some: those that were named, and no others.
    pub fn named_allocators(&self) -> Result<Vec<Allocator>> {
        let mut list = self.allocators()?;
        list.retain(|of| self.allocators.contains(&of.name));
        Ok(list)
    }

    pub fn latency_cases(&self) -> Vec<latency::Case> {
        let mut cases = latency::all(self.quick);
        cases.retain(|case| case.names.iter().any(|name| self.is_wanted(name)));
        cases
    }

    /// Of the latencies, of which the median counts.
    pub fn latency_runs(&self) -> usize {
        self.rounds.map_or(if self.quick { 3 } else { 5 }, usize::from)
    }

    /// For the same of some allocators.
    pub fn own_process(&self) -> OwnProcess {
        let mut flags: Vec<OsString> = Vec::new();
        if self.quick {
            flags.push("--quick".into());
        }
        for text in &self.only {
            flags.extend(["--only".into(), text.into()]);
        }
        flags.extend(["--library".into(), self.library.clone().into()]);
        flags.extend(["--traces".into(), self.traces.clone().into()]);
        for library in &self.libraries {
            let mut value = OsString::from(&library.name);
            value.push("=");
            value.push(&library.path);
            flags.extend(["--lib".into(), value]);
        }
        OwnProcess { flags }
    }
}
