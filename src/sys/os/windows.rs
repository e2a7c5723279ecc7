// SPDX-License-Identifier: MIT
//! Windows, from version 7 on. Memory, locks and the clock are those of kernel32; files and the
//! environment those of the C library, whose descriptors and whose variables the program knows.
//!
//! What is committed counts against the system's commit limit, while a page has memory behind it
//! only from its first use on. So the heap commits the chunks of a small heap in steps
//! ([`crate::heap::buddy`]). Committing as slabs are made would cost a system call for each.

use core::ffi::{CStr, c_int, c_uint, c_void};
use core::ptr;

#[link(name = "kernel32")]
unsafe extern "system" {
    fn VirtualAlloc(start: *mut c_void, bytes: usize, kind: u32, protection: u32) -> *mut c_void;
    fn VirtualFree(start: *mut c_void, bytes: usize, kind: u32) -> i32;
    #[cfg(feature = "hardened")]
    fn VirtualProtect(start: *mut c_void, bytes: usize, new: u32, old: *mut u32) -> i32;
    fn VirtualUnlock(start: *mut c_void, bytes: usize) -> i32;
    fn GetSystemInfo(info: *mut SystemInfo);
    fn AcquireSRWLockExclusive(lock: *mut RawMutex);
    fn TryAcquireSRWLockExclusive(lock: *mut RawMutex) -> u8;
    fn ReleaseSRWLockExclusive(lock: *mut RawMutex);
    fn GetTickCount64() -> u64;
    fn GetCurrentThreadId() -> u32;
    fn GetCurrentProcessId() -> u32;
}

#[link(name = "advapi32")]
unsafe extern "system" {
    /// RtlGenRandom, by the name under which it is exported.
    fn SystemFunction036(bytes: *mut c_void, count: u32) -> u8;
}

const MEM_COMMIT: u32 = 0x1000;
const MEM_RESERVE: u32 = 0x2000;
const MEM_RELEASE: u32 = 0x8000;
const MEM_RESET: u32 = 0x80000;
const PAGE_NOACCESS: u32 = 1;
const PAGE_READWRITE: u32 = 4;

#[repr(C)]
struct SystemInfo {
    architecture: u32,
    page_size: u32,
    lowest: *mut c_void,
    highest: *mut c_void,
    processors: [usize; 1],
    kinds: [u32; 3],
    levels: [u16; 2],
}

/// How often a range is looked for that another thread does not take meanwhile.
const TRIES: u32 = 16;

/// Reserves `bytes` of zeroed, readable and writable memory aligned to `align`, or returns null.
///
/// `bytes` is a multiple of the page size, `align` a power of two above it. A part of a reservation
/// cannot be released: a larger one shows where there is room, is released, and its aligned part is
/// asked for, which another thread may have got first.
pub(crate) fn reserve(bytes: usize, align: usize) -> *mut u8 {
    reserve_for(MEM_RESERVE | MEM_COMMIT, bytes, align)
}

/// Reserves the same without memory: it cannot be accessed before it is committed, and does not
/// count against the commit limit.
pub(crate) fn reserve_space(bytes: usize, align: usize) -> *mut u8 {
    reserve_for(MEM_RESERVE, bytes, align)
}

/// Makes a range of reserved address space zeroed, readable and writable memory, and returns
/// whether it could. A range that is so already stays as it is.
///
/// # Safety
/// `start` and `bytes` are whole pages of the system's in a reservation.
pub(crate) unsafe fn commit(start: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller's promise.
    unsafe { !VirtualAlloc(start.cast(), bytes, MEM_COMMIT, PAGE_READWRITE).is_null() }
}

fn reserve_for(kind: u32, bytes: usize, align: usize) -> *mut u8 {
    let first = map(kind, ptr::null_mut(), bytes);
    if first.is_null() || first.addr() & (align - 1) == 0 {
        return first;
    }
    // SAFETY: `first` is the reservation made above, and nothing refers to it.
    unsafe { release(first, bytes) };

    let Some(ample) = bytes.checked_add(align) else {
        return ptr::null_mut();
    };
    for _ in 0..TRIES {
        let anywhere = ptr::null_mut();
        // SAFETY: a new reservation at an address of the system's choice touches nothing.
        let room = unsafe { VirtualAlloc(anywhere, ample, MEM_RESERVE, PAGE_NOACCESS) };
        let room: *mut u8 = room.cast();
        if room.is_null() {
            return room;
        }
        // SAFETY: `room` is the reservation made above, and nothing refers to it.
        unsafe { release(room, ample) };
        let start = map(kind, room.map_addr(|address| address.next_multiple_of(align)), bytes);
        if !start.is_null() {
            return start;
        }
    }
    ptr::null_mut()
}

