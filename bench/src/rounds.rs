//! How a workload is timed: in rounds, in each of which every allocator has its turn.
//!
//! What slows the machine down for a while then hits all allocators alike, and ratios are taken
//! within a round. The first allocator of a round is another one each time.

use crate::allocators::{Allocator, BASELINE, NULL};
use crate::clock::Clock;
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

fn time(clock: Clock, session: &mut dyn Session, passes: u64) -> Duration {
    clock.time(|| (0..passes).for_each(|_| session.pass()))
}

/// The passes of a turn, the same for all allocators: what the baseline does in the time. One that
/// is much slower than the baseline takes longer.
fn passes_of_a_turn(workload: &Workload, baseline: &Allocator, turn: Duration) -> u64 {
    let mut session = workload.session(&baseline.api);
    session.pass();
    let mut passes = 1;
    loop {
        let elapsed = time(workload.clock, &mut *session, passes);
        if elapsed * 4 >= turn {
            return ((passes as f64 * turn.as_secs_f64() / elapsed.as_secs_f64()) as u64).max(1);
        }
        passes *= 2;
    }
}

/// Nanoseconds for each operation, by allocator and round.
fn samples(workload: &Workload, allocators: &[Allocator], effort: Effort) -> Vec<Vec<f64>> {
    let baseline = allocators.iter().find(|allocator| allocator.name == BASELINE);
    let passes =
        passes_of_a_turn(workload, baseline.expect("it is always among them"), effort.turn);
    let mut samples = vec![Vec::new(); allocators.len()];
    for round in 0..effort.rounds {
        for turn in 0..allocators.len() {
            let index = (round + turn) % allocators.len();
            let mut session = workload.session(&allocators[index].api);
            // The warm-up brings in code and memory, of which the pools are new.
            time(workload.clock, &mut *session, passes.div_ceil(10));
            let elapsed = time(workload.clock, &mut *session, passes);
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

pub fn measure(workload: &Workload, allocators: &[Allocator], effort: Effort) -> WorkloadResult {
    let samples = samples(workload, allocators, effort);
    let of = |name: &str| {
        let index = allocators.iter().position(|allocator| allocator.name == name);
        &samples[index.expect("both are always among them")]
    };
    let (harness, baseline) = (of(NULL), of(BASELINE));
    let allocators = allocators
        .iter()
        .zip(&samples)
        .map(|(allocator, own)| {
            let ratio = median(&ratios(own, baseline, harness));
            Measurement {
                allocator: allocator.name.clone(),
                nanoseconds: median(own),
                spread: spread(own),
                ratio: (allocator.name != NULL && ratio.is_finite()).then_some(ratio),
                samples: own.clone(),
            }
        })
        .collect();
    WorkloadResult { name: workload.name.clone(), operation: workload.operation.into(), allocators }
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
