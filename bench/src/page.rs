//! The results as one HTML page that needs nothing beside it.

use crate::chart;
use crate::results::Results;
use anyhow::{Context, Result};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use plotters::style::RGBColor;
use std::path::Path;

const STYLE: &str =
    "body { font: 15px sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: 3px 10px; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
svg { max-width: 100%; height: auto }
.key { display: inline-block; width: 12px; height: 12px; margin: 0 6px 0 18px }";

fn legend(results: &Results) -> Markup {
    html! {
        p {
            @for (index, of) in results.compared().enumerate() {
                @let RGBColor(red, green, blue) = chart::colour(index);
                span.key style={ "background: rgb(" (red) "," (green) "," (blue) ")" } {}
                (of.name)
            }
        }
    }
}

fn times(results: &Results) -> Markup {
    let names = &results.allocators;
    html! {
        table {
            tr {
                th { "workload" }
                th { "operation" }
                @for of in names { th { (of.name) } }
            }
            @for workload in &results.workloads {
                tr {
                    td { (workload.name) }
                    td { (workload.operation) }
                    @for of in names {
                        @if let Some(of) = workload.of(&of.name) {
                            td title={ "± " (format!("{:.1}", of.spread * 100.0)) " %" } {
                                (format!("{:.2}", of.nanoseconds))
                            }
                        } @else {
                            td { "-" }
                        }
                    }
                }
            }
        }
    }
}

pub fn write(results: &Results, path: &Path) -> Result<()> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "mesa-slab: benchmark" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "mesa-slab: benchmark" }
                p { (results.machine) "; medians of " (results.rounds) " interleaved rounds." }
                h2 { "Against " (results.baseline) }
                (legend(results))
                (PreEscaped(chart::ratios(results)?))
                h2 { "Nanoseconds for each operation" }
                p { "The harness included: null is what it takes by itself. The spread is in each cell's title." }
                (times(results))
            }
        }
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, page.into_string())
        .with_context(|| format!("cannot write {}", path.display()))
}
