//! This program again, for some of the allocators: most often for one alone.

use anyhow::{Context, Result, ensure};
use std::ffi::OsString;
use std::process::{Child, Command, Stdio};

pub struct OwnProcess {
    /// The flags that say what there is to be measured.
    pub flags: Vec<OsString>,
}

impl OwnProcess {
    /// Starts it, below another program if one is given with its arguments.
    pub fn start(
        &self,
        allocators: &[&str],
        flags: &[&str],
        below: Option<&[String]>,
    ) -> Result<Child> {
        let program = std::env::current_exe()?;
        let mut command = match below {
            None => Command::new(program),
            Some(below) => {
                let mut command = Command::new(&below[0]);
                command.args(&below[1..]).arg(program);
                command
            }
        };
        command.args(&self.flags).args(flags);
        for name in allocators {
            command.args(["--allocator", name]);
        }
        let what = below.map_or("this program", |below| &below[0]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {what}"))
    }

    /// What it printed.
    pub fn finish(&self, process: Child) -> Result<String> {
        let output = process.wait_with_output()?;
        ensure!(
            output.status.success(),
            "a process of the program itself failed: {}",
            output.status
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    pub fn run(
        &self,
        allocators: &[&str],
        flags: &[&str],
        below: Option<&[String]>,
    ) -> Result<String> {
        self.finish(self.start(allocators, flags, below)?)
    }
}
