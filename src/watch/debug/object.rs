//! What becomes of an object of a pool with modes.
//!
//! | state | bit in its slab | who has it | its bytes with `poison` |
//! |---|---|---|---|
//! | free | clear | its slab | [`super::fill::FREE`] |
//! | out | set | the program | the program's |
//! | waiting | set | the pool's [`Ledger`] | [`super::fill::FREE`] |
//!
//! Allocating leads from free to out, freeing from out to waiting with `quarantine`, else to free. What waits is let
//! go, oldest first, when more than [`MOST_WAITING`] bytes do, when memory is wanted, and when the pool is trimmed or
//! destroyed. At each of these steps the bytes that the program must not have written are looked at.

use core::ptr;

use super::explain::explain;
use super::fill::{self, Slot};
use super::ledger::{Ledger, MOST_WAITING, Pages};
use super::stacks::Stack;
use super::table::{Record, State, User};
use crate::base::line::Text;
use crate::base::misuse::Misuse;
use crate::base::modes::Modes;
use crate::base::redzone::lead;
use crate::heap::HEAP;
use crate::heap::chunk::slab_of;
use crate::heap::slab::Slab;
use crate::heap::surplus::Surplus;
use crate::inspect::validate;
use crate::pool::body::Body;
use crate::pool::parent::ParentPool;
use crate::sys::os;
use crate::sys::sync::Guard;
use crate::watch::report::{self, Report};
use crate::watch::tools;

/// The modes that have more to do with an object than its slab has.
pub(super) const BEYOND_THE_SLAB: Modes = Modes::REDZONE
    .with(Modes::POISON)
    .with(Modes::USERS)
    .with(Modes::QUARANTINE)
    .with(Modes::LEAKS)
    .with(Modes::TOOLS);

/// What is kept of a pool beyond what an ordinary one has: its ledger, if its modes need one.
pub type Kept = Option<&'static Ledger>;

/// What is known of the objects of a pool, locked.
pub type Records<'a> = Option<Guard<'a, Pages>>;

/// Locks what is known of the objects of a pool.
pub fn records(kept: Kept) -> Records<'static> {
    kept.map(Ledger::lock)
}

/// Begins to keep what the modes of a pool need, and gives up what was kept of a pool at this address. What waited
/// there is freed.
///
/// # Safety
/// No object of a pool at this address is allocated or freed meanwhile; slabs of a former one are in limbo.
pub unsafe fn keep(parent: usize, modes: Modes, item_size: u32, num_items: u32) -> Kept {
    if let Some(ledger) = Ledger::find(parent) {
        let mut pages = ledger.lock();
        while let Some(slot) = pages.let_go() {
            drop(pages);
            let slot = ptr::with_exposed_provenance_mut::<u8>(slot);
            // SAFETY: a slot that waited is out of its slab, which therefore exists. It was not the program's, so that
            // freeing it cannot fail, and tools have known it as free since it waits.
            let _ = unsafe {
                let slab = &*slab_of(slot);
                HEAP.put_in_limbo(slot.add(lead(slab.item().0, slab.stride())), false)
            };
            pages = ledger.lock();
        }
        drop(pages);
        ledger.close();
    }
    Ledger::open(parent, modes, item_size, num_items)
}

/// Gets a new slab of a pool with modes ready.
///
/// # Safety
/// The slab is the pool's and no object is out of it; the pool's lock is held.
pub unsafe fn new_slab(parent: &ParentPool, slab: *mut Slab) {
    // SAFETY: the caller's promise.
    unsafe {
        if parent.modes.get().has(Modes::TOOLS) {
            tools::slab_made((*slab).base(), (*slab).bytes());
        }
        for index in 0..(*slab).capacity() as usize {
            prepare(parent, (*slab).base().add(index * (*slab).stride() as usize), true);
        }
    }
}

