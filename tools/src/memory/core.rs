// SPDX-License-Identifier: MIT
//! The memory of a process that is in a core file, as the kernel or gdb's `gcore` writes it.
//!
//! What the file leaves out, as pages of files that nobody wrote to, is read from the files that
//! were mapped there, if they are here: the core has their names.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use memmap2::Mmap;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, FileKind};

use super::{Mapping, Memory, Unreadable};

/// A part of the memory: where it was, and where of it lies in the file.
struct Segment {
    start: u64,
    end: u64,
    /// Where in the file it is, and how many of its first bytes are there.
    offset: u64,
    kept: u64,
    flags: u32,
}

/// What was mapped from a file.
struct FromFile {
    start: u64,
    end: u64,
    offset: u64,
    path: PathBuf,
}

impl FromFile {
    /// As a mapping that nobody wrote to.
    fn mapping(&self) -> Mapping {
        Mapping {
            start: self.start,
            end: self.end,
            writable: false,
            executable: true,
            file: Some(self.path.clone()),
            offset: self.offset,
            is_replaced: false,
        }
    }
}

pub struct Core {
    data: Mmap,
    segments: Vec<Segment>,
    files: Vec<FromFile>,
    mappings: Vec<Mapping>,
    page_size: u64,
    pid: Option<i32>,
    name: String,
    remarks: Vec<String>,
    /// The mapped files that were asked for.
    opened: RefCell<HashMap<PathBuf, Option<Mmap>>>,
}

/// What the notes of a core say.
#[derive(Default)]
struct Notes {
    pid: Option<i32>,
    name: String,
    page_size: Option<u64>,
    files: Vec<FromFile>,
}

impl Core {
    pub fn open(path: &Path) -> Result<Core> {
        let file = File::open(path).with_context(|| format!("{}", path.display()))?;
        // SAFETY: a core file does not change; if somebody cuts it short meanwhile, this program
        // gets a SIGBUS.
        let data = unsafe { Mmap::map(&file) }.with_context(|| format!("{}", path.display()))?;
        let parsed = match FileKind::parse(&*data) {
            Ok(FileKind::Elf64) => parse::<FileHeader64<Endianness>>(&data),
            Ok(FileKind::Elf32) => parse::<FileHeader32<Endianness>>(&data),
            _ => bail!("{} is no core file", path.display()),
        };
        let (segments, notes) = parsed.with_context(|| format!("{}", path.display()))?;
        let mut core = Core {
            segments,
            files: notes.files,
            mappings: Vec::new(),
            page_size: notes.page_size.unwrap_or(4096),
            pid: notes.pid,
            name: notes.name,
            remarks: Vec::new(),
            opened: RefCell::default(),
            data,
        };
        core.segments.sort_by_key(|segment| segment.start);
        core.files.sort_by_key(|file| file.start);
        let length = core.data.len() as u64;
        if core.segments.iter().any(|segment| segment.offset.saturating_add(segment.kept) > length)
        {
            core.remarks.push("the core file is cut short: some of the memory is not in it".into());
        }
        core.mappings = core.segments.iter().map(|segment| core.mapping(segment)).collect();
        // gdb leaves out what nobody wrote to, which is mostly code.
        let left_out = core.files.iter().filter(|file| core.segment_of(file.start).is_none());
        let left_out: Vec<_> = left_out.map(FromFile::mapping).collect();
        core.mappings.extend(left_out);
        core.mappings.sort_by_key(|mapping| mapping.start);
        Ok(core)
    }

    fn mapping(&self, segment: &Segment) -> Mapping {
        let file = self.file_of(segment.start);
        Mapping {
            start: segment.start,
            end: segment.end,
            writable: segment.flags & elf::PF_W != 0,
            executable: segment.flags & elf::PF_X != 0,
            file: file.map(|file| file.path.clone()),
            offset: file.map_or(0, |file| file.offset.saturating_add(segment.start - file.start)),
            is_replaced: false,
        }
    }

    fn segment_of(&self, address: u64) -> Option<&Segment> {
        let place = self.segments.partition_point(|segment| segment.end <= address);
        self.segments.get(place).filter(|segment| segment.start <= address)
    }

    fn file_of(&self, address: u64) -> Option<&FromFile> {
        let place = self.files.partition_point(|file| file.end <= address);
        self.files.get(place).filter(|file| file.start <= address)
    }

    /// Copies what there is at an address, at least a byte, and returns how much.
    fn read_some(&self, address: u64, bytes: &mut [u8]) -> Option<usize> {
        let Some(segment) = self.segment_of(address) else {
            return self.read_file(address, u64::MAX, bytes);
        };
        let from = address - segment.start;
        if from < segment.kept {
            let most = bytes.len().min((segment.kept - from) as usize);
            let at = usize::try_from(segment.offset.checked_add(from)?).ok()?;
            let found = self.data.get(at..)?;
            let count = most.min(found.len());
            bytes[..count].copy_from_slice(&found[..count]);
            return (count != 0).then_some(count);
        }
        self.read_file(address, segment.end, bytes)
    }

