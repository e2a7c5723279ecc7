// SPDX-License-Identifier: MIT
//! `symbolise`: a report, or a list of leaks, with functions and lines in place of offsets.

use std::collections::HashMap;
use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::memory::{Core, Memory, Process};
use crate::symbols::{Folded, Symbols};

#[derive(Args)]
pub struct Symbolise {
    /// What the program wrote; standard input unless said
    log: Option<PathBuf>,
    /// Where a module of the log is
    #[arg(long, value_name = "NAME=FILE", value_parser = named)]
    module: Vec<(String, PathBuf)>,
    /// A folder to look for modules in, before the others
    #[arg(long, value_name = "FOLDER")]
    path: Vec<PathBuf>,
    /// Take the modules of this process or core
    #[arg(long, value_name = "PID|CORE")]
    of: Option<String>,
    /// Show the library's own frames too
    #[arg(long)]
    own: bool,
}

fn named(text: &str) -> Result<(String, PathBuf)> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            Ok((name.to_owned(), file.into()))
        }
        _ => bail!("not NAME=FILE"),
    }
}

/// A line of a stack as the library writes it: spaces, the name of a module, `+0x`, the offset.
fn frame(line: &str) -> Option<(&str, &str, u64)> {
    let text = line.trim_start();
    let indent = &line[..line.len() - text.len()];
    let (module, offset) = text.rsplit_once("+0x")?;
    if indent.is_empty() || module.is_empty() {
        return None;
    }
    Some((indent, module, u64::from_str_radix(offset.trim_end(), 16).ok()?))
}

/// Where modules are.
struct Modules {
    known: HashMap<String, Option<PathBuf>>,
    folders: Vec<PathBuf>,
}

impl Modules {
    fn find(&mut self, name: &str) -> Option<PathBuf> {
        let folders = &self.folders;
        let look = || folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
        self.known.entry(name.to_owned()).or_insert_with(look).clone()
    }
}

/// Where modules may be, if nobody says: here, and where programs and libraries are.
fn usual_folders() -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from(".")];
    for variable in ["PATH", "LD_LIBRARY_PATH"] {
        if let Some(list) = env::var_os(variable) {
            folders.extend(env::split_paths(&list));
        }
    }
    for folder in ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"] {
        folders.push(folder.into());
        // Those of architectures and drivers.
        let Ok(below) = std::fs::read_dir(folder) else { continue };
        let below = below.flatten().map(|entry| entry.path());
        folders.extend(below.filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            path.is_dir() && (name.contains("-linux-") || name == "dri")
        }));
    }
    folders
}

impl Symbolise {
    pub fn run(self) -> Result<()> {
        let mut modules = Modules { known: HashMap::new(), folders: self.path.clone() };
        modules.folders.extend(usual_folders());
        if let Some(of) = &self.of {
            let memory: Box<dyn Memory> = match of.parse() {
                Ok(pid) => Box::new(Process::open(pid, false)?),
                Err(_) => Box::new(Core::open(Path::new(of))?),
            };
            for file in memory.mappings().iter().filter_map(|mapping| mapping.file.as_deref()) {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                modules.known.insert(name, Some(memory.path_of(file)));
            }
        }
        modules
            .known
            .extend(self.module.iter().map(|(name, file)| (name.clone(), Some(file.clone()))));
        let input: Box<dyn BufRead> = match &self.log {
            Some(path) => {
                let file = File::open(path).with_context(|| format!("{}", path.display()))?;
                Box::new(BufReader::new(file))
            }
            None => Box::new(stdin().lock()),
        };
        let (mut symbols, mut out) = (Symbols::default(), stdout().lock());
        let mut stack = Folded::default();
        let mut indent = String::new();
        for line in input.split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            match frame(&line) {
                Some((spaces, module, offset)) => {
                    indent = spaces.to_owned();
                    let file = modules.find(module);
                    let frames = file.map(|file| symbols.code(&file, offset)).unwrap_or_default();
                    if frames.is_empty() {
                        stack.add_text(format!("{module}+{offset:#x}"));
                    }
                    for mut frame in frames {
                        frame.is_own &= !self.own;
                        stack.add(&frame);
                    }
                }
                None => {
                    for line in std::mem::take(&mut stack).end() {
                        writeln!(out, "{indent}{line}")?;
                    }
                    writeln!(out, "{line}")?;
                }
            }
        }
        for line in stack.end() {
            writeln!(out, "{indent}{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_from_other_lines() {
        assert_eq!(frame("    libc.so.6+0x27304"), Some(("    ", "libc.so.6", 0x27304)));
        assert_eq!(frame("    lib one+x.so+0x10"), Some(("    ", "lib one+x.so", 0x10)));
        for other in ["", "mesa-slab: slab_free: +0x10", "    +0x10", "    a+0xg", "    a+10"] {
            assert_eq!(frame(other), None, "{other}");
        }
    }
}
