// SPDX-License-Identifier: MIT
//! The pools that there are: each has an entry here, from its first object on.
//!
//! An entry is the head of a pool's body ([`crate::pool::body`]), which lies in a block of the
//! heap's. So pools can be found and visited without a look at their parents, whose memory is the
//! program's and may be gone without a word. A pool that is created finds what one at the same
//! address has left behind.
//!
//! Entries are found by a hash of the parent's address. Whoever looks for one without the heap's
//! lock sees whether there may be any; mostly there is none, or a *spare* alone. It was told of the
//! pool's memory by whoever used that last, and so sees what that one added, or something later.
//!
//! | field of [`Entry`] | written | read |
//! |---|---|---|
//! | `mutex` | | |
//! | `owner` | under the pool's mutex; under the heap's lock by who takes the entry out | by all |
//! | `next`, `home`, `hold` | under the heap's lock | the same; `home` also by who has a spare |
//! | `name` | under the heap's lock and the pool's mutex | under either |
//! | `children` | under the pool's mutex | by all |
//!
//! An entry is taken out, its owner made 0 and its block freed in one hold of the heap's lock, in
//! which the pool's slabs go to limbo, too: as long as a slab with objects has a pool's owner word, the
//! entry of that pool is found here. The block is not freed while the entry is held. A pool that has
//! ended by the time that who holds it gets its mutex has nothing in it.
//!
//! One that has ended with nothing in it may stay, as a *spare*, for the next pool; its owner is made 0
//! under its mutex. It is where it was, so that it is free to be the entry of a pool at the same address
//! without the heap's lock.

use core::cell::Cell;
use core::ptr;

use super::locked::HeapLocked;
use crate::base::layout::{Field, layout, numbers};
use crate::heap::names::Name;
use crate::sys::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::sys::sync::{Mutex, reads};

#[cfg(not(loom))]
const BUCKETS: usize = 1024;
/// For the model checker: pools always share one.
#[cfg(loom)]
const BUCKETS: usize = 1;

/// Whether who goes round over all pools holds an entry, so that its block is not freed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    None,
    Held,
    /// It is, and is to be freed when it is let go.
    Doomed,
}

/// Places of a bucket: more than entries that it is likely to have.
const PLACES: usize = 1 << 12;

/// The head of a pool's body, as the heap knows it.
#[repr(C)]
pub(crate) struct Entry {
    /// The pool's lock.
    pub(crate) mutex: Mutex,
    owner: AtomicUsize,
    next: Cell<*mut Entry>,
    /// The owner that says in which bucket it is.
    home: Cell<usize>,
    name: Cell<*mut Name>,
    hold: Cell<Hold>,
    /// How many children in use the pool has; counted in the modes that report them.
    pub(crate) children: AtomicU32,
}

/// For a walker outside of the process.
pub(crate) const LAYOUT: &[Field] = layout!("entry", Entry: mutex, owner, next, name, children);
/// The same.
pub(crate) const NUMBERS: &[Field] = numbers!("pools": BUCKETS);

impl Entry {
    /// Makes the entry of a pool.
    ///
    /// # Safety
    /// `this` is writable, and nobody uses it.
    pub(crate) unsafe fn init(this: *mut Entry, owner: usize) {
        // SAFETY: the caller's promise. Fields are written one by one as the old content may be no
        // valid entry.
        unsafe {
            Mutex::init(&raw mut (*this).mutex);
            (&raw mut (*this).owner).write(AtomicUsize::new(owner));
            (&raw mut (*this).next).write(Cell::new(ptr::null_mut()));
            (&raw mut (*this).home).write(Cell::new(owner));
            (&raw mut (*this).name).write(Cell::new(ptr::null_mut()));
            (&raw mut (*this).hold).write(Cell::new(Hold::None));
            (&raw mut (*this).children).write(AtomicU32::new(0));
            // (The model checker has to see the words before two threads meet at them.)
            (*this).begin_again(owner);
        }
    }

