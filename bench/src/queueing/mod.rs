//! Many cores, on paper: from how often threads visit the lock, and for how long, what 2 to 128 of
//! them would do.
//!
//! A process of its own for each library, confined to one core so that no visit waits for another
//! thread's, runs each workload of several threads, or what does the same on one thread, twice:
//! with every call timed, for the visits, and untimed, for the time of an operation.

mod model;
mod visits;

use crate::allocators::{Allocator, CLASSIC, Kind, STATIC};
use crate::own_process::{self, OwnProcess};
use crate::results::{QUEUES, Queue, Results};
use crate::workloads::Workload;
use anyhow::{Context, Result};
use model::Times;
use std::time::Duration;

pub const THREADS: [u32; 7] = [2, 4, 8, 16, 32, 64, 128];
/// Passes take at least as long.
const LEAST: Duration = Duration::from_millis(20);

/// Libraries whose children share a parent's lock, and leave it alone in most calls: this one, and
/// builds of it. What classic does with its lock is too short to be told from its other calls.
pub fn is_for(allocator: &Allocator) -> bool {
    allocator.kind == Kind::Pools && allocator.name != CLASSIC && allocator.name != STATIC
}

/// What does the same on one thread, if anything does: else the workload itself.
pub fn base_name(workload: &Workload) -> &str {
    let replayed = workload.name.split(", ").next().expect("a name is not empty");
    workload.one_thread.as_deref().unwrap_or(replayed)
}

pub fn is_of(workload: &Workload) -> bool {
    workload.threads > 1
}

/// Runs so many passes that they take long enough, after some that do not count; and says how many,
/// and how long they took.
fn run(workload: &Workload, allocator: &Allocator) -> (u64, Duration) {
    let mut session = workload.session(allocator);
    session.run(3);
    let mut passes = 1;
    loop {
        let taken = session.run(passes);
        if taken >= LEAST {
            return (passes, taken);
        }
        passes *= 2;
    }
}

fn queue(workload: &Workload, base: &Workload, allocator: &Allocator, timed: &Allocator) -> Queue {
    let (passes, taken) = run(base, allocator);
    let operation = taken.as_nanos() as f64 / (passes * base.operations) as f64;
    visits::taken();
    run(base, timed);
    let calls = visits::taken();
    // An operation is a call, or two; a workload whose operations are not calls is not among those
    // of several threads.
    let calls_of_one = if base.operation == "alloc + free" { 2.0 } else { 1.0 };
    let visits = visits::visits(&calls).map(|(share, hold)| {
        let between = 1.0 / (share * calls_of_one);
        (between, hold, (between * operation - hold).max(0.0))
    });
    Queue {
        workload: workload.name.clone(),
        allocator: allocator.name.clone(),
        operations: visits.map(|(between, ..)| between),
        hold: visits.map_or(0.0, |(_, hold, _)| hold),
        think: visits.map_or(0.0, |(.., think)| think),
    }
}

/// In the process of its own, which is confined to one core.
pub fn measure_here(workloads: &[Workload], allocator: &Allocator) -> Result<()> {
    own_process::say(|| Ok(queues(workloads, allocator)))
}

fn queues(workloads: &[Workload], allocator: &Allocator) -> Vec<Queue> {
    let timed =
        Allocator { api: visits::timed_table(allocator.api), ..Allocator::clone(allocator) };
    let base = |of: &Workload| workloads.iter().find(|other| other.name == base_name(of));
    let several = workloads.iter().filter(|of| is_of(of) && of.operation != "object written");
    several
        .map(|workload| queue(workload, base(workload).unwrap_or(workload), allocator, &timed))
        .collect()
}

pub fn measure(allocators: &[&Allocator], own: &OwnProcess, results: &mut Results) -> Result<()> {
    for of in allocators {
        let heard = own.hear::<Vec<Queue>>(own.start(&[&of.name], &["--visits-here"], None)?);
        let heard = heard.with_context(|| format!("the visits of {}", of.name))?;
        results.take(QUEUES, &of.name, heard, |results, queues| results.queues.extend(queues));
    }
    Ok(())
}

pub const COLUMNS: [&str; 13] = [
    "library",
    "operations a visit",
    "visit, ns",
    "between, ns",
    "saturates at",
    "2 measured",
    "2",
    "4",
    "8",
    "16",
    "32",
    "64",
    "128",
];

/// What `COLUMNS` are.
pub fn cells(results: &Results, queue: &Queue) -> Vec<String> {
    let workload = results.workload(&queue.workload);
    let measured = workload
        .filter(|of| of.threads == 2)
        .and_then(|of| results.speed_up(of, &queue.allocator))
        .map_or("-".into(), |speed_up| format!("{speed_up:.2}"));
    let mut cells = vec![queue.allocator.clone()];
    let Some(operations) = queue.operations else {
        cells.extend(["no visits".into(), "-".into(), "-".into(), "never".into(), measured]);
        cells.extend(THREADS.map(|threads| threads.to_string()));
        return cells;
    };
    let times = Times { think: queue.think, hold: queue.hold };
    cells.extend([
        format!("{operations:.1}"),
        format!("{:.0}", queue.hold),
        format!("{:.0}", queue.think),
        format!("{:.1}", times.saturation()),
        measured,
    ]);
    cells.extend(THREADS.map(|threads| format!("{:.1}", times.speed_up(threads))));
    cells
}

pub const SAID: &str = "From how long a visit to the lock takes and how much time is between two, by one core: what so many \
     threads would do, as a multiple of one, if nothing but the lock were in their way (mean value analysis of a closed network of one \
     queue). A visit is a call that takes 20 ns longer than the median of calls; it includes what is done before \
     and after the lock is held, so that a lock saturates at so many threads or more. Columns 2 to 128 are numbers of threads. \"2 measured\" is what two threads did here; \
     null, which has no lock, shows above what the machine allows.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_cell_for_each_column() {
        let results = Results::new("test".into(), CLASSIC, 1, &[]);
        let queue = |operations| Queue {
            workload: "ring of 2".into(),
            allocator: "mesa-slab".into(),
            operations,
            hold: 100.0,
            think: 900.0,
        };
        let cells = cells(&results, &queue(Some(63.0)));
        assert_eq!(cells.len(), COLUMNS.len());
        assert_eq!(cells[1..6], ["63.0", "100", "900", "10.0", "-"]);
        assert_eq!(super::cells(&results, &queue(None)).len(), COLUMNS.len());
    }
}
