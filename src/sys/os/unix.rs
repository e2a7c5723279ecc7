// SPDX-License-Identifier: MIT
//! POSIX: Linux, the BSDs, macOS. Everything goes through the C library, so that sanitizers,
//! valgrind and a test's own `mmap` see it.

use core::ffi::{CStr, c_int, c_void};
use core::ptr;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "unix/linux.rs")]
#[cfg_attr(target_vendor = "apple", path = "unix/apple.rs")]
#[cfg_attr(
    any(
        target_os = "freebsd",
        target_os = "dragonfly",
        target_os = "openbsd",
        target_os = "netbsd"
    ),
    path = "unix/bsd.rs"
)]
#[cfg_attr(
    not(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "dragonfly",
        target_os = "openbsd",
        target_os = "netbsd"
    )),
    path = "unix/posix.rs"
)]
mod system;

// Unused on the systems that do not name them.
#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")
))]
#[path = "unix/linux_mutex.rs"]
mod linux_mutex;
#[cfg(not(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "openbsd"
)))]
#[path = "unix/pthread_mutex.rs"]
mod pthread_mutex;
#[cfg(any(
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "openbsd",
    all(
        any(target_os = "linux", target_os = "android"),
        any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")
    )
))]
#[path = "unix/word_mutex.rs"]
mod word_mutex;

#[path = "unix/undisturbed.rs"]
mod undisturbed;
pub(crate) use undisturbed::SignalMask;
use undisturbed::{HeldBack, Uncancelled};
#[cfg(feature = "debug")]
#[path = "unix/own_stack.rs"]
mod own_stack;
#[cfg(feature = "debug")]
#[path = "unix/stay_loaded.rs"]
mod stay_loaded;
#[cfg(feature = "debug")]
pub(crate) use own_stack::on_own_stack;
#[cfg(feature = "debug")]
pub(crate) use stay_loaded::{came_with_program, stay_loaded};

pub(crate) use system::{
    RAW_MUTEX, RawMutex, destroy_mutex, init_mutex, is_privileged, lock_mutex, purge,
    try_lock_mutex, unlock_mutex, without_huge_pages,
};

#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")
))]
pub(crate) use linux_mutex::is_watched;

/// Whether a tool may watch that knows threads by their mutexes.
#[cfg(not(all(
    any(target_os = "linux", target_os = "android"),
    any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")
)))]
pub(crate) fn is_watched() -> bool {
    true
}

#[path = "unix/errno.rs"]
mod errno;
pub(crate) use errno::Errno;

#[cfg(feature = "debug")]
#[path = "unix/modules.rs"]
mod modules;
#[cfg(feature = "debug")]
pub(crate) use modules::module_of;

/// The file descriptor of stderr.
pub(crate) const STDERR: c_int = libc::STDERR_FILENO;

/// Reserves `bytes` of zeroed, readable and writable memory aligned to `align`, or returns null.
///
/// `bytes` is a multiple of the page size, `align` a power of two above it. The kernel hands out
/// neighbouring ranges, so that the first try is aligned as soon as one range is; only then is more
/// reserved than needed, and trimmed.
pub(crate) fn reserve(bytes: usize, align: usize) -> *mut u8 {
    reserve_for(libc::PROT_READ | libc::PROT_WRITE, bytes, align)
}

/// Reserves the same without memory: it cannot be accessed before it is committed, and counts
/// against no limit but that of the address space.
pub(crate) fn reserve_space(bytes: usize, align: usize) -> *mut u8 {
    reserve_for(libc::PROT_NONE, bytes, align)
}

/// Makes a range of reserved address space zeroed, readable and writable memory, and returns
/// whether it could. A range that is so already stays as it is.
///
/// # Safety
/// `start` and `bytes` are whole pages of the system's in a reservation.
pub(crate) unsafe fn commit(start: *mut u8, bytes: usize) -> bool {
    let _errno = Errno::keep();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the caller's promise.
    unsafe { libc::mprotect(start.cast(), bytes, access) == 0 }
}

