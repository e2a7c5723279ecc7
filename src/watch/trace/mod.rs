// SPDX-License-Identifier: MIT
//! Recording: every call on pools in the mode `trace`, in a file that can be replayed.
//!
//! `docs/traces.md` describes the file. Pools in this mode are uncached, so that all calls on them
//! and all frees of their objects are slow paths, from which they come here. An allocation is
//! recorded behind it and everything else before it, all under one lock: so the records are in an
//! order in which one thread can make all calls.
//!
//! The file is opened at the first record, and ended when the library is unloaded or the program
//! exits. What is written is gathered first, in memory of the recording's own, but for the header,
//! by which another copy of the library knows whose the file is. Should that or the
//! file system be full, the recording ends there. After fork() the child process records nothing.
//!
//! The lock is taken with no other one held, and none is taken under it. It is held while the file
//! is written, as the order of the records is that of the calls: a slow file stops the threads that
//! use recorded pools, once in [`BUFFER`] bytes; others go on. What is to be said of the recording
//! is said without the lock.

mod map;

use core::cell::UnsafeCell;
use core::ptr;

use crate::base::geometry::PAGE;
use crate::base::line::Line;
use crate::pool::child::ChildPool;
use crate::pool::parent::ParentPool;
use crate::sys::os;
use crate::sys::sync::Locked;
use crate::sys::sync::across_fork::ForkMutex;
use crate::watch::{own_file, report};
use map::{Kind, Map};

/// What a record says, by its first byte.
#[derive(Clone, Copy)]
enum Op {
    CreateParent = 1,
    DestroyParent = 2,
    CreateChild = 3,
    DestroyChild = 4,
    Alloc = 5,
    Zalloc = 6,
    Free = 7,
    End = 8,
}

/// Flags of frees: not the child that allocated, ...
const CROSS: u8 = 2;
/// ... which is destroyed, ...
const ORPHAN: u8 = 4;
/// ... the child that is passed is destroyed or was never created, ...
const DEAD_POOL: u8 = 8;
/// ... or is a child of another parent.
const OTHER_PARENT: u8 = 64;

/// In the place of the live objects of a child that is destroyed.
const DESTROYED: u32 = u32::MAX;

const RECORD: usize = 16;
/// Bytes that are gathered before they are written.
const BUFFER: usize = 64 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is recorded yet.
    Fresh,
    /// The file is open.
    Open,
    /// Nothing will be recorded.
    Over,
}

struct Recording {
    mutex: ForkMutex,
    state: UnsafeCell<State>,
}

// SAFETY: the state is only reached with the mutex locked.
unsafe impl Sync for Recording {}

/// What is to be said of the recording, once it is not locked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Nothing,
    NotAllowed,
    NotCreated,
    NotWritten,
    NoMemory,
}

struct State {
    phase: Phase,
    message: Message,
    fd: core::ffi::c_int,
    began: u64,
    buffer: *mut u8,
    filled: usize,
    map: Map,
    /// How many of each there have been.
    parents: u32,
    children: u32,
    objects: u32,
    threads: u32,
}

static RECORDING: Recording = Recording {
    mutex: ForkMutex::unlocked(),
    state: UnsafeCell::new(State {
        phase: Phase::Fresh,
        message: Message::Nothing,
        fd: -1,
        began: 0,
        buffer: ptr::null_mut(),
        filled: 0,
        map: Map::EMPTY,
        parents: 0,
        children: 0,
        objects: 0,
        threads: 0,
    }),
};

impl Recording {
    /// Calls `work` with the recording locked, unless it is over; then says what is to be said.
    fn record(&self, work: impl FnOnce(&mut State)) {
        // SAFETY: no thread that is in here calls this, and the state is reached through this lock
        // only.
        let mut state = unsafe { Locked::lock(&self.mutex, self.state.get()) };
        if state.phase == Phase::Fresh {
            state.open();
        }
        if state.phase == Phase::Open {
            work(&mut state);
        }
        let message = core::mem::replace(&mut state.message, Message::Nothing);
        drop(state);
        message.say();
    }
}

