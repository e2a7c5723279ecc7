//! Allocating, freeing and destroying in pools with modes.
//!
//! An object is in one of these states:
//!
//! | state | bit in its slab | who has it | its bytes with `poison` |
//! |---|---|---|---|
//! | free | clear | its slab | [`super::fill::FREE`] |
//! | out | set | the program | the program's |
//! | waiting | set | the pool's [`Ledger`] | [`super::fill::FREE`] |
//!
//! Allocating leads from free to out, freeing from out to waiting with `quarantine`, else to free. What waits is let
//! go, oldest first, when more than [`MOST_WAITING`] bytes do, when memory is wanted, and when the pool is trimmed or
//! destroyed.
//!
//! What is reported as misuse in `checks` although the library puts up with it: freeing through a child of
//! another pool, through a destroyed or a zeroed child, and after the object's pool is destroyed. The object is
//! freed all the same. Everything else that is reported changes nothing.

use core::ptr;

use super::Modes;
use super::choice::given_any;
use super::entry::{COUNTED, Entry, FRESH, GONE, fate};
use super::explain::explain;
use super::fill::{self, Slot};
use super::layout::lead;
use super::ledger::{Ledger, MOST_WAITING, Pages};
use super::recorded::after_alloc;
use super::stacks::Stack;
use super::table::{Record, State, User};
use crate::child::{self, ChildPool};
use crate::chunk::slab_of;
use crate::guard::{self, Purpose};
use crate::heap::{HEAP, Owner, owner};
use crate::line::Text;
use crate::os;
use crate::parent::{ParentPool, Shared};
use crate::report::{self, Misuse, Report};
use crate::slab::Slab;
use crate::surplus::Surplus;
use crate::sync::Guard;
use crate::tools;
use crate::validate;

/// The modes that have more to do with an object than its slab has.
const BEYOND_THE_SLAB: Modes = Modes::REDZONE
    .with(Modes::POISON)
    .with(Modes::USERS)
    .with(Modes::QUARANTINE)
    .with(Modes::LEAKS)
    .with(Modes::TOOLS);

/// Allocates from a pool with modes, or says that there is no pool; none if it is an ordinary one. `parent` is
/// the child's, unless it is destroyed or was never created.
///
/// # Safety
/// As for [`ChildPool::alloc`].
pub unsafe fn instead_of_alloc(
    parent: Option<&ParentPool>,
    child: *mut ChildPool,
    zeroed: bool,
) -> Option<*mut u8> {
    // SAFETY: the caller's promise.
    unsafe {
        match parent {
            Some(parent) if parent.modes.get().is_empty() => None,
            Some(parent) => {
                let object = alloc(parent, child);
                after_alloc(parent, child, object, zeroed);
                Some(object)
            }
            None => {
                report_no_pool("slab_alloc", child);
                None
            }
        }
    }
}

/// Frees through a child of a pool with modes; returns false if it is an ordinary one, or none.
///
/// # Safety
/// As for [`ChildPool::free`], and `object` is not null.
pub unsafe fn instead_of_free(
    parent: Option<&ParentPool>,
    child: *mut ChildPool,
    object: *mut u8,
) -> bool {
    let Some(parent) = parent.filter(|parent| !parent.modes.get().is_empty()) else {
        return false;
    };
    // SAFETY: the caller's promise.
    unsafe { free(parent, child, object) }
    true
}

/// Frees an object of a pool with modes that comes back through `child`, which is no child of that pool; returns
/// false if it is an ordinary one. `child` is null if there is none, or if it was reported already.
///
/// # Safety
/// As for [`ChildPool::free`]; `parent` owns the page of the object.
pub unsafe fn instead_of_owner(
    function: &str,
    parent: &ParentPool,
    child: *mut ChildPool,
    object: *mut u8,
) -> bool {
    let modes = parent.modes.get();
    if modes.is_empty() {
        return false;
    }
    // SAFETY: the caller's promise.
    unsafe {
        report_stranger(function, parent, child, object);
        put(function, parent, object, true);
    }
    true
}

/// Looks at a guarded object that comes back through `child`, which is null if that is no child of another pool,
/// or if it was reported already.
///
/// # Safety
/// As for [`ChildPool::free`]; the object's owner word is that of guarded ones.
pub unsafe fn before_guarded_free(function: &str, child: *mut ChildPool, object: *mut u8) {
    // SAFETY: the caller's promise; a pool that is named exists.
    unsafe {
        let parent = ptr::with_exposed_provenance::<ParentPool>(guard::pool_of(object));
        if let Some(parent) = parent.as_ref() {
            report_stranger(function, parent, child, object);
        }
    }
}

/// Reports an object that comes back through no child of its pool, if the pool is checked and `child` not null.
///
/// # Safety
/// `child` is a child, or destroyed, zeroed or null.
unsafe fn report_stranger(
    function: &str,
    parent: &ParentPool,
    child: *mut ChildPool,
    object: *mut u8,
) {
    if !parent.modes.get().has(Modes::CHECKS) || child.is_null() {
        return;
    }
    // SAFETY: the caller's promise.
    let words = unsafe { what_is_wrong_with(child) }.unwrap_or("a child of another pool");
    say(function, parent, object, ["freed through ", words], this_call(parent), None);
}

