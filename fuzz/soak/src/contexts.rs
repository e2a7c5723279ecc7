//! Contexts that come and go on a few pools, in many threads.
//!
//! The threads are in [`crate::worker`], what the first one does meanwhile in [`crate::watch`].

use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use crate::Arguments;
use crate::memory::Minute;
use crate::share::{Share, problems};
use crate::watch::Watch;
use crate::worker;

/// Runs it, prints what it shows, and returns how many problems there were.
pub fn run(arguments: &Arguments) -> u64 {
    let share = Share::new(arguments.threads);
    let mut watch = Watch::new(&share, arguments.seed);
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(60.0 * arguments.minutes);
    let mut minutes: Vec<Minute> = Vec::new();

    println!("minute   operations       NULLs  resident KiB      held KiB    problems");
    thread::scope(|scope| {
        let workers = Vec::from_iter((0..arguments.threads).map(|index| {
            let (share, seed) = (&share, arguments.seed);
            scope.spawn(move || worker::run(share, index, seed))
        }));
        while Instant::now() < end {
            let minute_end = end.min(start + Duration::from_secs(60 * (minutes.len() as u64 + 1)));
            let mut minute = Minute::default();
            while Instant::now() < minute_end {
                watch.disturb();
                minute.add(watch.sample());
            }
            println!(
                "{:6} {:12} {:11} {:13} {:13} {:11}",
                minutes.len() + 1,
                share.operations.load(Relaxed),
                share.nulls.load(Relaxed),
                minute.resident(),
                minute.held(),
                problems(),
            );
            minutes.push(minute);
        }
        share.stop.store(true, Relaxed);
        model::system::recover();
        // The end of the scope does not wait for a thread to unmap its signal stack, which counts
        // as held.
        for worker in workers {
            worker.join().expect("a worker does not panic");
        }
    });

    let peak = watch.peak;
    watch.check_growth(&minutes);
    let left = share.take_down();
    println!("operations: {}", share.operations.load(Relaxed));
    println!("NULLs while memory was made to run out: {}", share.nulls.load(Relaxed));
    println!("pools created: {}", share.pools_created.load(Relaxed));
    println!("forks: {}; structures checked: {} times", watch.forks, watch.validations);
    println!("peak: {} KiB held, {} KiB resident", peak.held >> 10, peak.resident >> 10);
    if let (Some(second), Some(last)) = (minutes.get(1), minutes.last()) {
        println!(
            "minute 2: {} KiB held, {} KiB resident; minute {}: {} KiB held, {} KiB resident",
            second.held(),
            second.resident(),
            minutes.len(),
            last.held(),
            last.resident(),
        );
    }
    println!("left in the end: {left} bytes");
    problems()
}