fn map(kind: u32, start: *mut u8, bytes: usize) -> *mut u8 {
    // SAFETY: a new reservation at an address that is free, or of the system's choice, touches
    // nothing.
    unsafe { VirtualAlloc(start.cast(), bytes, kind, PAGE_READWRITE).cast() }
}

/// Gives a reservation back.
///
/// # Safety
/// `start` is a reservation, `bytes` its size, and nothing refers to it.
pub(crate) unsafe fn release(start: *mut u8, _bytes: usize) {
    // SAFETY: the caller's promise. The size has to be 0.
    unsafe { VirtualFree(start.cast(), 0, MEM_RELEASE) };
}

/// Gives back the ranges that the system refused to take: here it refuses none.
pub(crate) fn release_refused() {}

/// Takes the memory away from behind a range of address space, which stays reserved: its next use
/// finds zeroes, or what was there. Returns whether it finds zeroes for certain.
///
/// It stays committed, so that it can be used again without a call, and without a failure. What was
/// reset is not written to the paging file; unlocking pages that are not locked fails, and takes
/// them out of the working set all the same.
///
/// # Safety
/// `start` and `bytes` are whole pages of the system's in a reservation, and nobody uses them.
pub(crate) unsafe fn purge(start: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller's promise. If it fails, the memory just stays.
    unsafe {
        VirtualAlloc(start.cast(), bytes, MEM_RESET, PAGE_READWRITE);
        VirtualUnlock(start.cast(), bytes);
    }
    false
}

/// Huge pages are only given to who asks for them.
///
/// # Safety
/// None is needed.
pub(crate) unsafe fn without_huge_pages(_start: *mut u8, _bytes: usize) {}

/// Bytes of a page of the system's.
pub(crate) fn page_size() -> usize {
    // SAFETY: all zeroes is a valid value of each field.
    let mut info: SystemInfo = unsafe { core::mem::zeroed() };
    // SAFETY: `info` is writable.
    unsafe { GetSystemInfo(&mut info) };
    info.page_size as usize
}

/// The platform's mutex: a slim reader/writer lock, of which only the writer's part is used.
#[repr(transparent)]
pub(crate) struct RawMutex(*mut c_void);

/// A mutex that needs no initialisation at run time.
pub(crate) const RAW_MUTEX: RawMutex = RawMutex(ptr::null_mut());

/// Makes a mutex in uninitialised memory.
///
/// # Safety
/// `mutex` is writable, and no thread uses it.
pub(crate) unsafe fn init_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    unsafe { ptr::write(mutex, RAW_MUTEX) }
}

/// Ends a mutex.
///
/// # Safety
/// None is needed: it holds nothing.
pub(crate) unsafe fn destroy_mutex(_mutex: *mut RawMutex) {}

/// Locks.
///
/// # Safety
/// `mutex` is initialised, and this thread does not hold it.
#[inline]
pub(crate) unsafe fn lock_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    unsafe { AcquireSRWLockExclusive(mutex) }
}

/// Locks if nobody holds the mutex, and returns whether it did.
///
/// # Safety
/// As for [`lock_mutex`].
pub(crate) unsafe fn try_lock_mutex(mutex: *mut RawMutex) -> bool {
    // SAFETY: the caller's promise.
    unsafe { TryAcquireSRWLockExclusive(mutex) != 0 }
}

/// Unlocks.
///
/// # Safety
/// This thread holds `mutex`.
#[inline]
pub(crate) unsafe fn unlock_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    unsafe { ReleaseSRWLockExclusive(mutex) }
}

/// Whether a tool may watch that knows threads by their mutexes.
pub(crate) fn is_watched() -> bool {
    false
}

/// There are no signals that interrupt a thread.
pub(crate) struct SignalMask;

impl SignalMask {
    pub(crate) const fn none() -> SignalMask {
        SignalMask
    }

    pub(crate) fn hold_back() -> SignalMask {
        SignalMask
    }

    /// # Safety
    /// None is needed.
    pub(crate) unsafe fn put_back(&self) {}
}

/// A number that tells this thread from all others that run now; never 0.
pub(crate) fn thread_id() -> usize {
    // SAFETY: always callable.
    unsafe { GetCurrentThreadId() as usize }
}

