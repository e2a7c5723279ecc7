// SPDX-License-Identifier: MIT
//! The one door between the core and the instruments.
//!
//! The floors of pools and of the heap know of the instruments nothing but these functions, each of
//! which is named after what happens; here, and here alone, a lower floor looks up. What a build
//! leaves out is an empty body: without the feature `debug` there are no modes, and on systems that
//! are no Unix no guarded objects and no recordings. The compiler removes what an empty body makes
//! useless.
//!
//! | what happens | functions |
//! |---|---|
//! | a pool gets its layout | [`modes`], [`layout`], [`keep`], [`kept`] |
//! | a pool is made, and goes | [`before_block`], [`before_create_parent`], [`pool_made`], [`before_destroy_parent`], [`before_pool_goes`], [`keeps_numbers`], [`keep_numbers`], [`objects_leaked`], [`pool_gone`] |
//! | a child is made, and goes | [`child_made`], [`instead_of_destroy_child`] |
//! | an object is allocated | [`instead_of_alloc`], [`is_sampling`], [`sampled`] |
//! | an object is freed | [`instead_of_free`], [`instead_of_owner`], [`guarded_free`], [`freed_in_limbo`] |
//! | what waits is wanted | [`let_all_go`] |
//! | a chunk, a slab comes or goes | [`chunk_reserved`], [`chunk_released`], [`slab_made`], [`slab_gone`] |
//! | a slow path ends | [`after_slow_path`] |
//! | something is wrong | [`Notes`], [`report`], [`report_more`] |
//! | someone counts or checks | [`guarded`], [`for_each_guarded`], [`records`], [`check_slab`] |
//! | someone asks of addresses | [`guarded_at`], [`guarded_from`], [`is_waiting`] |
//! | the library is loaded, the process forks, the library is unloaded | [`at_load`], [`before_fork`], [`after_fork`], [`take_from_forks`], [`is_watch_locked`], [`at_end`], [`at_unload`] |
#![cfg_attr(
    not(all(feature = "debug", unix)),
    allow(unused_variables, clippy::missing_safety_doc, reason = "what is left out uses nothing")
)]

use crate::base::geometry::Geometry;
#[cfg(not(feature = "debug"))]
use crate::base::geometry::stride;
use crate::base::modes::Modes;
use crate::base::pool_id::PoolId;
use crate::heap::slab::Slab;
use crate::inspect::{gone, validate};
use crate::pool::body::Pool;
use crate::pool::child::ChildPool;
use crate::pool::numbers::PoolNumbers;
use crate::pool::parent::ParentPool;
use crate::pool::visit::Visit;
#[cfg(feature = "debug")]
use crate::watch::debug;
use crate::watch::notes;
use crate::watch::report as said;
#[cfg(feature = "debug")]
use crate::watch::tools;
#[cfg(all(feature = "debug", unix))]
use crate::watch::{guard, trace};

/// What is to be reported of a visit to a pool.
pub(crate) type Notes = notes::Notes<{ notes::FEW }>;
/// The same of a walk over all structures.
pub(crate) type ManyNotes = notes::Notes<{ notes::MANY }>;
#[cfg(feature = "debug")]
pub(crate) use debug::{Kept, Records};

/// What is kept of a pool for its modes: nothing.
#[cfg(not(feature = "debug"))]
#[derive(Clone, Copy)]
pub(crate) struct Kept;
/// What is known of a pool's objects: nothing.
#[cfg(not(feature = "debug"))]
pub(crate) struct Records<'a>(core::marker::PhantomData<&'a ()>);

/// An expression of builds with modes, and its value in others.
macro_rules! debug {
    ($with:expr, else $without:expr) => {{
        #[cfg(feature = "debug")]
        {
            $with
        }
        #[cfg(not(feature = "debug"))]
        {
            $without
        }
    }};
}

/// An expression of builds with modes on Unix, and its value in others.
macro_rules! unix {
    ($with:expr, else $without:expr) => {{
        #[cfg(all(feature = "debug", unix))]
        {
            $with
        }
        #[cfg(not(all(feature = "debug", unix)))]
        {
            $without
        }
    }};
}

