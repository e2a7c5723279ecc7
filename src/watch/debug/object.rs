// SPDX-License-Identifier: MIT
//! What becomes of an object of a pool with modes.
//!
//! | state | bit in its slab | who has it | its bytes with `poison` |
//! |---|---|---|---|
//! | free | clear | its slab | [`super::fill::FREE`] |
//! | out | set | the program | the program's |
//! | waiting | set | the pool's [`Ledger`] | [`super::fill::FREE`] |
//!
//! Allocating leads from free to out, freeing from out to waiting with `quarantine`, else to free.
//! What waits is let go, oldest first, when more than [`MOST_WAITING`] bytes do, when memory is
//! wanted, and when the pool is trimmed or destroyed. At each of these steps the bytes that the
//! program must not have written are looked at.

use super::entry::Entry;
use super::fill::{self, Slot};
use super::ledger::{Ledger, MOST_WAITING, Pages};
use super::stacks::Stack;
use super::table::{Record, State, User};
use crate::base::address::at;
use crate::base::geometry::Geometry;
use crate::base::misuse::Misuse;
use crate::base::modes::Modes;
use crate::base::pool_id::PoolId;
use crate::base::redzone::lead;
use crate::heap::HEAP;
use crate::heap::chunk::slab_of;
use crate::heap::slab::Slab;
use crate::pool::parent::ParentPool;
use crate::pool::visit::Visit;
use crate::sys::os;
use crate::sys::sync::Locked;
use crate::watch::notes::{Detail, FEW, MANY, Notes};
use crate::watch::tools;

/// The modes that have more to do with an object than its slab has.
pub(super) const BEYOND_THE_SLAB: Modes = Modes::REDZONE
    .with(Modes::POISON)
    .with(Modes::USERS)
    .with(Modes::QUARANTINE)
    .with(Modes::LEAKS)
    .with(Modes::TOOLS);

/// What is kept of a pool beyond what an ordinary one has: its ledger, if its modes need one.
pub(crate) type Kept = Option<&'static Ledger>;

/// What is known of the objects of a pool, locked.
pub(crate) type Records<'a> = Option<Locked<'a, Pages>>;

/// Locks what is known of the objects of a pool.
pub(crate) fn records(kept: Kept) -> Records<'static> {
    kept.map(Ledger::lock)
}

/// Whether the object in a slot was freed and waits.
#[cfg(feature = "ext")]
pub(crate) fn is_waiting(records: &Records<'_>, slot: usize) -> bool {
    let record = records.as_ref().and_then(|pages| pages.record(slot));
    record.is_some_and(|record| record.state == State::Waiting)
}

/// Begins to keep what the modes of a pool need, and gives up what was kept of a pool at this
/// address. What waited there is freed.
///
/// # Safety
/// No object of a pool at this address is allocated or freed meanwhile; slabs of a former one are
/// in limbo.
pub(crate) unsafe fn keep(pool: &PoolId, modes: Modes) -> Kept {
    if let Some(ledger) = Ledger::find(pool.address) {
        let mut pages = ledger.lock();
        while let Some(slot) = pages.let_go() {
            drop(pages);
            // SAFETY: a slot that waited is out of its slab, which therefore exists. It was not the
            // program's, so that freeing it cannot fail, and tools have known it as free since it
            // waits.
            let _ = unsafe { HEAP.free_slot_in_limbo(at(slot)) };
            pages = ledger.lock();
        }
        drop(pages);
        ledger.close();
    }
    Ledger::open(pool, modes)
}

/// What is kept of a pool that was made with these modes.
pub(crate) fn kept(pool: &PoolId, modes: Modes) -> Kept {
    if modes.is_empty() { None } else { Ledger::find(pool.address) }
}

/// Gets a new slab of a pool with modes ready.
///
/// # Safety
/// The slab is the pool's and no object is out of it; the pool's lock is held.
pub(crate) unsafe fn new_slab(modes: Modes, geometry: &Geometry, slab: *mut Slab) {
    let slots = Slots::new(modes, geometry);
    // SAFETY: the caller's promise.
    unsafe {
        if slots.modes.has(Modes::TOOLS) {
            tools::slab_made((*slab).base(), (*slab).bytes());
        }
        for index in 0..(*slab).capacity() as usize {
            slots.prepare((*slab).base().add(index * slots.stride), true);
        }
    }
}