/// Ends a child that was used in a pool with modes; returns false if it is another one.
///
/// # Safety
/// As for [`ChildPool::destroy`]; `parent` is the child's.
pub unsafe fn instead_of_destroy_child(parent: *const ParentPool, child: *mut ChildPool) -> bool {
    const FUNCTION: &str = "slab_destroy_child";
    // SAFETY: the caller's promise. A child that was never used does not need its parent any more, one that was
    // used does; a parent that is destroyed is zeroed but for its modes.
    unsafe {
        if (*child).mask != 0 || *fate(child) != COUNTED {
            return false;
        }
        let parent = &*parent;
        if parent.num_elements != 0 {
            let _entry = Entry::new(parent, child, FUNCTION);
            let mut surplus = Surplus::EMPTY;
            let mut shared = parent.lock();
            shared.remove_holder(parent, FUNCTION, &mut surplus);
            leave(parent, shared, surplus);
        }
        ChildPool::create(child, ptr::null());
        *fate(child) = GONE;
    }
    true
}

/// Reports a pool that is destroyed for the second time.
///
/// # Safety
/// `parent` is a pool, or destroyed or zeroed.
pub unsafe fn before_destroy_parent(parent: *mut ParentPool) {
    // SAFETY: the caller's promise.
    unsafe {
        if (*parent).num_elements == 0 && (*parent).modes.get().has(Modes::DESTROYED) {
            report::problem(
                "slab_destroy_parent",
                None,
                parent.addr(),
                "the pool is destroyed already",
            );
        }
    }
}

/// Ends what was kept of a pool that was destroyed, and leaves word in its zeroed memory if it had modes.
///
/// # Safety
/// `parent` is memory of a pool.
pub unsafe fn after_destroy_parent(parent: *mut ParentPool, modes: Modes, kept: Kept) {
    if let Some(ledger) = kept {
        ledger.close();
    }
    if modes.has(Modes::CHECKS) {
        // SAFETY: the caller's promise.
        unsafe { (*parent).modes.set(Modes::DESTROYED) }
    }
}

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
/// `shared` is the pool's, whose lock is held.
pub(crate) unsafe fn let_all_go(
    function: &str,
    parent: &ParentPool,
    shared: &mut Shared,
    surplus: &mut Surplus,
) -> bool {
    // SAFETY: the caller's promise.
    unsafe { let_go(function, parent, shared, 0, surplus) }
}

/// Puts what waits back into its slabs, oldest first, while there are more than so many bytes of it. Returns whether
/// there was something.
///
/// # Safety
/// `shared` is the pool's, whose lock is held.
unsafe fn let_go(
    function: &str,
    parent: &ParentPool,
    shared: &mut Shared,
    most: usize,
    surplus: &mut Surplus,
) -> bool {
    let Some(ledger) = shared.kept else { return false };
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
        shared.put(parent, function, &[slot], surplus);
    }
}

/// Allocates an object, or returns null.
///
/// # Safety
/// As for [`ChildPool::alloc`]; the pool has modes.
#[cold]
#[inline(never)]
unsafe fn alloc(parent: &ParentPool, child: *mut ChildPool) -> *mut u8 {
    const FUNCTION: &str = "slab_alloc";
    // SAFETY: the caller's promise. The child's mask is 0, as the pool is uncached.
    unsafe {
        let _entry = Entry::new(parent, child, FUNCTION);
        let now = this_call(parent);
        if parent.modes.get().has(Modes::GUARD) {
            let object = guard::alloc(parent, Purpose::Mode);
            if !object.is_null() {
                return object;
            }
        }
        let mut shared = parent.lock();
        let mut surplus = Surplus::EMPTY;
        count(&mut shared, child);
        let mut slot = shared.take_one(parent);
        if slot.is_null() && let_all_go(FUNCTION, parent, &mut shared, &mut surplus) {
            slot = shared.take_one(parent);
        }
        if !slot.is_null() && parent.modes.get().has_any(BEYOND_THE_SLAB) {
            let ledger = shared.kept;
            let record = ledger.and_then(|ledger| ledger.lock().record(slot.addr()));
            mend(FUNCTION, parent, slot, true, now, record.as_ref());
            if parent.modes.get().has(Modes::POISON) {
                view(parent, slot).fill(fill::FRESH);
            }
            if let Some(ledger) = ledger {
                ledger.lock().allocated(slot.addr(), now);
            }
            slot = slot.add(lead_of(parent));
            if parent.modes.get().has(Modes::TOOLS) {
                tools::allocated(slot, parent.item_size);
            }
        }
        leave(parent, shared, surplus);
        slot
    }
}