/// The modes that a new pool gets, and how far its objects are apart then.
#[inline(always)]
pub(crate) fn modes(pool: &PoolId) -> (u32, Modes) {
    debug!(debug::modes(pool), else (stride(pool.item_size, pool.alignment), Modes::NONE))
}

/// The layout of a pool that is to have these modes, and which of them it can have.
#[inline(always)]
pub(crate) fn layout(modes: Modes, pool: &PoolId) -> (Geometry, Modes) {
    debug!(debug::geometry(modes, pool), else (pool.geometry(), Modes::NONE))
}

/// Begins to keep what the modes of a pool need.
///
/// # Safety
/// No object of a pool at this address is allocated or freed meanwhile; slabs of a former one are
/// in limbo.
#[inline(always)]
pub(crate) unsafe fn keep(pool: &PoolId, modes: Modes) -> Kept {
    // SAFETY: the caller's promise.
    debug!(unsafe { debug::keep(pool, modes) }, else Kept)
}

/// A pool is made. What was kept of one at the same address is given up.
///
/// # Safety
/// As for [`keep`].
#[inline(always)]
pub(crate) unsafe fn pool_made(pool: &PoolId, modes: Modes) {
    // SAFETY: the caller's promise.
    unsafe { keep(pool, modes) };
    unix!({ guard::forget(pool.address); guard::sample::choose() }, else ());
}

/// What is kept of a pool that was made with these modes.
#[inline(always)]
pub(crate) fn kept(pool: &PoolId, modes: Modes) -> Kept {
    debug!(debug::kept(pool, modes), else Kept)
}

/// A pool is to be created; one at this address may be there still.
#[inline(always)]
pub(crate) fn before_create_parent(pool: &PoolId) {
    debug!(debug::before_create_parent(pool), else ());
}

/// Before anything else that slab_destroy_parent() does.
///
/// # Safety
/// `parent` is a pool, or destroyed or zeroed.
#[inline(always)]
pub(crate) unsafe fn before_destroy_parent(parent: *mut ParentPool) {
    // SAFETY: the caller's promise.
    debug!(unsafe { debug::before_destroy_parent(parent) }, else ());
}

/// A pool is to be destroyed, or its memory to be used for another one.
#[inline(always)]
pub(crate) fn before_pool_goes(parent: *const ParentPool) {
    unix!(debug::before_parent_goes(parent), else ());
}

/// The library is loaded, and no pool is used yet.
#[cfg(unix)]
pub(crate) fn at_load() {
    debug!(tools::at_load(), else ());
}

/// The library is to take memory of its own, of which there may be no pool yet.
#[inline(always)]
pub(crate) fn before_block() {
    debug!(tools::look(), else ());
}

/// Whether it is kept what pools that go had.
#[inline(always)]
pub(crate) fn keeps_numbers() -> bool {
    gone::is_on()
}

/// Keeps what a pool had that is about to be destroyed with so many objects out. Nothing is locked.
#[cold]
pub(crate) fn keep_numbers(pool: &PoolId, numbers: &PoolNumbers, left: usize) {
    gone::count(pool, numbers, left);
}

/// Objects are out of a pool that is destroyed, or so many children of it are not destroyed, in
/// whose magazines some of the objects may be.
#[cold]
pub(crate) fn objects_leaked(
    pool: &PoolId,
    modes: Modes,
    objects: usize,
    children: u32,
    kept: Kept,
) {
    said::leak(pool, modes, objects, children, |report| {
        debug!(debug::places(report, pool, kept), else ());
    });
}

/// A pool is destroyed, and its memory zeroed.
///
/// # Safety
/// `parent` is that memory.
#[inline(always)]
pub(crate) unsafe fn pool_gone(parent: *mut ParentPool, modes: Modes, kept: Kept) {
    unix!(guard::forget(parent.addr()), else ());
    // SAFETY: the caller's promise.
    debug!(unsafe { debug::after_destroy_parent(parent, modes, kept) }, else ());
}

