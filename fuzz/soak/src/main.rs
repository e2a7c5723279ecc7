//! Everything at once, from many threads, for as long as is asked.
//!
//! | what | it has |
//! |---|---|
//! | [`contexts`] | contexts that come and go, objects freed by other threads than allocated them, pools destroyed with objects out, memory that runs out for a while, trims, a clock that jumps, forks, statistics |
//! | [`sleepers`] | forty pools of which most are asleep, and which end in every way that a program may leave them |
//!
//! Prints a line each minute and a summary, and ends with status 1 if there was a problem: a report
//! of the library, changed contents, NULL without a failed request, a broken structure, something
//! left in the end, or memory that grew from the second minute to the last.

mod contexts;
mod memory;
mod share;
mod sleepers;
mod watch;
mod worker;

use std::process::ExitCode;

use clap::Parser;

/// What the program is told.
#[derive(Parser)]
#[command(about = "Runs many threads on the library and watches what it holds")]
pub struct Arguments {
    /// How long to run.
    #[arg(long, default_value_t = 15.0)]
    minutes: f64,
    /// How many threads.
    #[arg(long, default_value_t = 8)]
    threads: usize,
    /// What the random numbers start from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Pools that fall asleep, in place of contexts.
    #[arg(long)]
    sleepers: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let problems =
        if arguments.sleepers { sleepers::run(&arguments) } else { contexts::run(&arguments) };
    println!("problems: {problems}");
    if problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
