// SPDX-License-Identifier: MIT
//! The typed interface: who owns a value and when it is dropped, which threads may do what, and that
//! the memory goes back.

use std::cell::Cell;
use std::collections::HashSet;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;

use mesa_slab::{Cache, Object, OutOfMemory, Pool};

/// Counts how often it is dropped.
struct Counted<'a>(&'a AtomicUsize, [u64; 5]);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn fits<T>(_: &T)
where
    T: Send,
{
}

#[test]
fn what_may_go_to_other_threads_does() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Pool<Cell<u8>>>();
    shared::<Pool<*const u8>>();
    sent::<Cache<'static, *const u8>>();
    shared::<Object<'static, u8>>();
    sent::<Object<'static, Cell<u8>>>();
    fits(&OutOfMemory(1));
    assert_eq!(size_of::<Option<Object<'static, [u8; 100]>>>(), size_of::<usize>());
    assert_eq!(size_of::<Cache<'static, u8>>(), 4 * size_of::<usize>() + 8);
}

#[test]
fn a_value_is_dropped_once_however_its_object_goes() {
    let drops = AtomicUsize::new(0);
    let pool = Pool::new();
    let (cache, sibling) = (pool.cache(), pool.cache());
    let make = |n| cache.alloc(Counted(&drops, [n; 5])).unwrap();
    let gone = |since: usize| drops.swap(0, Relaxed) - since;

    cache.free(make(1));
    assert_eq!(gone(0), 1, "freed");
    sibling.free(make(2));
    assert_eq!(gone(0), 1, "freed through a sibling");
    drop(make(3));
    assert_eq!(gone(0), 1, "dropped");
    let object = make(4);
    thread::scope(|scope| _ = scope.spawn(move || drop(object)));
    assert_eq!(gone(0), 1, "dropped in another thread");
    let value = cache.take(make(5));
    assert_eq!((gone(0), value.1), (0, [5; 5]), "taken");
    drop(value);
    let value = Object::into_inner(make(6));
    assert_eq!((gone(1), value.1), (0, [6; 5]), "taken without a cache");
    drop(value);
    let raw = Object::into_raw(make(7));
    assert_eq!(gone(1), 0, "given up");
    // SAFETY: it was given up just now.
    let object = unsafe { Object::from_raw(raw) };
    assert_eq!(object.1, [7; 5]);
    drop(object);
    assert_eq!(gone(0), 1, "taken up again");
    Object::leak(make(8)).1[0] = 9;
    mem::forget(make(9));
    assert_eq!(gone(0), 0, "leaked");
    let other = Pool::new();
    other.cache().free(make(10));
    assert_eq!(gone(0), 1, "freed through another pool's cache");
    drop(Object::into_pin(make(11)));
    assert_eq!(gone(0), 1, "pinned");
}

#[test]
fn values_are_made_where_they_stay() {
    let pool = Pool::<[u64; 100]>::new().of_slabs_with(10);
    let cache = pool.cache();
    let made = cache.alloc_with(|| std::array::from_fn(|n| n as u64)).unwrap();
    assert!(made.iter().copied().eq(0..100));
    cache.free(made);
    let zeroed = cache.alloc_zeroed().unwrap();
    // SAFETY: zeroes are a value.
    assert_eq!(*unsafe { zeroed.assume_init() }, [0; 100]);
    let written = Object::write(cache.alloc_uninit().unwrap(), [3; 100]);
    assert_eq!(*written, [3; 100]);
    drop(cache.alloc_uninit().unwrap());
}

#[test]
fn memory_is_freed_when_a_drop_or_a_constructor_panics() {
    struct Panics([u64; 30]);
    impl Drop for Panics {
        fn drop(&mut self) {
            resume_unwind(Box::new(self.0[0]));
        }
    }
    let pool = Pool::new().of_slabs_with(1);
    let cache = pool.cache();
    let addresses: HashSet<usize> = (0..3000)
        .map(|n| {
            let object = cache.alloc(Panics([n; 30])).unwrap();
            let address = (&raw const *object).addr();
            let panicked = catch_unwind(AssertUnwindSafe(|| match n % 3 {
                0 => cache.free(object),
                1 => drop(object),
                _ => {
                    mem::forget(cache.take(object));
                    _ = cache.alloc_with(|| resume_unwind(Box::new(0)));
                }
            }));
            assert!(panicked.is_err());
            address
        })
        .collect();
    // As many as caches and slabs have room for: each way that lost its objects would take a thousand.
    assert!(addresses.len() < 1000, "{}", addresses.len());
}

#[test]
fn a_drop_may_use_the_cache() {
    struct Node<'a, 'pool>(&'a Cache<'pool, u64>, Option<Object<'pool, u64>>);
    impl Drop for Node<'_, '_> {
        fn drop(&mut self) {
            let other = self.0.alloc(1).unwrap();
            self.0.free(self.1.take().unwrap());
            self.0.free(other);
        }
    }
    let (leaves, nodes) = (Pool::new(), Pool::new());
    let (leaves, nodes) = (leaves.cache(), nodes.cache());
    let all: Vec<_> = (0..1000)
        .map(|n| nodes.alloc(Node(&leaves, Some(leaves.alloc(n).unwrap()))).unwrap())
        .collect();
    all.into_iter().for_each(|node| nodes.free(node));
}

#[test]
fn threads_free_what_others_allocate() {
    let pool = Pool::new();
    let drops = AtomicUsize::new(0);
    const OBJECTS: u64 = 20_000;
    thread::scope(|scope| {
        let (to_others, from_here) = mpsc::channel();
        let (there, here) = (pool.cache(), pool.cache());
        let drops = &drops;
        scope.spawn(move || {
            for n in 0..OBJECTS {
                to_others.send(there.alloc(Counted(drops, [n; 5])).unwrap()).unwrap();
            }
        });
        scope.spawn(move || {
            for (n, object) in (0..).zip(from_here) {
                assert_eq!(object.1, [n; 5]);
                if n % 8 == 0 { drop(object) } else { here.free(object) }
            }
        });
    });
    assert_eq!(drops.load(Relaxed), OBJECTS as usize);
}

#[test]
fn threads_that_begin_at_once_have_one_pool() {
    for _ in 0..200 {
        let pool = Pool::new();
        let addresses: HashSet<usize> = thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|n| {
                    scope.spawn({
                        let pool = &pool;
                        move || pool.cache().alloc([n; 40]).unwrap()
                    })
                })
                .collect();
            let objects: Vec<_> = threads.into_iter().map(|each| each.join().unwrap()).collect();
            let cache = pool.cache();
            let addresses = objects.iter().map(|object| (&raw const **object).addr()).collect();
            objects.into_iter().for_each(|object| cache.free(object));
            addresses
        });
        assert_eq!(addresses.len(), 3);
    }
}

