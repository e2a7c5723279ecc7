//! Measures this library against the design it replaces and against general allocators.
//!
//! | file | what it is |
//! |---|---|
//! | `arguments.rs` | the command line |
//! | `api.rs` | the functions of `slab.h` as a table |
//! | `allocators/` | what is measured: shared objects, general allocators, and one that does nothing |
//! | `workloads/` | what is timed, over `pools.rs` and `trace/`; the loops are C, in `loops/` |
//! | `rounds.rs`, `clock.rs`, `statistics.rs` | how it is timed, and what becomes of the samples |
//! | `memory/`, `latency/`, `instructions.rs` | what is held, how long single calls take, and what is executed, in processes of their own (`own_process.rs`) |
//! | `queueing/` | what many threads would do, from how long they hold the lock |
//! | `refusal.rs` | what an allocator cannot do |
//! | `parts.rs`, `written.rs` | the parts of a run, and how what they find is written |
//! | `results.rs`, `ahead.rs` | what was found |
//! | `table.rs`, `markdown.rs`, `page.rs`, `charts/` | the same on the terminal, and on a page with charts |
//! | `curve.rs` | the same as a function of a constant, for `curves` |

mod ahead;
mod allocators;
mod api;
mod arguments;
mod charts;
mod clock;
mod curve;
mod groups;
mod instructions;
mod latency;
mod markdown;
mod memory;
mod own_process;
mod page;
mod parts;
mod pools;
mod queueing;
mod refusal;
mod results;
mod rounds;
mod statistics;
mod table;
mod trace;
mod workloads;
mod written;

use allocators::{Allocator, Kind};
use anyhow::{Context, Result, bail, ensure};
use arguments::Arguments;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use parts::Part;
use results::{AFTER_FREEING, Failure, INSTRUCTIONS, Results};
use std::cell::Cell;
use std::time::Duration;

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let processor = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
        Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
    });
    let processor = processor.unwrap_or_else(|| std::env::consts::ARCH.into());
    format!("{processor}, {cores} cores, {}", std::env::consts::OS)
}

fn progress(steps: usize) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise} {msg}")?;
    Ok(ProgressBar::new(steps as u64).with_style(style))
}

/// Times, scaling, latencies and memory; and the names of the parts that failed.
fn measure(
    arguments: &Arguments,
    machine: String,
    allocators: &[Allocator],
) -> Result<(Results, Vec<&'static str>)> {
    let (workloads, cases) = (arguments.workloads()?, arguments.cases()?);
    let (latency_cases, latency_runs) = (arguments.latency_cases(), arguments.latency_runs());
    let scaling = arguments.scaling();
    let time_after_freeing = arguments.time_after_freeing();
    let holding: Vec<_> = allocators.iter().filter(|of| memory::is_for(of)).collect();
    let steps = workloads.len() + scaling.len() + cases.len();
    let steps = steps + usize::from(time_after_freeing.is_some());
    let steps = steps + if latency_cases.is_empty() { 0 } else { latency_runs };
    ensure!(steps > 0, "nothing has such a name; --list shows the names");

    let (effort, scaling_effort) = (arguments.effort(), arguments.scaling_effort());
    let baseline = &arguments.baseline;
    let own = &arguments.own_process();
    let bar = &progress(steps)?;
    // The one before is done then; the last one is with the bar.
    let begun = Cell::new(0);
    let step = |message: &str| {
        bar.set_position(begun.replace(begun.get() + 1));
        bar.set_message(message.to_owned());
    };

    let times = |results: &mut Results| {
        for workload in &workloads {
            step(&workload.name);
            let failures = &mut results.failures;
            let result = rounds::measure(workload, allocators, baseline, effort, failures);
            results.workloads.push(result);
        }
        Ok(())
    };
    let growing: Vec<_> =
        allocators.iter().filter(|of| of.limits.scaling.is_none()).cloned().collect();
    let scales = |results: &mut Results| {
        for (live, workload) in &scaling {
            step(&workload.name);
            let failures = &mut results.failures;
            let result = rounds::measure(workload, &growing, baseline, scaling_effort, failures);
            results.scaling.push((*live, result));
        }
        Ok(())
    };
    let latencies = |results: &mut Results| {
        let begun = || step("latency");
        latency::measure(&latency_cases, allocators, latency_runs, own, results, begun)
    };
    let sharing: Vec<_> = allocators.iter().filter(|of| queueing::is_for(of)).collect();
    let visits = |results: &mut Results| {
        bar.set_message("visits to the lock");
        queueing::measure(&sharing, own, results)
    };
    let memories = |results: &mut Results| {
        for case in &cases {
            step(&case.name);
            memory::measure(case, &holding, own, results)?;
        }
        let Some(time) = time_after_freeing else { return Ok(()) };
        step(AFTER_FREEING);
        memory::after_freeing(&holding, time, own, results)
    };
    let mut parts = Vec::new();
    if !workloads.is_empty() {
        parts.push(Part::new("times", times));
    }
    if !scaling.is_empty() {
        parts.push(Part::new("scaling", scales));
    }
    if !latency_cases.is_empty() {
        parts.push(Part::new("latency", latencies));
    }
    if workloads.iter().any(queueing::is_of) {
        parts.push(Part::new("visits to the lock", visits));
    }
    if !cases.is_empty() || time_after_freeing.is_some() {
        parts.push(Part::new("memory", memories));
    }

    let mut results = Results::new(machine, baseline, effort.rounds, allocators);
    let write = |results: &Results| write(arguments, results);
    let say = |line: &str| bar.suspend(|| eprintln!("{line}"));
    let failed = parts::run(parts, &mut results, write, say);
    bar.finish_and_clear();
    Ok((results, failed))
}