/// Checks the bytes of a slab's slots that the program must not write. Returns how many problems were reported.
///
/// # Safety
/// The slab is the pool's, whose lock is held, and the records are.
pub unsafe fn check_slab(
    function: &str,
    parent: &ParentPool,
    slab: &Slab,
    records: &Records<'_>,
) -> u32 {
    let mut problems = 0;
    for index in 0..slab.capacity() as usize {
        let slot = slab.base().wrapping_add(index * slab.stride() as usize);
        let record = records.as_ref().and_then(|pages| pages.record(slot.addr()));
        let waits = record.is_some_and(|record| record.state == State::Waiting);
        let free = waits || slab.is_out(slot) == Some(false);
        let record = record.as_ref();
        // SAFETY: the caller's promise.
        let damaged = unsafe { damage(function, parent, slot, free, User::NONE, record) };
        problems += u32::from(damaged);
    }
    problems
}

/// Puts everything that waits back into its slab. Returns whether there was something.
///
/// # Safety
/// `body` is the pool's, whose lock is held.
pub(crate) unsafe fn let_all_go(
    function: &str,
    parent: &ParentPool,
    body: &mut Body,
    surplus: &mut Surplus,
) -> bool {
    // SAFETY: the caller's promise.
    unsafe { let_go(function, parent, body, 0, surplus) }
}

/// Puts what waits back into its slabs, oldest first, while there are more than so many bytes of it. Returns whether
/// there was something.
///
/// # Safety
/// `body` is the pool's, whose lock is held.
unsafe fn let_go(
    function: &str,
    parent: &ParentPool,
    body: &mut Body,
    most: usize,
    surplus: &mut Surplus,
) -> bool {
    let Some(ledger) = body.kept else { return false };
    let most = most / parent.geometry.stride as usize;
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
        let slot = ptr::with_exposed_provenance_mut::<u8>(address);
        // SAFETY: the slot is the pool's, and its lock is held.
        unsafe { mend(function, parent, slot, true, User::NONE, record.as_ref()) };
        body.put(parent, function, &[slot], surplus);
    }
}

/// Frees an object, or reports why not.
///
/// # Safety
/// The pool owns the page of the object.
pub(super) unsafe fn put(function: &str, parent: &ParentPool, object: *mut u8, foreign: bool) {
    // SAFETY: the caller's promise; the slab belongs to the lock that is held.
    unsafe {
        let modes = parent.modes.get();
        let slot = object.wrapping_sub(lead_of(parent));
        let now = this_call(parent);
        let mut body = parent.lock();
        let mut surplus = Surplus::EMPTY;
        if foreign {
            body.count_foreign_free();
        }
        if !modes.has_any(BEYOND_THE_SLAB) {
            if let (_, Err(misuse)) = body.put_own(parent, &[slot], &mut surplus) {
                report::misuse(function, Some(parent), slot, misuse);
            }
            return leave(parent, body, surplus);
        }
        let ledger = body.kept;
        let record = ledger.and_then(|ledger| ledger.lock().record(slot.addr()));
        let waits = record.is_some_and(|record| record.state == State::Waiting);
        match (*slab_of(object)).is_out(slot) {
            Some(true) if !waits => {
                mend(function, parent, slot, false, now, record.as_ref());
                if modes.has(Modes::POISON) {
                    view(parent, slot).fill(fill::FREE);
                }
                if modes.has(Modes::TOOLS) {
                    tools::freed(object, parent.item_size);
                }
                let wait = modes.has(Modes::QUARANTINE);
                if ledger.is_some_and(|kept| kept.lock().freed(slot.addr(), now, wait)) {
                    let_go(function, parent, &mut body, MOST_WAITING, &mut surplus);
                } else {
                    body.put(parent, function, &[slot], &mut surplus);
                }
            }
            Some(_) => {
                let words = [Misuse::DoubleFree.words(), ""];
                say(function, parent, object, words, now, record.as_ref());
            }
            None => say(function, parent, object, [Misuse::NotAnObject.words(), ""], now, None),
        }
        leave(parent, body, surplus);
    }
}

