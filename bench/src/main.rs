//! Measures this library against the design it replaces and against general allocators.
//!
//! | file | what it is |
//! |---|---|
//! | `api.rs` | the functions of `slab.h` as a table |
//! | `allocators/` | what is measured: shared objects, general allocators, and one that does nothing |
//! | `workloads/` | what is timed, over `pools.rs` and `trace/`; the loops are C, in `loops/` |
//! | `rounds.rs`, `clock.rs`, `statistics.rs` | how it is timed, and what becomes of the samples |
//! | `results.rs`, `table.rs`, `page.rs`, `chart.rs` | JSON, the terminal, a page with charts |

mod allocators;
mod api;
mod chart;
mod clock;
mod page;
mod pools;
mod results;
mod rounds;
mod statistics;
mod table;
mod trace;
mod workloads;

use allocators::{Allocator, CLASSIC, Kind, NULL, NamedLibrary};
use anyhow::{Result, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use results::{Measured, Results};
use std::path::PathBuf;
use std::time::Duration;

/// Times the functions of slab.h, as several allocators have them.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Fewer and shorter rounds
    #[arg(long)]
    quick: bool,

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
    baseline: String,

    /// The folder of the recorded traces
    #[arg(long, value_name = "FOLDER",
          default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../capi-tests/driver/traces"))]
    traces: PathBuf,

    /// Where the results go
    #[arg(long, value_name = "FILE",
          default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench/results.json"))]
    json: PathBuf,

    /// Where the page with the charts goes
    #[arg(long, value_name = "FILE",
          default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench/results.html"))]
    page: PathBuf,

    /// Also say what changed against the results of an earlier run
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,

    /// List the workloads and do nothing else
    #[arg(long)]
    list: bool,
}

impl Arguments {
    fn effort(&self) -> rounds::Effort {
        let (rounds, turn) = if self.quick { (3, 3) } else { (11, 20) };
        rounds::Effort {
            rounds: self.rounds.map_or(rounds, usize::from),
            turn: Duration::from_millis(turn),
        }
    }

    fn workloads(&self) -> Result<Vec<workloads::Workload>> {
        let mut list = workloads::all(&self.traces)?;
        list.retain(|workload| {
            self.only.is_empty() || self.only.iter().any(|text| workload.name.contains(text))
        });
        ensure!(!list.is_empty(), "no workload has such a name; --list shows them");
        Ok(list)
    }

    fn allocators(&self) -> Result<Vec<Allocator>> {
        let mut list = allocators::all(&self.library, &self.libraries)?;
        for name in self.allocators.iter().chain([&self.baseline]) {
            ensure!(
                list.iter().any(|of| of.name == *name && of.kind != Kind::Null),
                "there is no allocator {name}; there are {}",
                list.iter().map(|of| of.name.as_str()).collect::<Vec<_>>().join(", ")
            );
        }
        ensure!(
            list.iter().all(|of| of.name != self.baseline || of.kind != Kind::Inlined),
            "the inlined calls are measured in some workloads only, and cannot be the baseline"
        );
        let wanted = |name: &String| {
            self.allocators.is_empty()
                || self.allocators.contains(name)
                || self.libraries.iter().any(|library| library.name == *name)
        };
        list.retain(|of| of.name == NULL || of.name == self.baseline || wanted(&of.name));
        Ok(list)
    }
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{} {}, {cores} cores", std::env::consts::ARCH, std::env::consts::OS)
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let machine = machine();
    workloads::pin_main();
    let workloads = arguments.workloads()?;
    if arguments.list {
        workloads.iter().for_each(|workload| println!("{}", workload.name));
        return Ok(());
    }
    // Before anything is measured, so that a wrong path does not show at the end.
    let old = arguments.compare.as_deref().map(Results::read).transpose()?;
    let allocators = arguments.allocators()?;

    let effort = arguments.effort();
    let progress = ProgressBar::new(workloads.len() as u64)
        .with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise} {msg}")?);
    let mut results = Results {
        machine,
        baseline: arguments.baseline.clone(),
        rounds: effort.rounds,
        allocators: allocators
            .iter()
            .map(|of| Measured { name: of.name.clone(), kind: of.kind })
            .collect(),
        workloads: Vec::new(),
    };
    for workload in &workloads {
        progress.set_message(workload.name.clone());
        results.workloads.push(rounds::measure(workload, &allocators, &arguments.baseline, effort));
        progress.inc(1);
    }
    progress.finish_and_clear();

    table::print(&results);
    results.write(&arguments.json)?;
    page::write(&results, &arguments.page)?;

    println!("\n{}\n{}", arguments.json.display(), arguments.page.display());
    if let Some((old, path)) = old.as_ref().zip(arguments.compare.as_deref()) {
        table::print_changes(&results, old, path);
    }
    Ok(())
}
