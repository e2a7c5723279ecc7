// SPDX-License-Identifier: MIT
//! Guarded objects: each ends at a page that cannot be accessed, and its own pages cannot be either
//! once it is freed, so that an overrun and a use after free fault at the instruction. [`fault`]
//! then says whose object it is.
//!
//! Two use them: pools in the mode `guard`, for all their objects, and [`sample`], for a few
//! objects of any pool. Both get them here, so that there is one way to find an object and one to
//! free it. Guarded objects are in no slab and in no magazine. Their pages have an owner word of
//! their own, which is no pool's: `slab_free` therefore leaves its fast path, whatever child it is
//! called with, and comes to [`free`]. So an object needs no pool to be freed, and may outlive it.
//!
//! Why not slabs of one object in ordinary chunks: runs of pages are powers of two, so that a guard
//! page would double them; the heap gives free runs to anyone, so that a freed object would have to
//! hold its run back from it; and the handler of faults may take no lock, so that what it looks up
//! must stay where it is.
//!
//! Freed objects keep their address space until [`QUARANTINE`] bytes of their class are free; then
//! the one that is free for longest is used again. Chunks stay until the library is unloaded. An
//! object takes two mappings of the kernel's, whose number is limited (65,530 unless set); where
//! there are no more, memory is out, and the caller takes an ordinary object.
//!
//! Everything here belongs to one lock. It is taken after a pool's, if at all with another one, and
//! none is taken under it.

pub(crate) mod chunk;
pub(crate) mod fault;
pub(crate) mod record;
pub(crate) mod sample;

use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::base::address::chunk_of;
use crate::base::geometry::{CHUNK, stride};
use crate::base::layout::Field;
use crate::base::line::Text;
use crate::base::misuse::Misuse;
use crate::base::pool_id::PoolId;
use crate::heap::HEAP;
use crate::pool::parent::ParentPool;
use crate::sys::os::{self, Access};
use crate::sys::sync::Locked;
use crate::sys::sync::masked::MaskedMutex;
use crate::watch::debug::explain::tell;
use crate::watch::debug::fill;
use crate::watch::debug::table::User;
use crate::watch::report::{self, Report};
use chunk::{CLASSES, FREED, GuardChunk, LIVE, Slot, class_of, class_of_slot, slot_bytes};

/// Address space that freed objects of a class keep before one of them is used again.
const QUARANTINE: usize = 16 * CHUNK;

/// Slots that are used at most. Each with an object takes two of the kernel's mappings, of which a
/// process has 65,530 unless the system is set up otherwise; the ordinary objects that come after,
/// and the program, need some.
const MOST_SLOTS: usize = 30_000;

/// What the bytes around an object are filled with.
const FILL: u8 = 0xa5;

/// What an object is guarded for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// All of its pool are.
    Mode,
    /// It was drawn.
    Sample,
}

static GUARDS: Guards = Guards {
    mutex: MaskedMutex::unlocked(),
    state: UnsafeCell::new(State {
        classes: [const {
            Class {
                oldest: ptr::null_mut(),
                newest: ptr::null_mut(),
                freed: 0,
                used: 0,
                fresh: ptr::null_mut(),
            }
        }; CLASSES],
        live: 0,
    }),
};

/// All chunks, the newest first. None is taken away before the library is unloaded.
static CHUNKS: AtomicPtr<GuardChunk> = AtomicPtr::new(ptr::null_mut());

/// What a walker outside of the process reads here.
pub(crate) const LAYOUTS: &[&[Field]] =
    &[chunk::NUMBERS, chunk::LAYOUT, chunk::SLOT_LAYOUT, record::LAYOUT];
/// Where the newest chunk is noted.
pub(crate) const PLACE: *const () = (&raw const CHUNKS).cast();

/// How many objects callers have; what is asked first by those who would look for some.
static LIVE_OBJECTS: AtomicUsize = AtomicUsize::new(0);

/// The words that are not under a lock, but for those of slots: addresses and bytes.
pub(crate) fn atomics() -> [[(usize, usize); 4]; 2] {
    [
        sample::atomics(),
        [
            ((&raw const CHUNKS).addr(), size_of_val(&CHUNKS)),
            ((&raw const LIVE_OBJECTS).addr(), size_of_val(&LIVE_OBJECTS)),
            fault::atomics()[0],
            fault::atomics()[1],
        ],
    ]
}

