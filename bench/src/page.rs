//! The results as one HTML page that needs nothing beside it.

use crate::ahead;
use crate::allocators::{Kind, MESA_SLAB};
use crate::charts::{self, Axis, LineChart, Series};
use crate::latency;
use crate::markdown::{MEMORY_FIGURES, digits};
use crate::queueing;
use crate::results::{INSTRUCTIONS, LATENCY, MEMORY, NOT_DONE, QUEUES, Reasons, Results, SCALING};
use crate::workloads::Group;
use crate::written;
use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use plotters::style::RGBColor;
use std::path::Path;

const STYLE: &str =
    "body { font: 15px/1.45 sans-serif; max-width: 1180px; margin: 2em auto; padding: 0 1em; color: #222 }
h2 { margin: 2.2em 0 .4em; border-bottom: 1px solid #ccc }
h3 { margin: 1.6em 0 .2em }
table { border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums }
th, td { padding: 2px 7px; text-align: right; border-bottom: 1px solid #e4e4e4; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
thead th { position: sticky; top: 0; background: #fff }
tr.best td.us { font-weight: bold }
td.bad { color: #b00020; font-weight: bold }
details > summary { cursor: pointer; margin: 1em 0; color: #0072b2 }
svg { max-width: 100%; height: auto; display: block }
.scroll { overflow-x: auto }
.legend { margin: .3em 0 }
.key { display: inline-block; width: 12px; height: 12px; margin: 0 6px 0 0 }
.key.mark { border-radius: 6px }
.legend span.entry { margin-right: 18px; white-space: nowrap }";

fn legend<'a>(results: &Results, names: impl Iterator<Item = &'a str>) -> Markup {
    html! {
        p.legend {
            @for name in names {
                @let RGBColor(red, green, blue) = charts::colour(results, name);
                @let mark = matches!(results.kind(name), Some(Kind::General | Kind::Peer));
                span.entry {
                    span.key.mark[mark] style={ "background: rgb(" (red) "," (green) "," (blue) ")" } {}
                    (name)
                }
            }
        }
    }
}

fn figure(svg: Option<String>) -> Markup {
    html! { @if let Some(svg) = svg { (PreEscaped(svg)) } }
}

fn ratios(results: &Results) -> Result<Markup> {
    let mut parts = Vec::new();
    for group in Group::ALL {
        if let Some(svg) = charts::ratios(results, group)? {
            parts.push((group.title(), svg));
        }
    }
    Ok(html! {
        @if !parts.is_empty() {
            h2 { "Time against " (results.baseline) }
            p {
                "Bars are this library, marks are general allocators and the pools of others; the line at 1 is " (results.baseline) ". The numbers at the right are those of the bars. "
                "What the harness takes is subtracted, but for inlined calls (inlined, boost, foonathan, rte_mempool), which are compared by whole times. "
                "Where the calls cost next to nothing beside the harness, a bar ends at the left edge."
            }
            @for (title, svg) in &parts {
                h3 { (title) }
                (legend(results, results.compared().map(|of| of.name.as_str())))
                (PreEscaped(svg))
            }
        }
    })
}

fn findings(results: &Results) -> Markup {
    let bounds = ahead::bounds(results);
    let broken: Vec<_> = bounds.iter().filter(|bound| !bound.holds).collect();
    let ahead = ahead::of_time(results);
    html! {
        @if !bounds.is_empty() {
            p { (bounds.len() - broken.len()) " of " (bounds.len()) " bounds against " (results.baseline) " hold." }
        }
        @if !broken.is_empty() {
            p { "\"Hidden\" is where the baseline's own time cannot be told from the harness's." }
            table {
                thead { tr { th { "not held" } th { "of" } th { "measured" } th { "bound" } } }
                @for bound in broken {
                    tr {
                        td { (bound.workload) }
                        td { (bound.what) }
                        td.bad { (bound.text()) }
                        td { (format!("{:.2}", bound.bound)) }
                    }
                }
            }
        }
        @if !ahead.is_empty() {
            details {
                summary { "Where another allocator is ahead of this library (" (ahead.len()) ")" }
                ul { @for ahead in &ahead { li { (ahead.text()) } } }
            }
        }
    }
}

fn scaling(results: &Results) -> Result<Markup> {
    let names: Vec<_> = results.allocators.iter().filter(|of| of.kind != Kind::Null).collect();
    let series = |name: &str| Series {
        colour: charts::colour(results, name),
        label: None,
        points: results
            .scaling
            .iter()
            .filter_map(|(live, workload)| Some((*live as f64, workload.of(name)?.nanoseconds)))
            .collect(),
    };
    let chart = LineChart {
        x: Axis { title: "live objects of 96 bytes".into(), logarithmic: true },
        y: Axis { title: "ns for each free + alloc".into(), logarithmic: true },
        series: names.iter().map(|of| series(&of.name)).collect(),
    };
    let svg = chart.draw()?;
    Ok(html! {
        @if svg.is_some() {
            h2 { "Scaling with live objects" }
            p { "Of so many live objects, random ones are freed and allocated anew. The harness is included." }
            (legend(results, names.iter().map(|of| of.name.as_str())))
            (figure(svg))
            (not_done(&results.not_done(SCALING)))
        }
    })
}

fn latencies(results: &Results) -> Result<Markup> {
    let mut parts = Vec::new();
    for case in results.latency_cases() {
        let rows = results.latencies(case);
        let series = rows.iter().map(|of| Series {
            colour: charts::colour(results, &of.allocator),
            label: None,
            // 0 has no place on a logarithmic axis.
            points: of.curve.iter().map(|&(one_in, time)| (one_in, time.max(1.0))).collect(),
        });
        let chart = LineChart {
            x: Axis { title: "one call in so many takes longer".into(), logarithmic: true },
            y: Axis { title: "ns (1 and less at the bottom)".into(), logarithmic: true },
            series: series.collect(),
        };
        // A handful of calls has no curve.
        let svg = if rows.iter().any(|of| of.calls > 10) { chart.draw()? } else { None };
        parts.push((case, rows, svg));
    }
    Ok(html! {
        @if !parts.is_empty() {
            h2 { "Single calls" }
        }
        @if let Some(clock) = &results.latency_clock {
            p { (latency::said_of_clock(clock)) }
        }
        @for (case, rows, svg) in parts {
            h3 { (case.trim_start_matches("latency, ")) }
            @if svg.is_some() {
                (legend(results, rows.iter().map(|of| of.allocator.as_str())))
                (figure(svg))
            }
            div.scroll { table {
                thead { tr { th { "allocator" } @for column in latency::COLUMNS { th { (column) } } } }
                @for (name, cells) in latency::rows(results, case) {
                    tr { td { (name) } @for cell in cells { td { (cell) } } }
                }
            } }
        }
        (not_done(&results.not_done(LATENCY)))
    })
}

const MIB: f64 = (1 << 20) as f64;

fn after_freeing(results: &Results) -> Result<Markup> {
    let series = results.after_freeing.iter().map(|of| Series {
        colour: charts::colour(results, &of.allocator),
        label: None,
        points: of.samples.iter().map(|&(time, bytes)| (time, bytes / MIB)).collect(),
    });
    let chart = LineChart {
        x: Axis { title: "seconds since all objects were freed".into(), logarithmic: false },
        y: Axis { title: "resident, MiB".into(), logarithmic: false },
        series: series.collect(),
    };
    let svg = chart.draw()?;
    Ok(html! {
        @if svg.is_some() {
            h3 { "After freeing everything" }
            p {
                "Objects of 96 bytes are allocated, written and all freed; the pools stay. Then there are 300 allocations and frees "
                "in each tenth of a second, as an idle program makes them."
            }
            (legend(results, results.after_freeing.iter().map(|of| of.allocator.as_str())))
            (figure(svg))
        }
    })
}

/// The replays with most objects, over the calls.
fn replays(results: &Results) -> Result<Markup> {
    let mut parts = Vec::new();
    for case in results.memory_cases() {
        let of_case: Vec<_> = results.memory.iter().filter(|of| of.case == case).collect();
        if of_case.iter().all(|of| of.samples.is_empty() || of.live < 100) {
            continue;
        }
        let series = of_case.iter().map(|of| Series {
            colour: charts::colour(results, &of.allocator),
            label: None,
            points: of
                .samples
                .iter()
                .map(|&(calls, bytes)| (calls, (bytes / 1024.0).max(1.0)))
                .collect(),
        });
        let chart = LineChart {
            x: Axis { title: "calls made".into(), logarithmic: false },
            y: Axis { title: "resident, KiB (1 and less at the bottom)".into(), logarithmic: true },
            series: series.collect(),
        };
        let names: Vec<_> = of_case.iter().map(|of| of.allocator.clone()).collect();
        parts.push((case, of_case[0].live, names, chart.draw()?));
    }
    Ok(html! {
        @for (case, live, names, svg) in parts {
            h3 { (case.trim_start_matches("memory, ")) }
            p { "At most " (live) " objects are live." }
            (legend(results, names.iter().map(String::as_str)))
            (figure(svg))
        }
    })
}

fn memory(results: &Results) -> Result<Markup> {
    let names = results.memory_allocators();
    Ok(html! {
        @if !names.is_empty() || !results.after_freeing.is_empty() {
            h2 { "Memory" }
            p {
                "Each figure is of a process of its own, which writes every object: its anonymous resident memory "
                "(/proc/self/smaps_rollup), less what it had before the first call."
            }
        }
        @if !names.is_empty() {
            @for (title, cell) in MEMORY_FIGURES {
                h3 { (title) }
                div.scroll { table {
                    thead { tr { th { "case" } th { "live objects" } @for name in &names { th { (name) } } } }
                    @for case in results.memory_cases() {
                        @let live = names.iter().find_map(|name| results.memory(case, name));
                        tr {
                            td { (case.trim_start_matches("memory, ")) }
                            td { (live.map_or(0, |of| of.live)) }
                            @for name in &names {
                                td { (results.memory_cell(case, name, cell)) }
                            }
                        }
                    }
                } }
            }
        }
        (not_done(&results.not_done(MEMORY)))
        (after_freeing(results)?)
        (replays(results)?)
    })
}

fn times(results: &Results) -> Markup {
    let names = &results.allocators;
    html! {
        @if !results.workloads.is_empty() {
            h2 { "Nanoseconds for each operation" }
            p { "The harness included: null is what it takes by itself. The spread is in each cell's title." }
            div.scroll { table {
                thead { tr {
                    th { "workload" }
                    th { "operation" }
                    @for of in names { th { (of.name) } }
                } }
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
                                @let reason = workload.left_out.iter().find(|(name, _)| *name == of.name);
                                td title=[reason.map(|(_, reason)| reason)] { (workload.missing(&of.name)) }
                            }
                        }
                    }
                }
            } }
            (not_done(&results.left_out()))
        }
    }
}

