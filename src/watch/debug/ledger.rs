// SPDX-License-Identifier: MIT
//! What is kept of a pool and its objects in the modes `users`, `quarantine` and `leaks`.
//!
//! A ledger has memory of its own, so that it outlives a pool whose memory goes unannounced: it
//! is then found by the pool's address, when a pool is created there or the program ends. A ledger
//! that is given up is taken for the next pool. Those that are no pool's go when the library is
//! unloaded; from then on no pool gets one.
//!
//! | field | written | read |
//! |---|---|---|
//! | `next` | before the ledger is listed | by all |
//! | `parent` | by who takes the ledger or gives it up | by all |
//! | `pages` | the ledger's lock | the same |
//!
//! The lock comes after a pool's and before the heap's (see [`crate::sys::sync`]). No other lock is
//! taken under it.

use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::gate::Gate;
use super::table::{Record, State, Table, User};
use crate::base::geometry::PAGE;
use crate::base::layout::{Field, layout};
use crate::base::modes::Modes;
use crate::base::pool_id::PoolId;
use crate::sys::os;
use crate::sys::sync::{Locked, Mutex};
use crate::sys::valgrind;

/// The modes that need a ledger.
const KEPT: [Modes; 3] = [Modes::USERS, Modes::QUARANTINE, Modes::LEAKS];

/// Bytes of objects of a pool that wait at most.
pub(crate) const MOST_WAITING: usize = 1 << 20;

/// See the head of this file.
pub(crate) struct Ledger {
    next: *mut Ledger,
    /// The address of the pool, 0 if the ledger is no pool's.
    parent: AtomicUsize,
    mutex: Mutex,
    pages: UnsafeCell<Pages>,
}

/// What the lock of a ledger protects.
pub(crate) struct Pages {
    /// The pool's modes.
    pub(crate) modes: Modes,
    /// As the pool was created with.
    pub(crate) item_size: u32,
    /// The same.
    pub(crate) num_items: u32,
    /// What is known of objects.
    pub(crate) table: Table,
    /// The slots that wait, in the order in which they were freed; 0 if there is none.
    first: usize,
    last: usize,
    /// How many wait.
    pub(crate) waiting: usize,
}

/// For a walker outside of the process.
pub(super) const LAYOUT: &[Field] = layout!("ledger", Ledger: next, parent, mutex, pages);
/// The same.
pub(super) const PAGES_LAYOUT: &[Field] =
    layout!("pages", Pages: modes, item_size, num_items, table, waiting);
/// Where the first one is noted.
pub(super) const PLACE: *const () = (&raw const LEDGERS).cast();

// Acquire and release: a ledger that is found in the list is initialised.
static LEDGERS: AtomicPtr<Ledger> = AtomicPtr::new(ptr::null_mut());

/// What all who walk the list, or add to it, are inside of.
static GATE: Gate = Gate::open();

/// The words that are not under a lock, but for those of ledgers: addresses and bytes.
pub(crate) fn atomics() -> [(usize, usize); 2] {
    [
        ((&raw const LEDGERS).addr(), size_of_val(&LEDGERS)),
        ((&raw const GATE).addr(), size_of_val(&GATE)),
    ]
}

