//! The results as tables on the terminal.

use crate::allocators::{BASELINE, NULL};
use crate::results::{Measurement, Results};
use comfy_table::{CellAlignment, Table, presets};
use std::path::Path;

fn table(header: Vec<String>) -> Table {
    let columns = header.len();
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(header);
    for column in table.column_iter_mut().take(columns).skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn ratio(measurement: Option<&Measurement>) -> String {
    let ratio = measurement.and_then(|measurement| measurement.ratio);
    ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"))
}

fn nanoseconds(measurement: &Measurement) -> String {
    format!("{:.2} ± {:.0} %", measurement.nanoseconds, measurement.spread * 100.0)
}

/// Times and ratios of every allocator.
pub fn print(results: &Results) {
    let Some(first) = results.workloads.first() else { return };
    let names: Vec<&str> = first.allocators.iter().map(|of| of.allocator.as_str()).collect();

    println!("Nanoseconds for each operation, the harness (null) included; median ± quartiles");
    let header = ["workload", "operation"].into_iter().chain(names.iter().copied());
    let mut times = table(header.map(String::from).collect());
    for workload in &results.workloads {
        let head = [workload.name.clone(), workload.operation.clone()];
        times.add_row(head.into_iter().chain(workload.allocators.iter().map(nanoseconds)));
    }
    println!("{times}\n");

    println!("Ratio to {BASELINE}, the harness's time subtracted; below 1 is faster");
    let others: Vec<&str> =
        names.into_iter().filter(|name| ![NULL, BASELINE].contains(name)).collect();
    let header = std::iter::once("workload").chain(others.iter().copied());
    let mut ratios = table(header.map(String::from).collect());
    for workload in &results.workloads {
        let cells = others.iter().map(|name| ratio(workload.of(name)));
        ratios.add_row(std::iter::once(workload.name.clone()).chain(cells));
    }
    println!("{ratios}");
}

/// How the ratios of the allocators in both results differ from the old ones.
pub fn print_changes(results: &Results, old: &Results, old_path: &Path) {
    println!("\nAgainst {}: ratio to {BASELINE} before, now, and the change", old_path.display());
    let header = ["workload", "allocator", "before", "now", "change"].map(String::from).to_vec();
    let mut changes = table(header);
    for workload in &results.workloads {
        let Some(before) = old.workloads.iter().find(|old| old.name == workload.name) else {
            continue;
        };
        for now in workload.allocators.iter().filter(|now| now.allocator != BASELINE) {
            let before = before.of(&now.allocator);
            if let (Some(was), Some(is)) = (before.and_then(|old| old.ratio), now.ratio) {
                let change = format!("{:+.0} %", (is / was - 1.0) * 100.0);
                let cells = [ratio(before), ratio(Some(now)), change];
                let head = [workload.name.clone(), now.allocator.clone()];
                changes.add_row(head.into_iter().chain(cells));
            }
        }
    }
    println!("{changes}");
}
