//! How a workload is timed: in rounds, in each of which every allocator has its turn.
//!
//! What slows the machine down for a while then hits all allocators alike, and ratios are taken
//! within a round. The first allocator of a round is another one each time.

use crate::allocators::{Allocator, NULL};
use crate::own_process::Outcome;
use crate::results::{Failure, Measurement, WorkloadResult};
use crate::statistics::{median, spread};
use crate::workloads::{Session, Workload};
use std::time::Duration;

/// How long, and how often.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// What one allocator's turn in a round should take, if a single pass is not longer.
    pub turn: Duration,
}

/// An allocator's turn takes no longer than so many of the baseline's.
const MOST_TURNS: u32 = 4;

/// The passes of a warm-up are one in so many of those that are timed, ...
const WARM_UP_SHARE: u64 = 10;
/// ... and so many at least: a pool, or what is below it, may take some to learn how much it is to
/// keep. What its first use costs are workloads of their own.
const LEAST_WARM_UP: u64 = 3;

/// The passes that take so long, at most `most` of them. Each number is tried twice, as what
/// disturbs one of them would give all allocators fewer passes: a part of what they take is the
/// time of pools that are still new.
fn passes_in(session: &mut dyn Session, time: Duration, most: u64) -> u64 {
    session.run(1);
    let mut passes = 1;
    while passes < most {
        let elapsed = session.run(passes).min(session.run(passes));
        if elapsed * 4 >= time {
            let fitting = passes as f64 * time.as_secs_f64() / elapsed.as_secs_f64();
            return (fitting as u64).clamp(1, most);
        }
        passes *= 2;
    }
    most
}

/// Nanoseconds for each operation, by allocator and round. One that fails has no more turns.
fn samples(
    workload: &Workload,
    allocators: &[&Allocator],
    baseline: &Allocator,
    effort: Effort,
) -> Outcome<Vec<Outcome<Vec<f64>>>> {
    let all_passes =
        baseline.attempt(|| passes_in(&mut *workload.session(baseline), effort.turn, u64::MAX))?;
    let mut passes = vec![None; allocators.len()];
    let mut samples = vec![Ok(Vec::new()); allocators.len()];
    for round in 0..effort.rounds {
        for turn in 0..allocators.len() {
            let index = (round + turn) % allocators.len();
            let Ok(own) = &mut samples[index] else { continue };
            let timed = allocators[index].attempt(|| {
                let mut session = workload.session(allocators[index]);
                // All make as many passes as the baseline, but one that is much slower.
                let passes = *passes[index].get_or_insert_with(|| {
                    passes_in(&mut *session, effort.turn * MOST_TURNS, all_passes)
                });
                // The warm-up brings in code and memory, of which the pools are new.
                session.run((passes / WARM_UP_SHARE).max(LEAST_WARM_UP));
                let elapsed = session.run(passes);
                elapsed.as_nanos() as f64 / (passes * workload.operations) as f64
            });
            match timed {
                Ok(sample) => own.push(sample),
                Err(why) => samples[index] = Err(why),
            }
        }
    }
    Ok(samples)
}

/// What there is to compare: nothing, where one of two failed that the others' times are compared
/// by. If nothing could be measured at all, that was the first of them.
fn comparable(
    names: &[&str],
    needed: [usize; 2],
    samples: Outcome<Vec<Outcome<Vec<f64>>>>,
) -> Vec<Outcome<Vec<f64>>> {
    let mut samples = samples.unwrap_or_else(|why| {
        let mut samples = vec![Ok(Vec::new()); names.len()];
        samples[needed[0]] = Err(why);
        samples
    });
    if let Some(missing) = needed.into_iter().find(|&index| samples[index].is_err()) {
        let why = format!("it is compared by {}, which cannot do it", names[missing]);
        samples.iter_mut().filter(|own| own.is_ok()).for_each(|own| *own = Err(why.clone()));
    }
    samples
}

/// The baseline has to take so much longer than the harness alone, or nothing can be said of its
/// own time: where calls take the processor longer than what is done in them, that is done
/// meanwhile.
const LEAST_OF_HARNESS: f64 = 0.05;

fn is_seen(baseline: &[f64], harness: &[f64]) -> bool {
    median(baseline) > median(harness) * (1.0 + LEAST_OF_HARNESS)
}

/// The ratio to the baseline in each round, both without what the harness takes. Rounds in which
/// the baseline took no longer than the harness say nothing.
fn ratios(of: &[f64], baseline: &[f64], harness: &[f64]) -> Vec<f64> {
    of.iter()
        .zip(baseline)
        .zip(harness)
        .filter(|&((_, baseline), harness)| baseline > harness)
        .map(|((of, baseline), harness)| (of - harness) / (baseline - harness))
        .collect()
}

