//! A clock that is read twice for each call: the processor's counter where it has one that runs
//! evenly, else the system's.

use std::time::Duration;

/// What a reading is, and what it costs.
pub struct Ticks {
    counter: bool,
    nanoseconds: f64,
    /// Of two readings with nothing between them, in ticks: what is subtracted from each time.
    pub cost: u64,
    /// By how much times differ at least.
    pub step: u64,
}

/// The readings of which `cost` is the median.
const READINGS: usize = 10_001;
/// For how long the counter is held against the system's clock.
const CALIBRATION: Duration = Duration::from_millis(50);
const TRIES: usize = 100;

fn system(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the argument is a timespec to write to.
    let status = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(status, 0, "every Linux has this clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds that the thread has used of its core.
pub fn of_thread() -> u64 {
    system(libc::CLOCK_THREAD_CPUTIME_ID)
}

#[cfg(target_arch = "x86_64")]
mod counter {
    use std::arch::x86_64::{__cpuid, _mm_lfence, _rdtsc};

    /// Whether it runs at one rate, whatever the processor does.
    pub fn is_even() -> bool {
        const POWER: u32 = 0x8000_0007;
        const INVARIANT: u32 = 1 << 8;
        __cpuid(0x8000_0000).eax >= POWER && __cpuid(POWER).edx & INVARIANT != 0
    }

    /// All that comes before it is done by then, and nothing that comes after has begun.
    #[inline(always)]
    pub fn read() -> u64 {
        // SAFETY: every x86-64 processor has these instructions.
        unsafe {
            _mm_lfence();
            let ticks = _rdtsc();
            _mm_lfence();
            ticks
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod counter {
    pub fn is_even() -> bool {
        false
    }

    pub fn read() -> u64 {
        unreachable!("it is not even")
    }
}

/// The counter and the system's clock at the same time: of several tries the one that was least
/// disturbed.
fn both() -> (u64, u64) {
    let once = || {
        let (before, ticks) = (system(libc::CLOCK_MONOTONIC), counter::read());
        let after = system(libc::CLOCK_MONOTONIC);
        (after - before, ticks, before + (after - before) / 2)
    };
    let (_, ticks, nanoseconds) = (0..TRIES).map(|_| once()).min().expect("there are tries");
    (ticks, nanoseconds)
}

impl Ticks {
    pub fn new() -> Self {
        let counter = counter::is_even();
        let mut ticks = Self { counter, nanoseconds: 1.0, cost: 0, step: 1 };
        if counter {
            let start = both();
            std::thread::sleep(CALIBRATION);
            let end = both();
            ticks.nanoseconds = (end.1 - start.1) as f64 / (end.0 - start.0) as f64;
        }
        let mut readings: Vec<u64> = (0..READINGS)
            .map(|_| {
                let start = ticks.read();
                ticks.read() - start
            })
            .collect();
        readings.sort_unstable();
        ticks.cost = readings[READINGS / 2];
        let steps = readings.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step > 0);
        ticks.step = steps.min().unwrap_or(1);
        ticks
    }

    #[inline(always)]
    pub fn read(&self) -> u64 {
        if self.counter { counter::read() } else { system(libc::CLOCK_MONOTONIC) }
    }

    pub fn nanoseconds(&self, ticks: u64) -> f64 {
        ticks as f64 * self.nanoseconds
    }

    /// The ticks of so many nanoseconds.
    pub fn of(&self, nanoseconds: f64) -> u64 {
        (nanoseconds / self.nanoseconds) as u64
    }

    pub fn name(&self) -> &'static str {
        if self.counter { "rdtsc" } else { "clock_gettime" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_as_long_as_the_system_s_clock_says() {
        let ticks = Ticks::new();
        // The system's readings are the outer pair once, and the inner one once.
        let (outer, start) = (system(libc::CLOCK_MONOTONIC), ticks.read());
        let inner = system(libc::CLOCK_MONOTONIC);
        std::thread::sleep(Duration::from_millis(20));
        let (inner_end, end) = (system(libc::CLOCK_MONOTONIC), ticks.read());
        let outer_end = system(libc::CLOCK_MONOTONIC);
        let measured = ticks.nanoseconds(end - start);
        let (least, most) = ((inner_end - inner) as f64, (outer_end - outer) as f64);
        assert!(least * 0.999 <= measured && measured <= most * 1.001, "{least} {measured} {most}");
        assert!(ticks.of(ticks.nanoseconds(1_000_000)).abs_diff(1_000_000) <= 1);
    }
}