fn write(arguments: &Arguments, results: &Results) -> Result<()> {
    results.write(&arguments.json)?;
    page::write(results, &arguments.page)
}

/// The results that are there, with instructions.
fn count(
    arguments: &Arguments,
    machine: String,
    allocators: &[Allocator],
) -> Result<(Results, Vec<&'static str>)> {
    let mut workloads = arguments.workloads()?;
    workloads.retain(instructions::is_for);
    ensure!(!workloads.is_empty(), "no workload of one thread has such a name");
    let allocators: Vec<_> = allocators
        .iter()
        // Those whose pools do not grow have an environment that is started first.
        .filter(|of| of.kind != Kind::General && of.expect.is_none())
        .collect();
    let bar = progress(allocators.len())?;
    bar.enable_steady_tick(Duration::from_secs(1));
    let own = arguments.own_process();
    let mut results = if arguments.json.exists() {
        Results::read(&arguments.json)?
    } else {
        Results::new(machine, &arguments.baseline, 0, &[])
    };
    let count = |results: &mut Results| {
        instructions::measure(&workloads, &allocators, &own, results, |allocator| {
            bar.inc(1);
            bar.set_message(allocator.name.clone());
        })
    };
    let write = |results: &Results| write(arguments, results);
    let say = |line: &str| bar.suspend(|| eprintln!("{line}"));
    let parts = vec![Part::new(INSTRUCTIONS, count)];
    let failed = parts::run(parts, &mut results, write, say);
    bar.finish_and_clear();
    Ok((results, failed))
}

/// That an allocator cannot do a case is a result, but for the libraries that the benchmark is about.
fn all_was_done(results: &Results, failed: &[&str]) -> Result<()> {
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    let is_ours = |of: &&Failure| {
        matches!(results.kind(&of.allocator), Some(Kind::Null | Kind::Pools | Kind::Inlined))
    };
    if let Some(of) = results.failures.iter().find(is_ours) {
        bail!("{} could not do everything: {}: {}", of.allocator, of.case, of.reason);
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // Before this thread is confined to one core.
    let machine = machine();
    if arguments.here.visits_here {
        workloads::pin_all_to_one();
        return queueing::measure_here(
            &arguments.wanted_with_their_base()?,
            &arguments.allocator()?,
        );
    }
    workloads::pin_main();
    if arguments.list {
        let (workloads, cases) = (arguments.workloads()?, arguments.cases()?);
        let scaling = arguments.scaling();
        workloads.iter().for_each(|workload| println!("{}", workload.name));
        scaling.iter().for_each(|(_, workload)| println!("{}", workload.name));
        cases.iter().for_each(|case| println!("{}", case.name));
        let latencies = arguments.latency_cases();
        latencies.iter().flat_map(|case| &case.names).for_each(|name| println!("{name}"));
        println!("{AFTER_FREEING}");
        return Ok(());
    }
    if let Some(name) = &arguments.here.memory_case {
        let cases = arguments.cases()?;
        let case = cases.iter().find(|case| case.name == *name);
        return memory::measure_here(case.context("no such case")?, &arguments.allocator()?);
    }
    if let Some(seconds) = arguments.here.after_freeing {
        let time = Duration::from_secs_f64(seconds);
        return memory::after_freeing_here(&arguments.allocator()?, time, arguments.quick);
    }
    if arguments.here.latency_here {
        let (cases, allocators) = (arguments.latency_cases(), arguments.named_allocators()?);
        return latency::measure_here(&cases, allocators, &arguments.latency_part);
    }
    if arguments.here.count_here {
        let mut workloads = arguments.workloads()?;
        workloads.retain(instructions::is_for);
        return instructions::count_here(&workloads, &arguments.allocator()?);
    }

    // Before anything is measured, so that a wrong path does not show at the end.
    let old = arguments.compare.as_deref().map(Results::read).transpose()?;
    let (results, failed) = if arguments.show {
        let results = Results::read(&arguments.json)?;
        page::write(&results, &arguments.page)?;
        (results, Vec::new())
    } else if arguments.instructions {
        count(&arguments, machine, &arguments.allocators()?)?
    } else {
        measure(&arguments, machine, &arguments.allocators()?)?
    };

    if arguments.instructions {
        table::print_instructions(&results);
    } else {
        table::print(&results);
    }
    if let Some((old, path)) = old.as_ref().zip(arguments.compare.as_deref()) {
        table::print_changes(&results, old, path);
    }
    if let Some(path) = &arguments.curve {
        curve::write(&results, path)?;
    }
    if arguments.markdown {
        println!("\n{}", markdown::tables(&results));
    }
    println!("\n{}\n{}", arguments.json.display(), arguments.page.display());
    if arguments.show { Ok(()) } else { all_was_done(&results, &failed) }
}
