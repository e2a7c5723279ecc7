// SPDX-License-Identifier: MIT
//! Names for addresses: function, file and line, with the functions that were inlined; or the
//! symbol of data.
//!
//! Debug information is taken from the object itself, or from where debuggers look for it: by the
//! object's build id below /usr/lib/debug/.build-id and in the cache of debuginfod, by its debug
//! link beside it, in .debug/ and below /usr/lib/debug. If DEBUGINFOD_URLS is set and the program
//! debuginfod-find is there, that is asked as well.

use std::collections::HashMap;
use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use addr2line::Loader;
use memmap2::Mmap;
use object::{Object, ObjectSegment};

use crate::memory::Memory;

/// A line of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub function: String,
    /// File and line, if they are known.
    pub place: Option<String>,
    /// Whether the next frame is the function that this one was inlined into.
    pub is_inlined: bool,
    /// Whether it is a function of mesa-slab's own.
    pub is_own: bool,
}

impl Frame {
    /// As text: `function at file:line`.
    pub fn line(&self) -> String {
        let place = self.place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
        let inlined = if self.is_inlined { " (inlined)" } else { "" };
        format!("{}{place}{inlined}", self.function)
    }
}

/// An object's file.
struct Module {
    /// Where a range of the file is in the addresses of the object: offset, bytes, address.
    segments: Vec<(u64, u64, u64)>,
    own: Option<Loader>,
    debug: Option<Loader>,
}

/// What is known of objects, each read once.
#[derive(Default)]
pub struct Symbols {
    modules: HashMap<PathBuf, Option<Module>>,
}

impl Symbols {
    fn module(&mut self, path: &Path) -> Option<&Module> {
        let open = || Module::open(path);
        self.modules.entry(path.to_owned()).or_insert_with(open).as_ref()
    }

    /// The frames of an address of code, in an object's file, as the object counts them. None if
    /// nothing is known.
    pub fn code(&mut self, path: &Path, address: u64) -> Vec<Frame> {
        let is_library = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("libmesa_slab.so"));
        let Some(module) = self.module(path) else { return Vec::new() };
        let mut frames = Vec::new();
        for loader in [&module.debug, &module.own].into_iter().flatten() {
            frames = frames_of(loader, address);
            if !frames.is_empty() {
                break;
            }
        }
        if frames.is_empty() {
            let function = module.symbol(address).map(|(name, _)| name);
            frames.extend(function.map(|function| Frame {
                function,
                place: None,
                is_inlined: false,
                is_own: false,
            }));
        }
        // What was compiled as the library is so with all that was inlined into it.
        let is_its = module.symbol(address).is_some_and(|(name, _)| name.contains("mesa_slab"));
        for frame in &mut frames {
            frame.is_own = is_library || is_its || is_own(frame);
        }
        frames
    }

    /// The object that an address of a process lies in, as a file that can be opened here, and the
    /// address as the object counts.
    pub fn place(&mut self, memory: &dyn Memory, address: u64) -> Option<(PathBuf, u64)> {
        let mapping = memory.mapping_of(address).filter(|mapping| !mapping.is_replaced)?;
        let offset = mapping.offset.checked_add(address - mapping.start)?;
        let path = memory.path_of(mapping.file.as_deref()?);
        let module = self.module(&path)?;
        let (from, _, start) = module
            .segments
            .iter()
            .find(|(from, bytes, _)| offset.checked_sub(*from).is_some_and(|at| at < *bytes))?;
        Some((path, start.wrapping_add(offset - from)))
    }

    /// The frames of an address of code of a process.
    pub fn code_of(&mut self, memory: &dyn Memory, address: u64) -> Vec<Frame> {
        match self.place(memory, address) {
            Some((path, at)) => self.code(&path, at),
            None => Vec::new(),
        }
    }

    /// A stack of return addresses as lines, the innermost first; the library's own frames are
    /// folded into one line.
    pub fn stack(&mut self, memory: &dyn Memory, returns: &[u64]) -> Vec<String> {
        let mut lines = Folded::default();
        for address in returns {
            // The call is what counts, not the instruction behind it.
            let call = address.wrapping_sub(1);
            let frames = self.code_of(memory, call);
            if frames.is_empty() {
                lines.add_text(plain(memory, call));
            }
            frames.iter().for_each(|frame| lines.add(frame));
        }
        lines.end()
    }

    /// What data of a process is called, with how far behind its beginning an address is.
    pub fn data_of(&mut self, memory: &dyn Memory, address: u64) -> Option<String> {
        let (path, at) = self.place(memory, address)?;
        let (name, within) = self.module(&path)?.symbol(at)?;
        Some(if within == 0 { name } else { format!("{name}+{within:#x}") })
    }
}

/// An address of a process as the library's reports have it: file and offset.
pub fn plain(memory: &dyn Memory, address: u64) -> String {
    let Some(mapping) = memory.mapping_of(address) else { return format!("{address:#x}") };
    let name = mapping.file.as_deref().and_then(Path::file_name);
    match name {
        Some(name) => {
            let offset = mapping.offset.saturating_add(address - mapping.start);
            format!("{} (offset {offset:#x} of the file)", name.to_string_lossy())
        }
        None => format!("{address:#x}"),
    }
}

/// Lines of a stack, with the library's own frames as one.
#[derive(Default)]
pub struct Folded {
    lines: Vec<String>,
    own: usize,
}

impl Folded {
    pub fn add(&mut self, frame: &Frame) {
        if frame.is_own {
            self.own += 1;
        } else {
            self.add_text(frame.line());
        }
    }