fn reserve_for(access: c_int, bytes: usize, align: usize) -> *mut u8 {
    let first = map(access, bytes);
    if first.is_null() || first.addr() & (align - 1) == 0 {
        return first;
    }
    // SAFETY: `first` is the mapping of `bytes` made above, and nothing refers to it.
    unsafe { release(first, bytes) };

    let Some(ample) = bytes.checked_add(align) else {
        return ptr::null_mut();
    };
    let start = map(access, ample);
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

#[inline(never)]
fn map(access: c_int, bytes: usize) -> *mut u8 {
    let _errno = Errno::keep();
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches nothing.
    let start = unsafe {
        libc::mmap(ptr::null_mut(), bytes, access, libc::MAP_PRIVATE | libc::MAP_ANON, -1, 0)
    };
    if start == libc::MAP_FAILED { ptr::null_mut() } else { start.cast() }
}

/// Gives a range of address space back.
///
/// munmap of whole pages of our own cannot fail but for lack of kernel memory to split a mapping,
/// or if there are as many mappings as the kernel allows. The range is then kept, to be given back
/// later.
///
/// # Safety
/// `start` and `bytes` are (a whole-page part of) a reservation, and nothing refers to it.
pub(crate) unsafe fn release(start: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if unmap(start, bytes) {
            release_refused();
        } else {
            purge(start, bytes);
            // Its first words are written. If it has no memory and gets none, address space is
            // lost.
            if commit(start, page_size().min(bytes)) {
                keep_refused(start, bytes);
            }
        }
    }
}

/// Gives back the ranges that the system refused to take, as far as it takes them now.
pub(crate) fn release_refused() {
    // Relaxed: whether there are any is all that is asked.
    if REFUSED.load(Relaxed).is_null() {
        return;
    }
    // Acquire: what `keep_refused` has written into them.
    let mut range = REFUSED.swap(ptr::null_mut(), Acquire);
    while !range.is_null() {
        // SAFETY: a range of the list is nobody else's, and the list is this call's.
        unsafe {
            let Refused { next, bytes } = range.read();
            if !unmap(range.cast(), bytes) {
                keep_refused(range.cast(), bytes);
            }
            range = next;
        }
    }
}

/// Ranges that munmap has refused, each with this in its first words. A call takes the whole list
/// or adds to it.
static REFUSED: AtomicPtr<Refused> = AtomicPtr::new(ptr::null_mut());

struct Refused {
    next: *mut Refused,
    bytes: usize,
}

/// # Safety
/// As for [`release`].
unsafe fn keep_refused(start: *mut u8, bytes: usize) {
    let range = start.cast::<Refused>();
    // Relaxed: only the address is stored again.
    let mut next = REFUSED.load(Relaxed);
    loop {
        // SAFETY: the caller's promise; a page is aligned for any type.
        unsafe { range.write(Refused { next, bytes }) };
        // Release: for whoever takes the list.
        match REFUSED.compare_exchange_weak(next, range, Release, Relaxed) {
            Ok(_) => return,
            Err(first) => next = first,
        }
    }
}

/// # Safety
/// As for [`release`].
#[inline(never)]
unsafe fn unmap(start: *mut u8, bytes: usize) -> bool {
    let _errno = Errno::keep();
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(start.cast(), bytes) == 0 }
}

/// Bytes of a page of the system's; those of the smallest that there is, if it does not say.
#[inline(never)]
pub(crate) fn page_size() -> usize {
    let _errno = Errno::keep();
    // SAFETY: always callable.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if bytes > 0 { bytes as usize } else { 4096 }
}

/// A number that tells this thread from all others that run now; never 0.
pub(crate) fn thread_id() -> usize {
    // SAFETY: always callable.
    unsafe { libc::pthread_self() as usize }
}

/// Seconds since some moment, by the cheapest clock there is.
#[inline(never)]
pub(crate) fn coarse_seconds() -> u32 {
    let _errno = Errno::keep();
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable. Should the clock fail, time stands still, which is harmless.
    unsafe { libc::clock_gettime(system::COARSE_CLOCK, &mut now) };
    now.tv_sec as u32
}

/// Lets other threads go on for a millisecond.
pub(crate) fn pause() {
    let _errno = Errno::keep();
    let millisecond = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    // SAFETY: the time is readable. If a signal ends the pause, it was a shorter one.
    unsafe { libc::nanosleep(&millisecond, ptr::null_mut()) };
}

/// Runs `before` before every fork() in the forking thread, and behind it `in_parent` and
/// `in_child` in the two processes. Does nothing if there is no memory.
///
/// In a shared library that is unloaded, the C library drops the hooks with it: pthread_atfork is
/// part of the library's own code and tells the C library which object it belongs to.
pub(crate) fn around_fork(
    before: unsafe extern "C" fn(),
    in_parent: unsafe extern "C" fn(),
    in_child: unsafe extern "C" fn(),
) {
    // SAFETY: the hooks are functions of this library, which keeps them for as long as it is
    // loaded.
    unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
}

/// Says a line on stderr: one write if it can be, no buffer, no lock.
#[inline(never)]
pub(crate) fn say(line: &[u8]) {
    let _errno = Errno::keep();
    // There is no one to tell if stderr is closed.
    write_uncancelled(STDERR, line);
}

/// As [`write`]; the thread is not cancelled meanwhile.
pub(crate) fn write_uncancelled(fd: c_int, text: &[u8]) -> bool {
    let _uncancelled = Uncancelled::begin();
    write(fd, text)
}

