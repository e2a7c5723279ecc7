//! The results as tables on the terminal.

use crate::ahead;
use crate::latency;
use crate::markdown::MEMORY_FIGURES;
use crate::queueing;
use crate::results::{
    INSTRUCTIONS, LATENCY, MEMORY, Measurement, NOT_DONE, QUEUES, Results, SCALING, WorkloadResult,
};
use comfy_table::{CellAlignment, Table, presets};
use std::path::Path;

fn table(header: Vec<String>) -> Table {
    let columns = header.len();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    for column in table.column_iter_mut().take(columns).skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn header<'a>(first: &[&'a str], names: impl Iterator<Item = &'a str>) -> Vec<String> {
    first.iter().copied().chain(names).map(String::from).collect()
}

fn ratio(of: Option<&Measurement>) -> String {
    let ratio = of.and_then(|of| of.ratio);
    ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"))
}

fn nanoseconds(workload: &WorkloadResult, name: &str) -> String {
    let text = |of: &Measurement| format!("{:.2} ± {:.0} %", of.nanoseconds, of.spread * 100.0);
    workload.of(name).map_or(workload.missing(name), text)
}

/// Below a table: why it says "n/a" of cases whose names begin so.
fn print_not_done(results: &Results, beginning: &str) {
    for (name, reason, cases) in results.not_done(beginning) {
        println!("{NOT_DONE}: {name}: {reason} ({})", cases.join("; "));
    }
}

/// All that was measured, but for instructions.
pub fn print(results: &Results) {
    if !results.workloads.is_empty() {
        print_times(results);
        print_speed_ups(results);
    }
    print_scaling(results);
    print_queues(results);
    print_latency(results);
    print_memory(results);
    print_bounds(results);
    for ahead in ahead::of_time(results) {
        println!("ahead: {}", ahead.text());
    }
}

fn print_times(results: &Results) {
    let names = || results.allocators.iter().map(|of| of.name.as_str());
    println!("Nanoseconds for each operation, the harness (null) included; median ± quartiles");
    let mut times = table(header(&["workload", "operation"], names()));
    for workload in &results.workloads {
        let head = [workload.name.clone(), workload.operation.clone()];
        times.add_row(head.into_iter().chain(names().map(|name| nanoseconds(workload, name))));
    }
    println!("{times}\n");

    let names = || results.compared().map(|of| of.name.as_str());
    println!(
        "Ratio to {}, the harness's time subtracted (but for inlined calls); below 1 is faster",
        results.baseline
    );
    let mut ratios = table(header(&["workload"], names()));
    for workload in &results.workloads {
        let cells = names().map(|name| workload.ratio_text(name));
        ratios.add_row(std::iter::once(workload.name.clone()).chain(cells));
    }
    println!("{ratios}");
    for (name, reason, workloads) in results.left_out() {
        println!("n/a: {name}: {reason} ({} workloads)", workloads.len());
    }
}

fn print_scaling(results: &Results) {
    if results.scaling.is_empty() {
        return;
    }
    println!("\nNanoseconds for each alloc + free of random ones of so many live objects");
    let names = || results.allocators.iter().map(|of| of.name.as_str());
    let mut scaling = table(header(&["live objects"], names()));
    for (live, workload) in &results.scaling {
        let cells = names().map(|name| nanoseconds(workload, name));
        scaling.add_row(std::iter::once(live.to_string()).chain(cells));
    }
    println!("{scaling}");
    print_not_done(results, SCALING);
}

fn print_queues(results: &Results) {
    print_not_done(results, QUEUES);
    if results.queues.is_empty() {
        return;
    }
    let mut rows = table(header(&["workload"], queueing::COLUMNS.iter().copied()));
    for queue in &results.queues {
        let cells = queueing::cells(results, queue);
        rows.add_row(std::iter::once(queue.workload.clone()).chain(cells));
    }
    println!("\nMany cores, on paper. {}\n{rows}", queueing::SAID);
}

