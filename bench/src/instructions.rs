//! Instructions for each operation, counted by valgrind: the same each time, however busy the
//! machine is.
//!
//! A process of its own for each allocator runs every workload of one thread twice, so many passes
//! and three times as many. Callgrind collects in [`bench_measured`] alone, and writes its counts
//! to a file each time that returns. The difference of the two is of passes alone: what surrounds
//! them is in both.

use crate::allocators::Allocator;
use crate::own_process::{self, Outcome, OwnProcess};
use crate::results::{INSTRUCTIONS, Instructions, Results};
use crate::workloads::{Session, Workload};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// As many operations as the shorter run makes at least, and as many as a pass may have.
const OPERATIONS: u64 = 20_000;
const MOST_OPERATIONS: u64 = 200_000;
/// Passes before those that are counted.
const WARM_UP: u64 = 2;

/// Whether it is counted: not what threads do together, and not what takes valgrind minutes.
pub fn is_for(workload: &Workload) -> bool {
    workload.threads == 1 && workload.in_this_thread && workload.operations <= MOST_OPERATIONS
}

fn passes(workload: &Workload) -> u64 {
    OPERATIONS.div_ceil(workload.operations)
}

/// What callgrind is told to look at, by its name.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_measured(session: &mut Box<dyn Session>, passes: u64) {
    std::hint::black_box(session.run(passes));
}

/// In the process of its own, below valgrind.
pub fn count_here(workloads: &[Workload], allocator: &Allocator) -> Result<()> {
    own_process::say(|| {
        run_all(workloads, allocator);
        Ok(())
    })
}

fn run_all(workloads: &[Workload], allocator: &Allocator) {
    for workload in workloads.iter().filter(|workload| workload.is_for(allocator)) {
        let mut session = workload.session(allocator);
        session.run(WARM_UP);
        let passes = passes(workload);
        bench_measured(&mut session, passes);
        bench_measured(&mut session, 3 * passes);
    }
}

/// Instructions for each operation of the workloads that are for the allocator.
fn count(
    workloads: &[&Workload],
    allocator: &Allocator,
    own: &OwnProcess,
) -> Result<Outcome<Vec<f64>>> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("counts");
    let valgrind: Vec<String> = [
        "valgrind",
        "-q",
        "--tool=callgrind",
        "--collect-atstart=no",
        "--toggle-collect=bench_measured",
        "--dump-after=bench_measured",
        &format!("--callgrind-out-file={}", out.display()),
    ]
    .map(String::from)
    .to_vec();
    let process = own
        .start(&[&allocator.name], &["--count-here"], Some(&valgrind))
        .context("scripts/setup bench-instructions installs valgrind")?;
    if let Err(how) = own.hear::<()>(process)? {
        return Ok(Err(how));
    }

    // The last file, of the end of the program, has no number.
    let totals = (1..=2 * workloads.len()).map(|number| total(&numbered(&out, number)));
    let totals = totals.collect::<Result<Vec<u64>>>()?;
    let extra = numbered(&out, totals.len() + 1);
    ensure!(!extra.exists(), "callgrind has counted more runs than there were");
    let of_operation = |(workload, totals): (&&Workload, &[u64])| {
        let operations = 2 * passes(workload) * workload.operations;
        (totals[1] - totals[0]) as f64 / operations as f64
    };
    Ok(Ok(workloads.iter().zip(totals.chunks_exact(2)).map(of_operation).collect()))
}

fn numbered(out: &Path, number: usize) -> PathBuf {
    PathBuf::from(format!("{}.{number}", out.display()))
}

/// What a file of callgrind's says was executed.
fn total(path: &Path) -> Result<u64> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("callgrind has not written {}", path.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let line = line.or_else(|| text.lines().find_map(|line| line.strip_prefix("summary: ")));
    let number = line.with_context(|| format!("{} has no totals", path.display()))?;
    number.trim().parse().with_context(|| format!("{}: {number}", path.display()))
}

pub fn measure(
    workloads: &[Workload],
    allocators: &[&Allocator],
    own: &OwnProcess,
    results: &mut Results,
    progress: impl Fn(&Allocator),
) -> Result<()> {
    results.failures.retain(|of| of.case != INSTRUCTIONS);
    results.instructions = workloads
        .iter()
        .map(|workload| Instructions {
            workload: workload.name.clone(),
            operation: workload.operation.into(),
            counts: Vec::new(),
        })
        .collect();
    for allocator in allocators {
        progress(allocator);
        let own_workloads: Vec<_> = workloads.iter().filter(|of| of.is_for(allocator)).collect();
        let counts = count(&own_workloads, allocator, own)?;
        results.take(INSTRUCTIONS, &allocator.name, counts, |results, counts| {
            for (workload, count) in own_workloads.iter().zip(counts) {
                let mut all = results.instructions.iter_mut();
                let result = all.find(|result| result.workload == workload.name);
                result.expect("there is one of each").counts.push((allocator.name.clone(), count));
            }
        });
    }
    Ok(())
}
