// SPDX-License-Identifier: MIT
//! `record`: samples of all pools over time, as CSV.

use std::fs::File;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use super::pools::{Report, report};
use crate::target::Target;

#[derive(Args)]
pub struct Record {
    #[command(flatten)]
    target: Target,
    /// Seconds between two samples
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    interval: f64,
    /// So many samples; until the process ends unless said
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
    /// Where to; standard output unless said
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A line: a pool, or with the name (heap) all that a copy of the library holds.
#[derive(Serialize)]
struct Line<'a> {
    seconds: String,
    object: &'a str,
    pool: &'a str,
    address: &'a str,
    item_size: u64,
    num_items: u64,
    objects_out: u64,
    objects_in_depot: u64,
    objects_guarded: u64,
    slabs: u64,
    bytes: u64,
    children: u64,
    exchanges: u64,
    foreign_frees: u64,
    unsure: u8,
}

fn write_sample(
    out: &mut csv::Writer<Box<dyn Write>>,
    seconds: f64,
    report: &Report,
) -> Result<()> {
    let seconds = format!("{seconds:.3}");
    for copy in &report.copies {
        for pool in &copy.pools {
            out.serialize(Line {
                seconds: seconds.clone(),
                object: &copy.object,
                pool: if pool.address.is_some() { &pool.name } else { "(limbo)" },
                address: pool.address.as_deref().unwrap_or(""),
                item_size: pool.item_size,
                num_items: pool.num_items,
                objects_out: pool.objects_out,
                objects_in_depot: pool.objects_in_depot,
                objects_guarded: pool.objects_guarded,
                slabs: pool.slabs_full + pool.slabs_partial + pool.slabs_empty,
                bytes: pool.bytes,
                children: pool.children,
                exchanges: pool.exchanges,
                foreign_frees: pool.foreign_frees,
                unsure: (!pool.unsure.is_empty()).into(),
            })?;
        }
        out.serialize(Line {
            seconds: seconds.clone(),
            object: &copy.object,
            pool: "(heap)",
            address: &copy.root,
            item_size: 0,
            num_items: 0,
            objects_out: copy.pools.iter().map(|pool| pool.objects_out).sum(),
            objects_in_depot: copy.pools.iter().map(|pool| pool.objects_in_depot).sum(),
            objects_guarded: copy.pools.iter().map(|pool| pool.objects_guarded).sum(),
            slabs: 0,
            bytes: copy.heap.held,
            children: 0,
            exchanges: 0,
            foreign_frees: 0,
            unsure: copy.heap.unsure.into(),
        })?;
    }
    out.flush()?;
    Ok(())
}

impl Record {
    pub fn run(self) -> Result<()> {
        let interval = Duration::try_from_secs_f64(self.interval)
            .context("--interval: no time that can be waited")?;
        let out: Box<dyn Write> = match &self.output {
            Some(path) => {
                Box::new(File::create(path).with_context(|| format!("{}", path.display()))?)
            }
            None => Box::new(stdout()),
        };
        let mut out = csv::Writer::from_writer(out);
        let start = Instant::now();
        let mut opened = self.target.open()?;
        let mut due = start;
        for sample in 0..self.count.unwrap_or(u64::MAX) {
            if sample != 0 {
                due += interval;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                opened = match self.target.open() {
                    Ok(opened) => opened,
                    // The process has ended, which ends the recording.
                    Err(_) if self.count.is_none() => return Ok(()),
                    Err(error) => return Err(error),
                };
            }
            let seconds = start.elapsed().as_secs_f64();
            write_sample(&mut out, seconds, &report(&opened)?)?;
        }
        Ok(())
    }
}