struct Guards {
    mutex: MaskedMutex,
    state: UnsafeCell<State>,
}

// SAFETY: the state is only reached with the mutex locked.
unsafe impl Sync for Guards {}

struct State {
    classes: [Class; CLASSES],
    live: usize,
}

/// The slots of one class that have no object.
struct Class {
    /// Freed ones, linked by `next`.
    oldest: *mut Slot,
    newest: *mut Slot,
    freed: usize,
    /// How many slots were ever used.
    used: usize,
    /// The chunk that unused ones are taken from, or null.
    fresh: *mut GuardChunk,
}

impl Guards {
    fn lock(&self) -> Locked<'_, State, MaskedMutex> {
        // SAFETY: no thread that is in here calls this, and the state is reached through this lock
        // only.
        unsafe { Locked::lock(&self.mutex, self.state.get()) }
    }
}

impl Class {
    /// Takes the slot that is freed for longest, or null.
    fn take_freed(&mut self) -> *mut Slot {
        let slot = self.oldest;
        if !slot.is_null() {
            // SAFETY: the slots in the list belong to the lock that is held.
            self.oldest = unsafe { (*slot).next.get() };
            self.freed -= 1;
        }
        slot
    }

    /// Adds a slot whose object is freed.
    ///
    /// # Safety
    /// It is not in the list.
    unsafe fn add_freed(&mut self, slot: *mut Slot) {
        // SAFETY: the caller's promise; the slots in the list belong to the lock that is held.
        unsafe {
            (*slot).next.set(ptr::null_mut());
            if self.oldest.is_null() {
                self.oldest = slot;
            } else {
                (*self.newest).next.set(slot);
            }
        }
        self.newest = slot;
        self.freed += 1;
    }

    /// Takes a slot that was never used, or null.
    fn take_unused(&mut self, class: u8) -> *mut Slot {
        for _ in 0..2 {
            if !self.fresh.is_null() {
                // SAFETY: the chunk is listed, and the lock is held.
                let slot = unsafe { GuardChunk::unused_slot(self.fresh) };
                if !slot.is_null() {
                    self.used += 1;
                    return slot;
                }
            }
            self.fresh = GuardChunk::reserve(class);
            if self.fresh.is_null() {
                break;
            }
            // SAFETY: the chunk is new. Release: whoever finds it in the list finds it complete.
            unsafe {
                (*self.fresh).next = CHUNKS.load(Relaxed);
                CHUNKS.store(self.fresh, Ordering::Release);
            }
        }
        ptr::null_mut()
    }

    /// Takes a slot, or null, when so many are used in all classes.
    fn take(&mut self, class: u8, purpose: Purpose, all_used: usize) -> *mut Slot {
        let enough = match purpose {
            Purpose::Mode => all_used >= MOST_SLOTS || self.freed > QUARANTINE / slot_bytes(class),
            Purpose::Sample => self.used >= sample::SLOTS,
        };
        let unused = if enough { ptr::null_mut() } else { self.take_unused(class) };
        if unused.is_null() { self.take_freed() } else { unused }
    }
}

/// Allocates a guarded object of a pool. Null if there is no memory.
pub(crate) fn alloc(parent: &ParentPool, purpose: Purpose) -> *mut u8 {
    // They are not in the heap that the program has chosen.
    #[cfg(feature = "ext")]
    if !parent.home().is_process() {
        return ptr::null_mut();
    }
    let alignment = parent.alignment();
    // What is aligned to more than the system's pages cannot end at any of them.
    if alignment.of(parent.item_size) as usize > os::page_size() {
        return ptr::null_mut();
    }
    let room = stride(parent.item_size, alignment) as usize;
    let Some(room) = room.checked_next_multiple_of(8) else {
        return ptr::null_mut();
    };
    let class = class_of(room);
    fault::watch();
    let user = record::here();
    let mut guards = GUARDS.lock();
    let state = &mut *guards;
    let all_used = state.classes.iter().map(|class| class.used).sum();
    let slot = state.classes[class as usize].take(class, purpose, all_used);
    if slot.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the slot was in no use, and the lock is held.
    unsafe {
        (*slot).set_room(room);
        let (start, pages) = (Slot::start(slot), (*slot).object_pages());
        if !os::protect(start, pages, Access::ReadWrite) {
            state.classes[class as usize].add_freed(slot);
            return ptr::null_mut();
        }
        let object = Slot::object(slot);
        (*slot).item_size.store(parent.item_size, Relaxed);
        (*slot).num_items.store(parent.num_elements, Relaxed);
        (*slot).parent.store((&raw const *parent).addr(), Relaxed);
        (*slot).allocated.note(user);
        (*slot).freed.note(User::NONE);
        (*slot).state.store(LIVE, Relaxed);
        view(slot).fence(FILL);
        state.live += 1;
        LIVE_OBJECTS.store(state.live, Relaxed);
        object
    }
}

