// SPDX-License-Identifier: MIT
//! Which file is mapped at an address, for call stacks.
//!
//! The kernel is asked, by `/proc/self/maps`: the dynamic linker's list has a lock, which who is
//! interrupted by a signal may have. Of the files that are mapped nothing is read. Their owners may
//! truncate them, and then whoever reads gets SIGBUS.

#[cfg(any(target_os = "linux", target_os = "android"))]
use super::undisturbed::Uncancelled;
#[cfg(any(target_os = "linux", target_os = "android"))]
use core::ffi::c_void;
#[cfg(any(target_os = "linux", target_os = "android"))]
use core::ptr;

/// The file that is mapped at an address: writes the last part of its path to `name`, and returns
/// how long that is, and where the address is in the file as addr2line counts. Takes no lock and no
/// memory but the stack.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn module_of(address: usize, name: &mut [u8]) -> Option<(usize, usize)> {
    let _errno = crate::sys::os::Errno::keep();
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    let mut maps = Maps { line: Mapping::EMPTY, load: 0, fixed: fixed_program(), name };
    let mut text = [0u8; 256];
    let _uncancelled = Uncancelled::begin();
    // SAFETY: the path is a string, so many bytes are writable, and the descriptor is closed once.
    unsafe {
        let fd = libc::open(c"/proc/self/maps".as_ptr(), flags);
        let mut found = None;
        while fd >= 0 && found.is_none() {
            let read = libc::read(fd, text.as_mut_ptr().cast::<c_void>(), text.len());
            let Some(read) = usize::try_from(read).ok().filter(|read| *read != 0) else { break };
            found = text[..read].iter().find_map(|byte| maps.read(*byte, address));
        }
        if fd >= 0 {
            libc::close(fd);
        }
        found
    }
}

/// Nothing is known of modules on this system.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn module_of(_: usize, _: &mut [u8]) -> Option<(usize, usize)> {
    None
}

/// Reads `/proc/self/maps`, byte by byte: lines of `start-end rights offset device inode path`.
#[cfg(any(target_os = "linux", target_os = "android"))]
struct Maps<'a> {
    line: Mapping,
    /// What is to be subtracted from addresses of the last file whose beginning was seen.
    load: usize,
    /// What [`fixed_program`] says.
    fixed: Option<usize>,
    name: &'a mut [u8],
}

/// The line that is being read.
#[cfg(any(target_os = "linux", target_os = "android"))]
struct Mapping {
    /// How many spaces and dashes were read: the number of the field.
    field: usize,
    /// The first fields: start, end, rights (of no meaning as a number), offset.
    numbers: [usize; 4],
    /// Bytes of the path, from its last slash.
    length: usize,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Mapping {
    const EMPTY: Mapping = Mapping { field: 0, numbers: [0; 4], length: 0 };
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Maps<'_> {
    /// Reads a byte; at the end of the line where `address` is, returns what [`module_of`] does.
    fn read(&mut self, byte: u8, address: usize) -> Option<(usize, usize)> {
        const PATH: usize = 6;
        let line = &mut self.line;
        match byte {
            b'\n' => {
                let line = core::mem::replace(line, Mapping::EMPTY);
                let [start, end, _, offset] = line.numbers;
                if offset == 0 && line.length != 0 {
                    self.load = if self.fixed == Some(start) { 0 } else { start };
                }
                if line.length != 0 && (start..end).contains(&address) {
                    return Some((line.length, address - self.load));
                }
            }
            b'-' if line.field == 0 => line.field = 1,
            b' ' if line.field < PATH => line.field += 1,
            b' ' if line.length == 0 => {}
            b'/' if line.field == PATH => line.length = 0,
            _ if line.field == PATH => {
                if let Some(place) = self.name.get_mut(line.length) {
                    *place = byte;
                    line.length += 1;
                }
            }
            _ => {
                if let Some(number) = line.numbers.get_mut(line.field) {
                    *number = *number << 4 | (byte as char).to_digit(16).unwrap_or(0) as usize;
                }
            }
        }
        None
    }
}

/// Where the program's file is mapped, if its addresses are those of the file: if it is no
/// position-independent one. Its own headers say so, of which the kernel has told the process.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn fixed_program() -> Option<usize> {
    const LOAD: u32 = 1;
    /// Where in a program header the offset in the file is, and behind it the address.
    const OFFSET: usize = size_of::<usize>();
    // SAFETY: so many headers of this size are there, aligned, for as long as the process.
    unsafe {
        let headers = libc::getauxval(libc::AT_PHDR) as usize;
        let size = libc::getauxval(libc::AT_PHENT) as usize;
        let count = if headers == 0 { 0 } else { libc::getauxval(libc::AT_PHNUM) as usize };
        let all = ptr::with_exposed_provenance::<u8>(headers);
        let begins = |header: &*const u8| {
            header.cast::<u32>().read() == LOAD && header.add(OFFSET).cast::<usize>().read() == 0
        };
        let first = (0..count).map(|index| all.add(index * size)).find(begins)?;
        let address = first.add(2 * OFFSET).cast::<usize>().read();
        (address != 0).then_some(address)
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_code_is_found_in_its_file() {
        let mut name = [0; 100];
        let address = crate::sys::os::page_size as fn() -> usize as usize;
        let (length, offset) = module_of(address, &mut name).unwrap();
        let program = std::env::current_exe().unwrap();
        let program = program.file_name().unwrap().to_str().unwrap();
        assert_eq!(&name[..length], program.as_bytes());
        // A position-independent program, whose load address is a page.
        assert!(offset < address && (address - offset) % 4096 == 0);
        assert_eq!(module_of(address + 1, &mut name), Some((length, offset + 1)));
        assert_eq!(module_of(1, &mut name), None);
    }

    #[test]
    fn lines_are_read_with_and_without_paths() {
        let text = b"1000-2000 ---p 00000000 08:01 12   /usr/lib/lib one.so\n\
            2000-3000 r-xp 00001000 08:01 12   /usr/lib/lib one.so\n\
            3000-4000 rw-p 00000000 00:00 0 \n\
            4000-5000 ---p 00000000 00:00 0   [stack]\n\
            6000-7000 r-xp 00000000 08:01 13   /bin/fixed\n";
        let look = |address| {
            let mut name = [0; 8];
            let mut maps =
                Maps { line: Mapping::EMPTY, load: 0, fixed: Some(0x6000), name: &mut name };
            let found = text.iter().find_map(|byte| maps.read(*byte, address));
            found.map(|(length, offset)| {
                (String::from_utf8_lossy(&name[..length]).into_owned(), offset)
            })
        };
        assert_eq!(look(0x2345), Some(("lib one.".to_owned(), 0x1345)));
        assert_eq!(look(0x3000), None);
        assert_eq!(look(0x4008), Some(("[stack]".to_owned(), 8)));
        assert_eq!(look(0x5000), None);
        assert_eq!(look(0x6010), Some(("fixed".to_owned(), 0x6010)));
    }
}
