//! This program again, for some of the allocators: most often for one alone.
//!
//! That such a process ends before it has said what it measured is the allocator's failure, not the
//! run's.

use crate::refusal::attempt;
use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
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

    /// What it printed, and how it has ended, if not well.
    pub fn finish(&self, process: Child) -> Result<(String, Outcome<()>)> {
        let output = process.wait_with_output()?;
        let end = if output.status.success() {
            Ok(())
        } else {
            Err(format!("its process has ended with {}", output.status))
        };
        Ok((String::from_utf8(output.stdout)?, end))
    }

    /// What it has said.
    pub fn hear<T: DeserializeOwned>(&self, process: Child) -> Result<Outcome<T>> {
        let (printed, end) = self.finish(process)?;
        heard(&printed, end)
    }
}

/// What was measured, or why an allocator cannot do it.
pub type Outcome<T> = std::result::Result<T, String>;

/// In a process for one allocator: measures, and prints what came out.
pub fn say<T: Serialize>(measure: impl FnOnce() -> Result<T>) -> Result<()> {
    let said: Outcome<T> = match attempt(measure) {
        Ok(measured) => Ok(measured?),
        Err(why) => Err(why),
    };
    println!("{}", serde_json::to_string(&said)?);
    Ok(())
}

fn heard<T: DeserializeOwned>(printed: &str, end: Outcome<()>) -> Result<Outcome<T>> {
    match end {
        Ok(()) => serde_json::from_str(printed).with_context(|| format!("it printed {printed}")),
        Err(how) => Ok(Err(how)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_cannot_do_is_told_from_what_it_should_not_print() {
        assert_eq!(heard(r#"{"Ok":7}"#, Ok(())).unwrap(), Ok(7));
        let refused: Outcome<i32> = heard(r#"{"Err":"out of memory"}"#, Ok(())).unwrap();
        assert_eq!(refused, Err("out of memory".into()));
        let ended: Outcome<i32> = heard("{\"O", Err("signal: 6".into())).unwrap();
        assert_eq!(ended, Err("signal: 6".into()));
        assert!(heard::<i32>("seven", Ok(())).is_err());
    }
}