#[test]
fn pools_move_and_are_statics() {
    static POOL: Pool<String> = Pool::new();
    let object = POOL.cache().alloc("one".to_owned()).unwrap();
    thread::spawn(move || assert_eq!(*object, "one")).join().unwrap();

    struct Screen {
        transfers: Pool<u64>,
    }
    struct Context<'screen> {
        transfers: Cache<'screen, u64>,
    }
    let make = || {
        let transfers = Pool::new();
        drop(transfers.cache().alloc(1));
        assert!(transfers.set_name("transfers"));
        Screen { transfers }
    };
    let screen = Box::new(make());
    let contexts = [1, 2].map(|n| {
        let context = Context { transfers: screen.transfers.cache() };
        (context.transfers.alloc(n).unwrap(), context)
    });
    let [(first, here), (second, there)] = contexts;
    here.transfers.free(second);
    there.transfers.free(first);
    assert!(here.transfers.trim() + there.transfers.trim() > 0);
    drop((here, there));
    _ = screen.transfers.trim();
}

#[test]
fn an_object_of_c_is_one_of_rust_and_back() {
    use mesa_slab::abi::slab::*;
    let pool = Pool::new();
    let cache = pool.cache();
    let mut child = mem::MaybeUninit::<slab_child_pool>::zeroed();
    let raw = Object::into_raw(cache.alloc([1u64; 6]).unwrap());
    // SAFETY: a zeroed child is a destroyed one; the value needs no drop.
    unsafe { slab_free(child.as_mut_ptr(), raw.as_ptr().cast()) };

    let mut parent = mem::MaybeUninit::<slab_parent_pool>::uninit();
    // SAFETY: the parent exists for as long as the child and the object.
    unsafe {
        slab_create_parent(parent.as_mut_ptr(), 48, 16);
        slab_create_child(child.as_mut_ptr(), parent.as_mut_ptr());
        let object = slab_zalloc(child.as_mut_ptr());
        let object = Object::from_raw(std::ptr::NonNull::new(object.cast::<[u64; 6]>()).unwrap());
        assert_eq!(*object, [0; 6]);
        cache.free(object);
        slab_destroy_child(child.as_mut_ptr());
        slab_destroy_parent(parent.as_mut_ptr());
    }
}

#[test]
fn objects_look_like_their_values() {
    let pool = Pool::new();
    let cache = pool.cache();
    let (one, two) = (cache.alloc(1).unwrap(), cache.alloc(1).unwrap());
    assert_eq!(one, two);
    assert_eq!(format!("{one} {two:?}"), "1 1");
    assert_ne!(format!("{one:p}"), format!("{two:p}"));
    assert_eq!(format!("{} {:?}", OutOfMemory(1), OutOfMemory(1)), "out of memory OutOfMemory");
    assert!(format!("{pool:?} {cache:?}").starts_with("Pool { item_size: 4"));
}
