//! What allocators hold: a process of its own for each allocator and case, which asks the kernel
//! what anonymous memory it has, and subtracts what it had before the first call.

mod cases;
mod resident;
mod several_pools;
mod stage;

use crate::allocators::{Allocator, Kind, STATIC};
use crate::own_process::{self, OwnProcess};
use crate::results::{AFTER_FREEING, Results};
use crate::trace::TraceFile;
use anyhow::{Context, Result};
use std::time::Duration;

pub use cases::Case;

/// All cases. With `--quick` there are a tenth of the objects.
pub fn all(traces: Vec<TraceFile>, quick: bool) -> Vec<Case> {
    cases::all(traces, if quick { 10 } else { 1 })
}

/// Whether the allocator's memory is measured, and not under another name. Pools of other libraries
/// keep what they have, or have it from the beginning: there is nothing to measure.
pub fn is_for(allocator: &Allocator) -> bool {
    allocator.kind != Kind::Null && !allocator.kind.is_inlined() && allocator.name != STATIC
}

/// In the process of its own: measures, and prints what came out.
pub fn measure_here(case: &Case, allocator: &Allocator) -> Result<()> {
    own_process::say(|| case.measure(allocator))
}

/// One allocator after the other, or all at the same time where there is nearly nothing to do.
pub fn measure(
    case: &Case,
    allocators: &[&Allocator],
    own: &OwnProcess,
    results: &mut Results,
) -> Result<()> {
    let start = |of: &&Allocator| own.start(&[&of.name], &["--memory-case", &case.name], None);
    let mut finish = |(of, process): (&&Allocator, _)| {
        let heard = own.hear(process).with_context(|| of_whom(&case.name, of))?;
        results.take(&case.name, &of.name, heard, |results, of| results.memory.push(of));
        Ok(())
    };
    if case.is_idle() {
        let started = allocators.iter().map(start).collect::<Result<Vec<_>>>()?;
        return allocators.iter().zip(started).try_for_each(finish);
    }
    allocators.iter().try_for_each(|of| finish((of, start(of)?)))
}

fn of_whom(case: &str, allocator: &Allocator) -> String {
    format!("{case}, {}", allocator.name)
}

/// A million objects, all freed; then a few hundred calls now and then, and what is still held.
pub fn after_freeing_here(allocator: &Allocator, time: Duration, quick: bool) -> Result<()> {
    let objects = if quick { 100_000 } else { 1_000_000 };
    own_process::say(|| Ok(cases::after_freeing(allocator, objects, time)))
}

/// All allocators at the same time, as there is nearly nothing to do.
pub fn after_freeing(
    allocators: &[&Allocator],
    time: Duration,
    own: &OwnProcess,
    results: &mut Results,
) -> Result<()> {
    let seconds = time.as_secs_f64().to_string();
    let started: Vec<_> = allocators
        .iter()
        .map(|of| own.start(&[&of.name], &["--after-freeing", &seconds], None))
        .collect::<Result<_>>()?;
    for (of, process) in allocators.iter().zip(started) {
        let heard = own.hear(process).with_context(|| of_whom(AFTER_FREEING, of))?;
        results.take(AFTER_FREEING, &of.name, heard, |results, of| results.after_freeing.push(of));
    }
    Ok(())
}