/// A struct of the program's was written.
#[inline(always)]
pub(crate) fn initialised(start: *const u8, bytes: usize) {
    debug!(tools::initialised(start, bytes), else ());
}

/// A child is made: of a pool, or of none, as it was destroyed.
///
/// # Safety
/// `child` is memory of a child, and `parent` a pool or null.
#[inline(always)]
pub(crate) unsafe fn child_made(child: *mut ChildPool, parent: *const ParentPool) {
    initialised(child.cast(), size_of::<ChildPool>());
    // SAFETY: the caller's promise.
    unix!(unsafe { debug::after_create_child(child, parent) }, else ());
}

/// Ends a child that was used in a pool with modes; returns false if it is another one.
///
/// # Safety
/// As for [`ChildPool::destroy`]; `parent` is the child's.
#[inline(always)]
pub(crate) unsafe fn instead_of_destroy_child(
    parent: *const ParentPool,
    child: *mut ChildPool,
) -> bool {
    unix!(debug::before_destroy_child(child), else ());
    // SAFETY: the caller's promise.
    debug!(unsafe { debug::instead_of_destroy_child(parent, child) }, else false)
}

/// Allocates from a pool with modes, or says that there is no pool; none if it is an ordinary one.
/// `parent` is the child's, unless it is destroyed or was never created.
///
/// # Safety
/// As for [`ChildPool::alloc`].
#[inline(always)]
pub(crate) unsafe fn instead_of_alloc(
    parent: Option<&ParentPool>,
    child: *mut ChildPool,
    zeroed: bool,
) -> Option<*mut u8> {
    // SAFETY: the caller's promise.
    debug!(unsafe { debug::instead_of_alloc(parent, child, zeroed) }, else None)
}

/// Whether objects are sampled.
#[inline(always)]
pub(crate) fn is_sampling() -> bool {
    unix!(guard::sample::is_on(), else false)
}

/// So many rounds were handed out to a child: a guarded object if one is due, or null.
#[inline(always)]
pub(crate) fn sampled(parent: &ParentPool, rounds: usize) -> *mut u8 {
    unix!(guard::sample::count(parent, rounds), else core::ptr::null_mut())
}

/// Frees through a child of a pool with modes; returns false if it is an ordinary one, or none.
///
/// # Safety
/// As for [`ChildPool::free`], and `object` is not null.
#[inline(always)]
pub(crate) unsafe fn instead_of_free(
    parent: Option<&ParentPool>,
    child: *mut ChildPool,
    object: *mut u8,
) -> bool {
    unix!(debug::before_free(child, object), else ());
    // SAFETY: the caller's promise.
    debug!(unsafe { debug::instead_of_free(parent, child, object) }, else false)
}

/// Frees an object of a pool with modes that comes back through `child`, which is no child of that
/// pool; returns false if it is an ordinary one. `child` is null if there is none, or if it was
/// reported already.
///
/// # Safety
/// As for [`ChildPool::free`]; `parent` owns the page of the object.
#[inline(always)]
pub(crate) unsafe fn instead_of_owner(
    function: &'static str,
    parent: &ParentPool,
    child: *mut ChildPool,
    object: *mut u8,
) -> bool {
    // SAFETY: the caller's promise.
    debug!(unsafe { debug::instead_of_owner(function, parent, child, object) }, else false)
}

/// Frees a guarded object, through `child` or null.
///
/// # Safety
/// As for [`ChildPool::free`]; the owner word of the object's page is that of guarded ones.
#[inline(always)]
pub(crate) unsafe fn guarded_free(function: &'static str, child: *mut ChildPool, object: *mut u8) {
    // SAFETY: the caller's promise.
    unix!(unsafe {
        debug::before_guarded_free(function, child, object);
        guard::free(function, object);
    }, else ());
}

/// An object was freed whose pool is gone.
#[inline(always)]
pub(crate) fn freed_in_limbo(object: *mut u8, item_size: u32) {
    debug!(if tools::watch_objects() { tools::freed(object, item_size) }, else ());
}

