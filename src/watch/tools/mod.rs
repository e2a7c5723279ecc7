// SPDX-License-Identifier: MIT
//! What tools that watch memory are told of objects: AddressSanitizer, LeakSanitizer,
//! MemorySanitizer, and valgrind's memcheck.
//!
//! If AddressSanitizer or memcheck is there when a pool is created, the pool is uncached and in the
//! mode `tools`: its objects have room around them and wait in a quarantine, and all memory of its
//! slabs but the objects that are out is made inaccessible. The tool then reports a use after free,
//! an overrun or an underrun at the instruction.
//!
//! | moment | AddressSanitizer | memcheck | MemorySanitizer |
//! |---|---|---|---|
//! | a slab is made | poisoned | no access | |
//! | an object is allocated | unpoisoned | an object of a memory pool | uninitialised |
//! | it is freed | poisoned | freed | uninitialised |
//! | a pool is created | | | the struct is initialised |
//! | the slab is given up | unpoisoned | undefined | |
//!
//! With SLAB_TOOLS=off in the environment nothing is told and all pools are as ever.
//!
//! AddressSanitizer has one callback for its reports, does not tell which, and so cannot give one back
//! or call two. The library sets its own, by which it says what an object is, where it takes none
//! away: before anything of the program runs, if it is loaded with that, so that the program's takes
//! its place. If it is loaded later, or to come behind one of the program's, SLAB_TOOLS=describe asks
//! for it.
//!
//! The library itself reads no object. LeakSanitizer is told to look for pointers in chunks, as it
//! would not in memory that is no malloc's; ThreadSanitizer, helgrind and drd see the mutexes, and
//! the latter two are told which words are atomic.

mod weak;

use core::ffi::c_char;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::base::modes::Modes;
use crate::base::pool_id::PoolId;
use crate::groups;
use crate::heap::chunk::slab_of;
use crate::heap::registry;
use crate::heap::{HEAP, Owner, growth, owner};
use crate::pool::{budget, sleepers};
use crate::sys::os;
use crate::sys::sync::rank;
use crate::sys::valgrind::{self, request};
use crate::watch::debug::access::Access;
use crate::watch::debug::ledger::{self, Ledger};
use crate::watch::debug::table::{State, User};
use crate::watch::debug::{stack, stacks};
#[cfg(unix)]
use crate::watch::guard;
use crate::watch::handler;
use crate::watch::report;
#[cfg(unix)]
use crate::watch::trace;
use weak::weak;

/// Bits of what is there, or that nobody has looked yet.
const NOT_LOOKED: u8 = 1;
const ASAN: u8 = 2;
const MEMCHECK: u8 = 4;
const MSAN: u8 = 8;
const LSAN: u8 = 16;

/// Bytes around an object that memcheck says are next to it: as many as there are at least.
const REDZONE: usize = 16;

// Relaxed: whoever looks finds the same.
static THERE: AtomicU8 = AtomicU8::new(NOT_LOOKED);

/// All objects of all pools are in one memory pool of memcheck's, named by this address: a pool of
/// ours may be created at the address of one that was never destroyed, which memcheck does not put
/// up with, and objects outlive their pools.
fn mempool() -> usize {
    (&raw const THERE).addr()
}

