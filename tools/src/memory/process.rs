// SPDX-License-Identifier: MIT
//! The memory of a process that runs. It is read by process_vm_readv(2), which neither stops the
//! process nor writes to it. Who wants it to stand still meanwhile asks for [`Stopped`].

use std::collections::HashSet;
use std::fs;
use std::io::IoSliceMut;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow, bail};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{SysconfVar, sysconf};
use procfs::ProcError;
use procfs::process::{MMPermissions, MMapPath};

use super::{Mapping, Memory, Unreadable};

/// By which rule Yama lets debuggers attach.
const SCOPE: &str = "/proc/sys/kernel/yama/ptrace_scope";

pub struct Process {
    pid: nix::unistd::Pid,
    name: String,
    mappings: Vec<Mapping>,
    page_size: u64,
    is_stopped: bool,
}

impl Process {
    /// Looks at what a process has mapped now, which may be stopped.
    pub fn open(pid: i32, is_stopped: bool) -> Result<Process> {
        let process = procfs::process::Process::new(pid).map_err(|error| refused(pid, error))?;
        let name = process.stat().map_err(|error| refused(pid, error))?.comm;
        let maps = process.maps().map_err(|error| refused(pid, error))?;
        let mut mappings = Vec::new();
        // What cannot be read now may be later, as pages of guarded objects.
        for map in maps {
            let (file, is_replaced) = match &map.pathname {
                MMapPath::Path(path) => {
                    let is_replaced = is_replaced(pid, path, map.inode);
                    (Some(path.clone()), is_replaced)
                }
                _ => (None, false),
            };
            mappings.push(Mapping {
                start: map.address.0,
                end: map.address.1,
                writable: map.perms.contains(MMPermissions::WRITE),
                executable: map.perms.contains(MMPermissions::EXECUTE),
                file,
                offset: map.offset,
                is_replaced,
            });
        }
        if mappings.is_empty() {
            bail!("process {pid} has no memory: it has ended, or is the kernel's");
        }
        let page_size = sysconf(SysconfVar::PAGE_SIZE)?.unwrap_or(4096) as u64;
        Ok(Process { pid: nix::unistd::Pid::from_raw(pid), name, mappings, page_size, is_stopped })
    }

    /// Says why nothing can be read, if nothing can.
    pub fn check(&self) -> Result<()> {
        let mapping = self.mappings.iter().find(|mapping| mapping.file.is_some());
        let Some(mapping) = mapping else { return Ok(()) };
        let mut byte = [0];
        match self.read_some(mapping.start, &mut byte) {
            Err(Errno::EPERM) => Err(keeps_out(self.pid.as_raw())),
            Err(Errno::ESRCH) => bail!("process {} has ended", self.pid),
            _ => Ok(()),
        }
    }

    fn read_some(&self, address: u64, bytes: &mut [u8]) -> nix::Result<usize> {
        let remote = RemoteIoVec { base: address as usize, len: bytes.len() };
        process_vm_readv(self.pid, &mut [IoSliceMut::new(bytes)], &[remote])
    }
}

/// What procfs says of a process, in words.
fn refused(pid: i32, error: ProcError) -> Error {
    match error {
        ProcError::NotFound(_) => anyhow!("there is no process {pid}"),
        ProcError::PermissionDenied(_) => keeps_out(pid),
        error => Error::new(error).context(format!("process {pid} cannot be looked at")),
    }
}

/// That a process may not be looked at, and by which of the system's rules.
fn keeps_out(pid: i32) -> Error {
    let owner = fs::metadata(format!("/proc/{pid}")).ok().map(|process| process.uid());
    let scope = fs::read_to_string(SCOPE).ok().and_then(|text| text.trim().parse().ok());
    anyhow!(
        "process {pid} may not be looked at: {}",
        rule(owner, nix::unistd::geteuid().as_raw(), scope.unwrap_or(0))
    )
}