/// Puts everything that waits back into its slab. Returns whether there was something.
///
/// # Safety
/// No object of the pool is used that is not out.
#[inline(always)]
pub(crate) unsafe fn let_all_go(visit: &mut Visit<'_>) -> bool {
    // SAFETY: the caller's promise.
    debug!(unsafe { debug::let_all_go(visit) }, else false)
}

/// A chunk is reserved.
#[inline(always)]
pub(crate) fn chunk_reserved(start: *mut u8, bytes: usize) {
    debug!(tools::chunk_reserved(start, bytes), else ());
}

/// A chunk is about to be released.
#[inline(always)]
pub(crate) fn chunk_released(start: *mut u8, bytes: usize) {
    debug!(tools::chunk_released(start, bytes), else ());
}

/// A slab is made for a pool with modes.
///
/// # Safety
/// The slab is the pool's and no object is out of it; the pool's lock is held.
#[inline(always)]
pub(crate) unsafe fn slab_made(modes: Modes, geometry: &Geometry, slab: *mut Slab) {
    // SAFETY: the caller's promise.
    debug!(unsafe { debug::new_slab(modes, geometry, slab) }, else ());
}

/// A slab is given up.
#[inline(always)]
pub(crate) fn slab_gone(start: *mut u8, bytes: usize) {
    debug!(tools::slab_gone(start, bytes), else ());
}

/// A slow path is over, and nothing is locked. The pool is there still.
#[inline(always)]
pub(crate) fn after_slow_path(pool: &Pool) {
    validate::after_slow_path(pool);
}

/// Says that `function` found something wrong at an address; of a pool, if it is known of which.
/// Nothing is locked.
#[cold]
pub(crate) fn report(function: &str, pool: Option<&PoolId>, address: usize, words: &str) {
    said::problem(function, pool, address, words);
}

/// Says that there were so many more problems in the same call. Nothing is locked.
#[cold]
pub(crate) fn report_more(function: &str, problems: u32) {
    said::count_more(function, None, problems);
}

/// How many guarded objects of a pool callers have, and the bytes of their pages.
#[inline(always)]
pub(crate) fn guarded(parent: usize) -> (usize, usize) {
    unix!(guard::live(parent), else (0, 0))
}

/// The address of the pool of a guarded object; 0 if there is no such object, or if its pool is gone.
///
/// # Safety
/// The owner word of the address is that of guarded ones.
#[inline(always)]
pub(crate) unsafe fn guarded_pool(object: *mut u8) -> usize {
    // SAFETY: the caller's promise.
    unix!(unsafe { guard::pool_of(object) }, else 0)
}

/// Calls `each` with the pool of each guarded object that callers have, and the bytes of its pages.
#[inline(always)]
pub(crate) fn for_each_guarded(each: impl FnMut(PoolId, usize)) {
    unix!({
        let mut each = each;
        guard::live_objects().for_each(|object| each(object.pool, object.bytes))
    }, else drop(each));
}

/// A place among all guarded objects, which stays whatever becomes of them.
#[cfg(all(feature = "ext", feature = "debug", unix))]
pub(crate) use crate::watch::guard::Place as GuardedPlace;

/// A place where there are no guarded objects.
#[cfg(all(feature = "ext", not(all(feature = "debug", unix))))]
pub(crate) struct GuardedPlace;

#[cfg(all(feature = "ext", not(all(feature = "debug", unix))))]
impl GuardedPlace {
    /// Before all of them.
    pub(crate) const FIRST: GuardedPlace = GuardedPlace;
}

/// The address of the pool of a guarded object that a caller has, 0 if that is gone, and its bytes
/// as asked for. The address is in a chunk of guarded objects.
#[cfg(feature = "ext")]
pub(crate) fn guarded_at(address: usize) -> Option<(usize, u32)> {
    unix!(guard::object_at(address), else None)
}

/// The first guarded object of a pool behind a place that a caller has. The place is set behind it.
#[cfg(feature = "ext")]
pub(crate) fn guarded_from(place: &mut GuardedPlace, parent: usize) -> Option<*mut u8> {
    unix!(place.next_of(parent), else None)
}