impl Message {
    #[inline(always)]
    fn say(self) {
        if self != Message::Nothing {
            self.say_it();
        }
    }

    #[cold]
    #[inline(never)]
    fn say_it(self) {
        match self {
            Message::Nothing => {}
            Message::NotAllowed => os::say(b"mesa-slab: no trace is written\n"),
            Message::NotCreated => {
                let mut path = Line::empty();
                if expanded_path(&mut path) {
                    report::cannot_write("a trace", path.as_bytes());
                }
            }
            Message::NotWritten => os::say(b"mesa-slab: the trace cannot be written any more\n"),
            Message::NoMemory => os::say(b"mesa-slab: no memory for the trace\n"),
        }
    }
}

/// A child is created, of a pool in the mode.
#[cold]
#[inline(never)]
pub(crate) fn create_child(child: *const ChildPool, parent: &ParentPool) {
    RECORDING.record(|state| _ = state.child(child.addr(), parent));
}

/// A child is about to be destroyed.
#[cold]
#[inline(never)]
pub(crate) fn destroy_child(child: *const ChildPool) {
    RECORDING.record(|state| state.destroy_child(child.addr()));
}

/// A pool is about to be destroyed, or its memory is used for another one.
#[cold]
#[inline(never)]
pub(crate) fn destroy_parent(parent: *const ParentPool) {
    RECORDING.record(|state| state.destroy_parent(parent.addr()));
}

/// An object was allocated, from a pool in the mode.
#[cold]
#[inline(never)]
pub(crate) fn alloc(child: *const ChildPool, parent: &ParentPool, object: *const u8, zeroed: bool) {
    RECORDING.record(|state| state.alloc(child.addr(), parent, object.addr(), zeroed));
}

/// Something is about to be freed, which may be an object of a pool in the mode.
#[cold]
#[inline(never)]
pub(crate) fn free(child: *const ChildPool, object: *const u8) {
    RECORDING.record(|state| state.free(child.addr(), object.addr()));
}

impl State {
    fn open(&mut self) {
        self.phase = Phase::Over;
        let mut path = Line::<1024>::empty();
        if os::is_privileged() || !expanded_path(&mut path) {
            self.message = Message::NotAllowed;
            return;
        }
        let bytes = os::whole_pages(BUFFER);
        self.buffer = os::reserve(bytes, PAGE);
        let mut header = [0; RECORD];
        header[..8].copy_from_slice(b"SLABTRC1");
        header[8..].copy_from_slice(&own_file::mark());
        self.fd = if self.buffer.is_null() { -1 } else { own_file::create(&mut path, &header) };
        if self.fd < 0 {
            self.release_buffer();
            self.message = Message::NotCreated;
            return;
        }
        self.began = os::microseconds();
        self.phase = Phase::Open;
        self.append(header);
        // At once: by its mark another copy of the library, which may be at its own first record,
        // knows the file.
        self.flush();
    }

    fn append(&mut self, record: [u8; RECORD]) {
        if self.filled == BUFFER {
            self.flush();
        }
        if self.phase == Phase::Open {
            // SAFETY: the buffer has room for whole records, and is not full.
            unsafe { self.buffer.add(self.filled).cast::<[u8; RECORD]>().write(record) }
            self.filled += RECORD;
        }
    }

    fn flush(&mut self) {
        let _errno = os::Errno::keep();
        // SAFETY: so many bytes of the buffer are written.
        let gathered = unsafe { core::slice::from_raw_parts(self.buffer, self.filled) };
        self.filled = 0;
        if !os::write_uncancelled(self.fd, gathered) {
            self.message = Message::NotWritten;
            self.close();
        }
    }

    fn close(&mut self) {
        self.phase = Phase::Over;
        os::close_file(self.fd);
        self.map.release();
        self.release_buffer();
    }