/// The object, and the bytes of its pages before it and behind it.
///
/// # Safety
/// The slot is one of a chunk's, its room and size are set, and its pages can be accessed.
unsafe fn view(slot: *mut Slot) -> fill::Slot {
    // SAFETY: the caller's promise.
    unsafe {
        let (start, object) = (Slot::start(slot), Slot::object(slot));
        let size = (*slot).item_size.load(Relaxed).max(1) as usize;
        fill::Slot::new(start, object.addr() - start.addr(), size, (*slot).object_pages())
    }
}

/// The address of the pool of a guarded object that is out; 0 if it is none, or if its pool is
/// gone.
///
/// # Safety
/// The owner word of the address is [`crate::heap::chunk::GUARDED`].
pub(crate) unsafe fn pool_of(object: *mut u8) -> usize {
    // SAFETY: the caller's promise; a page with that owner word is in one of the chunks, which
    // stay.
    unsafe {
        match GuardChunk::find(chunk_of::<GuardChunk>(object), object.addr()) {
            // Relaxed: while its holder has the object, they change only when the pool is
            // destroyed, which the caller orders with the use of its objects.
            Some(place) if (*place.slot).state.load(Relaxed) == LIVE => {
                (*place.slot).parent.load(Relaxed)
            }
            _ => 0,
        }
    }
}

/// Frees a guarded object, and reports what is wrong with it.
///
/// # Safety
/// The owner word of the address is [`crate::heap::chunk::GUARDED`].
#[inline(never)]
pub(crate) unsafe fn free(function: &str, object: *mut u8) {
    let user = record::here();
    let mut guards = GUARDS.lock();
    let state = &mut *guards;
    // SAFETY: the caller's promise; a page with that owner word is in one of the chunks, which
    // stay.
    unsafe {
        let place = GuardChunk::find(chunk_of::<GuardChunk>(object), object.addr());
        let Some(place) = place else {
            drop(guards);
            return report::problem(function, None, object.addr(), Misuse::NotAnObject.words());
        };
        let slot = place.slot.cast_mut();
        let damage = if object.addr() != place.object {
            Some(Damage::NotAnObject)
        } else if (*slot).state.load(Relaxed) != LIVE {
            Some(Damage::DoubleFree)
        } else {
            view(slot).fence_damage(FILL).map(Damage::Around)
        };
        let is_freed = !matches!(damage, Some(Damage::NotAnObject | Damage::DoubleFree));
        if is_freed {
            (*slot).freed.note(user);
            (*slot).state.store(FREED, Relaxed);
            let (start, pages) = (Slot::start(slot), (*slot).object_pages());
            os::purge(start, pages);
            // If it cannot be, a use after free is not seen.
            os::protect(start, pages, Access::None);
            state.classes[class_of_slot(slot) as usize].add_freed(slot);
            state.live -= 1;
            LIVE_OBJECTS.store(state.live, Relaxed);
        }
        if let Some(damage) = damage {
            damage.report(function, slot, object.addr(), guards);
        }
    }
}

/// What is wrong with an object that is freed.
enum Damage {
    NotAnObject,
    DoubleFree,
    /// Something else was found next to it than was written there.
    Around(fill::Damage),
}

