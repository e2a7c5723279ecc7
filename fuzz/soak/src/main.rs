//! Everything at once, from many threads, for as long as is asked: contexts that come and go,
//! objects freed by other threads than allocated them, pools destroyed with objects out, memory
//! that runs out for a while, trims, a clock that jumps, forks, statistics, and a check of every
//! structure now and then.
//!
//! Prints a line each minute and a summary, and ends with status 1 if there was a problem: a report
//! of the library, changed contents, NULL without a failed request, a broken structure, something
//! left in the end, or memory that grew from the second minute to the last.

mod share;
mod watch;
mod worker;

use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use share::Share;
use watch::{Minute, Watch};

#[derive(Parser)]
#[command(about = "Runs many threads on the library and watches what it holds")]
struct Arguments {
    /// How long to run.
    #[arg(long, default_value_t = 15.0)]
    minutes: f64,
    /// How many threads.
    #[arg(long, default_value_t = 8)]
    threads: usize,
    /// What the random numbers start from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
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
                share.problems(),
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
    println!("problems: {}", share.problems());
    if share.problems() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