    pub fn add_text(&mut self, line: String) {
        self.fold();
        self.lines.push(line);
    }

    fn fold(&mut self) {
        match std::mem::take(&mut self.own) {
            0 => {}
            1 => self.lines.push("(a frame of mesa-slab)".into()),
            count => self.lines.push(format!("({count} frames of mesa-slab)")),
        }
    }

    pub fn end(mut self) -> Vec<String> {
        self.fold();
        self.lines
    }
}

fn is_own(frame: &Frame) -> bool {
    let file = frame.place.as_deref().unwrap_or("");
    let file = file.rsplit_once(':').map_or(file, |(file, _)| file);
    frame.function.contains("mesa_slab")
        || file.ends_with("slab_inline.h")
        || frame.function.starts_with("slab_")
            && (file.ends_with(".rs") || file.ends_with("/slab.h"))
}

fn frames_of(loader: &Loader, address: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    let Ok(mut found) = loader.find_frames(address) else { return frames };
    while let Ok(Some(frame)) = found.next() {
        let function = frame.function.as_ref().and_then(|name| name.demangle().ok());
        let place = frame.location.as_ref().and_then(|location| {
            let file = location.file?;
            Some(match location.line {
                Some(line) => format!("{file}:{line}"),
                None => file.to_owned(),
            })
        });
        if function.is_none() && place.is_none() {
            continue;
        }
        frames.push(Frame {
            function: function.map_or_else(|| symbol_of(loader, address), |name| name.into_owned()),
            place,
            is_inlined: true,
            is_own: false,
        });
    }
    if let Some(last) = frames.last_mut() {
        last.is_inlined = false;
    }
    frames
}

fn symbol_of(loader: &Loader, address: u64) -> String {
    let name = loader.find_symbol(address).unwrap_or("?");
    addr2line::demangle_auto(name.into(), None).into_owned()
}

impl Module {
    fn open(path: &Path) -> Option<Module> {
        let file = File::open(path).ok()?;
        // SAFETY: an object that is in use does not change; if somebody cuts it short meanwhile,
        // this program gets a SIGBUS.
        let data = unsafe { Mmap::map(&file) }.ok()?;
        let object = object::File::parse(&*data).ok()?;
        let segments = object.segments().map(|segment| {
            let (offset, bytes) = segment.file_range();
            (offset, bytes, segment.address())
        });
        let segments = segments.collect();
        let debug = debug_file(path, &object).and_then(|path| Loader::new(path).ok());
        Some(Module { segments, own: Loader::new(path).ok(), debug })
    }

    /// The symbol that an address lies in, and how far behind its beginning.
    fn symbol(&self, address: u64) -> Option<(String, u64)> {
        let found = |loader: &Loader| {
            let symbol = loader.find_symbol_info(address)?;
            let name = addr2line::demangle_auto(symbol.name().into(), None).into_owned();
            Some((name, address.checked_sub(symbol.address())?))
        };
        [&self.debug, &self.own].into_iter().flatten().find_map(found)
    }
}

/// Where the debug information of an object is, if not in itself.
fn debug_file(path: &Path, object: &object::File<'_>) -> Option<PathBuf> {
    let id = object.build_id().ok().flatten().unwrap_or_default();
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut places = Vec::new();
    if id.len() > 2 {
        places.push(PathBuf::from(format!(
            "/usr/lib/debug/.build-id/{}/{}.debug",
            &id[..2],
            &id[2..]
        )));
        places.extend(debuginfod_cache().map(|cache| cache.join(&id).join("debuginfo")));
    }
    if let Ok(Some((link, _))) = object.gnu_debuglink() {
        use std::os::unix::ffi::OsStrExt;
        let link = Path::new(std::ffi::OsStr::from_bytes(link));
        let real = path.canonicalize().ok()?;
        let folder = real.parent()?;
        let below = folder.strip_prefix("/").unwrap_or(folder);
        places.push(folder.join(link));
        places.push(folder.join(".debug").join(link));
        places.push(Path::new("/usr/lib/debug").join(below).join(link));
        places.retain(|place| *place != real);
    }
    let is_its = |place: &PathBuf| has_build_id(place, &id);
    places.into_iter().find(is_its).or_else(|| from_debuginfod(&id))
}

/// Whether a file is debug information of this build, or does not say of which.
fn has_build_id(path: &Path, wanted: &str) -> bool {
    let Ok(file) = File::open(path) else { return false };
    // SAFETY: as for an object.
    let Ok(data) = (unsafe { Mmap::map(&file) }) else { return false };
    let Ok(object) = object::File::parse(&*data) else { return false };
    let id = object.build_id().ok().flatten().unwrap_or_default();
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    id.is_empty() || wanted.is_empty() || id == wanted
}

fn debuginfod_cache() -> Option<PathBuf> {
    let own = env::var_os("DEBUGINFOD_CACHE_PATH").map(PathBuf::from);
    let cache = || {
        let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
        env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home)
    };
    own.or_else(|| cache().map(|cache| cache.join("debuginfod_client")))
}

fn from_debuginfod(id: &str) -> Option<PathBuf> {
    if id.is_empty() || env::var_os("DEBUGINFOD_URLS").is_none_or(|urls| urls.is_empty()) {
        return None;
    }
    let mut find = Command::new("debuginfod-find");
    let done =
        find.args(["debuginfo", id]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let path = String::from_utf8(done.stdout).ok()?;
    done.status.success().then(|| PathBuf::from(path.trim_end()))
}