    /// The same of a page that is not in the core, from the file that was mapped there.
    fn read_file(&self, address: u64, end: u64, bytes: &mut [u8]) -> Option<usize> {
        let file = self.file_of(address)?;
        let mut opened = self.opened.borrow_mut();
        let data = opened.entry(file.path.clone()).or_insert_with(|| {
            let file = File::open(&file.path).ok()?;
            // SAFETY: as for the core file.
            unsafe { Mmap::map(&file) }.ok()
        });
        let at = usize::try_from(file.offset.checked_add(address - file.start)?).ok()?;
        let found = data.as_ref()?.get(at..)?;
        let most = bytes.len().min((end.min(file.end) - address) as usize);
        let count = most.min(found.len());
        bytes[..count].copy_from_slice(&found[..count]);
        (count != 0).then_some(count)
    }
}

impl Memory for Core {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
        let mut done = 0;
        while done < bytes.len() {
            let at = address.checked_add(done as u64).ok_or(Unreadable)?;
            done += self.read_some(at, &mut bytes[done..]).ok_or(Unreadable)?;
        }
        Ok(())
    }

    fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    fn path_of(&self, file: &Path) -> PathBuf {
        file.into()
    }

    fn page_size(&self) -> u64 {
        self.page_size
    }

    fn pid(&self) -> Option<i32> {
        self.pid
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn is_live(&self) -> bool {
        false
    }

    fn remarks(&self) -> Vec<String> {
        self.remarks.clone()
    }
}

fn parse<Elf: FileHeader<Endian = Endianness>>(data: &[u8]) -> Result<(Vec<Segment>, Notes)> {
    let header = Elf::parse(data)?;
    let endian = header.endian()?;
    if header.e_type(endian) != elf::ET_CORE {
        bail!("an ELF file, but no core file");
    }
    if !header.is_little_endian() {
        bail!("of a big-endian machine, which is not supported");
    }
    let word = if header.is_class_64() { 8 } else { 4 };
    let (mut segments, mut notes) = (Vec::new(), Notes::default());
    for program in header.program_headers(endian, data)? {
        let start = program.p_vaddr(endian).into();
        match program.p_type(endian) {
            elf::PT_LOAD => segments.push(Segment {
                start,
                end: u64::saturating_add(start, program.p_memsz(endian).into()),
                offset: program.p_offset(endian).into(),
                kept: program.p_filesz(endian).into(),
                flags: program.p_flags(endian),
            }),
            elf::PT_NOTE => {
                // Of a core that is cut short the notes may be missing.
                let Ok(Some(mut found)) = program.notes(endian, data) else { continue };
                while let Ok(Some(note)) = found.next() {
                    notes.add(note.n_type(endian), note.desc(), word);
                }
            }
            _ => {}
        }
    }
    Ok((segments, notes))
}

/// A number of so many bytes.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let mut word = [0; 8];
    word[..width].copy_from_slice(bytes.get(at..at.checked_add(width)?)?);
    Some(u64::from_le_bytes(word))
}

impl Notes {
    fn add(&mut self, kind: u32, data: &[u8], word: usize) {
        const AT_PAGESZ: u64 = 6;
        match kind {
            elf::NT_PRPSINFO => {
                // struct elf_prpsinfo: four bytes, a word, two user numbers, four process numbers, 16
                // bytes of name.
                let ids = if word == 8 { [16, 24, 40] } else { [8, 12, 28] };
                self.pid = number(data, ids[1], 4).map(|pid| pid as i32);
                if let Some(name) = data.get(ids[2]..).map(|rest| &rest[..rest.len().min(16)]) {
                    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
                    self.name = String::from_utf8_lossy(&name[..end]).into_owned();
                }
            }
            elf::NT_AUXV => {
                for pair in data.chunks_exact(2 * word) {
                    if number(pair, 0, word) == Some(AT_PAGESZ) {
                        self.page_size = number(pair, word, word).filter(|size| {
                            size.is_power_of_two() && (4096..=1 << 20).contains(size)
                        });
                    }
                }
            }
            elf::NT_FILE => self.files = files(data, word).unwrap_or_default(),
            _ => {}
        }
    }
}

/// The mapped files: a count, the unit of offsets, so many triples of start, end and offset, and
/// then their names.
fn files(data: &[u8], word: usize) -> Option<Vec<FromFile>> {
    let count = usize::try_from(number(data, 0, word)?).ok()?;
    let unit = number(data, word, word)?;
    let names = count.checked_mul(3)?.checked_add(2)?.checked_mul(word)?;
    let mut names = data.get(names..)?.split(|byte| *byte == 0);
    let mut files = Vec::new();
    for index in 0..count {
        let at = (2 + 3 * index) * word;
        let [start, end, offset] = [0, 1, 2].map(|field| number(data, at + field * word, word));
        let path = PathBuf::from(String::from_utf8_lossy(names.next()?).into_owned());
        files.push(FromFile { start: start?, end: end?, offset: offset?.checked_mul(unit)?, path });
    }
    Some(files)
}
