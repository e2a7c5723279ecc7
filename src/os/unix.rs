//! POSIX: Linux, the BSDs, macOS. Everything goes through the C library, so that sanitizers,
//! valgrind and a test's own `mmap` see it.

use core::ffi::{CStr, c_int, c_void};
use core::ptr;

/// Reserves `bytes` of zeroed, readable and writable memory aligned to `align`, or returns null.
///
/// `bytes` is a multiple of the page size, `align` a power of two above it. The kernel hands out
/// neighbouring ranges, so that the first try is aligned as soon as one range is; only then is more
/// reserved than needed, and trimmed.
pub fn reserve(bytes: usize, align: usize) -> *mut u8 {
    let first = map(bytes);
    if first.is_null() || first.addr() & (align - 1) == 0 {
        return first;
    }
    // SAFETY: `first` is the mapping of `bytes` made above, and nothing refers to it.
    unsafe { release(first, bytes) };

    let Some(ample) = bytes.checked_add(align) else {
        return ptr::null_mut();
    };
    let start = map(ample);
    if start.is_null() {
        return start;
    }
    let head = start.addr().wrapping_neg() & (align - 1);
    let tail = ample - head - bytes;
    // SAFETY: head + bytes + tail is the mapping made above; the parts released are not used.
    unsafe {
        let aligned = start.add(head);
        if head != 0 {
            release(start, head);
        }
        if tail != 0 {
            release(aligned.add(bytes), tail);
        }
        aligned
    }
}

fn map(bytes: usize) -> *mut u8 {
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches nothing.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED { ptr::null_mut() } else { start.cast() }
}

/// Gives a range of address space back.
///
/// # Safety
/// `start` and `bytes` are (a whole-page part of) a reservation, and nothing refers to it.
pub unsafe fn release(start: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise. munmap of whole pages of our own cannot fail but for lack of
    // kernel memory to split a mapping; the range then stays mapped and is lost, not corrupted.
    unsafe { libc::munmap(start.cast(), bytes) };
}

/// Takes the memory away from behind a range of address space, which stays reserved: its next use
/// finds zeroes.
///
/// # Safety
/// `start` and `bytes` are whole pages of the system's in a reservation, and nobody uses them.
pub unsafe fn purge(start: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise. If it fails, the memory just stays.
    unsafe { libc::madvise(start.cast(), bytes, libc::MADV_DONTNEED) };
}

/// Asks the system not to put huge pages behind a range of address space, where it knows such.
///
/// # Safety
/// `start` and `bytes` are whole pages of a reservation.
pub unsafe fn without_huge_pages(start: *mut u8, bytes: usize) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: the caller's promise. A kernel without huge pages refuses, which is as well.
    unsafe {
        libc::madvise(start.cast(), bytes, libc::MADV_NOHUGEPAGE)
    };
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (start, bytes);
}

/// Bytes of a page of the system's.
pub fn page_size() -> usize {
    // SAFETY: always callable.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// The platform's mutex.
pub type RawMutex = libc::pthread_mutex_t;

/// A mutex that needs no initialisation at run time.
pub const RAW_MUTEX: RawMutex = libc::PTHREAD_MUTEX_INITIALIZER;

/// Makes a mutex in uninitialised memory.
///
/// # Safety
/// `mutex` is writable, and no thread uses it.
pub unsafe fn init_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise; without attributes this cannot fail.
    unsafe { libc::pthread_mutex_init(mutex, ptr::null()) };
}

/// Ends a mutex.
///
/// # Safety
/// `mutex` is initialised, unlocked, and no thread uses it.
pub unsafe fn destroy_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    unsafe { libc::pthread_mutex_destroy(mutex) };
}

/// Locks.
///
/// # Safety
/// `mutex` is initialised, and this thread does not hold it.
#[inline]
pub unsafe fn lock_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise; a normal mutex that is not held by this thread cannot fail.
    unsafe { libc::pthread_mutex_lock(mutex) };
}

