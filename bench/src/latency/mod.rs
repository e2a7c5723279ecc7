//! How long single calls take: a process of its own for each run, in which all allocators have
//! their turns.

mod cases;
mod recorder;
mod ticks;

use crate::allocators::{Allocator, INLINED, STATIC};
use crate::own_process::OwnProcess;
use crate::results::{Latency, LatencyClock};
use crate::statistics::median;
use anyhow::{Context, Result};
use recorder::Recorder;
use serde::{Deserialize, Serialize};

pub use cases::{Case, all};
pub use ticks::Ticks;

/// What the tables show beside the longest.
pub const QUANTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];
/// Points of a curve for each power of ten.
const POINTS: u32 = 4;

/// Of the tables, beside the name of the allocator.
pub const COLUMNS: [&str; 7] = ["calls", "p50", "p99", "p99.9", "p99.99", "max", "interrupted"];

/// What `COLUMNS` are. A quantile that fewer calls than it needs cannot have is left out.
pub fn cells(of: &Latency) -> Vec<String> {
    let quantile = |(&(_, part), &value): (&(&str, f64), &f64)| {
        if (1.0 - part) * of.calls as f64 >= 1.0 { time(value) } else { "-".into() }
    };
    let mut cells = vec![of.calls.to_string()];
    cells.extend(QUANTILES.iter().zip(&of.quantiles).map(quantile));
    cells.extend([time(of.max), of.interrupted.to_string()]);
    cells
}

/// With its unit: "23 ns", "1.2 µs", "125 ms".
pub fn time(nanoseconds: f64) -> String {
    let (scaled, unit) = match nanoseconds {
        1e6.. => (nanoseconds / 1e6, "ms"),
        1e3.. => (nanoseconds / 1e3, "µs"),
        _ => return format!("{nanoseconds:.0} ns"),
    };
    let digits = if scaled < 10.0 { 1 } else { 0 };
    format!("{scaled:.digits$} {unit}")
}

/// What the figures are, for those who read them.
pub fn said_of_clock(clock: &LatencyClock) -> String {
    format!(
        "Read with {}: two readings take {:.1} ns, which is subtracted from each call, and times differ by {:.1} ns at least. \
         Quantiles and the longest call are medians of the runs. What the thread was kept from its core during a call, by \
         its own clock, is left out (interrupted: calls of all runs in which that was so); null shows what the machine does.",
        clock.name, clock.cost, clock.step
    )
}

/// Whether its calls differ from those that are measured under another name.
pub fn is_for(allocator: &Allocator) -> bool {
    allocator.name != STATIC && allocator.name != INLINED
}

/// What a process says of an allocator in one case.
#[derive(Serialize, Deserialize)]
struct Run {
    case: String,
    allocator: String,
    calls: u64,
    interrupted: u64,
    quantiles: Vec<f64>,
    max: f64,
    /// Of so many calls, one takes longer.
    curve: Vec<(f64, f64)>,
}

#[derive(Serialize, Deserialize)]
struct Output {
    clock: LatencyClock,
    runs: Vec<Run>,
}

/// "One in so many": 10, 18, 32, ... up to the number of calls.
fn curve(recorder: &Recorder) -> Vec<(f64, f64)> {
    let calls = recorder.calls() as f64;
    (1..)
        .map(|point| 10_f64.powf(f64::from(point) / f64::from(POINTS)))
        .take_while(|one_in| *one_in <= calls)
        .map(|one_in| (one_in, recorder.quantile(1.0 - 1.0 / one_in)))
        .collect()
}

/// In the process of its own: measures, and prints what came out. Another allocator is the first in
/// each run.
pub fn measure_here(cases: &[Case], mut allocators: Vec<Allocator>, run: usize) -> Result<()> {
    let ticks = Ticks::new();
    let first = run % allocators.len();
    allocators.rotate_left(first);
    let mut runs = Vec::new();
    for case in cases {
        let mut allocators = allocators.clone();
        allocators.retain(|of| case.is_for(of));
        for (allocator, recorders) in allocators.iter().zip(case.measure(&allocators, &ticks)) {
            runs.extend(case.names.iter().zip(&recorders).map(|(name, recorder)| Run {
                case: name.clone(),
                allocator: allocator.name.clone(),
                calls: recorder.calls(),
                interrupted: recorder.interrupted,
                quantiles: QUANTILES.map(|(_, part)| recorder.quantile(part)).to_vec(),
                max: recorder.max(),
                curve: curve(recorder),
            }));
        }
    }
    let clock = LatencyClock {
        name: ticks.name().into(),
        cost: ticks.nanoseconds(ticks.cost),
        step: ticks.nanoseconds(ticks.step),
    };
    println!("{}", serde_json::to_string(&Output { clock, runs })?);
    Ok(())
}