impl Ledger {
    /// Calls `each` with all ledgers until it returns true, and returns that one.
    fn search(mut each: impl FnMut(&'static Ledger) -> bool) -> Option<&'static Ledger> {
        // Most programs have none, and create pools. Relaxed: whoever looks for the ledger of a
        // pool knows the pool from who opened it.
        if LEDGERS.load(Ordering::Relaxed).is_null() {
            return None;
        }
        let _stay = GATE.enter()?;
        let mut ledger = LEDGERS.load(Ordering::Acquire);
        // SAFETY: the list goes only when nobody is inside the gate, and a ledger of a pool does
        // not go at all.
        while let Some(one) = unsafe { ledger.as_ref() } {
            if each(one) {
                return Some(one);
            }
            ledger = one.next;
        }
        None
    }

    /// Calls `each` with the ledgers of all pools, and the addresses of these.
    pub(crate) fn for_each(mut each: impl FnMut(&'static Ledger, usize)) {
        Ledger::search(|ledger| {
            // Relaxed: a pool comes or goes at the same time, or it does not.
            let parent = ledger.parent.load(Ordering::Relaxed);
            if parent != 0 {
                each(ledger, parent);
            }
            false
        });
    }

    /// The ledger of a pool.
    pub(crate) fn find(parent: usize) -> Option<&'static Ledger> {
        // Relaxed: whoever asks creates or destroys the pool.
        Ledger::search(|ledger| ledger.parent.load(Ordering::Relaxed) == parent)
    }

    /// Takes a ledger for a pool that has none, if its modes need one. None also if there is no
    /// memory.
    pub(crate) fn open(pool: &PoolId, modes: Modes) -> Option<&'static Ledger> {
        if !KEPT.iter().any(|kept| modes.has(*kept)) {
            return None;
        }
        // Relaxed: what is in the ledger is reached through its lock.
        let take = |ledger: &Ledger| {
            let parent = (0, pool.address, Ordering::Relaxed);
            ledger.parent.compare_exchange(parent.0, parent.1, parent.2, parent.2).is_ok()
        };
        let ledger = Ledger::search(take).or_else(|| Ledger::new(pool.address))?;
        let mut pages = ledger.lock();
        let PoolId { item_size, num_items, .. } = *pool;
        *pages = Pages { modes, item_size, num_items, ..Pages::EMPTY };
        Some(ledger)
    }

    fn new(parent: usize) -> Option<&'static Ledger> {
        let _stay = GATE.enter()?;
        let new: *mut Ledger = os::reserve(bytes(), PAGE).cast();
        if new.is_null() {
            return None;
        }
        // SAFETY: the memory is new, and larger than a ledger.
        unsafe {
            new.write(Ledger {
                next: LEDGERS.load(Ordering::Acquire),
                parent: AtomicUsize::new(parent),
                mutex: Mutex::unlocked(),
                pages: UnsafeCell::new(Pages::EMPTY),
            });
            valgrind::atomic((&raw const (*new).parent).addr(), size_of::<AtomicUsize>());
            while let Err(first) =
                LEDGERS.compare_exchange((*new).next, new, Ordering::AcqRel, Ordering::Acquire)
            {
                (*new).next = first;
            }
            Some(&*new)
        }
    }

    /// Gives back those that are no pool's: when the library is unloaded.
    pub(crate) fn at_unload() {
        if !GATE.shut() {
            return;
        }
        // Relaxed: the gate orders it with all who were inside.
        let mut ledger = LEDGERS.swap(ptr::null_mut(), Ordering::Relaxed);
        while !ledger.is_null() {
            // SAFETY: the list is this call's. One that is no pool's was given up, which was the
            // last use of it.
            unsafe {
                let next = (*ledger).next;
                // Acquire: what was done before it was given up.
                if (*ledger).parent.load(Ordering::Acquire) == 0 {
                    (*ledger).mutex.destroy();
                    os::release(ledger.cast(), bytes());
                }
                ledger = next;
            }
        }
    }

    /// Gives the ledger up, and does not touch it any more.
    pub(crate) fn close(&self) {
        let mut pages = self.lock();
        pages.table.clear();
        *pages = Pages::EMPTY;
        drop(pages);
        // Release: see `at_unload`.
        self.parent.store(0, Ordering::Release);
    }

    /// Locks the ledger.
    pub(crate) fn lock(&self) -> Locked<'_, Pages> {
        // SAFETY: no thread locks a ledger twice, nor with the heap's lock held, and the pages are
        // reached through this lock only.
        unsafe { Locked::lock(&self.mutex, self.pages.get()) }
    }

    /// Locks the ledger, unless someone else has.
    pub(crate) fn try_lock(&self) -> Option<Locked<'_, Pages>> {
        // SAFETY: as in `lock`.
        unsafe { Locked::try_lock(&self.mutex, self.pages.get()) }
    }
}