    /// The address of the parent, which is the owner word of its slabs; 0 once the pool has ended.
    pub(crate) fn owner(&self) -> usize {
        // Relaxed: who acts on it holds the mutex, or the heap's lock and asks again with the mutex.
        self.owner.load(Relaxed)
    }

    /// Says that the pool has ended. Its mutex is held, or the heap's lock if it was taken out.
    pub(crate) fn end(&self) {
        // Relaxed: as above.
        self.owner.store(0, Relaxed);
    }

    /// Holds it, which one thread at a time does: its block stays.
    pub(super) fn hold(&self, _lock: HeapLocked<'_>) {
        self.hold.set(Hold::Held);
    }

    /// Lets it go. Returns whether it is to be freed now.
    pub(super) fn let_go(&self, _lock: HeapLocked<'_>) -> bool {
        self.hold.replace(Hold::None) == Hold::Doomed
    }

    /// Whether it is held, in which case it is freed when it is let go.
    pub(super) fn is_held_when_freed(&self, _lock: HeapLocked<'_>) -> bool {
        if self.hold.get() == Hold::None {
            return false;
        }
        self.hold.set(Hold::Doomed);
        true
    }

    /// Says that it is another pool's now. Its mutex is held.
    pub(crate) fn begin_again(&self, owner: usize) {
        // Relaxed: as above.
        self.children.store(0, Relaxed);
        self.owner.store(owner, Relaxed);
    }

    /// Whether the pool has a name, which may be empty. The pool's mutex is held, or nobody uses it.
    pub(crate) fn has_name(&self) -> bool {
        !self.name.get().is_null()
    }

    /// What the pool is called; empty if it has no name. The pool's mutex is held, or the heap's
    /// lock.
    pub(crate) fn name(&self) -> &[u8] {
        let name = self.name.get();
        // SAFETY: a name lives as long as its pool, and is written under both locks.
        if name.is_null() { &[] } else { unsafe { Name::text(name) } }
    }

    /// Where the name is; null if it has none. The same holds.
    pub(super) fn name_place(&self) -> *mut Name {
        self.name.get()
    }

    /// Gives the pool a name. Both locks are held.
    pub(super) fn set_name(&self, name: *mut Name, _lock: HeapLocked<'_>) {
        self.name.set(name);
    }
}

/// See the head of this file.
pub(crate) struct Pools {
    buckets: [AtomicPtr<Entry>; BUCKETS],
    /// A bit of each bucket: it has had more than one entry since it was empty. Written under the
    /// heap's lock, before the bucket is.
    crowded: [AtomicU32; BUCKETS.div_ceil(BITS)],
}

const BITS: usize = u32::BITS as usize;

// SAFETY: what is in cells belongs to the heap's lock, as the table says.
unsafe impl Sync for Entry {}