fn print_latency(results: &Results) {
    if let Some(clock) = &results.latency_clock {
        println!("\nSingle calls. {}", latency::said_of_clock(clock));
    }
    for case in results.latency_cases() {
        let columns = latency::COLUMNS.iter().copied();
        let mut rows = table(header(&["allocator"], columns));
        for (name, cells) in latency::rows(results, case) {
            rows.add_row(std::iter::once(name).chain(cells));
        }
        println!("\n{case}\n{rows}");
    }
    print_not_done(results, LATENCY);
}

fn print_memory(results: &Results) {
    let names = results.memory_allocators();
    for (title, cell) in MEMORY_FIGURES.iter().filter(|_| !names.is_empty()) {
        let mut rows = table(header(&["case"], names.iter().copied()));
        for case in results.memory_cases() {
            let cells = names.iter().map(|name| results.memory_cell(case, name, *cell));
            rows.add_row(std::iter::once(case.to_owned()).chain(cells));
        }
        println!("\n{title}\n{rows}");
    }
    print_not_done(results, MEMORY);
}

pub fn print_instructions(results: &Results) {
    println!("Instructions for each operation, the harness (null) included");
    let names = results.counted();
    let mut rows = table(header(&["workload", "operation"], names.iter().copied()));
    for of in &results.instructions {
        let missing = |name: &str| results.missing(INSTRUCTIONS, name);
        let cells = names
            .iter()
            .map(|name| of.of(name).map_or_else(|| missing(name), |count| format!("{count:.2}")));
        rows.add_row([of.workload.clone(), of.operation.clone()].into_iter().chain(cells));
    }
    println!("{rows}");
    print_not_done(results, INSTRUCTIONS);
}

fn print_bounds(results: &Results) {
    let bounds = ahead::bounds(results);
    let broken: Vec<_> = bounds.iter().filter(|bound| !bound.holds).collect();
    if !bounds.is_empty() {
        println!("\n{} of {} bounds hold", bounds.len() - broken.len(), bounds.len());
    }
    if bounds.iter().any(|bound| bound.measured.is_none()) {
        println!("hidden: the baseline's own time cannot be told from the harness's");
    }
    for bound in broken {
        println!(
            "not held: {} ({}) is {}, bound {:.2}",
            bound.workload,
            bound.what,
            bound.text(),
            bound.bound
        );
    }
}

fn print_speed_ups(results: &Results) {
    let names = || results.allocators.iter().map(|of| of.name.as_str());
    let mut speed_ups = table(header(&["workload"], names()));
    for workload in &results.workloads {
        let cells: Vec<_> = names().map(|name| results.speed_up(workload, name)).collect();
        if cells.iter().any(Option::is_some) {
            let text = |speed_up: Option<f64>| speed_up.map_or("-".into(), |by| format!("{by:.2}"));
            let cells = cells.into_iter().map(text);
            speed_ups.add_row(std::iter::once(workload.name.clone()).chain(cells));
        }
    }
    if !speed_ups.is_empty() {
        println!(
            "\nThroughput of the threads together, as a multiple of one thread's\n{speed_ups}"
        );
    }
}

/// How the ratios of the allocators in both results differ from the old ones.
pub fn print_changes(results: &Results, old: &Results, old_path: &Path) {
    let of = if old.baseline == results.baseline {
        format!("ratio to {}", results.baseline)
    } else {
        format!("ratio to {} and to {}", old.baseline, results.baseline)
    };
    println!("\nAgainst {}: {of} before, now, and the change", old_path.display());
    let mut changes =
        table(header(&["workload", "allocator", "before", "now", "change"], [].into_iter()));
    for workload in &results.workloads {
        let Some(before) = old.workload(&workload.name) else {
            continue;
        };
        for now in workload.allocators.iter().filter(|now| now.allocator != results.baseline) {
            let before = before.of(&now.allocator);
            let was = before.and_then(|before| before.ratio);
            if let (Some(was), Some(is)) = (was, now.ratio) {
                let change = format!("{:+.0} %", (is / was - 1.0) * 100.0);
                let cells = [ratio(before), ratio(Some(now)), change];
                let head = [workload.name.clone(), now.allocator.clone()];
                changes.add_row(head.into_iter().chain(cells));
            }
        }
    }
    println!("{changes}");
}