/// Below a table.
fn not_done(reasons: &Reasons) -> Markup {
    html! {
        @if !reasons.is_empty() {
            details {
                summary { "Why something is not for an allocator, or was not done by it (" (NOT_DONE) ")" }
                ul {
                    @for (name, reason, cases) in reasons {
                        li { b { (name) } ": " (reason) ". " (cases.join("; ")) }
                    }
                }
            }
        }
    }
}

fn speed_ups(results: &Results) -> Markup {
    let rows: Vec<_> = results
        .workloads
        .iter()
        .filter(|of| results.allocators.iter().any(|by| results.speed_up(of, &by.name).is_some()))
        .collect();
    html! {
        @if !rows.is_empty() {
            h2 { "Throughput of several threads, as a multiple of one thread's" }
            div.scroll { table {
                thead { tr { th { "workload" } @for of in &results.allocators { th { (of.name) } } } }
                @for workload in rows {
                    tr {
                        td { (workload.name) }
                        @for of in &results.allocators {
                            @let speed_up = results.speed_up(workload, &of.name);
                            td { (speed_up.map_or("-".into(), |by| format!("{by:.2}"))) }
                        }
                    }
                }
            } }
        }
    }
}

fn queues(results: &Results) -> Markup {
    html! {
        @if !results.queues.is_empty() {
            h2 { "Many cores, on paper" }
            p { (queueing::SAID) }
            div.scroll { table {
                thead { tr { th { "workload" } @for column in queueing::COLUMNS { th { (column) } } } }
                @for queue in &results.queues {
                    tr {
                        td { (queue.workload) }
                        @for cell in queueing::cells(results, queue) { td { (cell) } }
                    }
                }
            } }
        }
        (not_done(&results.not_done(QUEUES)))
    }
}

fn instructions(results: &Results) -> Markup {
    let names = results.counted();
    html! {
        @if !results.instructions.is_empty() {
            h2 { "Instructions for each operation" }
            p { "Counted by valgrind, the harness included. They are the same in every run." }
            div.scroll { table {
                thead { tr { th { "workload" } th { "operation" } @for name in &names { th { (name) } } } }
                @for of in &results.instructions {
                    tr {
                        td { (of.workload) }
                        td { (of.operation) }
                        @for name in &names {
                            td { (of.of(name).map_or_else(|| results.missing(INSTRUCTIONS, name), digits)) }
                        }
                    }
                }
            } }
            (not_done(&results.not_done(INSTRUCTIONS)))
        }
    }
}

pub fn write(results: &Results, path: &Path) -> Result<()> {
    let library = results.allocators.iter().any(|of| of.name == MESA_SLAB);
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
                @if library { (findings(results)) }
                (ratios(results)?)
                (speed_ups(results))
                (queues(results))
                (scaling(results)?)
                (latencies(results)?)
                (memory(results)?)
                (instructions(results))
                (times(results))
            }
        }
    };
    written::whole(path, |file| Ok(file.write_all(page.into_string().as_bytes())?))
}