/// Unlocks a pool, and gives the heap what it has no use for.
#[inline(never)]
pub(super) fn leave(parent: &ParentPool, body: Guard<'_, Body>, mut surplus: Surplus) {
    drop(body);
    if !surplus.is_empty() {
        HEAP.take_back(&mut surplus);
    }
    validate::after_slow_path(parent);
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

/// The slot as bytes.
///
/// # Safety
/// `slot` is a slot of the pool's, whose lock is held.
pub(super) unsafe fn view(parent: &ParentPool, slot: *mut u8) -> Slot {
    let (item, bytes) = (parent.item_size.max(1) as usize, parent.geometry.stride as usize);
    // SAFETY: the caller's promise.
    unsafe { Slot::new(slot, lead_of(parent), item, bytes) }
}

/// Reports bytes of a slot that the program must not have written.
///
/// # Safety
/// `slot` is a slot of the pool's, whose lock is held.
unsafe fn damage(
    function: &str,
    parent: &ParentPool,
    slot: *mut u8,
    free: bool,
    now: User,
    record: Option<&Record>,
) -> bool {
    let modes = parent.modes.get();
    // SAFETY: the caller's promise.
    let view = unsafe { view(parent, slot) };
    let fence = if modes.has(Modes::REDZONE) { view.fence_damage(fill::REDZONE) } else { None };
    let inside = if free && modes.has(Modes::POISON) { view.free_damage() } else { None };
    for damage in &[fence, inside] {
        let Some(damage) = damage else { continue };
        let object = slot.wrapping_add(lead_of(parent)).addr();
        let mut line = Text::empty();
        report::begin(&mut line, function, Some(parent));
        line.format("@: ", &[object]).text(damage.words);
        let words = if damage.offset < 0 { ": @ at offset -%" } else { ": @ at offset %" };
        line.format(words, &[damage.found as usize, damage.offset.unsigned_abs()]);
        let report = Report::say(&mut line);
        explain(now, record, &report);
        report.end();
    }
    fence.is_some() || inside.is_some()
}

/// The same, and makes good what is damaged.
///
/// # Safety
/// As for [`damage`].
pub(super) unsafe fn mend(
    function: &str,
    parent: &ParentPool,
    slot: *mut u8,
    free: bool,
    now: User,
    record: Option<&Record>,
) {
    if !parent.modes.get().has_any(Modes::REDZONE.with(Modes::POISON)) {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe {
        if damage(function, parent, slot, free, now, record) {
            prepare(parent, slot, free);
        }
    }
}

/// Fills what the modes have filled.
///
/// # Safety
/// `slot` is a slot of the pool's, whose lock is held.
unsafe fn prepare(parent: &ParentPool, slot: *mut u8, free: bool) {
    let modes = parent.modes.get();
    // SAFETY: the caller's promise.
    let view = unsafe { view(parent, slot) };
    if modes.has(Modes::REDZONE) {
        view.fence(fill::REDZONE);
    }
    if free && modes.has(Modes::POISON) {
        view.fill(fill::FREE);
    }
}

/// Reports a misused address.
pub(super) fn say(
    function: &str,
    parent: &ParentPool,
    object: *mut u8,
    words: [&str; 2],
    now: User,
    record: Option<&Record>,
) {
    let mut line = Text::empty();
    report::begin(&mut line, function, Some(parent));
    line.format("@: ", &[object.addr()]).text(words[0]).text(words[1]);
    let report = Report::say(&mut line);
    explain(now, record, &report);
    report.end();
}

#[inline]
pub(super) fn lead_of(parent: &ParentPool) -> usize {
    if !parent.modes.get().has_any(Modes::REDZONE.with(Modes::TOOLS)) {
        return 0;
    }
    lead(parent.item_size, parent.geometry.stride)
}
