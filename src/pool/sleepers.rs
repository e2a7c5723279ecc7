// SPDX-License-Identifier: MIT
//! Pools that nobody calls give back what they keep.
//!
//! *In time.* A pool's own visits reap its depot once a second ([`super::policy`]). A pool that sleeps has no
//! visits, so those of others do it: the first one in a second begins a *round* over all pools, and
//! it and the next ones go on with it, each up to a pool that has something and a few magazines of
//! that, until the round is over.
//! Who gave the system something in its own call does not. There is no thread for it: while nobody
//! calls anything, nothing happens.
//!
//! *When the heap grows.* What a pool keeps beyond its share, as it may want it again, another one
//! may want sooner. So once the heap has handed out new memory, as much is drained of depots beyond
//! their shares, of pools that no child has come to since the last look at them (the *clock* of
//! virtual memory, which finds what was used least lately). A pool that is filled and emptied
//! alone does not grow, and so loses nothing.
//!
//! *When the system has no memory*, all pools give what they keep, before a request for an object fails
//! (not in the build without `ext`).
//!
//! Pools are found in the heap's table, held there while they are looked at ([`crate::heap::pools`]),
//! and their locks taken only where nobody has them: a pool that is in use does not sleep. One
//! thread at a time goes round; the others do not wait for it. It is never inside while the process
//! forks, so that the new process finds the locks of pools that nobody used free. So it does not
//! wait for the heap's lock to begin with a pool or to let it go, as who forks may be who has that.
//!
//! | field of [`Round`] | meaning | touched by |
//! |---|---|---|
//! | `mutex` | some thread goes round; the first rank of locks | |
//! | `done` | the second of the last round that is over | written under the mutex, read by all |
//! | `answered` | how far the heap had grown when so much was drained | the same |
//! | `places` | how far this round has come, the hand of the clock, and the pool that is held | the mutex |

use core::cell::UnsafeCell;
use core::mem::{self, ManuallyDrop};
use core::ptr;

use super::body::Pool;
use super::budget;
use super::policy::{GROWTH_STEP, POOLS_AT_A_LOOK, ROUNDS_AT_A_LOOK};
use super::visit::Visit;
use crate::base::geometry::PAGE;
use crate::base::pool_id::PoolId;
use crate::heap::growth::grown;
use crate::heap::pools::Entry;
use crate::heap::surplus::Surplus;
use crate::heap::{HEAP, IsLocked, Unused};
use crate::hooks::{self, Notes};
use crate::sys::sync::Locked;
use crate::sys::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use crate::sys::sync::masked::MaskedMutex;

/// What is reported of a pool that is reaped is reported of this function, which does the same.
const FUNCTION: &str = "slab_trim_heap";

/// See the head of this file.
struct Round {
    mutex: MaskedMutex,
    done: AtomicU32,
    answered: AtomicUsize,
    places: UnsafeCell<Places>,
}

struct Places {
    round: usize,
    hand: usize,
    /// Whether this turn of the hand has found nothing so far.
    fruitless: bool,
    /// A pool that could not be let go because the heap was locked, or null.
    held: *mut Entry,
}

impl Places {
    const FIRST: Places = Places { round: 0, hand: 0, fruitless: true, held: ptr::null_mut() };
}

// SAFETY: the places are only reached with the mutex locked.
unsafe impl Sync for Round {}

static ROUND: Round = Round {
    mutex: MaskedMutex::unlocked(),
    done: AtomicU32::new(0),
    answered: AtomicUsize::new(0),
    places: UnsafeCell::new(Places::FIRST),
};

