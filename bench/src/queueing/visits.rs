//! How often calls visit the lock, and for how long: every call is timed, and those that take
//! longer than the fast paths do are visits.
//!
//! The functions of an allocator are put behind others that read the clock before and after, one
//! allocator in a process.

use crate::api::{Api, Child, Mempool, Object, Parent};
use crate::latency::Ticks;
use std::cell::RefCell;
use std::ffi::c_uint;
use std::sync::{Mutex, OnceLock};

/// Calls that take as long or longer, in nanoseconds, were interrupted or have asked the system.
const LONGEST: usize = 10_000;
/// A visit takes so many nanoseconds longer than the median of all calls. Locking and unlocking
/// alone take as long.
const BEYOND: usize = 20;

struct Timed {
    api: Api,
    ticks: Ticks,
}

static TIMED: OnceLock<Timed> = OnceLock::new();
/// Calls by nanoseconds, of threads that have ended or given them up.
static CALLS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// Calls of a thread.
struct Own(Vec<u64>);

impl Own {
    fn give_up(&mut self) {
        let mut all = CALLS.lock().expect("no thread panics with it");
        all.resize(LONGEST, 0);
        all.iter_mut().zip(&mut self.0).for_each(|(all, own)| *all += std::mem::take(own));
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.give_up();
    }
}

thread_local! {
    static OWN: RefCell<Own> = RefCell::new(Own(vec![0; LONGEST]));
}

#[inline(always)]
fn timed<R>(call: impl FnOnce(&Api) -> R) -> R {
    let timed = TIMED.get().expect("the table is made after it was set");
    let start = timed.ticks.read();
    let result = call(&timed.api);
    let took = (timed.ticks.read() - start).saturating_sub(timed.ticks.cost);
    let took = timed.ticks.nanoseconds(took) as usize;
    if took < LONGEST {
        OWN.with_borrow_mut(|own| own.0[took] += 1);
    }
    result
}

macro_rules! timed_functions {
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $(unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? {
            // SAFETY: the caller keeps to what the same function of the allocator asks for.
            timed(|api| unsafe { (api.$name)($($argument),*) })
        })*
        const TABLE: Api = Api { $($name),* };
    };
}

timed_functions! {
    create_parent(parent: *mut Parent, item_size: c_uint, num_items: c_uint);
    destroy_parent(parent: *mut Parent);
    create_child(child: *mut Child, parent: *mut Parent);
    destroy_child(child: *mut Child);
    alloc(child: *mut Child) -> Object;
    zalloc(child: *mut Child) -> Object;
    free(child: *mut Child, object: Object);
    create(mempool: *mut Mempool, item_size: c_uint, num_items: c_uint);
    destroy(mempool: *mut Mempool);
    alloc_st(mempool: *mut Mempool) -> Object;
    free_st(mempool: *mut Mempool, object: Object);
}

/// The same functions, timed. In a process there is one allocator of which that is done.
pub fn timed_table(api: Api) -> Api {
    assert!(TIMED.set(Timed { api, ticks: Ticks::new() }).is_ok(), "one allocator in a process");
    TABLE
}

/// The calls since the last time; those of threads that have ended, and of this one.
pub fn taken() -> Vec<u64> {
    OWN.with_borrow_mut(Own::give_up);
    std::mem::take(&mut CALLS.lock().expect("no thread panics with it"))
}

/// Part of the calls that are visits, and the nanoseconds that one takes on average beyond the
/// median of all calls.
pub fn visits(calls: &[u64]) -> Option<(f64, f64)> {
    let all: u64 = calls.iter().sum();
    let mut below = 0;
    let median = calls.iter().position(|count| {
        below += count;
        2 * below >= all
    })?;
    let beyond = calls.iter().enumerate().skip(median + BEYOND);
    let (count, time) = beyond.fold((0, 0), |(count, time), (nanoseconds, calls)| {
        (count + calls, time + calls * (nanoseconds - median) as u64)
    });
    (count > 0).then(|| (count as f64 / all as f64, time as f64 / count as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_are_the_calls_beyond_the_fast_paths() {
        let mut calls = vec![0; 200];
        (calls[5], calls[10], calls[110], calls[130]) = (40, 50, 6, 4);
        assert_eq!(visits(&calls), Some((0.1, 108.0)));
        assert_eq!(visits(&calls[..100]), None);
        assert_eq!(visits(&[]), None);
    }
}
