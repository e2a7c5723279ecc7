//! What was measured of libraries whose names are numbers, as functions of those: CSV, charts and
//! Markdown.
//!
//! `bench/curves` calls the program with builds of this library that differ in one constant.

use crate::charts::{Axis, LineChart, Series, colour_of};
use crate::markdown::digits;
use crate::results::Results;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::Path;

struct Curve {
    name: String,
    unit: &'static str,
    points: Vec<(f64, f64)>,
}

/// The libraries, and the numbers that are their names.
fn values(results: &Results) -> Vec<(f64, &str)> {
    let names = results.allocators.iter().map(|of| of.name.as_str());
    names.filter_map(|name| Some((name.parse().ok()?, name))).collect()
}

/// Times against those of the unchanged library, the harness included.
fn times(results: &Results) -> Vec<Curve> {
    let values = values(results);
    let curve = |workload: &crate::results::WorkloadResult| Curve {
        name: workload.name.clone(),
        unit: "x",
        points: values
            .iter()
            .filter_map(|(value, name)| Some((*value, workload.of(name)?.gross)))
            .collect(),
    };
    results.workloads.iter().map(curve).collect()
}

fn memory(results: &Results) -> Vec<Curve> {
    let values = values(results);
    let mut list = Vec::new();
    for case in results.memory_cases() {
        for (what, bytes) in
            [("peak", (|of| of.peak) as fn(&crate::results::Memory) -> u64), ("held", |of| of.held)]
        {
            list.push(Curve {
                name: format!("{}: {what}", case.trim_start_matches("memory, ")),
                unit: "MiB",
                points: values
                    .iter()
                    .filter_map(|(value, name)| {
                        let of = results.memory(case, name)?;
                        Some((*value, bytes(of) as f64 / f64::from(1 << 20)))
                    })
                    .collect(),
            });
        }
    }
    list
}

/// What is resident, as multiples of what is live, where several pools share it.
fn multiples(results: &Results) -> Vec<Curve> {
    let values = values(results);
    let cases = results.memory_cases().into_iter().filter(|case| case.contains(" pools"));
    let curve = |case: &str| Curve {
        name: case.trim_start_matches("memory, ").into(),
        unit: "x live",
        points: values
            .iter()
            .filter_map(|(value, name)| {
                let of = results.memory(case, name)?;
                Some((*value, of.resident as f64 / of.live_bytes as f64))
            })
            .collect(),
    };
    cases.map(curve).collect()
}

/// Instructions for each operation.
fn instructions(results: &Results) -> Vec<Curve> {
    let curve = |of: &crate::results::Instructions| Curve {
        name: of.workload.clone(),
        unit: "instructions",
        points: of
            .counts
            .iter()
            .filter_map(|(name, count)| Some((name.parse().ok()?, *count)))
            .collect(),
    };
    results.instructions.iter().map(curve).collect()
}

fn chart(constant: &str, title: &str, curves: &[Curve]) -> Result<Option<String>> {
    let series = curves.iter().enumerate().map(|(index, curve)| Series {
        colour: colour_of(index),
        label: Some(curve.name.clone()),
        points: curve.points.clone(),
    });
    let axis = |title: &str| Axis { title: title.into(), logarithmic: false };
    LineChart { x: axis(constant), y: axis(title), series: series.collect() }.draw()
}

/// Writes `path` with several endings, and prints a table.
pub fn write(results: &Results, path: &Path) -> Result<()> {
    let constant = path.file_name().context("--curve needs a name")?.to_string_lossy();
    let (times, memory) = (times(results), memory(results));
    let (multiples, instructions) = (multiples(results), instructions(results));
    for (curves, title, end) in [
        (&times, "time, as a multiple of the unchanged library's", "time.svg"),
        (&memory, "resident, MiB", "memory.svg"),
        (&multiples, "resident, as a multiple of what is live", "multiple.svg"),
    ] {
        if let Some(svg) = chart(&constant, title, curves)? {
            std::fs::write(path.with_extension(end), svg)?;
        }
    }

    let values = values(results);
    let mut csv = format!("{constant},of,unit,measured\n");
    let mut table = format!("| {constant} |");
    values.iter().for_each(|(_, name)| table += &format!(" {name} |"));
    table += &format!("\n|---|{}\n", "---:|".repeat(values.len()));
    for curve in times.iter().chain(&memory).chain(&multiples).chain(&instructions) {
        let _ = write!(table, "| {}, {} |", curve.name, curve.unit);
        for (value, measured) in &curve.points {
            let _ = writeln!(csv, "{value},\"{}\",{},{measured}", curve.name, curve.unit);
            let _ = write!(table, " {} |", digits(*measured));
        }
        table.push('\n');
    }
    std::fs::write(path.with_extension("csv"), csv)?;
    println!("\n{table}");
    Ok(())
}
