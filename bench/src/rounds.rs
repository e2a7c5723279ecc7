//! How a workload is timed: in rounds, in each of which every allocator has its turn.
//!
//! What slows the machine down for a while then hits all allocators alike, and ratios are taken
//! within a round. The first allocator of a round is another one each time.

use crate::allocators::{Allocator, NULL};
use crate::results::{Measurement, WorkloadResult};
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

/// Nanoseconds for each operation, by allocator and round.
fn samples(
    workload: &Workload,
    allocators: &[&Allocator],
    baseline: &Allocator,
    effort: Effort,
) -> Vec<Vec<f64>> {
    let all_passes = passes_in(&mut *workload.session(baseline), effort.turn, u64::MAX);
    let mut passes = vec![None; allocators.len()];
    let mut samples = vec![Vec::new(); allocators.len()];
    for round in 0..effort.rounds {
        for turn in 0..allocators.len() {
            let index = (round + turn) % allocators.len();
            let mut session = workload.session(allocators[index]);
            // All make as many passes as the baseline, but one that is much slower.
            let passes = *passes[index].get_or_insert_with(|| {
                passes_in(&mut *session, effort.turn * MOST_TURNS, all_passes)
            });
            // The warm-up brings in code and memory, of which the pools are new.
            session.run((passes / WARM_UP_SHARE).max(LEAST_WARM_UP));
            let elapsed = session.run(passes);
            samples[index].push(elapsed.as_nanos() as f64 / (passes * workload.operations) as f64);
        }
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
) -> WorkloadResult {
    let reason = |of: &Allocator| Some((of.name.clone(), workload.reason_against(of)?.into()));
    let left_out = allocators.iter().filter_map(reason).collect();
    let allocators: Vec<_> = allocators.iter().filter(|of| workload.is_for(of)).collect();
    let position = |name: &str| {
        let position = allocators.iter().position(|allocator| allocator.name == name);
        position.expect("both are always among them")
    };
    let (harness, baseline) = (position(NULL), position(baseline));
    let samples = samples(workload, &allocators, allocators[baseline], effort);
    let nothing = vec![0.0; samples[harness].len()];
    let measurement = |(allocator, own): (&&Allocator, &Vec<f64>)| {
        let net = median(&ratios(own, &samples[baseline], &samples[harness]));
        let gross = median(&ratios(own, &samples[baseline], &nothing));
        let is_seen = is_seen(&samples[baseline], &samples[harness]);
        let inlined = workload.in_loops && allocator.kind.is_inlined();
        Measurement {
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
        }
    };
    WorkloadResult {
        name: workload.name.clone(),
        group: workload.group,
        operation: workload.operation.into(),
        threads: workload.threads,
        one_thread: workload.one_thread.clone(),
        left_out,
        allocators: allocators.iter().zip(&samples).map(measurement).collect(),
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
    fn a_baseline_that_takes_no_longer_than_the_harness_is_not_seen() {
        assert!(is_seen(&[3.3, 3.4, 3.5], &[3.0, 3.1, 3.2]));
        assert!(!is_seen(&[3.1, 3.2, 3.3], &[3.0, 3.1, 3.2]));
    }

    #[test]
    fn a_round_in_which_the_baseline_was_not_seen_is_left_out() {
        assert_eq!(ratios(&[3.0, 3.0], &[1.0, 5.0], &[1.0, 1.0]), [0.5]);
    }
}
