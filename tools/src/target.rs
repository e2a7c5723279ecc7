// SPDX-License-Identifier: MIT
//! What a command looks at: a process by its number, or a core file by its name.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use crate::locate::{self, Copy};
use crate::memory::{Core, Memory, Process, Stopped};

#[derive(Args, Clone)]
pub struct Target {
    /// A process by its number, or a core file
    #[arg(value_name = "PID|CORE")]
    target: String,
    /// Stop the process while it is read, as a debugger does
    #[arg(long)]
    stop: bool,
    /// Only the copy of the library in this object, by a part of its name
    #[arg(long, value_name = "NAME")]
    object: Option<String>,
}

/// What was opened.
pub struct Opened {
    pub memory: Box<dyn Memory>,
    pub copies: Vec<Copy>,
    /// What is to be said of all of it.
    pub remarks: Vec<String>,
    _stopped: Option<Stopped>,
}

impl Target {
    pub fn open(&self) -> Result<Opened> {
        let (memory, stopped): (Box<dyn Memory>, _) = match self.target.parse::<i32>() {
            Ok(pid) => {
                let stopped = if self.stop { Some(Stopped::stop(pid)?) } else { None };
                let process = Process::open(pid, self.stop)?;
                process.check()?;
                (Box::new(process), stopped)
            }
            Err(_) => (Box::new(Core::open(&PathBuf::from(&self.target))?), None),
        };
        let (mut copies, found) = locate::copies(&*memory);
        let mut remarks = memory.remarks();
        remarks.extend(found);
        if copies.is_empty() {
            let what = if self.target.parse::<i32>().is_ok() { "process" } else { "core" };
            let why = if remarks.is_empty() {
                String::new()
            } else {
                format!(" ({})", remarks.join("; "))
            };
            bail!("{what} {} has no mesa-slab{why}", self.target);
        }
        if let Some(part) = &self.object {
            copies.retain(|copy| object_name(copy).contains(part.as_str()));
            if copies.is_empty() {
                bail!("no object with {part} in its name has mesa-slab");
            }
        }
        Ok(Opened { memory, copies, remarks, _stopped: stopped })
    }

    /// All of a process or of a core.
    pub fn named(target: &str) -> Target {
        Target { target: target.to_owned(), stop: false, object: None }
    }
}

/// The object that carries a copy, as text.
pub fn object_name(copy: &Copy) -> String {
    copy.object.as_ref().map_or_else(|| "?".into(), |path| path.display().to_string())
}