/// The medians of runs.
fn merged(runs: &[&Run]) -> Latency {
    let of = |value: &dyn Fn(&Run) -> f64| {
        median(&runs.iter().map(|run| value(run)).collect::<Vec<_>>())
    };
    let first = runs[0];
    Latency {
        case: first.case.clone(),
        allocator: first.allocator.clone(),
        calls: first.calls,
        interrupted: runs.iter().map(|run| run.interrupted).sum(),
        quantiles: (0..first.quantiles.len())
            .map(|index| of(&|run| run.quantiles[index]))
            .collect(),
        max: of(&|run| run.max),
        maxima: runs.iter().map(|run| run.max).collect(),
        curve: (0..first.curve.len())
            .map(|index| (first.curve[index].0, of(&|run| run.curve[index].1)))
            .collect(),
    }
}

/// So many runs; what a quantile, or the longest call, was in the median of them.
pub fn measure(
    cases: &[Case],
    allocators: &[Allocator],
    runs: usize,
    own: &OwnProcess,
    progress: impl Fn(),
) -> Result<(Option<LatencyClock>, Vec<Latency>)> {
    let names: Vec<&str> =
        allocators.iter().filter(|of| is_for(of)).map(|of| of.name.as_str()).collect();
    let mut outputs = Vec::new();
    for run in 0..runs {
        let output = own.run(&names, &["--latency-run", &run.to_string()], None)?;
        let output = serde_json::from_str::<Output>(&output);
        outputs.push(output.with_context(|| format!("run {run} of the latencies"))?);
        progress();
    }
    let mut list = Vec::new();
    for case in cases.iter().flat_map(|case| &case.names) {
        for name in &names {
            let all = outputs.iter().flat_map(|output| &output.runs);
            let same: Vec<_> =
                all.filter(|run| run.case == *case && run.allocator == *name).collect();
            // None of an allocator that the case is not for.
            if !same.is_empty() {
                list.push(merged(&same));
            }
        }
    }
    Ok((outputs.into_iter().next().map(|output| output.clock), list))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(value: f64) -> Run {
        Run {
            case: "latency, churn".into(),
            allocator: "malloc".into(),
            calls: 10,
            interrupted: 1,
            quantiles: vec![value; QUANTILES.len()],
            max: 10.0 * value,
            curve: vec![(2.0, value), (10.0, 5.0 * value)],
        }
    }

    #[test]
    fn what_one_run_alone_has_met_does_not_count() {
        let runs = [run(20.0), run(9_000.0), run(30.0)];
        let merged = merged(&runs.iter().collect::<Vec<_>>());
        assert_eq!((merged.quantiles[0], merged.max), (30.0, 300.0));
        assert_eq!(merged.maxima, [200.0, 90_000.0, 300.0]);
        assert_eq!(merged.curve, [(2.0, 30.0), (10.0, 150.0)]);
        assert_eq!((merged.calls, merged.interrupted), (10, 3));
    }

    #[test]
    fn times_have_units_and_quantiles_enough_calls() {
        assert_eq!(
            [0.0, 23.4, 1_240.0, 12_400.0, 125e6].map(time),
            ["0 ns", "23 ns", "1.2 µs", "12 µs", "125 ms"]
        );
        let runs = [run(20.0)];
        let cells = cells(&merged(&runs.iter().collect::<Vec<_>>()));
        assert_eq!(cells, ["10", "20 ns", "-", "-", "-", "200 ns", "1"]);
        assert_eq!(cells.len(), COLUMNS.len());
    }

    #[test]
    fn a_curve_ends_where_there_are_no_more_calls() {
        let ticks = Ticks::new();
        let mut recorder = Recorder::new(&ticks);
        (0..200).for_each(|_| recorder.time(|| ()));
        let curve = curve(&recorder);
        assert!(curve.last().is_some_and(|(one_in, _)| (177.0..178.0).contains(one_in)));
        assert!(curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
    }
}
