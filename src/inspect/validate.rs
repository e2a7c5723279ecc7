// SPDX-License-Identifier: MIT
//! A walk over every structure of a pool and of the heap that checks all invariants.
//!
//! Each problem is reported in a line and counted. The structures are not changed, but for the bits
//! of objects in the depot, which are cleared and set again to see an object that is there twice;
//! so the walk takes the pool's lock, and then the heap's.

use crate::base::geometry::MAX_OBJECTS;
use crate::heap::chunk::{MAGAZINES, owner_if_any, owner_of, slab_of};
use crate::heap::slab::{LEAVING, Slab};
use crate::heap::{HEAP, State};
use crate::hooks::{self, ManyNotes};
use crate::pool::body::{Body, Pool};
use crate::pool::depot::List;
use crate::pool::parent::ParentPool;
use crate::pool::policy::SIZES;
use crate::sys::os;
use crate::sys::sync::at_once;

const FUNCTION: &str = "slab_validate";

/// Counts and notes problems.
struct Problems {
    count: u32,
    notes: ManyNotes,
}

impl Problems {
    fn none() -> Problems {
        Problems { count: 0, notes: ManyNotes::under_the_heaps_lock() }
    }

    #[inline(never)]
    fn add(&mut self, address: usize, words: &'static str) {
        self.count += 1;
        self.notes.add(address, words);
    }

    #[inline(never)]
    fn check(&mut self, holds: bool, address: usize, words: &'static str) {
        if !holds {
            self.add(address, words);
        }
    }
}

/// With the feature `validate`: ends the process unless the pool and the heap are in order.
#[inline]
pub(crate) fn after_slow_path(pool: &Pool) {
    if cfg!(feature = "validate") && self::pool(pool) != 0 {
        os::broken_invariant();
    }
}

/// Checks the heap, and returns the number of problems.
pub(crate) fn heap() -> u32 {
    let mut problems = Problems::none();
    HEAP.with_each_state(&mut |state| at_once(|| check_heap(state, &mut problems)));
    problems.notes.say(FUNCTION, None);
    problems.count
}

/// Checks a pool and the heap, and returns the number of problems.
pub(crate) fn parent(parent: &ParentPool) -> u32 {
    parent.pool().map_or_else(heap, pool)
}

/// The same by its body.
fn pool(pool: &Pool) -> u32 {
    let mut problems = Problems::none();
    let body = pool.lock();
    let address = pool.entry().owner();
    let listed = at_once(|| {
        check_depot(address, &body, &mut problems);
        check_lists(address, &body, &mut problems)
    });
    {
        let records = hooks::records(body.kept);
        HEAP.with_state_of(pool.home(), |state| {
            at_once(|| check_slabs(address, &body, &records, listed, state, &mut problems));
        });
        HEAP.with_each_state(&mut |state| at_once(|| check_heap(state, &mut problems)));
    }
    if problems.count != 0 {
        let id = pool.id(&body);
        drop(body);
        problems.notes.say(FUNCTION, Some(&id));
    }
    problems.count
}

/// Magazines are as full as their place says, and each object in them is out of a slab, and there
/// once.
fn check_depot(address: usize, body: &Body, problems: &mut Problems) {
    let policy = body.policy();
    let depot = body.depot();
    let (mut counted, mut full_rounds, mut cleared) = ([0; SIZES], 0, 0);
    for set_again in [false, true] {
        depot.for_each(policy, |magazine, mask, list| {
            if !set_again {
                let (empty, full) = (magazine.is_empty(mask), magazine.is_full(mask));
                let right = match list {
                    Some(List::Full) => full,
                    Some(List::Empty) => empty,
                    None => !empty && !full,
                };
                if let Some(List::Full) = list {
                    full_rounds += magazine.rounds(mask);
                }
                if list.is_some() {
                    counted[policy.size_of(mask)] += 1;
                }
                problems.check(right, magazine.block(mask).addr(), "magazine in the wrong place");
            }
            // SAFETY: the depot's magazines, and the slabs of objects whose owner is this pool,
            // belong to the lock that is held. An object is in a chunk, as its slab is not free
            // while it is out.
            unsafe {
                for &object in magazine.contents(mask).iter() {
                    let own = owner_if_any(object) == address;
                    if set_again {
                        if own {
                            (*slab_of(object)).set_out(object);
                        }
                    } else if !own {
                        problems.add(object.addr(), "foreign object in the depot");
                    } else if (*slab_of(object)).clear_out(object) {
                        cleared += 1;
                    } else {
                        problems.add(object.addr(), "free object in the depot, or there twice");
                    }
                }
            }
        });
    }
    let right = depot.counts() == counted && depot.full_rounds() == full_rounds;
    problems.check(right, address, "depot miscounted");
    problems.check(cleared <= body.slabs().out(), address, "more in the depot than is out");
}