/// Locks if nobody else holds the mutex, and returns whether it did.
///
/// # Safety
/// As for [`lock_mutex`].
pub unsafe fn try_lock_mutex(mutex: *mut RawMutex) -> bool {
    // SAFETY: the caller's promise.
    unsafe { libc::pthread_mutex_trylock(mutex) == 0 }
}

/// Unlocks.
///
/// # Safety
/// This thread holds `mutex`.
#[inline]
pub unsafe fn unlock_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    unsafe { libc::pthread_mutex_unlock(mutex) };
}

/// A number that tells this thread from all others that run now; never 0.
#[cfg(any(debug_assertions, feature = "debug"))]
pub fn thread_id() -> usize {
    // SAFETY: always callable.
    unsafe { libc::pthread_self() as usize }
}

/// Seconds since some moment, by the cheapest clock there is.
pub fn coarse_seconds() -> u32 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;

    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable. Should the clock fail, time stands still, which is harmless.
    unsafe { libc::clock_gettime(CLOCK, &mut now) };
    now.tv_sec as u32
}

/// Runs `before` before every fork() in the forking thread, `after` behind it in both processes. Does
/// nothing if there is no memory.
///
/// In a shared library that is unloaded, the C library drops the hooks with it: pthread_atfork is
/// part of the library's own code and tells the C library which object it belongs to.
pub fn around_fork(before: unsafe extern "C" fn(), after: unsafe extern "C" fn()) {
    // SAFETY: the hooks are functions of this library, which keeps them for as long as it is loaded.
    unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
}

/// Says a line on stderr: one write if it can be, no buffer, no lock.
pub fn say(line: &[u8]) {
    // There is no one to tell if stderr is closed.
    write(libc::STDERR_FILENO, line);
}

/// Writes all of `text` to a file descriptor, and returns whether it could.
pub fn write(fd: c_int, mut text: &[u8]) -> bool {
    while !text.is_empty() {
        // SAFETY: `text` is readable.
        let written = unsafe { libc::write(fd, text.as_ptr().cast::<c_void>(), text.len()) };
        match usize::try_from(written) {
            Ok(written) => text = &text[written..],
            Err(_) if is_interrupted() => {}
            Err(_) => return false,
        }
    }
    true
}

fn is_interrupted() -> bool {
    #[cfg(any(target_os = "linux", target_os = "emscripten"))]
    // SAFETY: always callable; the word is the thread's own.
    let errno = unsafe { *libc::__errno_location() };
    #[cfg(not(any(target_os = "linux", target_os = "emscripten")))]
    let errno = 0;
    errno == libc::EINTR
}

/// Calls `text` with a file that is created, or emptied, for it; does nothing if that is not possible.
pub fn with_file(path: &CStr, text: impl FnOnce(c_int)) {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC;
    // SAFETY: `path` is a string; the descriptor is closed once.
    unsafe {
        let fd = libc::open(path.as_ptr(), flags, 0o666 as libc::c_uint);
        if fd >= 0 {
            text(fd);
            libc::close(fd);
        }
    }
}

/// The value of an environment variable; none in a program with more rights than its user (setuid).
pub fn variable(name: &CStr) -> Option<&'static CStr> {
    // SAFETY: `name` is a string. The value is valid until the environment is changed, which a program
    // must not do while others read it.
    unsafe {
        if is_privileged() {
            return None;
        }
        let value = libc::getenv(name.as_ptr());
        if value.is_null() { None } else { Some(CStr::from_ptr(value)) }
    }
}

fn is_privileged() -> bool {
    // SAFETY: always callable.
    unsafe {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return libc::getauxval(libc::AT_SECURE) != 0;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        return libc::getuid() != libc::geteuid() || libc::getgid() != libc::getegid();
    }
}