/// Checks the bytes of a slab's slots that the program must not write. Returns how many problems
/// were noted.
///
/// # Safety
/// The slab is the pool's, whose lock is held, and the records are.
pub(crate) unsafe fn check_slab(
    modes: Modes,
    geometry: &Geometry,
    slab: &Slab,
    records: &Records<'_>,
    notes: &mut Notes<MANY>,
) -> u32 {
    let slots = Slots::new(modes, geometry);
    let mut problems = 0;
    for index in 0..slab.capacity() as usize {
        let slot = slab.base().wrapping_add(index * slots.stride);
        let record = records.as_ref().and_then(|pages| pages.record(slot.addr()));
        let waits = record.is_some_and(|record| record.state == State::Waiting);
        let free = waits || slab.is_out(slot) == Some(false);
        // SAFETY: the caller's promise.
        let damaged = unsafe { slots.damage(slot, free, User::NONE, record, notes) };
        problems += u32::from(damaged);
    }
    problems
}

/// Puts everything that waits back into its slab. Returns whether there was something.
///
/// # Safety
/// No object of the pool is used that is not out.
pub(crate) unsafe fn let_all_go(visit: &mut Visit<'_>) -> bool {
    // SAFETY: the caller's promise.
    unsafe { let_go(visit, 0) }
}

/// Puts what waits back into its slabs, oldest first, while there are more than so many bytes of
/// it. Returns whether there was something.
///
/// # Safety
/// As for [`let_all_go`].
unsafe fn let_go(visit: &mut Visit<'_>, most: usize) -> bool {
    let Some(ledger) = visit.body.kept else { return false };
    let slots = Slots::of(visit);
    let most = most / slots.stride;
    let mut any = false;
    loop {
        let mut pages = ledger.lock();
        if pages.waiting <= most {
            return any;
        }
        let Some(address) = pages.let_go() else { return any };
        let record = pages.record(address);
        drop(pages);
        any = true;
        let slot = at::<u8>(address);
        // SAFETY: the slot is the pool's, and its lock is held.
        unsafe { slots.mend(slot, true, User::NONE, record, &mut visit.notes) };
        visit.put(&[slot]);
    }
}

/// Frees an object, or reports why not. `entry` is the call on the pool's own child, if it is one;
/// it is over before anything is said.
///
/// # Safety
/// The pool owns the page of the object.
pub(super) unsafe fn put(
    function: &'static str,
    parent: &ParentPool,
    object: *mut u8,
    entry: Option<Entry<'_>>,
) {
    let now = this_call(parent);
    parent.visit(function, move |visit| {
        if entry.is_none() {
            visit.count_foreign_free();
        }
        // SAFETY: the caller's promise; the slab belongs to the lock that is held.
        unsafe { put_visiting(visit, object, now) }
        drop(entry);
    });
}

/// # Safety
/// The pool owns the page of the object.
unsafe fn put_visiting(visit: &mut Visit<'_>, object: *mut u8, now: User) {
    let slots = Slots::of(visit);
    let modes = slots.modes;
    let slot = object.wrapping_sub(slots.lead());
    // SAFETY: the caller's promise; the slab belongs to the lock that is held.
    unsafe {
        if !modes.has_any(BEYOND_THE_SLAB) {
            if let (_, Err(misuse)) = visit.put_own(&[slot]) {
                visit.notes.add(slot.addr(), misuse.words());
            }
            return;
        }
        let ledger = visit.body.kept;
        let record = ledger.and_then(|ledger| ledger.lock().record(slot.addr()));
        let waits = record.is_some_and(|record| record.state == State::Waiting);
        match (*slab_of(object)).is_out(slot) {
            Some(true) if !waits => {
                slots.mend(slot, false, now, record, &mut visit.notes);
                if modes.has(Modes::POISON) {
                    slots.slot(slot).fill(fill::FREE);
                }
                if modes.has(Modes::TOOLS) {
                    tools::freed(object, slots.item_size);
                }
                let wait = modes.has(Modes::QUARANTINE);
                if ledger.is_some_and(|kept| kept.lock().freed(slot.addr(), now, wait)) {
                    let_go(visit, MOST_WAITING);
                } else {
                    visit.put(&[slot]);
                }
            }
            Some(_) => {
                let detail = Detail { byte: None, now, record };
                visit.notes.add_detailed(object.addr(), Misuse::DoubleFree.words(), detail);
            }
            None => {
                let detail = Detail { byte: None, now, record: None };
                visit.notes.add_detailed(object.addr(), Misuse::NotAnObject.words(), detail);
            }
        }
    }
}