impl Damage {
    /// Reports it. What is said of the slot is noted with the lock held, and said without.
    ///
    /// # Safety
    /// The slot is one of a chunk's.
    unsafe fn report(
        self,
        function: &str,
        slot: *const Slot,
        address: usize,
        guards: Locked<'_, State, MaskedMutex>,
    ) {
        let mut line = Text::empty();
        line.text("mesa-slab: ").text(function).text(": ");
        // SAFETY: the caller's promise.
        let (mut pool, users) = unsafe { ((*slot).pool(), [&(*slot).allocated, &(*slot).freed]) };
        let [allocated, freed] = users.map(|copy| copy.user());
        drop(guards);
        if pool.address != 0 {
            HEAP.with_name(pool.address, |name| pool.set_name(name));
        }
        pool.write(&mut line);
        let size = pool.item_size.max(1) as usize;
        let (words, numbers) = match self {
            Damage::NotAnObject => (": not an object of a pool, but within a guarded one", [0; 2]),
            Damage::DoubleFree => (": double free", [0; 2]),
            Damage::Around(damage) if damage.offset < 0 => {
                let bytes = damage.offset.unsigned_abs();
                (": underrun: byte % before the object is @", [bytes, damage.found.into()])
            }
            Damage::Around(damage) => {
                let bytes = damage.offset as usize + 1 - size;
                (": overrun: byte % behind the object is @", [bytes, damage.found.into()])
            }
        };
        line.address(address).format(words, &numbers);
        let report = Report::say(&mut line);
        tell("  allocated", allocated, Some(&report));
        if matches!(self, Damage::DoubleFree) {
            tell("  freed", freed, Some(&report));
        }
        report.end();
    }
}

/// Forgets that a pool which goes, or whose memory went unannounced, had objects: they stay, and
/// are nobody's.
pub(crate) fn forget(parent: usize) {
    if none_is_live() {
        return;
    }
    for object in live_objects().filter(|object| object.pool.address == parent) {
        // SAFETY: the lock is held, and slots stay.
        unsafe { (*object.slot).parent.store(0, Relaxed) };
    }
}

/// How many objects of a pool callers have, and the bytes of their pages. Takes time in proportion
/// to all slots.
pub(crate) fn live(parent: usize) -> (usize, usize) {
    if none_is_live() {
        return (0, 0);
    }
    let objects = live_objects().filter(|object| object.pool.address == parent);
    objects.fold((0, 0), |(count, bytes), object| (count + 1, bytes + object.bytes))
}

/// Whether no pool has guarded objects out. Relaxed: whoever asks of a pool is ordered with those
/// who allocate from it.
#[inline(always)]
fn none_is_live() -> bool {
    LIVE_OBJECTS.load(Relaxed) == 0
}

/// The address of the pool of an object that a caller has, 0 if that is gone, and its bytes as asked
/// for. None if it is no such object. The address is in a chunk of guarded objects.
#[cfg(feature = "ext")]
pub(crate) fn object_at(address: usize) -> Option<(usize, u32)> {
    let _guards = GUARDS.lock();
    // SAFETY: chunks of guarded objects stay, and the lock is held.
    unsafe {
        let chunk = chunk_of::<GuardChunk>(crate::base::address::at(address));
        let place = GuardChunk::find(chunk, address)?;
        let pool = (*place.slot).pool();
        let is_object = place.object == address && (*place.slot).state.load(Relaxed) == LIVE;
        is_object.then_some((pool.address, pool.item_size))
    }
}

/// A place among all slots. It stays whatever becomes of objects; chunks that are made later lie
/// before it.
#[cfg(feature = "ext")]
pub(crate) struct Place {
    chunk: *mut GuardChunk,
    index: usize,
    is_first: bool,
}

#[cfg(feature = "ext")]
impl Place {
    /// Before all of them.
    pub(crate) const FIRST: Place = Place { chunk: ptr::null_mut(), index: 0, is_first: true };

    /// The first object of a pool behind it that a caller has. It is set behind that one.
    pub(crate) fn next_of(&mut self, parent: usize) -> Option<*mut u8> {
        if none_is_live() {
            return None;
        }
        let guards = GUARDS.lock();
        if core::mem::take(&mut self.is_first) {
            self.chunk = CHUNKS.load(Relaxed);
        }
        let mut objects =
            LiveObjects { chunk: self.chunk, index: self.index, _guards: Some(guards) };
        let found = objects.find(|object| object.pool.address == parent);
        (self.chunk, self.index) = (objects.chunk, objects.index);
        // SAFETY: the lock is held, and slots stay.
        found.map(|object| unsafe { Slot::object(object.slot.cast_mut()) })
    }
}