fn rule(owner: Option<u32>, user: u32, scope: u32) -> String {
    match (owner, scope) {
        (Some(owner), _) if owner != user && user != 0 => {
            format!("it is of user {owner}, and this is user {user}")
        }
        (_, 0) => "it has rights that this user lacks, or forbids it".into(),
        (_, 1 | 2) if user != 0 => format!("{SCOPE} is {scope}, so only root may"),
        _ => format!("{SCOPE} is {scope}"),
    }
}

/// Whether a mapped file is not what has its name now.
fn is_replaced(pid: i32, path: &Path, inode: u64) -> bool {
    match fs::metadata(in_root_of(pid, path)) {
        Ok(metadata) => metadata.ino() != inode,
        Err(_) => true,
    }
}

/// A path as a process in another root has it.
fn in_root_of(pid: i32, path: &Path) -> PathBuf {
    let relative = path.strip_prefix("/").unwrap_or(path);
    PathBuf::from(format!("/proc/{pid}/root")).join(relative)
}

impl Memory for Process {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
        let mut done = 0;
        while done < bytes.len() {
            let at = address.checked_add(done as u64).ok_or(Unreadable)?;
            match self.read_some(at, &mut bytes[done..]) {
                Ok(0) | Err(_) => return Err(Unreadable),
                Ok(read) => done += read,
            }
        }
        Ok(())
    }

    fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    fn path_of(&self, file: &Path) -> PathBuf {
        in_root_of(self.pid.as_raw(), file)
    }

    fn page_size(&self) -> u64 {
        self.page_size
    }

    fn pid(&self) -> Option<i32> {
        Some(self.pid.as_raw())
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn is_live(&self) -> bool {
        !self.is_stopped
    }
}

/// A process whose threads all stand still for as long as this exists.
pub struct Stopped {
    threads: HashSet<i32>,
}

impl Stopped {
    /// Stops a process, which has to be one that a debugger might attach to.
    pub fn stop(pid: i32) -> Result<Stopped> {
        let mut stopped = Stopped { threads: HashSet::new() };
        // A thread may make another one before it is stopped itself.
        loop {
            let before = stopped.threads.len();
            let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
                bail!("there is no process {pid}");
            };
            for task in tasks {
                let name = task?.file_name();
                let Some(thread) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
                    continue;
                };
                if stopped.threads.contains(&thread) {
                    continue;
                }
                let id = nix::unistd::Pid::from_raw(thread);
                match ptrace::seize(id, ptrace::Options::empty()) {
                    Ok(()) => {}
                    Err(Errno::ESRCH) => continue,
                    Err(Errno::EPERM) if is_traced(pid) => {
                        bail!("process {pid} cannot be stopped: a debugger has it");
                    }
                    Err(Errno::EPERM) => return Err(keeps_out(pid)),
                    Err(error) => {
                        return Err(error)
                            .with_context(|| format!("process {pid} cannot be stopped"));
                    }
                }
                stopped.threads.insert(thread);
                if ptrace::interrupt(id).is_ok() {
                    let _ = waitpid(id, Some(WaitPidFlag::__WALL));
                }
            }
            if stopped.threads.len() == before {
                return Ok(stopped);
            }
        }
    }
}

/// Whether a debugger has attached to a process.
fn is_traced(pid: i32) -> bool {
    let process = procfs::process::Process::new(pid).and_then(|process| process.status());
    process.is_ok_and(|status| status.tracerpid != 0)
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for thread in &self.threads {
            let _ = ptrace::detach(nix::unistd::Pid::from_raw(*thread), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_by_which_rule_a_process_may_not_be_looked_at() {
        assert_eq!(rule(Some(0), 1000, 1), "it is of user 0, and this is user 1000");
        assert_eq!(
            rule(Some(1000), 1000, 1),
            "/proc/sys/kernel/yama/ptrace_scope is 1, so only root may"
        );
        assert_eq!(rule(None, 0, 3), "/proc/sys/kernel/yama/ptrace_scope is 3");
        assert_eq!(rule(Some(1000), 0, 0), "it has rights that this user lacks, or forbids it");
    }
}