pub fn measure(
    workload: &Workload,
    allocators: &[Allocator],
    baseline: &str,
    effort: Effort,
    failures: &mut Vec<Failure>,
) -> WorkloadResult {
    let reason = |of: &Allocator| Some((of.name.clone(), workload.reason_against(of)?.into()));
    let mut left_out: Vec<(String, String)> = allocators.iter().filter_map(reason).collect();
    let allocators: Vec<_> = allocators.iter().filter(|of| workload.is_for(of)).collect();
    let position = |name: &str| {
        let position = allocators.iter().position(|allocator| allocator.name == name);
        position.expect("both are always among them")
    };
    let (harness, baseline) = (position(NULL), position(baseline));
    let samples = samples(workload, &allocators, allocators[baseline], effort);
    let names: Vec<_> = allocators.iter().map(|of| of.name.as_str()).collect();
    let samples = comparable(&names, [baseline, harness], samples);
    for (name, own) in names.iter().zip(&samples) {
        if let Err(why) = own {
            let (case, allocator) = (workload.name.clone(), String::from(*name));
            failures.push(Failure { case, allocator: allocator.clone(), reason: why.clone() });
            left_out.push((allocator, why.clone()));
        }
    }
    let of = |index: usize| samples[index].as_deref().unwrap_or_default();
    let (of_baseline, of_harness) = (of(baseline), of(harness));
    let nothing = vec![0.0; of_harness.len()];
    let measurement = |(allocator, own): (&&Allocator, &Outcome<Vec<f64>>)| {
        let own = own.as_ref().ok()?;
        let net = median(&ratios(own, of_baseline, of_harness));
        let gross = median(&ratios(own, of_baseline, &nothing));
        let is_seen = is_seen(of_baseline, of_harness);
        let inlined = workload.in_loops && allocator.kind.is_inlined();
        Some(Measurement {
            allocator: allocator.name.clone(),
            nanoseconds: median(own),
            spread: spread(own),
            ratio: if inlined {
                Some(gross)
            } else {
                (allocator.name != NULL && is_seen).then_some(net)
            },
            gross,
            samples: own.clone(),
        })
    };
    WorkloadResult {
        name: workload.name.clone(),
        group: workload.group,
        operation: workload.operation.into(),
        threads: workload.threads,
        one_thread: workload.one_thread.clone(),
        left_out,
        allocators: allocators.iter().zip(&samples).filter_map(measurement).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_without_the_harness() {
        assert_eq!(ratios(&[3.0, 5.0], &[5.0, 5.0], &[1.0, 1.0]), [0.5, 1.0]);
    }

    #[test]
    fn nothing_is_left_without_what_all_are_compared_by() {
        let names = ["null", "classic", "malloc"];
        let comparable = |samples| comparable(&names, [1, 0], samples);
        let no_memory = || Err("no memory".to_owned());
        let one_failed = || vec![Ok(vec![1.0]), Ok(vec![2.0]), no_memory()];
        assert_eq!(comparable(Ok(one_failed())), one_failed());

        let without = || Err("it is compared by classic, which cannot do it".to_owned());
        let none = [without(), no_memory(), without()];
        assert_eq!(comparable(Err("no memory".into())), none);
        let samples = vec![Ok(vec![1.0]), no_memory(), Ok(vec![3.0])];
        assert_eq!(comparable(Ok(samples)), none);
    }

    #[test]
    fn an_allocator_that_fails_is_left_out_of_a_workload() {
        use crate::allocators::{CLASSIC, Kind};
        unsafe extern "C" fn failure() -> *const std::ffi::c_char {
            c"no pool".as_ptr()
        }
        let malloc = crate::allocators::tests::malloc();
        let named = |name: &str| Allocator { name: name.into(), ..malloc.clone() };
        let peer = Allocator { failure: Some(failure), kind: Kind::Peer, ..named("peer") };
        let allocators = [named(NULL), named(CLASSIC), peer];
        let workload = crate::workloads::all(&[]).swap_remove(0);
        let effort = Effort { rounds: 2, turn: Duration::from_micros(10) };
        let mut failures = Vec::new();
        let result = measure(&workload, &allocators, CLASSIC, effort, &mut failures);
        let measured: Vec<_> = result.allocators.iter().map(|of| of.samples.len()).collect();
        assert_eq!(measured, [2, 2]);
        assert_eq!(result.left_out, [("peer".into(), "no pool".into())]);
        assert_eq!((result.ratio_text("peer").as_str(), failures.len()), ("n/a", 1));
    }

    #[test]
    fn a_baseline_that_takes_no_longer_than_the_harness_is_not_seen() {
        assert!(is_seen(&[3.3, 3.4, 3.5], &[3.0, 3.1, 3.2]));
        assert!(!is_seen(&[3.1, 3.2, 3.3], &[3.0, 3.1, 3.2]));
    }

    #[test]
    fn a_round_in_which_the_baseline_was_not_seen_is_left_out() {
        assert_eq!(ratios(&[3.0, 3.0], &[1.0, 5.0], &[1.0, 1.0]), [0.5]);
    }
}
