//! What allocators hold: a process of its own for each allocator and case, which asks the kernel
//! what anonymous memory it has, and subtracts what it had before the first call.

mod cases;
mod resident;
mod several_pools;
mod stage;

use crate::allocators::{Allocator, Kind, STATIC};
use crate::own_process::OwnProcess;
use crate::results::{Memory, Timeline};
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
    println!("{}", serde_json::to_string(&case.measure(allocator)?)?);
    Ok(())
}

/// One allocator after the other, or all at the same time where there is nearly nothing to do.
pub fn measure(case: &Case, allocators: &[&Allocator], own: &OwnProcess) -> Result<Vec<Memory>> {
    let start = |of: &&Allocator| own.start(&[&of.name], &["--memory-case", &case.name], None);
    let finish = |process| {
        let output = own.finish(process)?;
        serde_json::from_str(&output).with_context(|| format!("{} printed {output}", case.name))
    };
    if case.is_idle() {
        let started = allocators.iter().map(start).collect::<Result<Vec<_>>>()?;
        return started.into_iter().map(finish).collect();
    }
    allocators.iter().map(|of| finish(start(of)?)).collect()
}

/// A million objects, all freed; then a few hundred calls now and then, and what is still held.
pub fn after_freeing_here(allocator: &Allocator, time: Duration, quick: bool) -> Result<()> {
    let objects = if quick { 100_000 } else { 1_000_000 };
    println!("{}", serde_json::to_string(&cases::after_freeing(allocator, objects, time))?);
    Ok(())
}

/// All allocators at the same time, as there is nearly nothing to do.
pub fn after_freeing(
    allocators: &[&Allocator],
    time: Duration,
    own: &OwnProcess,
) -> Result<Vec<Timeline>> {
    let seconds = time.as_secs_f64().to_string();
    let started: Vec<_> = allocators
        .iter()
        .map(|of| own.start(&[&of.name], &["--after-freeing", &seconds], None))
        .collect::<Result<_>>()?;
    started.into_iter().map(|process| Ok(serde_json::from_str(&own.finish(process)?)?)).collect()
}