/// Which bucket the entry of a pool is in.
fn bucket(owner: usize) -> usize {
    // The upper bits of the product depend on all bits of the address.
    let hash = (owner as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    hash as usize & (BUCKETS - 1)
}

impl Pools {
    /// No pools.
    pub(crate) const fn none() -> Pools {
        Pools {
            buckets: [const { AtomicPtr::new(ptr::null_mut()) }; BUCKETS],
            crowded: [const { AtomicU32::new(0) }; BUCKETS.div_ceil(BITS)],
        }
    }

    /// Whether there is surely no pool at this address. `is_spare` says whether an entry, which need
    /// not be there any more, is one.
    pub(crate) fn has_none_at(
        &self,
        owner: usize,
        is_spare: impl FnOnce(*const Entry) -> bool,
    ) -> bool {
        let bucket = bucket(owner);
        // Acquire: whether it is crowded was written before. Else see the head of this file: the entry
        // of a pool that is at the address is here, and if it was a spare it was taken before.
        let first = self.buckets[bucket].load(Acquire);
        first.is_null() || !self.is_crowded(bucket) && is_spare(first)
    }

    fn is_crowded(&self, bucket: usize) -> bool {
        if !cfg!(feature = "ext") {
            return true;
        }
        // Relaxed: see `has_none_at`.
        self.crowded[bucket / BITS].load(Relaxed) & 1 << (bucket % BITS) != 0
    }

    fn set_crowded(&self, bucket: usize, crowded: bool, _lock: HeapLocked<'_>) {
        if !cfg!(feature = "ext") {
            return;
        }
        let (word, bit) = (&self.crowded[bucket / BITS], 1 << (bucket % BITS));
        // Relaxed: it is written under the lock.
        let bits = word.load(Relaxed);
        word.store(if crowded { bits | bit } else { bits & !bit }, Relaxed);
    }

    /// The entry of a pool, or null.
    pub(crate) fn find(&self, owner: usize, lock: HeapLocked<'_>) -> *mut Entry {
        let mut entry = self.first(bucket(owner), lock);
        // SAFETY: entries that are here belong to the lock that is held.
        unsafe {
            while !entry.is_null() && (*entry).owner() != owner {
                entry = (*entry).next.get();
            }
        }
        entry
    }

    fn first(&self, bucket: usize, _lock: HeapLocked<'_>) -> *mut Entry {
        // Acquire: what it points at is used. (The lock orders it as well.)
        let first = self.buckets[bucket].load(Acquire);
        if !first.is_null() {
            reads(first);
        }
        first
    }

    /// Adds an entry.
    ///
    /// # Safety
    /// It is whole, and stays until it is removed.
    pub(crate) unsafe fn add(&self, entry: *mut Entry, lock: HeapLocked<'_>) {
        // SAFETY: the caller's promise.
        unsafe {
            let bucket = bucket((*entry).home.get());
            let first = self.first(bucket, lock);
            if !first.is_null() {
                self.set_crowded(bucket, true, lock);
            }
            (*entry).next.set(first);
            self.buckets[bucket].store(entry, Release);
        }
    }

    /// Whether a spare entry was that of a pool at this address, and so is where it would be.
    ///
    /// # Safety
    /// This thread has the spare.
    pub(crate) unsafe fn is_at_home(&self, spare: *mut Entry, owner: usize) -> bool {
        // SAFETY: the caller's promise.
        unsafe { (*spare).home.get() == owner }
    }

    /// Moves a spare entry to where that of a pool at this address is to be.
    ///
    /// # Safety
    /// This thread has the spare.
    pub(crate) unsafe fn rehouse(&self, spare: *mut Entry, owner: usize, lock: HeapLocked<'_>) {
        // SAFETY: the caller's promise.
        unsafe {
            self.remove(spare, lock);
            (*spare).home.set(owner);
            self.add(spare, lock);
        }
    }

    /// The first pool from a place on, and the place behind it. A place is a bucket, and how many
    /// entries of it are passed over. None behind the last.
    pub(crate) fn first_from(&self, place: usize, lock: HeapLocked<'_>) -> Option<(&Entry, usize)> {
        let mut skipped = place % PLACES;
        for bucket in place / PLACES..BUCKETS {
            let (mut entry, mut passed) = (self.first(bucket, lock), 0);
            // SAFETY: entries that are here belong to the lock that is held.
            while let Some(found) = unsafe { entry.as_ref() } {
                passed += 1;
                if passed > skipped && found.owner() != 0 {
                    return Some((found, bucket * PLACES + passed.min(PLACES - 1)));
                }
                entry = found.next.get();
            }
            skipped = 0;
        }
        None
    }

    /// Takes an entry out.
    ///
    /// # Safety
    /// It is here.
    pub(crate) unsafe fn remove(&self, entry: *mut Entry, lock: HeapLocked<'_>) {
        // SAFETY: the caller's promise.
        let bucket = bucket(unsafe { (*entry).home.get() });
        let first = self.first(bucket, lock);
        // SAFETY: entries that are here belong to the lock that is held.
        unsafe {
            let behind = (*entry).next.get();
            if first == entry {
                if behind.is_null() {
                    self.set_crowded(bucket, false, lock);
                }
                self.buckets[bucket].store(behind, Release);
                return;
            }
            let mut before = first;
            while (*before).next.get() != entry {
                before = (*before).next.get();
            }
            (*before).next.set(behind);
        }
    }

    /// Forgets all entries. For the model checker.
    #[cfg(loom)]
    pub(crate) fn reset(&self) {
        self.buckets.iter().for_each(|bucket| bucket.store(ptr::null_mut(), Relaxed));
        self.crowded.iter().for_each(|word| word.store(0, Relaxed));
    }

    /// The first use of the words, for the model checker.
    #[cfg(loom)]
    pub(crate) fn begin(&self) {
        for bucket in &self.buckets {
            bucket.load(Relaxed);
        }
        for word in &self.crowded {
            word.load(Relaxed);
        }
    }

    /// Whether there is no entry. For the model checker.
    #[cfg(loom)]
    pub(crate) fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.load(Relaxed).is_null())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::State;

    fn entries(count: usize) -> Vec<Entry> {
        let entry = |number: usize| {
            let mut entry = core::mem::MaybeUninit::<Entry>::uninit();
            // SAFETY: it is the test's alone.
            unsafe {
                Entry::init(entry.as_mut_ptr(), 0x7f00_0010_0000u64 as usize + number * 0x130);
                entry.assume_init()
            }
        };
        (0..count).map(entry).collect()
    }

    #[test]
    fn a_pool_is_found_from_when_it_is_added_to_when_it_is_removed() {
        let (pools, state) = (Pools::none(), State::EMPTY);
        let mut entries = entries(3000);
        for entry in &mut entries {
            assert!(pools.find(entry.owner(), state.locked()).is_null());
            // SAFETY: the entries are the test's alone, and outlive the table.
            unsafe { pools.add(&raw mut *entry, state.locked()) };
            assert!(!pools.has_none_at(entry.owner(), |_| false));
        }
        for entry in &mut entries {
            let owner = entry.owner();
            let entry = &raw mut *entry;
            assert_eq!(pools.find(owner, state.locked()), entry);
            // SAFETY: as above.
            unsafe { pools.remove(entry, state.locked()) };
            assert!(pools.find(owner, state.locked()).is_null());
        }
        assert!(pools.buckets.iter().all(|bucket| bucket.load(Relaxed).is_null()));
    }

    #[test]
    fn addresses_are_spread_over_the_buckets() {
        let mut counts = vec![0; BUCKETS];
        (0..BUCKETS)
            .for_each(|number| counts[bucket(0x7f00_0000_0000u64 as usize + number * 4096)] += 1);
        let most = counts.into_iter().max();
        assert!(most < Some(8), "{most:?}");
    }

    #[test]
    fn where_there_is_the_spare_alone_is_no_pool() {
        let (pools, state) = (Pools::none(), State::EMPTY);
        let mut entries = entries(3);
        // All in one bucket.
        let owner = entries[0].owner();
        let [spare, one, other] = [0, 1, 2].map(|index| {
            entries[index].home.set(owner);
            &raw mut entries[index]
        });
        let none = |spare: *mut Entry| pools.has_none_at(owner, |entry| ptr::eq(entry, spare));
        // SAFETY: the entries are the test's alone, and outlive the table.
        unsafe {
            pools.add(spare, state.locked());
            assert!(none(spare) && !none(ptr::null_mut()) && !none(one));
            pools.add(one, state.locked());
            assert!(!none(spare) && !none(one));
            pools.remove(one, state.locked());
            assert!(!none(spare), "it is not known that it is alone again");
            pools.remove(spare, state.locked());
            assert!(none(ptr::null_mut()));
            pools.add(other, state.locked());
            pools.add(spare, state.locked());
            assert!(!none(spare));
            pools.remove(other, state.locked());
            pools.remove(spare, state.locked());
            pools.add(spare, state.locked());
            assert!(none(spare));
        }
    }

    #[test]
    fn a_pool_that_has_ended_is_not_found() {
        let (pools, state) = (Pools::none(), State::EMPTY);
        let mut entries = entries(1);
        let owner = entries[0].owner();
        // SAFETY: the entry is the test's alone, and outlives the table.
        unsafe { pools.add(&raw mut entries[0], state.locked()) };
        entries[0].end();
        assert!(pools.find(owner, state.locked()).is_null());
    }
}