    fn release_buffer(&mut self) {
        if !self.buffer.is_null() {
            // SAFETY: the buffer is the recording's, and not used any more.
            unsafe { os::release(self.buffer, os::whole_pages(BUFFER)) }
            self.buffer = ptr::null_mut();
        }
    }

    fn record(&mut self, op: Op, flags: u8, pool: u32, a: u32, b: u32) {
        let thread = self.thread();
        let mut record = [0; RECORD];
        record[0] = op as u8;
        record[1] = flags;
        record[2..4].copy_from_slice(&thread.to_le_bytes());
        record[4..8].copy_from_slice(&pool.to_le_bytes());
        record[8..12].copy_from_slice(&a.to_le_bytes());
        record[12..16].copy_from_slice(&b.to_le_bytes());
        self.append(record);
    }

    /// Sets the values of a key; without memory for it the recording ends.
    fn set(&mut self, kind: Kind, key: usize, values: [u32; 2]) {
        if self.phase == Phase::Open && !self.map.set(kind, key, values) {
            self.message = Message::NoMemory;
            self.flush();
            if self.phase == Phase::Open {
                self.close();
            }
        }
    }

    fn change(&mut self, kind: Kind, key: u32, change: impl FnOnce(&mut [u32; 2])) {
        if let Some(mut values) = self.map.get(kind, key as usize) {
            change(&mut values);
            self.set(kind, key as usize, values);
        }
    }

    fn time(&self) -> u32 {
        os::microseconds().wrapping_sub(self.began) as u32
    }

    fn thread(&mut self) -> u16 {
        let thread = os::thread_id();
        let number = match self.map.get(Kind::Thread, thread) {
            Some([number, _]) => number,
            None => {
                self.threads += 1;
                let number = self.threads;
                self.set(Kind::Thread, thread, [number, 0]);
                number
            }
        };
        number as u16
    }

    /// The number of a parent, which gets one if it is new.
    fn parent(&mut self, parent: &ParentPool) -> u32 {
        let address = (&raw const *parent).addr();
        if let Some([number, _]) = self.map.get(Kind::Parent, address) {
            return number;
        }
        self.parents += 1;
        let number = self.parents;
        self.set(Kind::Parent, address, [number, 0]);
        self.set(Kind::ParentCounts, number as usize, [0, 0]);
        self.record(Op::CreateParent, 0, number, parent.item_size, parent.num_elements);
        number
    }

    /// Gives a child a number: it is new.
    fn child(&mut self, child: usize, parent: &ParentPool) -> u32 {
        let parent = self.parent(parent);
        self.children += 1;
        let number = self.children;
        self.set(Kind::Child, child, [number, parent]);
        self.set(Kind::ChildCounts, number as usize, [0, parent]);
        self.change(Kind::ParentCounts, parent, |[_, children]| *children += 1);
        let time = self.time();
        self.record(Op::CreateChild, 0, number, parent, time);
        number
    }

    fn destroy_child(&mut self, child: usize) {
        let Some([number, parent]) = self.map.get(Kind::Child, child) else { return };
        if self.map.get(Kind::ParentCounts, parent as usize).is_none() {
            return;
        }
        let time = self.time();
        let live = self.map.get(Kind::ChildCounts, number as usize).map_or(0, |[live, _]| live);
        self.set(Kind::ChildCounts, number as usize, [DESTROYED, parent]);
        self.change(Kind::ParentCounts, parent, |[_, children]| *children -= 1);
        self.set(Kind::Child, child, [number, 0]);
        self.record(Op::DestroyChild, 0, number, live, time);
    }

    fn destroy_parent(&mut self, parent: usize) {
        let Some([number, _]) = self.map.remove(Kind::Parent, parent) else { return };
        let counts = self.map.remove(Kind::ParentCounts, number as usize);
        let [objects, children] = counts.unwrap_or_default();
        self.record(Op::DestroyParent, 0, number, objects, children);
        if self.phase == Phase::Open {
            self.flush();
        }
    }