/// Writes all of `text` to a file descriptor, and returns whether it could. A reader that is gone
/// raises no signal. A cancellation point, as any write to a file of the program's.
pub(crate) fn write(fd: c_int, mut text: &[u8]) -> bool {
    let signals = HeldBack::begin();
    while !text.is_empty() {
        // SAFETY: `text` is readable.
        let written = unsafe { libc::write(fd, text.as_ptr().cast::<c_void>(), text.len()) };
        match usize::try_from(written) {
            // No error, and no progress either.
            Ok(0) => return false,
            Ok(written) => text = &text[written..],
            Err(_) if errno::errno() == libc::EINTR => {}
            Err(_) => {
                signals.take_back();
                return false;
            }
        }
    }
    true
}

/// Creates a file, or empties it, and returns its descriptor; a negative number if that is not
/// possible, or if the last part of the path is a symbolic link: in a directory that others may
/// write to, it could lead anywhere.
pub(crate) fn create_file(path: &CStr) -> c_int {
    let _errno = Errno::keep();
    let flags = FILE_FLAGS | libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;
    let _uncancelled = Uncancelled::begin();
    // SAFETY: `path` is a string.
    unsafe { libc::open(path.as_ptr(), flags, 0o666 as libc::c_uint) }
}

/// No link is followed, no process that is started has the file, and neither a FIFO nor a terminal
/// keeps the program waiting.
const FILE_FLAGS: c_int = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;

/// Reads how a file begins, and returns how many bytes; 0 if there is none. Nothing is read of a
/// FIFO, where others would miss it: that has no place to read at.
pub(crate) fn read_head(path: &CStr, bytes: &mut [u8]) -> usize {
    let _errno = Errno::keep();
    // SAFETY: `path` is a string, so many bytes are writable, and the descriptor is closed once.
    unsafe {
        let fd = libc::open(path.as_ptr(), FILE_FLAGS | libc::O_RDONLY);
        if fd < 0 {
            return 0;
        }
        let read = libc::pread(fd, bytes.as_mut_ptr().cast(), bytes.len(), 0);
        libc::close(fd);
        usize::try_from(read).unwrap_or(0)
    }
}

/// Writes a path to `to` that leads to the same file wherever the process goes, and returns how
/// long it is; none if there is no room for it, or if the working directory is gone.
pub(crate) fn absolute(path: &[u8], to: &mut [u8]) -> Option<usize> {
    let _errno = Errno::keep();
    let mut length = 0;
    if !path.starts_with(b"/") {
        // SAFETY: so many bytes are writable.
        if unsafe { libc::getcwd(to.as_mut_ptr().cast(), to.len()) }.is_null() {
            return None;
        }
        length = to.iter().position(|byte| *byte == 0)?;
        *to.get_mut(length)? = b'/';
        length += 1;
    }
    to.get_mut(length..length + path.len())?.copy_from_slice(path);
    Some(length + path.len())
}

/// The number of this process.
pub(crate) fn process_id() -> u32 {
    // SAFETY: always callable.
    unsafe { libc::getpid() as u32 }
}

/// Closes a descriptor.
pub(crate) fn close_file(fd: c_int) {
    let _errno = Errno::keep();
    let _uncancelled = Uncancelled::begin();
    // SAFETY: always callable.
    unsafe { libc::close(fd) };
}

/// The value of an environment variable; none in a program with more rights than its user (setuid).
pub(crate) fn variable(name: &CStr) -> Option<&'static CStr> {
    // SAFETY: `name` is a string. The value is valid until the environment is changed, which a
    // program must not do while others read it.
    unsafe {
        if system::is_privileged() {
            return None;
        }
        let value = libc::getenv(name.as_ptr());
        if value.is_null() { None } else { Some(CStr::from_ptr(value)) }
    }
}

/// Bits that are hard to guess, and the same for all of the process.
pub(crate) fn secret() -> usize {
    let _errno = Errno::keep();
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: what the kernel gives each program are 16 random bytes, of which the C library uses
    // parts as they are; so they are mixed.
    unsafe {
        let random = libc::getauxval(libc::AT_RANDOM) as *const [u64; 2];
        if let Some([a, b]) = (!random.is_null()).then(|| random.read_unaligned()) {
            let mixed = (a ^ (b >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ b.rotate_left(23);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            return (mixed ^ (mixed >> 31)) as usize;
        }
    }
    // Where the stack lies and what time it is.
    let here = 0u8;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    let mixed = (&raw const here).addr() as u64 ^ (now.tv_nsec as u64) << 32;
    (mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 7) as usize
}

/// Ends the process with SIGABRT.
pub(crate) fn abort() -> ! {
    // SAFETY: always callable.
    unsafe { libc::abort() }
}