/// The lists of slabs are linked, and each has slabs of its fullness. Returns how many slabs there
/// are.
fn check_lists(address: usize, body: &Body, problems: &mut Problems) -> usize {
    let mut listed = 0;
    body.slabs().for_each_listed(|slab, right| {
        listed += 1;
        problems.check(right, slab.base().addr(), "slab on the wrong list");
        // SAFETY: a listed slab is in a chunk.
        let owner = unsafe { owner_of(slab.base()) };
        problems.check(owner == address, slab.base().addr(), "slab of another owner on a list");
    });
    listed
}

/// What the chunks say of the pool's slabs is what the pool says.
fn check_slabs(
    address: usize,
    body: &Body,
    records: &hooks::Records<'_>,
    listed: usize,
    state: &State,
    problems: &mut Problems,
) {
    let (mut slabs, mut out) = (0, 0);
    for slab in state.slabs() {
        // SAFETY: the slab belongs to this pool, whose lock is held, or to nobody until the heap
        // has it; of others only that is read which is constant.
        if unsafe { owner_of((*slab).base()) != address || (*slab).list.get() == LEAVING } {
            continue;
        }
        // SAFETY: as above.
        let slab = unsafe { &*slab };
        slabs += 1;
        out += slab.used() as usize;
        check_bitmap(slab, problems);
        let geometry = body.geometry();
        let right = slab.stride() == geometry.stride && slab.capacity() == geometry.capacity;
        problems.check(right, slab.base().addr(), "slab of another layout");
        if right && !body.modes.is_empty() {
            // SAFETY: the slab is this pool's, whose lock is held.
            problems.count += unsafe {
                hooks::check_slab(body.modes, geometry, slab, records, &mut problems.notes)
            };
        }
    }
    problems.check(slabs == body.slabs().count() as usize, address, "wrong number of slabs");
    problems.check(slabs == listed, address, "slab on no list");
    problems.check(out == body.slabs().out(), address, "wrong number of objects out");
}

fn check_bitmap(slab: &Slab, problems: &mut Problems) {
    let right = slab.bits_set() == slab.used() as usize + MAX_OBJECTS - slab.capacity() as usize;
    problems.check(right, slab.base().addr(), "bitmap and number of objects out differ");
}