impl Visit<'_> {
    /// Ends the visit of a call to this pool, which then goes round, if it has done no other work of this
    /// kind.
    #[inline(always)]
    pub(super) fn end(self) {
        // SAFETY: it is not dropped.
        unsafe { ManuallyDrop::new(self).end_and_look() }
    }

    /// # Safety
    /// As for [`Visit::leave`].
    #[inline(never)]
    unsafe fn end_and_look(&mut self) {
        let now = self.surplus.known_now().filter(|_| !self.has_reaped);
        // SAFETY: the caller's promise.
        let gave = unsafe { self.leave() };
        if let (Some(now), false) = (now, gave) {
            look(now);
        }
        hooks::after_slow_path(self.pool);
        HEAP.settle();
    }
}

/// Goes on with the round of this second, or, if that is over, with the clock, if the heap has grown.
/// No lock is held.
#[inline(always)]
fn look(now: u32) {
    // Relaxed: it only decides whether to look closer.
    if ROUND.done.load(Relaxed) != now {
        go_on(now);
    } else if grown().wrapping_sub(ROUND.answered.load(Relaxed)) >= GROWTH_STEP {
        answer();
    }
}

/// Drains as much of pools that were not used lately as the heap has grown, or a part of it.
#[cold]
#[inline(never)]
fn answer() {
    let (grown, mut left) = (grown(), ROUNDS_AT_A_LOOK);
    let mut owed = grown.wrapping_sub(ROUND.answered.load(Relaxed));
    if !budget::is_noted() {
        owed = 0;
    }
    for _ in 0..POOLS_AT_A_LOOK {
        if left == 0 || owed == 0 {
            break;
        }
        // SAFETY: the places are reached through this lock only.
        let Some(mut places) = (unsafe { Locked::try_lock(&ROUND.mutex, ROUND.places.get()) })
        else {
            return;
        };
        let (mut drained, mut stride) = (0, 0);
        let hand = places.hand;
        let visited = visit_from(&mut places, hand, &mut |visit| {
            (drained, stride) = (visit.give_way(left), visit.stride());
        });
        left = left.saturating_sub(drained);
        owed = owed.saturating_sub(drained * stride / PAGE);
        places.fruitless = drained == 0 && places.fruitless;
        // Behind the last pool is the first one. If none of them had anything, there is nothing.
        places.hand = match &visited {
            Some(visited) if left != 0 => visited.next,
            Some(_) => places.hand,
            None => {
                if mem::replace(&mut places.fruitless, true) {
                    owed = 0;
                }
                0
            }
        };
        drop(places);
        // What goes to the system is work enough for a call.
        if visited.is_some_and(Visited::end) {
            break;
        }
    }
    ROUND.answered.store(grown.wrapping_sub(owed), Relaxed);
}

#[cold]
#[inline(never)]
fn go_on(now: u32) {
    for _ in 0..POOLS_AT_A_LOOK {
        // SAFETY: the places are reached through this lock only.
        let Some(mut places) = (unsafe { Locked::try_lock(&ROUND.mutex, ROUND.places.get()) })
        else {
            return;
        };
        let (mut is_over, mut drained) = (true, false);
        let round = places.round;
        let visited = visit_from(&mut places, round, &mut |visit| {
            drained = visit.reap_asleep(now);
            is_over = !visit.is_reaping();
        });
        let Some(visited) = visited else {
            places.round = 0;
            ROUND.done.store(now, Relaxed);
            return;
        };
        if is_over {
            places.round = visited.next;
        }
        drop(places);
        if visited.end() || drained {
            return;
        }
    }
}

/// What a visit leaves to be done when the round's lock is free, too: who takes reports may call any
/// function of the library, and need not come back.
struct Visited {
    /// The place behind it.
    next: usize,
    surplus: Surplus,
    notes: Option<(PoolId, Notes)>,
    unused: Unused,
    /// Nothing was done, as the heap was locked.
    in_vain: bool,
}

impl Visited {
    /// Does it. Returns whether the system was given anything.
    #[inline(never)]
    fn end(mut self) -> bool {
        let gave = HEAP.take_back(&mut self.surplus) | self.unused.release();
        if let Some((pool, mut notes)) = self.notes {
            notes.say(FUNCTION, Some(&pool));
        }
        HEAP.settle();
        gave
    }
}