/// Looks for tools, once. Called when a pool is created, without a lock.
pub(crate) fn look() {
    if !has(NOT_LOOKED) {
        return;
    }
    if request(valgrind::RUNNING, 0, 0, 0) != 0 {
        let words = [registry::atomics(), rank::atomics()];
        let mut atomic = |(start, bytes)| valgrind::atomic(start, bytes);
        HEAP.atomics()
            .into_iter()
            .chain(sleepers::atomics())
            .chain(budget::atomics())
            .chain([growth::atomics()])
            .chain(groups::atomics())
            .chain(words)
            .for_each(&mut atomic);
        report::atomics().into_iter().for_each(&mut atomic);
        atomic(handler::atomics());
        stacks::atomics().into_iter().for_each(&mut atomic);
        ledger::atomics().into_iter().for_each(&mut atomic);
        #[cfg(unix)]
        guard::atomics().into_iter().flatten().for_each(&mut atomic);
        #[cfg(unix)]
        [guard::holder(), trace::holder()].into_iter().for_each(&mut atomic);
        // What the C library does once must be over before there are threads that do it.
        stack::prepare();
    }
    if wants(b"off") {
        THERE.store(0, Relaxed);
        return;
    }
    let weak = weak();
    let mut there = 0;
    if weak.asan_poison.is_some() && weak.asan_unpoison.is_some() {
        there |= ASAN;
    }
    if weak.lsan_register.is_some() && weak.lsan_unregister.is_some() {
        there |= LSAN;
    }
    if weak.msan_poison.is_some() {
        there |= MSAN;
    }
    // Memcheck answers with -1, the other tools with 0.
    if request(valgrind::MAKE_DEFINED, mempool(), 1, 0) as isize == -1 {
        there |= MEMCHECK;
    }
    if THERE.swap(there, Relaxed) & NOT_LOOKED == 0 {
        return;
    }
    // It does if the library was unloaded and is loaded again at its old address.
    if there & MEMCHECK != 0 && request(valgrind::MEMPOOL_EXISTS, mempool(), 0, 0) == 0 {
        request(valgrind::CREATE_MEMPOOL, mempool(), REDZONE, 0);
    }
    if wants(b"describe") {
        // It cannot be taken away when the library is unloaded.
        #[cfg(unix)]
        os::stay_loaded();
        set_callback();
    }
}

/// To be called when the library is loaded.
#[cfg(unix)]
pub(crate) fn at_load() {
    if weak().asan_set_callback.is_some() && !wants(b"off") && os::came_with_program() {
        set_callback();
    }
}

/// To be called if the library is never unloaded.
fn set_callback() {
    if let Some(set_callback) = weak().asan_set_callback {
        // SAFETY: it is the runtime's function, and the callback stays.
        unsafe { set_callback(Some(on_report)) }
    }
}

/// Whether SLAB_TOOLS is this word.
fn wants(word: &[u8]) -> bool {
    os::variable(c"SLAB_TOOLS").is_some_and(|text| text.to_bytes() == word)
}

/// Whether pools that are created now are to be in the mode `tools`.
pub(crate) fn watch_objects() -> bool {
    has(ASAN | MEMCHECK | MSAN)
}

/// What else such pools are to be: freed objects wait, as a tool sees their use only until they are
/// used again; and AddressSanitizer knows no stacks but those of its own allocations.
pub(crate) fn modes() -> Modes {
    let modes = Modes::TOOLS.with(Modes::QUARANTINE);
    if has(ASAN) { modes.with(Modes::USERS) } else { modes }
}

/// Whether one of these is there.
fn has(bits: u8) -> bool {
    THERE.load(Relaxed) & bits != 0
}

/// A slab is made whose objects are watched.
pub(crate) fn slab_made(start: *mut u8, bytes: usize) {
    poison(start, bytes);
    if has(MEMCHECK) {
        request(valgrind::MAKE_NOACCESS, start.addr(), bytes, 0);
    }
}

/// A slab is given up. It may be one whose objects were not watched.
pub(crate) fn slab_gone(start: *mut u8, bytes: usize) {
    if has(ASAN | MEMCHECK | MSAN) {
        unpoison(start, bytes);
        if has(MEMCHECK) {
            request(valgrind::MAKE_UNDEFINED, start.addr(), bytes, 0);
        }
    }
}

/// An object is allocated that is watched.
pub(crate) fn allocated(object: *mut u8, item_size: u32) {
    let bytes = item_size.max(1) as usize;
    unpoison(object, bytes);
    if has(MEMCHECK) {
        request(valgrind::MEMPOOL_ALLOC, mempool(), object.addr(), bytes);
    }
    uninitialised(object, bytes);
}

/// An object is freed that is watched.
pub(crate) fn freed(object: *mut u8, item_size: u32) {
    let bytes = item_size.max(1) as usize;
    poison(object, bytes);
    if has(MEMCHECK) {
        request(valgrind::MEMPOOL_FREE, mempool(), object.addr(), 0);
    }
    uninitialised(object, bytes);
}

