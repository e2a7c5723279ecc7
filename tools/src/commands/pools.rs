// SPDX-License-Identifier: MIT
//! `pools`: the numbers of all pools.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde::Serialize;

use crate::image::Reader;
use crate::numbers::{self, CopyNumbers};
use crate::print;
use crate::target::{Opened, Target, object_name};

#[derive(Args)]
pub struct Pools {
    #[command(flatten)]
    target: Target,
    /// JSON in place of a table
    #[arg(long)]
    json: bool,
    /// Print again every so many seconds, 1 unless said
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1")]
    watch: Option<f64>,
    /// With --watch: so many times
    #[arg(long, value_name = "TIMES", requires = "watch")]
    count: Option<u64>,
}

/// All copies of a process.
#[derive(Serialize)]
pub struct Report {
    pub version: u32,
    pub process: Option<i32>,
    pub name: String,
    pub copies: Vec<CopyNumbers>,
    pub warnings: Vec<String>,
}

/// Reads all copies.
pub fn report(opened: &Opened) -> Result<Report> {
    let mut warnings = opened.remarks.clone();
    let mut copies = Vec::new();
    for copy in &opened.copies {
        let object = object_name(copy);
        let reader = match Reader::new(&*opened.memory, &copy.root) {
            Ok(reader) => reader,
            Err(fault) => {
                warnings.push(format!("{object}: {fault}"));
                continue;
            }
        };
        match numbers::count(&reader, &object) {
            Ok((numbers, _)) => copies.push(numbers),
            Err(_) => warnings.push(format!("{object}: its heap cannot be read")),
        }
    }
    Ok(Report {
        version: 1,
        process: opened.memory.pid(),
        name: opened.memory.name(),
        copies,
        warnings,
    })
}

impl Pools {
    pub fn run(self) -> Result<()> {
        let opened = self.target.open()?;
        let seconds = self.watch.map(Duration::try_from_secs_f64);
        let seconds = seconds.transpose().context("--watch: no time that can be waited")?;
        let mut left = if seconds.is_some() { self.count.unwrap_or(u64::MAX) } else { 1 };
        let mut opened = opened;
        while left != 0 {
            let report = report(&opened)?;
            if report.copies.is_empty() {
                return Err(anyhow!("{}", report.warnings.join("; ")));
            }
            if self.json {
                println!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                show(&report);
            }
            left -= 1;
            if let Some(seconds) = seconds.filter(|_| left != 0) {
                std::thread::sleep(seconds);
                println!();
                // Objects come and go, and so does the process.
                opened = self.target.open()?;
            }
        }
        Ok(())
    }
}

fn show(report: &Report) {
    for copy in &report.copies {
        let number = report.process.map(|pid| format!(" {pid}")).unwrap_or_default();
        println!("# process{number} {}: {}", report.name, copy.object);
        print!("{}", print::table(copy));
        copy.warnings.iter().for_each(|warning| println!("# warning: {warning}"));
    }
    report.warnings.iter().for_each(|warning| println!("# warning: {warning}"));
}