/// Calls `work` with a visit to the first pool from a place on, unless another thread visits it just
/// now. None if there is no pool. Nothing is done if the heap is locked. If a pool is held still, that
/// is let go, and it is all that is done.
#[inline(never)]
fn visit_from(
    places: &mut Places,
    place: usize,
    work: &mut dyn FnMut(&mut Visit<'_>),
) -> Option<Visited> {
    let mut visited = Visited {
        next: place,
        surplus: Surplus::EMPTY,
        notes: None,
        unused: Unused::NONE,
        in_vain: false,
    };
    if places.held.is_null() {
        match HEAP.hold_pool_from(place) {
            Ok(None) => return None,
            Ok(Some((entry, next))) => (places.held, visited.next) = (entry, next),
            Err(IsLocked) => {
                visited.in_vain = true;
                return Some(visited);
            }
        }
        // SAFETY: it is the entry of a pool, and held.
        unsafe {
            if let Some(pool) = Pool::of(places.held) {
                if let Some(body) = pool.try_lock() {
                    let mut visit = Visit::with(pool, body, FUNCTION);
                    work(&mut visit);
                    visited.surplus = mem::replace(&mut visit.surplus, Surplus::EMPTY);
                    if !visit.notes.is_empty() {
                        let noted = mem::replace(&mut visit.notes, Notes::none());
                        visited.notes = Some((pool.id(&visit.body), noted));
                    }
                }
            }
        }
    }
    match let_go(places) {
        Ok(unused) => visited.unused = unused,
        // Mostly it was just visited.
        Err(IsLocked) => visited.in_vain = visited.next == place,
    }
    Some(visited)
}

/// Lets the pool go that is held, if there is one. What is returned is to be released when nothing is
/// locked.
#[inline(never)]
fn let_go(places: &mut Places) -> Result<Unused, IsLocked> {
    if places.held.is_null() {
        return Ok(Unused::NONE);
    }
    // SAFETY: it is held, and only who goes round uses it for that reason.
    let unused = unsafe { HEAP.let_pool_go(places.held) }?;
    places.held = ptr::null_mut();
    Ok(unused)
}

/// Gives the heap what all pools keep in their depots, but for pools that others visit just now.
#[cfg(feature = "ext")]
pub(crate) fn drain_all() {
    visit_all(true, &mut |visit| visit.drain_depot());
}

/// The same of their spare slabs alone, and of what pools without children keep.
#[cfg(feature = "ext")]
pub(crate) fn drop_spares() {
    visit_all(true, &mut |visit| {
        if visit.body.slabs.holders == 0 {
            visit.drain_depot();
        }
        visit.body.slabs.drop_spare(&mut visit.surplus);
    });
}

/// When the system has no memory: the same as [`drain_all`], unless another thread goes round. Returns
/// whether there was anything.
#[cfg(feature = "ext")]
pub(super) fn give_all() -> bool {
    visit_all(false, &mut |visit| visit.drain_depot())
}

/// Calls `work` with a visit to each pool, but for those that others visit just now. If another thread
/// goes round, waits for it or does nothing. Returns whether there was anything for the heap.
#[cfg(feature = "ext")]
#[cold]
#[inline(never)]
fn visit_all(waits: bool, work: &mut dyn FnMut(&mut Visit<'_>)) -> bool {
    let (mut place, mut any) = (0, false);
    loop {
        let visited = if waits {
            kept_out(|places| visit_from(places, place, work))
        } else {
            // SAFETY: the places are reached through this lock only.
            let places = unsafe { Locked::try_lock(&ROUND.mutex, ROUND.places.get()) };
            places.and_then(|mut places| visit_from(&mut places, place, work))
        };
        let Some(visited) = visited else { return any };
        any |= !visited.surplus.is_empty();
        place = visited.next;
        if visited.in_vain {
            HEAP.wait();
        }
        visited.end();
    }
}

/// Lets the pool go that is held still, unless a thread, which may be this one, has one of the locks.
#[inline(never)]
pub(crate) fn at_unload() {
    // SAFETY: the places are reached through this lock only.
    if let Some(mut places) = unsafe { Locked::try_lock(&ROUND.mutex, ROUND.places.get()) } {
        let unused = let_go(&mut places);
        drop(places);
        if let Ok(unused) = unused {
            unused.release();
        }
    }
}

/// Calls `work` while no other thread goes round. No lock is held.
fn kept_out<T>(work: impl FnOnce(&mut Places) -> T) -> T {
    // SAFETY: no lock is held, and the places are reached through this lock only.
    let mut places = unsafe { Locked::lock(&ROUND.mutex, ROUND.places.get()) };
    work(&mut places)
}

/// Calls `work` with the pool whose parent is or was at an address, if there is one, which stays
/// meanwhile. No lock is held.
#[cfg(feature = "ext")]
pub(crate) fn with_pool_at<T>(owner: usize, work: impl FnOnce(&Pool) -> T) -> Option<T> {
    let mut work = Some(work);
    loop {
        let done = kept_out(|places| {
            // One that was held before. If the heap is locked, who goes round next lets it go.
            let before = let_go(places)?;
            let Some(entry) = HEAP.hold_pool_at(owner)? else {
                return Ok((None, [before, Unused::NONE]));
            };
            places.held = entry;
            // SAFETY: it is the entry of a pool, which stays while it is held.
            let pool = unsafe { Pool::of(entry) };
            let result = pool.zip(work.take()).map(|(pool, work)| work(pool));
            Ok((result, [before, let_go(places).unwrap_or(Unused::NONE)]))
        });
        match done {
            Ok((result, unused)) => {
                for each in unused {
                    each.release();
                }
                return result;
            }
            Err(IsLocked) => HEAP.wait(),
        }
    }
}

/// Calls `work`, which waits for nothing, while no thread goes round. No lock is held.
pub(super) fn while_none_goes_round<T>(work: impl FnOnce() -> T) -> T {
    kept_out(|_| work())
}

/// Where the words are that are used without a lock: address and bytes.
#[cfg(feature = "debug")]
pub(crate) fn atomics() -> [(usize, usize); 3] {
    [
        ((&raw const ROUND.done).addr(), size_of::<AtomicU32>()),
        ((&raw const ROUND.answered).addr(), size_of::<AtomicUsize>()),
        ROUND.mutex.atomics(),
    ]
}

/// Locks before fork().
///
/// # Safety
/// As for [`MaskedMutex::before_fork`].
#[cfg(unix)]
pub(crate) unsafe fn before_fork() {
    // SAFETY: the caller's promise.
    unsafe { ROUND.mutex.before_fork(|| HEAP.is_interrupted()) };
}

/// Unlocks behind fork().
///
/// # Safety
/// `before_fork` was called.
#[cfg(unix)]
pub(crate) unsafe fn after_fork(in_new_process: bool) {
    // SAFETY: the caller's promise.
    unsafe { ROUND.mutex.after_fork(in_new_process, |_| ()) };
}

/// Takes the lock from a fork that does not come back.
///
/// # Safety
/// As for [`MaskedMutex::take_from_fork`].
#[cfg(unix)]
pub(crate) unsafe fn take_from_fork() {
    // SAFETY: the caller's promise.
    unsafe { ROUND.mutex.take_from_fork() };
}

/// The beginning of an execution of the model checker: the round of this second is over.
#[cfg(loom)]
pub(crate) fn begin(now: u32) {
    ROUND.done.store(now, Relaxed);
    kept_out(|places| *places = Places::FIRST);
    ROUND.answered.store(0, Relaxed);
}