/// Who makes this call, if the pool's modes ask for it. No lock is held.
#[inline]
pub(super) fn this_call(parent: &ParentPool) -> User {
    if parent.modes.get().has(Modes::USERS) { here() } else { User::NONE }
}

#[inline(never)]
fn here() -> User {
    User { thread: os::thread_id(), stack: Stack::here() }
}

/// The slots of a pool with modes: where the object lies in one, and what stands around it.
#[derive(Clone, Copy)]
pub(super) struct Slots {
    modes: Modes,
    item_size: u32,
    stride: usize,
    lead: usize,
}

impl Slots {
    fn new(modes: Modes, geometry: &Geometry) -> Slots {
        let lead = if modes.has_any(Modes::REDZONE.with(Modes::TOOLS)) {
            lead(geometry.item_size, geometry.stride, geometry.alignment)
        } else {
            0
        };
        let (item_size, stride) = (geometry.item_size, geometry.stride as usize);
        Slots { modes, item_size, stride, lead }
    }

    /// Those of the pool that is visited.
    pub(crate) fn of(visit: &Visit<'_>) -> Slots {
        Slots::new(visit.body.modes, visit.body.geometry())
    }

    /// Bytes from a slot to its object.
    pub(crate) fn lead(self) -> usize {
        self.lead
    }

    /// A slot as bytes.
    ///
    /// # Safety
    /// `slot` is a slot of the pool's, whose lock is held.
    pub(crate) unsafe fn slot(self, slot: *mut u8) -> Slot {
        // SAFETY: the caller's promise.
        unsafe { Slot::new(slot, self.lead(), self.item_size.max(1) as usize, self.stride) }
    }

    /// Notes bytes of a slot that the program must not have written.
    ///
    /// # Safety
    /// As for [`Slots::slot`].
    unsafe fn damage<const FIRST: usize>(
        self,
        slot: *mut u8,
        free: bool,
        now: User,
        record: Option<Record>,
        notes: &mut Notes<FIRST>,
    ) -> bool {
        let modes = self.modes;
        // SAFETY: the caller's promise.
        let view = unsafe { self.slot(slot) };
        let fence = if modes.has(Modes::REDZONE) { view.fence_damage(fill::REDZONE) } else { None };
        let inside = if free && modes.has(Modes::POISON) { view.free_damage() } else { None };
        for damage in [fence, inside].into_iter().flatten() {
            let object = slot.wrapping_add(self.lead()).addr();
            let detail = Detail { byte: Some((damage.offset, damage.found)), now, record };
            notes.add_detailed(object, damage.words, detail);
        }
        fence.is_some() || inside.is_some()
    }

    /// The same, and makes good what is damaged.
    ///
    /// # Safety
    /// As for [`Slots::slot`].
    pub(crate) unsafe fn mend(
        self,
        slot: *mut u8,
        free: bool,
        now: User,
        record: Option<Record>,
        notes: &mut Notes<FEW>,
    ) {
        if !self.modes.has_any(Modes::REDZONE.with(Modes::POISON)) {
            return;
        }
        // SAFETY: the caller's promise.
        unsafe {
            if self.damage(slot, free, now, record, notes) {
                self.prepare(slot, free);
            }
        }
    }

    /// Fills what the modes have filled.
    ///
    /// # Safety
    /// As for [`Slots::slot`].
    unsafe fn prepare(self, slot: *mut u8, free: bool) {
        // SAFETY: the caller's promise.
        let view = unsafe { self.slot(slot) };
        if self.modes.has(Modes::REDZONE) {
            view.fence(fill::REDZONE);
        }
        if free && self.modes.has(Modes::POISON) {
            view.fill(fill::FREE);
        }
    }
}

/// Reports an object that comes back where it should not. Nothing is locked.
pub(super) fn say(
    function: &'static str,
    parent: &ParentPool,
    object: *mut u8,
    words: &'static str,
    now: User,
) {
    let mut notes = Notes::<FEW>::none();
    notes.add_detailed(object.addr(), words, Detail { byte: None, now, record: None });
    notes.say(function, Some(&parent.id()));
}