/// The objects that callers have. For as long as this exists, none is allocated or freed.
#[inline(never)]
pub(crate) fn live_objects() -> LiveObjects {
    if none_is_live() {
        return LiveObjects { chunk: ptr::null_mut(), index: 0, _guards: None };
    }
    let guards = GUARDS.lock();
    LiveObjects { chunk: CHUNKS.load(Relaxed), index: 0, _guards: Some(guards) }
}

/// See [`live_objects`].
pub(crate) struct LiveObjects {
    chunk: *mut GuardChunk,
    index: usize,
    _guards: Option<Locked<'static, State, MaskedMutex>>,
}

/// An object that a caller has.
pub(crate) struct LiveObject {
    /// Its pool.
    pub(crate) pool: PoolId,
    /// Bytes of its pages.
    pub(crate) bytes: usize,
    /// The number of the stack that it was allocated from.
    pub(crate) stack: usize,
    slot: *const Slot,
}

impl Iterator for LiveObjects {
    type Item = LiveObject;

    #[inline(never)]
    fn next(&mut self) -> Option<LiveObject> {
        while !self.chunk.is_null() {
            // SAFETY: chunks in the list stay, and the lock is held.
            unsafe {
                let Some(slot) = GuardChunk::used_slot(self.chunk, self.index) else {
                    (self.chunk, self.index) = ((*self.chunk).next, 0);
                    continue;
                };
                self.index += 1;
                if slot.state.load(Relaxed) == LIVE {
                    return Some(LiveObject {
                        pool: slot.pool(),
                        bytes: slot.object_pages(),
                        stack: slot.allocated.user().stack.number(),
                        slot,
                    });
                }
            }
        }
        None
    }
}

/// Whether a thread, which may be this one, is just at it.
pub(crate) fn is_locked() -> bool {
    // SAFETY: the state is reached through this lock only.
    unsafe { Locked::try_lock(&GUARDS.mutex, GUARDS.state.get()) }.is_none()
}

/// The chunk that an address lies in, or null. Takes no lock.
pub(crate) fn find_chunk(address: usize) -> *const GuardChunk {
    // Acquire: a chunk that is found is complete.
    let mut chunk: *const GuardChunk = CHUNKS.load(Ordering::Acquire);
    // SAFETY: chunks in the list stay.
    unsafe {
        while !chunk.is_null() && !GuardChunk::contains(chunk, address) {
            chunk = (*chunk).next;
        }
    }
    chunk
}

/// Where the holder of the lock is noted: address and bytes.
pub(crate) fn holder() -> (usize, usize) {
    GUARDS.mutex.atomics()
}

/// Locks before fork().
///
/// # Safety
/// As for [`MaskedMutex::before_fork`].
pub(crate) unsafe fn before_fork() {
    // SAFETY: the caller's promise.
    unsafe { GUARDS.mutex.before_fork(|| false) };
}

/// Unlocks, behind fork() in both processes.
///
/// # Safety
/// `before_fork` was called.
pub(crate) unsafe fn after_fork(in_new_process: bool) {
    // SAFETY: the caller's promise.
    unsafe { GUARDS.mutex.after_fork(in_new_process, |_| ()) };
}

/// Takes the lock from a fork that does not come back.
///
/// # Safety
/// As for [`MaskedMutex::take_from_fork`].
pub(crate) unsafe fn take_from_fork() {
    // SAFETY: the caller's promise.
    unsafe { GUARDS.mutex.take_from_fork() };
}

/// When the library is unloaded: faults are no more its business, and if no caller has an object,
/// the chunks go.
pub(crate) fn at_unload() {
    fault::unwatch();
    // SAFETY: the state is reached through this lock only.
    let guards = unsafe { Locked::try_lock(&GUARDS.mutex, GUARDS.state.get()) };
    let Some(mut guards) = guards else { return };
    if guards.live != 0 {
        return;
    }
    for class in &mut guards.classes {
        *class = Class {
            oldest: ptr::null_mut(),
            newest: ptr::null_mut(),
            freed: 0,
            used: 0,
            fresh: ptr::null_mut(),
        };
    }
    let mut chunk = CHUNKS.swap(ptr::null_mut(), Relaxed);
    while !chunk.is_null() {
        // SAFETY: no object is out, and the handler that looks for chunks is gone.
        unsafe {
            let next = (*chunk).next;
            GuardChunk::release(chunk);
            chunk = next;
        }
    }
}
