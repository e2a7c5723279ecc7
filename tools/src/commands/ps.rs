// SPDX-License-Identifier: MIT
//! `ps`: processes that have the library.

use anyhow::Result;
use clap::Args;

use crate::locate;
use crate::memory::{Memory, Process};
use crate::target::object_name;

#[derive(Args)]
pub struct Ps {
    /// JSON in place of a table
    #[arg(long)]
    json: bool,
}

impl Ps {
    pub fn run(self) -> Result<()> {
        let mut rows = Vec::new();
        let mut refused = 0;
        for process in procfs::process::all_processes()?.flatten() {
            let pid = process.pid();
            if pid == std::process::id() as i32 {
                continue;
            }
            let Ok(memory) = Process::open(pid, false) else {
                // One that has ended meanwhile, a thread of the kernel's, or another user's.
                refused += usize::from(
                    process.exe().is_err() && process.cmdline().is_ok_and(|line| !line.is_empty()),
                );
                continue;
            };
            if memory.check().is_err() {
                refused += 1;
                continue;
            }
            for copy in locate::copies(&memory).0 {
                rows.push((pid, memory.name(), object_name(&copy), copy.root.address));
            }
        }
        rows.sort();
        if self.json {
            let rows: Vec<_> = rows
                .iter()
                .map(|(pid, name, object, root)| {
                    serde_json::json!({"pid": pid, "name": name, "object": object, "root": format!("{root:#x}")})
                })
                .collect();
            println!("{}", serde_json::to_string_pretty(&rows)?);
            return Ok(());
        }
        println!("{:>8} {:<16} OBJECT", "PID", "NAME");
        for (pid, name, object, _) in rows {
            println!("{pid:>8} {name:<16} {object}");
        }
        if refused != 0 {
            let processes = if refused == 1 { "process" } else { "processes" };
            eprintln!("slabtool: {refused} {processes} may not be looked at");
        }
        Ok(())
    }
}
