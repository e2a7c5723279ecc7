//! The results as Markdown, for `docs/`.

use crate::ahead;
use crate::allocators::NULL;
use crate::latency;
use crate::queueing;
use crate::results::{INSTRUCTIONS, LATENCY, MEMORY, Memory, NOT_DONE, QUEUES, Reasons, Results};
use std::fmt::Write;

fn row(out: &mut String, cells: impl IntoIterator<Item = String>) {
    out.push('|');
    for cell in cells {
        let _ = write!(out, " {cell} |");
    }
    out.push('\n');
}

fn head(out: &mut String, first: &str, names: &[&str]) {
    row(out, std::iter::once(first).chain(names.iter().copied()).map(String::from));
    out.push_str("|---|");
    out.push_str(&"---:|".repeat(names.len()));
    out.push('\n');
}

pub fn tables(results: &Results) -> String {
    let mut out = format!("{}; medians of {} rounds.\n", results.machine, results.rounds);
    if !results.workloads.is_empty() {
        times(results, &mut out);
    }
    if !results.queues.is_empty() {
        let _ = write!(out, "\nMany cores, on paper. {}\n\n", queueing::SAID);
        head(&mut out, "workload", &queueing::COLUMNS);
        for queue in &results.queues {
            let cells = queueing::cells(results, queue);
            row(&mut out, std::iter::once(queue.workload.clone()).chain(cells));
        }
    }
    not_done(results, QUEUES, &mut out);
    if !results.latency_cases().is_empty() {
        latencies(results, &mut out);
    }
    if !results.memory_cases().is_empty() {
        memory(results, &mut out);
    }
    if !results.instructions.is_empty() {
        instructions(results, &mut out);
    }
    let ahead = ahead::of_time(results);
    if !ahead.is_empty() {
        out.push_str("\nAhead of this library:\n\n");
        ahead.iter().for_each(|ahead| out += &format!("- {}\n", ahead.text()));
    }
    out
}

fn times(results: &Results, out: &mut String) {
    let compared: Vec<_> = results.compared().map(|of| of.name.as_str()).collect();
    let baseline = format!("{}, ns", results.baseline);
    let names: Vec<_> = [NULL_TITLE, &baseline].into_iter().chain(compared.clone()).collect();
    out.push('\n');
    head(out, "workload", &names);
    for workload in &results.workloads {
        let time = |name: &str| {
            workload.of(name).map_or("-".into(), |of| format!("{:.2}", of.nanoseconds))
        };
        let ratio = |name: &&str| workload.ratio_text(name);
        let cells = [workload.name.clone(), time(NULL), time(&results.baseline)];
        row(out, cells.into_iter().chain(compared.iter().map(ratio)));
    }
    reasons(&results.left_out(), out);
    let with_one: Vec<_> = results.workloads.iter().filter(|of| of.one_thread.is_some()).collect();
    if with_one.is_empty() {
        return;
    }
    let all: Vec<_> = results.allocators.iter().map(|of| of.name.as_str()).collect();
    out.push_str("\nThroughput as a multiple of one thread's:\n\n");
    head(out, "workload", &all);
    for workload in with_one {
        let cell = |name: &&str| {
            let speed_up = results.speed_up(workload, name);
            speed_up.map_or("-".into(), |speed_up| format!("{speed_up:.2}"))
        };
        row(out, std::iter::once(workload.name.clone()).chain(all.iter().map(cell)));
    }
}

fn reasons(all: &Reasons, out: &mut String) {
    for (name, reason, cases) in all {
        let _ = writeln!(out, "\n{name} ({NOT_DONE}): {reason}. {}", cases.join("; "));
    }
}

/// Below a table: why it says "n/a" of cases whose names begin so.
fn not_done(results: &Results, beginning: &str, out: &mut String) {
    reasons(&results.not_done(beginning), out);
}

const NULL_TITLE: &str = "harness, ns";

/// "123", "4.5": three digits.
pub fn digits(number: f64) -> String {
    match number.abs() {
        100.0.. => format!("{number:.0}"),
        10.0.. => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

fn mebibytes(bytes: u64) -> String {
    digits(bytes as f64 / f64::from(1 << 20))
}

type MemoryFigure = (&'static str, fn(&Memory) -> String);

/// What is said of each case, with its unit.
pub const MEMORY_FIGURES: [MemoryFigure; 5] = [
    ("Resident bytes for each live object", |of| digits(of.bytes_per_object())),
    ("Resident memory as a multiple of the live objects' bytes", |of| digits(of.multiple())),
    ("Peak of resident memory, MiB", |of| mebibytes(of.peak)),
    ("Held with all objects freed and the pools alive, MiB", |of| mebibytes(of.held)),
    ("Left with the pools destroyed, MiB", |of| mebibytes(of.left)),
];

fn latencies(results: &Results, out: &mut String) {
    if let Some(clock) = &results.latency_clock {
        let _ = write!(out, "\nSingle calls. {}\n", latency::said_of_clock(clock));
    }
    for case in results.latency_cases() {
        let _ = write!(out, "\n{}:\n\n", case.trim_start_matches("latency, "));
        head(out, "allocator", &latency::COLUMNS);
        for (name, cells) in latency::rows(results, case) {
            row(out, std::iter::once(name).chain(cells));
        }
    }
    not_done(results, LATENCY, out);
}

fn memory(results: &Results, out: &mut String) {
    let names = results.memory_allocators();
    for (title, cell) in MEMORY_FIGURES {
        let _ = write!(out, "\n{title}.\n\n");
        head(out, "case", &names);
        for case in results.memory_cases() {
            let cells = names.iter().map(|name| results.memory_cell(case, name, cell));
            row(out, std::iter::once(case.to_owned()).chain(cells));
        }
    }
    not_done(results, MEMORY, out);
}

fn instructions(results: &Results, out: &mut String) {
    let names = results.counted();
    out.push_str("\nInstructions for each operation, the harness's included.\n\n");
    head(out, "workload", &names);
    for of in &results.instructions {
        let missing = |name: &str| results.missing(INSTRUCTIONS, name);
        let cells = names.iter().map(|name| of.of(name).map_or_else(|| missing(name), digits));
        row(out, std::iter::once(of.workload.clone()).chain(cells));
    }
    not_done(results, INSTRUCTIONS, out);
}
