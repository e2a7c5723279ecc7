//! How a workload is timed: in rounds, in each of which every allocator has its turn.
//!
//! What slows the machine down for a while then hits all allocators alike, and ratios are taken
//! within a round. The first allocator of a round is another one each time.

use crate::allocators::{Allocator, NULL};
use crate::results::{Measurement, WorkloadResult};
use crate::statistics::{median, spread};
use crate::workloads::Workload;
use std::time::Duration;

/// How long, and how often.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// What one allocator's turn in a round should take, if a single pass is not longer.
    pub turn: Duration,
}

/// The passes of a turn, the same for all allocators: what the baseline does in the time. One that
/// is much slower than the baseline takes longer.
fn passes_of_a_turn(workload: &Workload, baseline: &Allocator, turn: Duration) -> u64 {
    let mut session = workload.session(baseline);
    session.run(1);
    let mut passes = 1;
    loop {
        let elapsed = session.run(passes);
        if elapsed * 4 >= turn {
            return ((passes as f64 * turn.as_secs_f64() / elapsed.as_secs_f64()) as u64).max(1);
        }
        passes *= 2;
    }
}

/// Nanoseconds for each operation, by allocator and round.
fn samples(
    workload: &Workload,
    allocators: &[&Allocator],
    baseline: &Allocator,
    effort: Effort,
) -> Vec<Vec<f64>> {
    let passes = passes_of_a_turn(workload, baseline, effort.turn);
    let mut samples = vec![Vec::new(); allocators.len()];
    for round in 0..effort.rounds {
        for turn in 0..allocators.len() {
            let index = (round + turn) % allocators.len();
            let mut session = workload.session(allocators[index]);
            // The warm-up brings in code and memory, of which the pools are new.
            session.run(passes.div_ceil(10));
            let elapsed = session.run(passes);
            samples[index].push(elapsed.as_nanos() as f64 / (passes * workload.operations) as f64);
        }
    }
    samples
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
    let allocators: Vec<_> = allocators.iter().filter(|of| workload.is_for(of)).collect();
    let position = |name: &str| {
        let position = allocators.iter().position(|allocator| allocator.name == name);
        position.expect("both are always among them")
    };
    let (harness, baseline) = (position(NULL), position(baseline));
    let samples = samples(workload, &allocators, allocators[baseline], effort);
    let nothing = vec![0.0; samples[harness].len()];
    let measurement = |(allocator, own): (&&Allocator, &Vec<f64>)| {
        let ratio = median(&ratios(own, &samples[baseline], &samples[harness]));
        Measurement {
            allocator: allocator.name.clone(),
            nanoseconds: median(own),
            spread: spread(own),
            ratio: (allocator.name != NULL && ratio.is_finite()).then_some(ratio),
            gross: median(&ratios(own, &samples[baseline], &nothing)),
            samples: own.clone(),
        }
    };
    WorkloadResult {
        name: workload.name.clone(),
        group: workload.group,
        operation: workload.operation.into(),
        threads: workload.threads,
        one_thread: workload.one_thread.clone(),
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
    fn a_round_in_which_the_baseline_was_not_seen_is_left_out() {
        assert_eq!(ratios(&[3.0, 3.0], &[1.0, 5.0], &[1.0, 1.0]), [0.5]);
    }
}