/// Frees an object through a child of this pool, whoever owns it.
///
/// # Safety
/// As for [`ChildPool::free`]; the pool has modes.
#[cold]
#[inline(never)]
unsafe fn free(parent: &ParentPool, child: *mut ChildPool, object: *mut u8) {
    const FUNCTION: &str = "slab_free";
    // SAFETY: the caller's promise. The child's mask is 0, as the pool is uncached.
    unsafe {
        let _entry = Entry::new(parent, child, FUNCTION);
        let own = (&raw const *parent).addr();
        let (words, wild) = match owner(object) {
            Owner::Parent(address) if address == own => {
                return put(FUNCTION, parent, object, false);
            }
            Owner::Parent(_) => ("object of another pool", false),
            Owner::Limbo => ("object of a pool that is destroyed", false),
            Owner::Guards if [0, own].contains(&guard::pool_of(object)) => {
                return guard::free(FUNCTION, object);
            }
            Owner::Guards => ("object of another pool", false),
            Owner::None => (Misuse::NotAnObject.words(), true),
        };
        if wild || parent.modes.get().has(Modes::CHECKS) {
            say(FUNCTION, parent, object, [words, ""], this_call(parent), None);
        }
        if !wild {
            child::free_to_owner(FUNCTION, ptr::null_mut(), object);
        }
    }
}

/// Frees an object, or reports why not.
///
/// # Safety
/// The pool owns the page of the object.
unsafe fn put(function: &str, parent: &ParentPool, object: *mut u8, foreign: bool) {
    // SAFETY: the caller's promise; the slab belongs to the lock that is held.
    unsafe {
        let modes = parent.modes.get();
        let slot = object.wrapping_sub(lead_of(parent));
        let now = this_call(parent);
        let mut shared = parent.lock();
        let mut surplus = Surplus::EMPTY;
        if foreign {
            shared.count_foreign_free();
        }
        if !modes.has_any(BEYOND_THE_SLAB) {
            if let (_, Err(misuse)) = shared.put_own(parent, &[slot], &mut surplus) {
                report::misuse(function, Some(parent), slot, misuse);
            }
            return leave(parent, shared, surplus);
        }
        let ledger = shared.kept;
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
                    let_go(function, parent, &mut shared, MOST_WAITING, &mut surplus);
                } else {
                    shared.put(parent, function, &[slot], &mut surplus);
                }
            }
            Some(_) => {
                let words = [Misuse::DoubleFree.words(), ""];
                say(function, parent, object, words, now, record.as_ref());
            }
            None => say(function, parent, object, [Misuse::NotAnObject.words(), ""], now, None),
        }
        leave(parent, shared, surplus);
    }
}

/// Unlocks a pool, and gives the heap what it has no use for.
#[inline(never)]
fn leave(parent: &ParentPool, shared: Guard<'_, Shared>, mut surplus: Surplus) {
    drop(shared);
    if !surplus.is_empty() {
        HEAP.take_back(&mut surplus);
    }
    validate::after_slow_path(parent);
}

/// Who makes this call, if the pool's modes ask for it. No lock is held.
#[inline]
fn this_call(parent: &ParentPool) -> User {
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
unsafe fn view(parent: &ParentPool, slot: *mut u8) -> Slot {
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
unsafe fn mend(
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
fn say(
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

/// Has the pool count a child that is used for the first time, so that it keeps a spare slab for it.
///
/// # Safety
/// The child is one of the pool's, with a mask of 0, and the pool's lock is held.
unsafe fn count(shared: &mut Shared, child: *mut ChildPool) {
    // SAFETY: the caller's promise.
    unsafe {
        if *fate(child) == FRESH {
            *fate(child) = COUNTED;
            shared.add_holder();
        }
    }
}

#[inline]
fn lead_of(parent: &ParentPool) -> usize {
    if !parent.modes.get().has_any(Modes::REDZONE.with(Modes::TOOLS)) {
        return 0;
    }
    lead(parent.item_size, parent.geometry.stride)
}

/// Reports a call on a child without a pool, if there are pools that are checked.
///
/// # Safety
/// `child` is destroyed or zeroed, or its parent is.
#[cold]
#[inline(never)]
unsafe fn report_no_pool(function: &str, child: *mut ChildPool) {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(words) = what_is_wrong_with(child) {
            let mut line = Text::empty();
            report::begin(&mut line, function, None);
            line.format("@: ", &[child.addr()]).text(words);
            Report::say(&mut line).end();
        }
    }
}

/// What a child without a pool is. None if it has one, or if no pool is checked.
///
/// # Safety
/// `child` is a child, or destroyed or zeroed; its parent may be destroyed or zeroed.
unsafe fn what_is_wrong_with(child: *mut ChildPool) -> Option<&'static str> {
    // SAFETY: the caller's promise.
    unsafe {
        match (*child).parent.as_ref() {
            None if (*child).mask == 0 && *fate(child) == GONE => Some("a destroyed child pool"),
            None if given_any(Modes::CHECKS) => {
                Some("a child pool that is destroyed or was never created")
            }
            Some(parent) if parent.num_elements != 0 => None,
            Some(parent) if parent.modes.get().has(Modes::DESTROYED) => {
                Some("a child of a destroyed pool")
            }
            Some(_) if given_any(Modes::CHECKS) => {
                Some("a child of a pool that is destroyed or was never created")
            }
            _ => None,
        }
    }
}