    fn alloc(&mut self, child: usize, parent: &ParentPool, object: usize, zeroed: bool) {
        let parent_number = self.parent(parent);
        let number = match self.map.get(Kind::Child, child) {
            Some([number, of]) if of == parent_number => number,
            // It was created before the pool had the mode.
            _ => self.child(child, parent),
        };
        self.objects += 1;
        let object_number = self.objects;
        self.set(Kind::Object, object, [object_number, number]);
        self.change(Kind::ChildCounts, number, |[live, _]| *live += 1);
        self.change(Kind::ParentCounts, parent_number, |[live, _]| *live += 1);
        let time = self.time();
        let op = if zeroed { Op::Zalloc } else { Op::Alloc };
        self.record(op, 0, number, object_number, time);
    }

    fn free(&mut self, child: usize, object: usize) {
        let Some([object, from]) = self.map.remove(Kind::Object, object) else { return };
        let [child, parent] = self.map.get(Kind::Child, child).unwrap_or_default();
        let [live, of] = self.map.get(Kind::ChildCounts, from as usize).unwrap_or_default();
        let exists = self.map.get(Kind::ParentCounts, parent as usize).is_some();
        // A child that was not destroyed before its parent is as if it had never been.
        let child = if exists || parent == 0 { child } else { 0 };
        let mut flags = 0;
        if child != from {
            flags |= CROSS;
        }
        if live == DESTROYED {
            flags |= ORPHAN;
        } else {
            self.set(Kind::ChildCounts, from as usize, [live.wrapping_sub(1), of]);
        }
        if !exists {
            flags |= DEAD_POOL;
        } else if of != parent {
            flags |= OTHER_PARENT;
        }
        self.change(Kind::ParentCounts, of, |[live, _]| *live -= 1);
        let time = self.time();
        self.record(Op::Free, flags, child, object, time);
    }
}

/// Writes the path of the file. Returns false if it is too long or empty.
fn expanded_path(path: &mut Line<1024>) -> bool {
    let pattern = os::variable(c"SLAB_TRACE").unwrap_or(c"slab-trace.%p");
    path.path(pattern.to_bytes(), os::process_id() as usize)
}

/// Ends the file. Called when the library is unloaded or the program exits, unless a thread is just
/// at it.
pub(crate) fn at_unload() {
    // SAFETY: the state is reached through this lock only.
    let state = unsafe { Locked::try_lock(&RECORDING.mutex, RECORDING.state.get()) };
    let Some(mut state) = state else { return };
    if state.phase == Phase::Open {
        let (objects, time) = (state.objects, state.time());
        state.record(Op::End, 0, 0, objects, time);
        if state.phase == Phase::Open {
            state.flush();
        }
        if state.phase == Phase::Open {
            state.close();
        }
    }
    state.phase = Phase::Over;
    let message = state.message;
    drop(state);
    message.say();
}

/// Where the holder of the lock is noted: address and bytes.
pub(crate) fn holder() -> (usize, usize) {
    RECORDING.mutex.atomics()
}

/// A recording that has begun is over in a new process. It is not locked for the fork: it may be
/// that it waits for a slow file. If a thread had it, which is not there, what it kept is lost to the new process.
///
/// # Safety
/// As for [`ForkMutex::in_new_process`].
pub(crate) unsafe fn in_new_process() {
    // SAFETY: the caller's promise. If the fork interrupted a call in here, that goes on with the
    // file and the buffer: only what says whether there is a next record is changed.
    unsafe {
        let state = RECORDING.state.get();
        let was_free = RECORDING.mutex.in_new_process(|| {
            if (*state).phase == Phase::Open {
                (*state).close();
            }
        });
        if !was_free {
            (&raw mut (*state).phase).write(Phase::Over);
        }
    }
}
