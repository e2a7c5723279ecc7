//! How long single calls take: a process of its own for each run, in which all allocators have
//! their turns.

mod cases;
mod part;
mod recorder;
mod ticks;

use crate::allocators::{Allocator, INLINED, STATIC};
use crate::own_process::{Outcome, OwnProcess};
use crate::results::{Failure, Latency, LatencyClock, NOT_DONE, Results};
use crate::statistics::median;
use anyhow::{Context, Result};
use recorder::Recorder;
use serde::{Deserialize, Serialize};

pub use cases::{Case, all};
pub use part::Part;
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

/// What a process prints, one a line, as it comes: what is said is there, whatever happens to the
/// process afterwards.
#[derive(Serialize, Deserialize)]
enum Line {
    Clock(LatencyClock),
    /// By allocator.
    Case(Vec<(String, Outcome<Vec<Run>>)>),
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
pub fn measure_here(cases: &[Case], mut allocators: Vec<Allocator>, part: &Part) -> Result<()> {
    let ticks = Ticks::new();
    let first = part.run % allocators.len();
    allocators.rotate_left(first);
    let clock = LatencyClock {
        name: ticks.name().into(),
        cost: ticks.nanoseconds(ticks.cost),
        step: ticks.nanoseconds(ticks.step),
    };
    println!("{}", serde_json::to_string(&Line::Clock(clock))?);
    for case in cases.iter().filter(|case| part.cases.iter().any(|key| key == case.key())) {
        let mut allocators = allocators.clone();
        allocators.retain(|of| case.is_for(of) && !part.leaves_out(case.key(), &of.name));
        let run = |allocator: &Allocator, (name, recorder): (&String, &Recorder)| Run {
            case: name.clone(),
            allocator: allocator.name.clone(),
            calls: recorder.calls(),
            interrupted: recorder.interrupted,
            quantiles: QUANTILES.map(|(_, part)| recorder.quantile(part)).to_vec(),
            max: recorder.max(),
            curve: curve(recorder),
        };
        // Frames without anybody would only take their time.
        let measured =
            if allocators.is_empty() { Vec::new() } else { case.measure(&allocators, &ticks) };
        let said = allocators.iter().zip(measured).map(|(allocator, measured)| {
            let runs = |recorders: Vec<Recorder>| {
                case.names.iter().zip(&recorders).map(|of| run(allocator, of)).collect()
            };
            (allocator.name.clone(), measured.map(runs))
        });
        println!("{}", serde_json::to_string(&Line::Case(said.collect()))?);
    }
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

/// What allocators were found not to do, by the keys of cases.
type Failures = Vec<Failure>;

/// Runs some of the cases for some of the allocators, but for what has failed; says the lines that
/// were printed, and how it has ended, if not well.
type Process<'a> = dyn FnMut(&[&str], &[&str], &Failures) -> Result<Said> + 'a;
type Said = (Vec<Line>, Outcome<()>);

/// One run: all cases, in a process in which all allocators have their turns, and in further ones if
/// that one ends before it has done them all. What fails is not tried again.
fn run(
    cases: &[&str],
    names: &[&str],
    failures: &mut Failures,
    process: &mut Process,
) -> Result<(Option<LatencyClock>, Vec<Run>)> {
    let (mut clock, mut runs) = (None, Vec::new());
    let mut rest = cases;
    while let Some((&first, _)) = rest.split_first() {
        let (lines, end) = process(rest, names, failures)?;
        for line in lines {
            match line {
                Line::Clock(of) => clock = Some(of),
                Line::Case(said) => {
                    let (&case, others) = rest.split_first().context("a case too many")?;
                    for (allocator, outcome) in said {
                        match outcome {
                            Ok(measured) => runs.extend(measured),
                            Err(why) => failures.push(failure(case, &allocator, why)),
                        }
                    }
                    rest = others;
                }
            }
        }
        let Some((&case, others)) = rest.split_first() else { break };
        let how = end.err().with_context(|| format!("a process left out {first}"))?;
        if !name_those_that_fail(case, names, failures, process)? {
            let all = names.iter().filter(|name| !has_failed(failures, case, name));
            let why = format!("{how}, but not of one allocator alone");
            let all: Vec<_> = all.map(|name| failure(case, name, why.clone())).collect();
            failures.extend(all);
            rest = others;
        }
    }
    Ok((clock, runs))
}

/// Which allocators end a process in which they alone do the case. Says whether there are any.
fn name_those_that_fail(
    case: &str,
    names: &[&str],
    failures: &mut Failures,
    process: &mut Process,
) -> Result<bool> {
    let before = failures.len();
    for &name in names {
        if !has_failed(failures, case, name)
            && let (_, Err(how)) = process(&[case], &[name], failures)?
        {
            failures.push(failure(case, name, how));
        }
    }
    Ok(failures.len() > before)
}

fn failure(case: &str, allocator: &str, reason: String) -> Failure {
    Failure { case: case.into(), allocator: allocator.into(), reason }
}

fn has_failed(failures: &Failures, case: &str, allocator: &str) -> bool {
    failures.iter().any(|of| of.case == case && of.allocator == allocator)
}

/// By case and allocator: the medians of the runs, or, of one that has failed in any run, why.
fn all_merged(
    cases: &[Vec<String>],
    names: &[&str],
    runs: &[Run],
    failures: &Failures,
) -> (Vec<Latency>, Vec<Failure>) {
    let (mut list, mut failed) = (Vec::new(), Vec::new());
    for of_case in cases {
        for case in of_case {
            for name in names {
                let of =
                    |failure: &&Failure| failure.case == of_case[0] && failure.allocator == *name;
                let same = |run: &&Run| run.case == *case && run.allocator == *name;
                let same: Vec<_> = runs.iter().filter(same).collect();
                if let Some(first) = failures.iter().find(of) {
                    failed.push(failure(case, name, first.reason.clone()));
                } else if !same.is_empty() {
                    // None of an allocator that the case is not for.
                    list.push(merged(&same));
                }
            }
        }
    }
    (list, failed)
}

/// So many runs; what a quantile, or the longest call, was in the median of them.
pub fn measure(
    cases: &[Case],
    allocators: &[Allocator],
    runs: usize,
    own: &OwnProcess,
    results: &mut Results,
    begun: impl Fn(),
) -> Result<()> {
    let names: Vec<&str> =
        allocators.iter().filter(|of| is_for(of)).map(|of| of.name.as_str()).collect();
    let keys: Vec<&str> = cases.iter().map(Case::key).collect();
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    let mut one = |index: usize| {
        begun();
        let mut process = |cases: &[&str], names: &[&str], failures: &Failures| {
            let flags = Part::flags(index, cases, failures);
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let (printed, end) = own.finish(own.start(names, &flags, None)?)?;
            lines(&printed, end)
        };
        let (clock, runs) = run(&keys, &names, &mut failures, &mut process)
            .with_context(|| format!("run {index} of the latencies"))?;
        results.latency_clock = results.latency_clock.take().or(clock);
        all.extend(runs);
        anyhow::Ok(())
    };
    let end = (0..runs).try_for_each(&mut one);
    // What was measured before that.
    let cases: Vec<_> = cases.iter().map(|case| case.names.clone()).collect();
    let (list, failed) = all_merged(&cases, &names, &all, &failures);
    results.latency = list;
    results.failures.extend(failed);
    end
}

/// Of a process that was ended, the last line may be a part of one.
fn lines(printed: &str, end: Outcome<()>) -> Result<Said> {
    let mut lines = Vec::new();
    for text in printed.lines() {
        match serde_json::from_str(text) {
            Ok(line) => lines.push(line),
            Err(_) if end.is_err() => break,
            Err(error) => return Err(error).with_context(|| format!("it printed {text}")),
        }
    }
    Ok((lines, end))
}

/// The rows of a case's table: an allocator's name, and its cells. Those that could not do it are
/// the last.
pub fn rows(results: &Results, case: &str) -> Vec<(String, Vec<String>)> {
    let measured = results.latencies(case).into_iter().map(|of| (of.allocator.clone(), cells(of)));
    let nothing = COLUMNS.map(|_| NOT_DONE.to_owned()).to_vec();
    let failed = results.failures.iter().filter(|of| of.case == case);
    measured.chain(failed.map(|of| (of.allocator.clone(), nothing.clone()))).collect()
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

    const CASES: [&str; 3] = ["latency, fill", "latency, churn", "latency, children"];
    const NAMES: [&str; 3] = ["classic", "malloc", "peer"];

    fn run_of(case: &str, allocator: &str) -> Run {
        Run { case: case.into(), allocator: allocator.into(), ..run(20.0) }
    }

    /// Processes in which some do not do some cases, or end the process.
    fn processes<'a>(
        refuses: &'a [(&str, &str)],
        ends: &'a dyn Fn(&str, &[&str]) -> bool,
        started: &'a mut usize,
    ) -> impl FnMut(&[&str], &[&str], &Failures) -> Result<Said> {
        |cases, names, failures| {
            *started += 1;
            let mut lines = Vec::new();
            for &case in cases {
                let names = names.iter().filter(|name| !has_failed(failures, case, name));
                let names: Vec<&str> = names.copied().collect();
                if ends(case, &names) {
                    return Ok((lines, Err("signal: 6".into())));
                }
                let outcome = |name: &&str| match refuses.contains(&(case, name)) {
                    true => Err("no pool".into()),
                    false => Ok(vec![run_of(case, name)]),
                };
                let said = names.iter().map(|name| ((*name).into(), outcome(name)));
                lines.push(Line::Case(said.collect()));
            }
            Ok((lines, Ok(())))
        }
    }

    fn text(failures: &[Failure]) -> Vec<String> {
        failures.iter().map(|of| format!("{} {} {}", of.case, of.allocator, of.reason)).collect()
    }

    #[test]
    fn what_is_refused_is_not_tried_in_the_next_run() {
        let (mut started, mut failures) = (0, Vec::new());
        let mut process = processes(&[(CASES[1], "peer")], &|_, _| false, &mut started);
        for _ in 0..2 {
            let (_, runs) = super::run(&CASES, &NAMES, &mut failures, &mut process).unwrap();
            assert_eq!(runs.len(), 8);
            assert_eq!(text(&failures), ["latency, churn peer no pool"]);
        }
        drop(process);
        assert_eq!(started, 2);
    }

    #[test]
    fn a_process_that_ends_is_done_again_without_the_one_that_ends_it() {
        let (mut started, mut failures) = (0, Vec::new());
        let ends = |case: &str, names: &[&str]| case == CASES[1] && names.contains(&"peer");
        let mut process = processes(&[], &ends, &mut started);
        let (_, runs) = super::run(&CASES, &NAMES, &mut failures, &mut process).unwrap();
        drop(process);
        assert_eq!(text(&failures), ["latency, churn peer signal: 6"]);
        let of = |case| runs.iter().filter(|run| run.case == case).count();
        assert_eq!(CASES.map(of), [3, 2, 3]);
        // All, each by itself, and what was left.
        assert_eq!(started, 1 + NAMES.len() + 1);
    }

    #[test]
    fn a_case_that_none_ends_alone_is_left_out() {
        let (mut started, mut failures) = (0, Vec::new());
        let ends = |case: &str, names: &[&str]| case == CASES[1] && names.len() > 1;
        let mut process = processes(&[], &ends, &mut started);
        let (_, runs) = super::run(&CASES, &NAMES, &mut failures, &mut process).unwrap();
        let of = |case| runs.iter().filter(|run| run.case == case).count();
        assert_eq!(CASES.map(of), [3, 0, 3]);
        assert_eq!(
            text(&failures)[0],
            "latency, churn classic signal: 6, but not of one allocator alone"
        );
        assert_eq!(failures.len(), NAMES.len());
    }

    #[test]
    fn one_that_has_failed_in_a_run_has_no_figures_and_is_in_every_table_of_the_case() {
        let runs = [run_of("latency, fill", "malloc"), run_of("latency, fill", "peer")];
        let failures = vec![failure("latency, fill", "peer", "no pool".into())];
        let cases = [vec!["latency, fill".into(), "latency, free all".into()]];
        let (list, failed) = all_merged(&cases, &NAMES, &runs, &failures);
        assert_eq!((list.len(), list[0].allocator.as_str()), (1, "malloc"));
        assert_eq!(text(&failed), ["latency, fill peer no pool", "latency, free all peer no pool"]);

        let mut results = Results::new("test".into(), "classic", 1, &[]);
        (results.latency, results.failures) = (list, failed);
        assert_eq!(results.latency_cases(), ["latency, fill", "latency, free all"]);
        let rows = rows(&results, "latency, fill");
        assert_eq!(rows[0].0, "malloc");
        assert_eq!(rows[1], ("peer".into(), vec![NOT_DONE.to_owned(); COLUMNS.len()]));
        let cases = vec!["latency, fill", "latency, free all"];
        assert_eq!(results.not_done("latency, "), [("peer", "no pool", cases)]);
        let markdown = crate::markdown::tables(&results);
        assert!(markdown.contains("| peer | n/a | n/a |"), "{markdown}");
        assert!(markdown.contains("peer (n/a): no pool. latency, fill; latency, free all"));
    }

    #[test]
    fn the_last_line_of_a_process_that_ended_may_be_cut_off() {
        let line = serde_json::to_string(&Line::Case(Vec::new())).unwrap();
        let printed = format!("{line}\n{}", &line[..4]);
        let (said, _) = lines(&printed, Err("signal: 9".into())).unwrap();
        assert_eq!(said.len(), 1);
        assert!(lines(&printed, Ok(())).is_err());
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
