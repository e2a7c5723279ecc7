//! Single calls in a histogram, without the time in which the thread was not on its core.
//!
//! A call that takes long is either slow or was interrupted: another program had the core
//! meanwhile. The thread's own clock (`CLOCK_THREAD_CPUTIME_ID`) tells them apart, but reading it
//! is a system call, which takes longer than most calls that are timed. So it is read only after
//! those that took long, and held against what it was at an *anchor*: a reading of both clocks
//! shortly before. What passed since, and was not the thread's, is subtracted from the call. An
//! anchor is cast anew when something took long between two calls, so that a call is not relieved
//! of what was not its own, and after a millisecond, so that the two clocks do not drift apart.
//!
//! Interrupts of the system's own, and of a hypervisor that does not say what it takes, are not
//! seen by that clock. They come at other calls each time: of several runs the median is shown, and
//! what null has is the machine's.

use super::ticks::{Ticks, of_thread};
use hdrhistogram::Histogram;

/// Nanoseconds. A call that took longer than this is looked into: to leave a core and to come back
/// takes longer.
const LONG: f64 = 1_000.0;
/// Of two clocks, a difference below this is their own.
const LEAST_LOST: f64 = 500.0;
/// An anchor is not older than this.
const STALE: f64 = 1_000_000.0;
/// Digits that the histogram tells apart.
const DIGITS: u8 = 3;

/// Readings of both clocks at the same time: ticks, and the thread's nanoseconds.
struct Anchor {
    ticks: u64,
    thread: u64,
}

pub struct Recorder<'a> {
    ticks: &'a Ticks,
    long: u64,
    stale: u64,
    anchor: Anchor,
    last: u64,
    /// Nanoseconds.
    histogram: Histogram<u64>,
    /// Calls during which the thread lost its core.
    pub interrupted: u64,
}

/// The nanoseconds of a call that are its own, of those that passed since an anchor, and of which
/// the thread used some; None if it used all of them.
fn own(took: f64, passed: f64, used: f64) -> Option<f64> {
    let lost = passed - used;
    (lost > LEAST_LOST).then(|| (took - lost).max(0.0))
}

impl<'a> Recorder<'a> {
    pub fn new(ticks: &'a Ticks) -> Self {
        Self {
            ticks,
            long: ticks.of(LONG),
            stale: ticks.of(STALE),
            // The first call casts one.
            anchor: Anchor { ticks: 0, thread: 0 },
            last: 0,
            histogram: Histogram::new(DIGITS).expect("these are digits that it has"),
            interrupted: 0,
        }
    }

    #[cold]
    fn cast(&mut self) {
        let thread = of_thread();
        self.anchor = Anchor { ticks: self.ticks.read(), thread };
        self.last = self.anchor.ticks;
    }

    #[cold]
    fn look_into(&mut self, took: f64) -> f64 {
        let before = Anchor { ..self.anchor };
        self.cast();
        let passed = self.ticks.nanoseconds(self.anchor.ticks - before.ticks);
        let used = (self.anchor.thread - before.thread) as f64;
        own(took, passed, used).map_or(took, |own| {
            self.interrupted += 1;
            own
        })
    }

    /// Makes the call.
    #[inline(always)]
    pub fn time<R>(&mut self, call: impl FnOnce() -> R) -> R {
        let mut start = self.ticks.read();
        if start - self.last > self.long || start - self.anchor.ticks > self.stale {
            self.cast();
            start = self.ticks.read();
        }
        let result = call();
        let end = self.ticks.read();
        self.last = end;
        let took = (end - start).saturating_sub(self.ticks.cost);
        let mut nanoseconds = self.ticks.nanoseconds(took);
        if took > self.long {
            nanoseconds = self.look_into(nanoseconds);
        }
        // A histogram that resizes itself takes every time.
        self.histogram.record(nanoseconds.round() as u64).expect("it resizes");
        result
    }

    pub fn calls(&self) -> u64 {
        self.histogram.len()
    }

    /// What a part of the calls takes at most.
    pub fn quantile(&self, part: f64) -> f64 {
        self.histogram.value_at_quantile(part) as f64
    }

    pub fn max(&self) -> f64 {
        self.histogram.max() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_was_lost_since_the_anchor_is_not_the_call_s() {
        assert_eq!(own(5_000.0, 20_000.0, 20_000.0), None);
        assert_eq!(own(5_000.0, 20_000.0, 19_700.0), None);
        assert_eq!(own(5_000.0, 20_000.0, 16_000.0), Some(1_000.0));
        assert_eq!(own(5_000.0, 20_000.0, 1_000.0), Some(0.0));
        // Clocks that are read one after the other may be apart to the other side, too.
        assert_eq!(own(5_000.0, 20_000.0, 20_100.0), None);
    }

    /// Nanoseconds of the thread's own clock; however often it is interrupted meanwhile.
    fn work(nanoseconds: u64) {
        let start = of_thread();
        while of_thread() - start < nanoseconds {}
    }

    #[test]
    fn a_slow_call_is_told_from_one_that_was_interrupted() {
        const SLOW: u64 = 5_000_000;
        let ticks = Ticks::new();
        let mut slow = Recorder::new(&ticks);
        slow.time(|| work(SLOW));
        assert!(slow.max() >= SLOW as f64 * 0.9, "{}", slow.max());

        let mut interrupted = Recorder::new(&ticks);
        interrupted.time(|| std::thread::sleep(Duration::from_millis(50)));
        assert_eq!((interrupted.calls(), interrupted.interrupted), (1, 1));
        assert!(interrupted.max() < 25e6, "{}", interrupted.max());
    }

    #[test]
    fn what_comes_between_two_calls_is_neither_s() {
        let ticks = Ticks::new();
        let mut recorder = Recorder::new(&ticks);
        recorder.time(|| work(10_000));
        std::thread::sleep(Duration::from_millis(20));
        recorder.time(|| work(5_000_000));
        assert!(recorder.max() >= 4_500_000.0, "{}", recorder.max());
    }
}
