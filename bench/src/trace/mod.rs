//! The recorded pool calls of a driver; `capi-tests/driver/traces/README.md` describes the files.
//!
//! A [`Trace`] is always legal: reading it refuses a file in which an object is freed twice, a pool
//! is used before it exists, and so on. It leaves nothing behind: what the program had left open at
//! its end is closed by further calls.

pub mod schedule;
mod walk;

use anyhow::{Context, Result, ensure};
use std::io::Read;
use std::path::{Path, PathBuf};
use walk::{Record, Walk};

/// A call, with the ids that the file gives to pools and objects.
#[derive(Clone, Copy)]
pub enum Call {
    CreateParent { parent: usize, item_size: u32, num_items: u32 },
    DestroyParent { parent: usize },
    CreateChild { child: usize, parent: usize },
    DestroyChild { child: usize },
    Alloc { child: usize, object: usize },
    Zalloc { child: usize, object: usize },
    Free { child: usize, object: usize },
    Create { mempool: usize, item_size: u32, num_items: u32 },
    Destroy { mempool: usize },
    AllocSt { mempool: usize, object: usize },
    FreeSt { mempool: usize, object: usize },
}

pub struct Trace {
    pub name: String,
    pub calls: Vec<Call>,
    /// The thread that made each, numbered as in the file; 0 for what closes what was left open.
    pub threads: Vec<u16>,
    /// Ids are below these. A mempool has its parent's id. Child 0 is never created.
    pub parents: usize,
    pub children: usize,
    pub objects: usize,
}

/// A trace that was not read yet.
pub struct TraceFile {
    pub name: String,
    path: PathBuf,
}

/// The traces of a folder, by name.
pub fn files(folder: &Path) -> Result<Vec<TraceFile>> {
    let mut list = Vec::new();
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(name) = name.strip_suffix(".bin.xz") {
            list.push(TraceFile { name: name.into(), path: path.clone() });
        }
    }
    list.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(list)
}

impl TraceFile {
    pub fn read(&self) -> Result<Trace> {
        let read = || {
            let mut bytes = Vec::new();
            liblzma::read::XzDecoder::new(std::fs::File::open(&self.path)?)
                .read_to_end(&mut bytes)?;
            Trace::parse(&self.name, &bytes)
        };
        read().with_context(|| self.path.display().to_string())
    }
}

impl Trace {
    /// The traces of a folder, by name.
    pub fn all_in(folder: &Path) -> Result<Vec<Self>> {
        files(folder)?.iter().map(|file| file.read()).collect()
    }

    fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let (header, records) = bytes.split_at_checked(16).context("it has no header")?;
        ensure!(header.starts_with(b"SLABTRC1"), "it does not begin with SLABTRC1");
        ensure!(records.len() % 16 == 0, "its last record is cut off");

        let mut walk = Walk::default();
        for (number, bytes) in records.chunks_exact(16).enumerate() {
            ensure!(!walk.ended, "there are records after the end");
            walk.record(&Record::decode(bytes))
                .with_context(|| format!("record {}", number + 1))?;
        }
        ensure!(walk.ended, "it has no end record");
        walk.close();
        ensure!(!walk.calls.is_empty(), "it has no calls");
        Ok(Self {
            name: name.into(),
            parents: walk.parent_limit(),
            children: walk.child_limit(),
            objects: walk.object_limit(),
            threads: walk.threads,
            calls: walk.calls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(records: &[(u8, u8, u32, u32, u32)]) -> Vec<u8> {
        let mut bytes = b"SLABTRC1\0\0\0\0\0\0\0\0".to_vec();
        for &(op, flags, pool, a, b) in records {
            bytes.extend([op, flags, 1, 0]);
            for word in [pool, a, b] {
                bytes.extend(word.to_le_bytes());
            }
        }
        bytes
    }

    fn error(records: &[(u8, u8, u32, u32, u32)]) -> String {
        format!("{:#}", Trace::parse("test", &bytes(records)).err().expect("it is refused"))
    }

    #[test]
    fn what_is_left_open_is_closed() {
        let trace = Trace::parse(
            "test",
            &bytes(&[(1, 0, 1, 96, 16), (3, 0, 2, 1, 0), (6, 0, 2, 7, 0), (8, 0, 0, 1, 0)]),
        )
        .unwrap();
        assert_eq!(trace.calls.len(), 6);
        assert!(matches!(trace.calls[3], Call::Free { child: 0, object: 7 }));
        assert!(matches!(trace.calls[4], Call::DestroyChild { child: 2 }));
        assert!(matches!(trace.calls[5], Call::DestroyParent { parent: 1 }));
        assert_eq!((trace.parents, trace.children, trace.objects), (2, 3, 8));
    }

    #[test]
    fn an_object_freed_twice_is_refused() {
        let start = [(1, 0, 1, 96, 16), (3, 0, 1, 1, 0), (5, 0, 1, 1, 0), (7, 0, 1, 1, 0)];
        let records = [&start[..], &[(7, 0, 1, 1, 0), (8, 0, 0, 1, 0)]].concat();
        assert!(error(&records).contains("record 5: object 1 is freed"));
    }

    #[test]
    fn a_child_without_its_parent_is_refused() {
        let records = [(1, 0, 1, 96, 16), (3, 0, 1, 1, 0), (2, 0, 1, 0, 1), (5, 0, 1, 1, 0)];
        assert!(error(&records).contains("parent 1 does not exist"));
    }

    #[test]
    fn a_trace_without_its_end_is_refused() {
        assert!(error(&[(1, 0, 1, 96, 16)]).contains("no end"));
    }
}