/// What may be done with a page.
#[cfg(feature = "hardened")]
pub(crate) enum Access {
    /// Nothing.
    None,
}

/// Changes what may be done with a range, and returns whether it could.
///
/// # Safety
/// `start` and `bytes` are whole pages of the system's in a reservation.
#[cfg(feature = "hardened")]
pub(crate) unsafe fn protect(start: *mut u8, bytes: usize, access: Access) -> bool {
    let mut before = 0;
    let protection = match access {
        Access::None => PAGE_NOACCESS,
    };
    // SAFETY: the caller's promise.
    unsafe { VirtualProtect(start.cast(), bytes, protection, &raw mut before) != 0 }
}

/// Bits that are hard to guess; 0 if the system has none.
pub(crate) fn secret() -> usize {
    let mut bits = 0usize;
    // SAFETY: so many bytes are writable.
    unsafe { SystemFunction036((&raw mut bits).cast(), size_of::<usize>() as u32) };
    bits
}

/// Nothing is known of modules on this system.
#[cfg(feature = "debug")]
pub(crate) fn module_of(_: usize, _: &mut [u8]) -> Option<(usize, usize)> {
    None
}

/// Seconds since some moment, by the cheapest clock there is.
pub(crate) fn coarse_seconds() -> u32 {
    // SAFETY: always callable.
    (unsafe { GetTickCount64() } / 1000) as u32
}

/// Calls `hook` when the program ends, or the DLL that this is part of is unloaded. Does nothing if
/// there is no memory.
pub(crate) fn at_exit(hook: extern "C" fn()) {
    // SAFETY: the hook is a function of this library, which keeps it for as long as it is loaded.
    unsafe { libc::atexit(hook) };
}

/// The file descriptor of stderr.
pub(crate) const STDERR: c_int = 2;

/// Says a line on stderr: one write if it can be, no buffer.
pub(crate) fn say(line: &[u8]) {
    // There is no one to tell if stderr is closed.
    write(STDERR, line);
}

/// Writes all of `text` to a file descriptor of the C library's, and returns whether it could.
pub(crate) fn write(fd: c_int, mut text: &[u8]) -> bool {
    while !text.is_empty() {
        let count = text.len().min(c_int::MAX as usize);
        // SAFETY: `text` is readable.
        let written = unsafe { libc::write(fd, text.as_ptr().cast(), count as c_uint) };
        match usize::try_from(written) {
            Ok(written) => text = &text[written..],
            Err(_) => return false,
        }
    }
    true
}

/// Creates a file, or empties it, and returns its descriptor; a negative number if that is not
/// possible.
pub(crate) fn create_file(path: &CStr) -> c_int {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_NOINHERIT;
    // SAFETY: `path` is a string.
    unsafe { libc::open(path.as_ptr(), flags, libc::S_IREAD | libc::S_IWRITE) }
}

/// Reads how a file begins, and returns how many bytes; 0 if there is none.
pub(crate) fn read_head(path: &CStr, bytes: &mut [u8]) -> usize {
    let flags = libc::O_RDONLY | libc::O_NOINHERIT;
    // SAFETY: `path` is a string, so many bytes are writable, and the descriptor is closed once.
    unsafe {
        let fd = libc::open(path.as_ptr(), flags);
        if fd < 0 {
            return 0;
        }
        let read = libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len() as c_uint);
        libc::close(fd);
        usize::try_from(read).unwrap_or(0)
    }
}

/// Writes a path to `to`, and returns how long it is; none if there is no room for it. A relative
/// one stays so.
pub(crate) fn absolute(path: &[u8], to: &mut [u8]) -> Option<usize> {
    to.get_mut(..path.len())?.copy_from_slice(path);
    Some(path.len())
}

/// The number of this process.
pub(crate) fn process_id() -> u32 {
    // SAFETY: always callable.
    unsafe { GetCurrentProcessId() }
}

/// Closes a descriptor.
pub(crate) fn close_file(fd: c_int) {
    // SAFETY: always callable.
    unsafe { libc::close(fd) };
}

/// The value of an environment variable.
pub(crate) fn variable(name: &CStr) -> Option<&'static CStr> {
    // SAFETY: `name` is a string. The value is valid until the environment is changed, which a
    // program must not do while others read it.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        if value.is_null() { None } else { Some(CStr::from_ptr(value)) }
    }
}

/// Ends the process as C's abort() does.
pub(crate) fn abort() -> ! {
    // SAFETY: always callable.
    unsafe { libc::abort() }
}