/// Chunks are on the right lists, their pages are in one slab or one free run each, and the counts
/// are right.
fn check_heap(state: &State, problems: &mut Problems) {
    for slab in state.slabs() {
        // SAFETY: slabs of magazine blocks belong to the heap's lock.
        unsafe {
            if owner_of((*slab).base()) == MAGAZINES {
                check_bitmap(&*slab, problems);
            }
        }
    }
    state.validate(&mut |address, words| problems.add(address, words));
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use core::mem::MaybeUninit;
    use core::ptr;

    use super::*;
    use crate::heap::surplus::Surplus;
    use crate::pool::child::ChildPool;
    use crate::pool::visit::Visit;

    /// A pool with a few objects out, some of them in its depot, is broken by `damage`; the walk
    /// must see it, and nothing once `repair` has mended it. Both are given an object of the
    /// caller's and one of the depot's.
    fn must_be_seen(
        damage: impl Fn(&ParentPool, *mut u8, *mut u8),
        repair: impl Fn(&ParentPool, *mut u8, *mut u8),
    ) {
        let mut pool = MaybeUninit::<ParentPool>::uninit();
        let mut children = [const { MaybeUninit::<ChildPool>::uninit() }; 2];
        // SAFETY: the pools are created before they are used, and are this test's alone.
        unsafe {
            ParentPool::create(pool.as_mut_ptr(), 96, 64);
            let parent = &*pool.as_ptr();
            let [first, second] = children.each_mut().map(MaybeUninit::as_mut_ptr);
            ChildPool::create(first, parent);
            ChildPool::create(second, parent);
            let used = ChildPool::alloc(first).cast::<u8>();
            let in_depot = ChildPool::alloc(second);
            ChildPool::free(second, in_depot);
            ChildPool::destroy(second);
            let in_depot = in_depot.cast::<u8>();

            assert_eq!(super::parent(parent), 0);
            damage(parent, used, in_depot);
            assert_ne!(super::parent(parent), 0);
            repair(parent, used, in_depot);
            assert_eq!(super::parent(parent), 0);

            ChildPool::free(first, used.cast());
            ChildPool::destroy(first);
            ParentPool::destroy(pool.as_mut_ptr());
        }
    }

    fn body_of(parent: &ParentPool) -> &Pool {
        parent.pool().expect("it has objects")
    }

    fn slab(object: *mut u8) -> &'static Slab {
        // SAFETY: the object's slab is the test's alone.
        unsafe { &*slab_of(object) }
    }

    #[test]
    fn a_bit_that_was_cleared_is_seen() {
        must_be_seen(
            |_, used, _| assert!(slab(used).clear_out(used)),
            |_, used, _| slab(used).set_out(used),
        );
    }

    #[test]
    fn an_object_in_the_depot_that_is_free_is_seen() {
        must_be_seen(
            |_, _, in_depot| assert!(slab(in_depot).clear_out(in_depot)),
            |_, _, in_depot| slab(in_depot).set_out(in_depot),
        );
    }

    #[test]
    fn a_slab_on_the_wrong_list_is_seen() {
        let change = |used, by| slab(used).list.set(slab(used).list.get().wrapping_add(by));
        must_be_seen(|_, used, _| change(used, 1), |_, used, _| change(used, u8::MAX));
    }

    #[test]
    fn an_object_that_is_in_the_depot_twice_is_seen() {
        /// Puts the round below the last one, or another, in the place of the last one, and returns
        /// that.
        fn replace_last(parent: &ParentPool, round: Option<*mut u8>) -> *mut u8 {
            let (mut half, _) = body_of(parent).lock().depot().half();
            // SAFETY: the depot is the test's alone, and has two rounds at least.
            unsafe {
                let last = half.pop();
                half.push(round.unwrap_or(half.last()));
                last
            }
        }
        let replaced = Cell::new(ptr::null_mut());
        must_be_seen(
            |parent, _, _| replaced.set(replace_last(parent, None)),
            |parent, _, _| assert_ne!(replace_last(parent, Some(replaced.get())), replaced.get()),
        );
    }

    #[test]
    fn an_object_in_the_depot_whose_slab_is_another_pools_is_seen() {
        use crate::heap::chunk::{Chunk, LIMBO};
        // SAFETY: the slab is the test's alone.
        let give_to = |object, owner| unsafe {
            HEAP.with_state(|state| Chunk::set_owner(slab_of(object), owner, state.locked()));
        };
        must_be_seen(
            |_, _, in_depot| give_to(in_depot, LIMBO),
            |parent, _, in_depot| give_to(in_depot, parent.address()),
        );
    }

    #[test]
    fn slabs_that_another_thread_has_yet_to_give_to_the_heap_are_no_problem() {
        let mut pool = MaybeUninit::<ParentPool>::uninit();
        let mut child = MaybeUninit::<ChildPool>::uninit();
        // SAFETY: the pools are created before they are used, and are this test's alone.
        unsafe {
            ParentPool::create(pool.as_mut_ptr(), 96, 64);
            let parent = &*pool.as_ptr();
            ChildPool::create(child.as_mut_ptr(), parent);
            let objects: Vec<_> = (0..300).map(|_| ChildPool::alloc(child.as_mut_ptr())).collect();
            for object in objects {
                ChildPool::free(child.as_mut_ptr(), object);
            }
            let mut visit = Visit::begin(body_of(parent), "test");
            visit.strip(&mut (*child.as_mut_ptr()).cache);
            let mut surplus = core::mem::replace(&mut visit.surplus, Surplus::EMPTY);
            drop(visit);
            assert!(!surplus.is_empty());
            assert_eq!(super::parent(parent), 0);
            HEAP.take_back(&mut surplus);
            assert_eq!(super::parent(parent), 0);
            ParentPool::destroy(pool.as_mut_ptr());
        }
    }
}