/// Whether the object in a slot, which is out, was freed and waits.
#[cfg(feature = "ext")]
pub(crate) fn is_waiting(records: &Records<'_>, slot: usize) -> bool {
    debug!(debug::is_waiting(records, slot), else false)
}

/// Locks what is known of the objects of a pool.
#[inline(always)]
pub(crate) fn records(kept: Kept) -> Records<'static> {
    debug!(debug::records(kept), else Records(core::marker::PhantomData))
}

/// Checks the bytes of a slab's slots that the program must not write. Returns how many problems
/// were noted.
///
/// # Safety
/// The slab is the pool's, whose lock is held.
#[inline(always)]
pub(crate) unsafe fn check_slab(
    modes: Modes,
    geometry: &Geometry,
    slab: &Slab,
    records: &Records<'_>,
    notes: &mut ManyNotes,
) -> u32 {
    // SAFETY: the caller's promise.
    debug!(unsafe { debug::check_slab(modes, geometry, slab, records, notes) }, else 0)
}

/// Locks what the instruments have locks for that are held across fork().
///
/// # Safety
/// As for [`crate::sys::sync::masked::MaskedMutex::before_fork`].
#[cfg(unix)]
pub(crate) unsafe fn before_fork() {
    if gone::is_on() {
        // SAFETY: the caller's promise.
        unsafe { gone::before_fork() };
    }
    // SAFETY: as above.
    unix!(unsafe { guard::before_fork() }, else ());
}

/// Unlocks it behind fork(), in the process that forked or in the new one, which may change its
/// environment.
///
/// # Safety
/// `before_fork` was called, in this thread or in the one that this process was forked from.
#[cfg(unix)]
pub(crate) unsafe fn after_fork(in_new_process: bool) {
    // SAFETY: the caller's promise.
    unix!(unsafe { guard::after_fork(in_new_process) }, else ());
    if gone::is_on() {
        // SAFETY: as above.
        unsafe { gone::after_fork(in_new_process) };
    }
    if in_new_process {
        // SAFETY: as above.
        unix!(unsafe { trace::in_new_process() }, else ());
    }
    said::look_again();
}

/// The library is unloaded: takes these locks from forks that do not come back.
///
/// # Safety
/// As for [`crate::sys::sync::masked::MaskedMutex::take_from_fork`].
#[cfg(unix)]
pub(crate) unsafe fn take_from_forks() {
    if gone::is_on() {
        // SAFETY: the caller's promise.
        unsafe { gone::take_from_fork() };
    }
    // SAFETY: as above.
    unix!(unsafe { guard::take_from_fork() }, else ());
}

/// Whether a thread, which may be this one, is inside the guards.
pub(crate) fn is_watch_locked() -> bool {
    unix!(guard::is_locked(), else false)
}

/// The program ends, or the library is unloaded: what is to be said of that is said.
pub(crate) fn at_end() {
    debug!(debug::at_end(), else ());
}

/// The library is unloaded: the instruments give up what they have.
pub(crate) fn at_unload() {
    unix!({ trace::at_unload(); guard::at_unload() }, else ());
    debug!(debug::at_unload(), else ());
}

/// Gives a pool the modes that `words` say; returns false if it cannot have them.
///
/// # Safety
/// No other call uses the pool or its children.
#[cfg(feature = "ext")]
pub(crate) unsafe fn set_modes(parent: &ParentPool, words: &[u8]) -> bool {
    // SAFETY: the caller's promise.
    debug!(debug::set(parent, words), else false)
}

/// Gives pools to come the modes that `words` say; returns false if a word is not known.
#[cfg(feature = "ext")]
pub(crate) fn set_default_modes(words: &[u8]) -> bool {
    debug!(debug::set_default(words), else false)
}

/// Samples one allocation in `rate`, or none if that is 0. Returns what was set before.
#[cfg(feature = "ext")]
pub(crate) fn set_sampling(rate: u32) -> u32 {
    unix!(guard::sample::set(rate), else 0)
}