/// Bytes of a ledger, in whole pages.
fn bytes() -> usize {
    size_of::<Ledger>().next_multiple_of(os::page_size())
}

impl Pages {
    const EMPTY: Pages = Pages {
        modes: Modes::NONE,
        item_size: 0,
        num_items: 0,
        table: Table::EMPTY,
        first: 0,
        last: 0,
        waiting: 0,
    };

    /// Notes that a slot was handed out.
    pub(crate) fn allocated(&mut self, slot: usize, user: User) {
        if let Some(record) = self.table.enter(slot) {
            *record =
                Record { slot, next: 0, allocated: user, freed: User::NONE, state: State::Out };
        }
    }

    /// Notes that a slot was freed, and whether it is to wait; returns false if it is not to, or
    /// cannot.
    pub(crate) fn freed(&mut self, slot: usize, user: User, wait: bool) -> bool {
        let Some(record) = self.table.enter(slot) else { return false };
        record.freed = user;
        record.next = 0;
        record.state = if wait { State::Waiting } else { State::Free };
        if wait {
            let last = core::mem::replace(&mut self.last, slot);
            match self.table.find_mut(last) {
                Some(last) => last.next = slot,
                None => self.first = slot,
            }
            self.waiting += 1;
        }
        wait
    }

    /// Lets the slot go that waits longest, if there is one.
    pub(crate) fn let_go(&mut self) -> Option<usize> {
        let slot = self.first;
        let record = self.table.find_mut(slot)?;
        record.state = State::Free;
        self.first = core::mem::replace(&mut record.next, 0);
        if self.first == 0 {
            self.last = 0;
        }
        self.waiting -= 1;
        Some(slot)
    }

    /// The record of a slot.
    #[inline(never)]
    pub(crate) fn record(&self, slot: usize) -> Option<Record> {
        self.table.find(slot).copied()
    }

    /// Calls `each` with the slots that wait.
    #[cfg(test)]
    pub(crate) fn for_each_waiting(&self, mut each: impl FnMut(usize)) {
        let mut slot = self.first;
        while let Some(record) = self.table.find(slot) {
            each(slot);
            slot = record.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(thread: usize) -> User {
        User { thread, ..User::NONE }
    }

    #[test]
    fn slots_that_wait_are_let_go_in_the_order_in_which_they_were_freed() {
        let ledger = Ledger::open(&PoolId::new(0x1000, 96, 64), Modes::QUARANTINE).unwrap();
        let mut pages = ledger.lock();
        assert!(pages.let_go().is_none());
        for slot in 1..=1000 {
            pages.allocated(slot * 96, who(slot));
        }
        for slot in (1..=1000).rev() {
            assert!(pages.freed(slot * 96, who(1), true));
        }
        assert!(!pages.freed(96_096, who(1), false));
        let mut seen = 0;
        pages.for_each_waiting(|_| seen += 1);
        assert_eq!((seen, pages.waiting), (1000, 1000));
        for slot in (1..=1000).rev() {
            assert!(pages.record(slot * 96).unwrap().state == State::Waiting);
            assert_eq!(pages.let_go(), Some(slot * 96));
            let record = pages.record(slot * 96).unwrap();
            assert!(record.state == State::Free && record.allocated.thread == slot);
        }
        assert!(pages.let_go().is_none() && pages.waiting == 0);
        drop(pages);
        ledger.close();
    }

    #[test]
    fn a_ledger_is_found_by_its_pool_until_it_is_given_up() {
        assert!(Ledger::open(&PoolId::new(0x2000, 96, 64), Modes::CHECKS).is_none());
        let ledger = Ledger::open(&PoolId::new(0x2000, 96, 64), Modes::LEAKS).unwrap();
        let other = Ledger::open(&PoolId::new(0x3000, 40, 64), Modes::LEAKS).unwrap();
        assert!(ptr::eq(Ledger::find(0x2000).unwrap(), ledger));
        ledger.close();
        assert!(Ledger::find(0x2000).is_none());
        assert!(ptr::eq(Ledger::find(0x3000).unwrap(), other));
        other.close();
    }
}