/// The file that is mapped at an address: writes the last part of its path to `name`, and returns how long that is,
/// and where the address is in the file as addr2line counts. Takes no lock and no memory but the stack.
#[cfg(all(feature = "debug", any(target_os = "linux", target_os = "android")))]
pub fn module_of(address: usize, name: &mut [u8]) -> Option<(usize, usize)> {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    let mut maps = Maps { line: Mapping::EMPTY, load: 0, name };
    let mut text = [0u8; 256];
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
#[cfg(all(feature = "debug", not(any(target_os = "linux", target_os = "android"))))]
pub fn module_of(_: usize, _: &mut [u8]) -> Option<(usize, usize)> {
    None
}

/// Reads `/proc/self/maps`, byte by byte: lines of `start-end rights offset device inode path`.
#[cfg(all(feature = "debug", any(target_os = "linux", target_os = "android")))]
struct Maps<'a> {
    line: Mapping,
    /// What is to be subtracted from addresses of the last file whose beginning was seen.
    load: usize,
    name: &'a mut [u8],
}

/// The line that is being read.
#[cfg(all(feature = "debug", any(target_os = "linux", target_os = "android")))]
struct Mapping {
    /// How many spaces and dashes were read: the number of the field.
    field: usize,
    /// The first fields: start, end, rights (of no meaning as a number), offset.
    numbers: [usize; 4],
    readable: bool,
    /// Bytes of the path, from its last slash.
    length: usize,
}

#[cfg(all(feature = "debug", any(target_os = "linux", target_os = "android")))]
impl Mapping {
    const EMPTY: Mapping = Mapping { field: 0, numbers: [0; 4], readable: false, length: 0 };
}

#[cfg(all(feature = "debug", any(target_os = "linux", target_os = "android")))]
impl Maps<'_> {
    /// Reads a byte; at the end of the line where `address` is, returns what [`module_of`] does.
    fn read(&mut self, byte: u8, address: usize) -> Option<(usize, usize)> {
        const RIGHTS: usize = 2;
        const PATH: usize = 6;
        let line = &mut self.line;
        match byte {
            b'\n' => {
                let line = core::mem::replace(line, Mapping::EMPTY);
                let [start, end, _, offset] = line.numbers;
                if offset == 0 && line.length != 0 {
                    self.load = if line.readable && is_fixed(start) { 0 } else { start };
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
            b'r' if line.field == RIGHTS => line.readable = true,
            _ => {
                if let Some(number) = line.numbers.get_mut(line.field) {
                    *number = *number << 4 | (byte as char).to_digit(16).unwrap_or(0) as usize;
                }
            }
        }
        None
    }
}

/// Whether the file that is mapped from here is a program whose addresses are those of its file.
#[cfg(all(feature = "debug", any(target_os = "linux", target_os = "android")))]
fn is_fixed(start: usize) -> bool {
    const TYPE: usize = 8;
    const EXECUTABLE: u16 = 2;
    // SAFETY: it is mapped and readable, and at least a page.
    unsafe { *ptr::with_exposed_provenance::<u16>(start).add(TYPE) == EXECUTABLE }
}

/// Ends the process with SIGABRT.
pub fn abort() -> ! {
    // SAFETY: always callable.
    unsafe { libc::abort() }
}

#[cfg(all(test, feature = "debug", any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_code_is_found_in_its_file() {
        let mut name = [0; 100];
        let address = page_size as fn() -> usize as usize;
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
            4000-5000 ---p 00000000 00:00 0   [stack]\n";
        let look = |address| {
            let mut name = [0; 8];
            let mut maps = Maps { line: Mapping::EMPTY, load: 0, name: &mut name };
            let found = text.iter().find_map(|byte| maps.read(*byte, address));
            found.map(|(length, offset)| {
                (String::from_utf8_lossy(&name[..length]).into_owned(), offset)
            })
        };
        assert_eq!(look(0x2345), Some(("lib one.".to_owned(), 0x1345)));
        assert_eq!(look(0x3000), None);
        assert_eq!(look(0x4008), Some(("[stack]".to_owned(), 8)));
        assert_eq!(look(0x5000), None);
    }
}