fn poison(start: *mut u8, bytes: usize) {
    if let (true, Some(poison)) = (has(ASAN), weak().asan_poison) {
        // SAFETY: it is the runtime's function, and the range is the library's.
        unsafe { poison(start.cast(), bytes) }
    }
}

fn unpoison(start: *mut u8, bytes: usize) {
    if let (true, Some(unpoison)) = (has(ASAN), weak().asan_unpoison) {
        // SAFETY: as above.
        unsafe { unpoison(start.cast(), bytes) }
    }
}

fn uninitialised(start: *mut u8, bytes: usize) {
    if let (true, Some(poison)) = (has(MSAN), weak().msan_poison) {
        // SAFETY: as above.
        unsafe { poison(start.cast(), bytes) }
    }
}

/// The library wrote a struct of the program's. Children come and go with each submit.
#[inline(always)]
pub(crate) fn initialised(start: *const u8, bytes: usize) {
    if has(MSAN) {
        say_initialised(start, bytes);
    }
}

#[cold]
#[inline(never)]
fn say_initialised(start: *const u8, bytes: usize) {
    if let Some(unpoison) = weak().msan_unpoison {
        // SAFETY: as above.
        unsafe { unpoison(start.cast(), bytes) }
    }
}

/// A chunk is reserved.
pub(crate) fn chunk_reserved(start: *mut u8, bytes: usize) {
    if let (true, Some(register)) = (has(LSAN), weak().lsan_register) {
        // SAFETY: as above.
        unsafe { register(start.cast(), bytes) }
    }
}

/// A chunk is about to be released.
pub(crate) fn chunk_released(start: *mut u8, bytes: usize) {
    if let (true, Some(unregister)) = (has(LSAN), weak().lsan_unregister) {
        // SAFETY: as above; it was registered.
        unsafe { unregister(start.cast(), bytes) }
    }
}

/// Called by AddressSanitizer when it has written a report.
unsafe extern "C" fn on_report(_report: *const c_char) {
    if let Some(address) = weak().asan_report_address {
        // SAFETY: it is the runtime's function.
        let address = unsafe { address() }.cast::<u8>();
        // SAFETY: an address in the memory of a slab, which is not given up while it is read here.
        unsafe { tell_of(address) }
    }
}

/// Says which object an address is in or next to, if there is one.
///
/// # Safety
/// If the address is in a slab, that is not given up meanwhile.
unsafe fn tell_of(address: *mut u8) {
    // SAFETY: the caller's promise. What another thread changes meanwhile may be told as it was.
    unsafe {
        let parent = match owner(address) {
            Owner::Parent(parent) => parent,
            Owner::Limbo => 0,
            _ => return,
        };
        let slab = &*slab_of(address);
        let stride = slab.stride() as usize;
        let (item_size, num_items) = slab.item();
        let size = item_size.max(1) as usize;
        let lead = slab.lead();
        let offset = address.addr().wrapping_sub(slab.base().addr());
        let index = (offset / stride).min(slab.capacity() as usize - 1);
        let mut slot = slab.base().add(index * stride);
        // Behind an object it may be nearer to the next one.
        let behind = offset.saturating_sub(index * stride + lead + size);
        if index + 1 < slab.capacity() as usize && behind > (index + 1) * stride + lead - offset {
            slot = slot.add(stride);
        }
        let object = slot.add(lead);
        let pages = Ledger::find(parent).and_then(Ledger::try_lock);
        let record = pages.and_then(|pages| pages.record(slot.addr()));
        let waits = record.is_some_and(|record| record.state == State::Waiting);
        let access = Access {
            address: address.addr(),
            object: object.addr(),
            pool: PoolId::new(parent, item_size, num_items),
            is_free: waits || slab.is_out(slot) != Some(true),
            users: record.map_or([User::NONE; 2], |record| [record.allocated, record.freed]),
        };
        access.tell("AddressSanitizer");
    }
}
