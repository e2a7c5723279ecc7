//! The cases: calls that meet the system or the lock now and then.

use super::recorder::Recorder;
use super::ticks::Ticks;
use crate::allocators::Allocator;
use crate::api::{Child, Object};
use crate::own_process::Outcome;
use crate::pools::{Handle, Objects, Pools};
use crate::refusal::{NO_MEMORY, refuse};
use crate::workloads::{ITEM_SIZE, NUM_ITEMS};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::thread;
use std::time::{Duration, Instant};

const SEED: u64 = 0x5eed;
/// Objects of a frame, and of a child that lives for a frame.
const FRAME: usize = 2_000;
const FRAME_OF_A_CHILD: usize = 100;
const FRAMES_A_SECOND: u32 = 60;
/// Pools of which all but one fall asleep, the objects that each of them had, and those of a frame.
const POOLS: usize = 60;
const ASLEEP: usize = 12_000;
const FRAME_BESIDE_SLEEPERS: usize = 1_500;
/// How long these frames go on, in seconds: sleepers are reaped once a second, and what they gave
/// goes to the system when it is above what may be dirty.
const SECONDS: usize = 6;
const QUICK_SECONDS: usize = 2;

pub struct Case {
    /// Of what it measures, which may be several phases.
    pub names: Vec<String>,
    what: What,
}

enum What {
    /// A new pool is filled, emptied, and destroyed.
    Life { count: usize },
    /// So many are live, of which random ones are replaced.
    Churn { live: usize, steps: usize },
    /// So many were in use once; then there are frames.
    Frames { burst: usize, frames: usize },
    /// Frames, each with a child of its own.
    Children { frames: usize },
    /// So many pools had so many objects each; then there are frames of the first one.
    BesideSleepers { pools: usize, objects: usize, frames: usize },
}

/// Objects, calls and frames are a tenth with `--quick`, but what takes time by itself is a third.
pub fn all(quick: bool) -> Vec<Case> {
    let divisor = if quick { 10 } else { 1 };
    let case = |names: &[&str], what| Case {
        names: names.iter().map(|name| format!("latency, {name}")).collect(),
        what,
    };
    let (count, steps, frames) = (1_000_000 / divisor, 1_000_000 / divisor, 300 / divisor);
    let (live, burst) = (100_000 / divisor, 200_000 / divisor);
    let asleep = What::BesideSleepers {
        pools: POOLS,
        objects: ASLEEP,
        frames: FRAMES_A_SECOND as usize * if quick { QUICK_SECONDS } else { SECONDS },
    };
    vec![
        case(&["fill", "free all", "destroy after that"], What::Life { count }),
        case(&["churn"], What::Churn { live, steps }),
        case(&["frames after a burst"], What::Frames { burst, frames }),
        case(&["a child for each frame"], What::Children { frames }),
        case(&["frames beside pools that fall asleep"], asleep),
    ]
}

/// The first word of each is written, as its user would.
fn write(object: Object) {
    if object.is_null() {
        refuse(NO_MEMORY);
    }
    // SAFETY: it has at least so many bytes. The null allocator gives the same memory each time,
    // which is a pool's.
    unsafe { object.cast::<usize>().write(1) };
}

fn alloc(recorder: &mut Recorder, child: Handle, object: &mut Object) {
    *object = recorder.time(|| child.alloc());
    write(*object);
}

fn life<'a>(allocator: &Allocator, count: usize, ticks: &'a Ticks) -> Vec<Recorder<'a>> {
    let [mut fill, mut free, mut destroy] = [(); 3].map(|()| Recorder::new(ticks));
    let mut objects = Objects::none(count);
    allocator.expect(count);
    let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, 0);
    let mut child = Box::new(Child::zeroed());
    let handle = pools.create(&mut child);
    objects.0.iter_mut().for_each(|object| alloc(&mut fill, handle, object));
    objects.0.iter().for_each(|&object| free.time(|| handle.free(object)));
    destroy.time(|| pools.destroy(&mut child));
    destroy.time(|| drop(pools));
    vec![fill, free, destroy]
}

fn churn<'a>(
    allocator: &Allocator,
    live: usize,
    steps: usize,
    ticks: &'a Ticks,
) -> Vec<Recorder<'a>> {
    let mut recorder = Recorder::new(ticks);
    let mut random = SmallRng::seed_from_u64(SEED);
    let mut objects = Objects::none(live);
    allocator.expect(live);
    let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, 1);
    let child = pools.child(0);
    child.alloc_all(&mut objects.0);
    objects.0.iter().for_each(|&object| write(object));
    for _ in 0..steps {
        let object = &mut objects.0[random.random_range(0..live)];
        // Where the list is not in the cache is not the call's affair.
        let freed = std::hint::black_box(*object);
        recorder.time(|| child.free(freed));
        alloc(&mut recorder, child, object);
    }
    child.free_lifo(&objects.0);
    vec![recorder]
}

/// What an allocator does in a frame.
trait Frame {
    fn frame(&mut self, recorder: &mut Recorder);
}

struct AfterBurst {
    objects: Objects,
    child: Handle,
    _pools: Pools,
}

impl AfterBurst {
    fn new(allocator: &Allocator, burst: usize) -> Self {
        allocator.expect(burst.max(FRAME));
        let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, 1);
        let child = pools.child(0);
        let mut objects = Objects::none(burst);
        child.alloc_all(&mut objects.0);
        objects.0.iter().for_each(|&object| write(object));
        child.free_fifo(&objects.0);
        Self { objects: Objects::none(FRAME), child, _pools: pools }
    }
}

impl Frame for AfterBurst {
    fn frame(&mut self, recorder: &mut Recorder) {
        self.objects.0.iter_mut().for_each(|object| alloc(recorder, self.child, object));
        self.objects.0.iter().for_each(|&object| recorder.time(|| self.child.free(object)));
    }
}

/// The frames are those of the first one.
struct BesideSleepers {
    objects: Objects,
    pools: Vec<(Handle, Pools)>,
}

impl BesideSleepers {
    fn new(allocator: &Allocator, pools: usize, count: usize) -> Self {
        // Each of them, not all together: a pool that does not grow takes its memory at once.
        allocator.expect(count.max(FRAME_BESIDE_SLEEPERS));
        let sizes = (0..pools as u32).map(|index| 64 + 16 * (index % 20));
        let pool = |item_size| {
            let mut pools = Pools::new(allocator, item_size, NUM_ITEMS, 1);
            (pools.child(0), pools)
        };
        let pools: Vec<_> = sizes.map(pool).collect();
        let mut objects: Vec<_> = (0..pools.len()).map(|_| Objects::none(count)).collect();
        for ((child, _), objects) in pools.iter().zip(&mut objects) {
            child.alloc_all(&mut objects.0);
            objects.0.iter().for_each(|&object| write(object));
        }
        pools.iter().zip(&objects).for_each(|((child, _), objects)| child.free_fifo(&objects.0));
        Self { objects: Objects::none(FRAME_BESIDE_SLEEPERS), pools }
    }
}

impl Frame for BesideSleepers {
    fn frame(&mut self, recorder: &mut Recorder) {
        let child = self.pools[0].0;
        self.objects.0.iter_mut().for_each(|object| alloc(recorder, child, object));
        self.objects.0.iter().for_each(|&object| recorder.time(|| child.free(object)));
    }
}

struct OwnChild {
    objects: Objects,
    child: Box<Child>,
    pools: Pools,
}

impl Frame for OwnChild {
    fn frame(&mut self, recorder: &mut Recorder) {
        let handle = recorder.time(|| self.pools.create(&mut self.child));
        self.objects.0.iter_mut().for_each(|object| alloc(recorder, handle, object));
        self.objects.0.iter().for_each(|&object| recorder.time(|| handle.free(object)));
        recorder.time(|| self.pools.destroy(&mut self.child));
    }
}

/// Each allocator has its turn in each frame, beginning with another one each time. One that fails
/// has no more turns.
fn paced<'a>(
    allocators: &[Allocator],
    frames: usize,
    ticks: &'a Ticks,
    new: impl Fn(&Allocator) -> Box<dyn Frame>,
) -> Vec<Outcome<Vec<Recorder<'a>>>> {
    let session = |of: &Allocator| of.attempt(|| (new(of), Recorder::new(ticks)));
    let mut sessions: Vec<_> = allocators.iter().map(session).collect();
    let mut next = Instant::now();
    for frame in 0..frames {
        let count = sessions.len();
        for turn in 0..count {
            let index = (frame + turn) % count;
            let Ok((session, recorder)) = &mut sessions[index] else { continue };
            if let Err(why) = allocators[index].attempt(|| session.frame(recorder)) {
                sessions[index] = Err(why);
            }
        }
        next += Duration::from_secs(1) / FRAMES_A_SECOND;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    sessions.into_iter().map(|session| session.map(|(_, recorder)| vec![recorder])).collect()
}

impl Case {
    /// Whether its calls are those of an allocator with these limits.
    pub fn is_for(&self, allocator: &Allocator) -> bool {
        !(matches!(self.what, What::Children { .. }) && allocator.limits.children.is_some())
    }

    /// That of its first name.
    pub fn key(&self) -> &str {
        &self.names[0]
    }

    /// By allocator and name.
    pub fn measure<'a>(
        &self,
        allocators: &[Allocator],
        ticks: &'a Ticks,
    ) -> Vec<Outcome<Vec<Recorder<'a>>>> {
        let each = |measure: &dyn Fn(&Allocator) -> Vec<Recorder<'a>>| {
            allocators.iter().map(|of| of.attempt(|| measure(of))).collect()
        };
        match self.what {
            What::Life { count } => each(&|of| life(of, count, ticks)),
            What::Churn { live, steps } => each(&|of| churn(of, live, steps, ticks)),
            What::Frames { burst, frames } => {
                paced(allocators, frames, ticks, |of| Box::new(AfterBurst::new(of, burst)))
            }
            What::Children { frames } => paced(allocators, frames, ticks, |of| {
                of.expect(FRAME_OF_A_CHILD);
                let pools = Pools::new(of, ITEM_SIZE, NUM_ITEMS, 0);
                let objects = Objects::none(FRAME_OF_A_CHILD);
                Box::new(OwnChild { objects, child: Box::new(Child::zeroed()), pools })
            }),
            What::BesideSleepers { pools, objects, frames } => {
                paced(allocators, frames, ticks, |of| {
                    Box::new(BesideSleepers::new(of, pools, objects))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::{c_char, c_uint};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn every_call_is_in_the_histogram() {
        let ticks = Ticks::new();
        let malloc = [crate::allocators::tests::malloc()];
        let calls = |what| {
            let case = Case { names: Vec::new(), what };
            let measured = case.measure(&malloc, &ticks);
            let recorders = measured[0].as_ref().unwrap();
            recorders.iter().map(Recorder::calls).collect::<Vec<_>>()
        };
        assert_eq!(calls(What::Life { count: 500 }), [500, 500, 2]);
        assert_eq!(calls(What::Churn { live: 50, steps: 300 }), [600]);
        assert_eq!(calls(What::Frames { burst: 100, frames: 3 }), [3 * 2 * FRAME as u64]);
        assert_eq!(calls(What::Children { frames: 3 }), [3 * 2 * (FRAME_OF_A_CHILD as u64 + 1)]);
        let asleep = What::BesideSleepers { pools: 3, objects: 100, frames: 3 };
        assert_eq!(calls(asleep), [3 * 2 * FRAME_BESIDE_SLEEPERS as u64]);
    }

    #[test]
    fn a_pool_is_expected_to_hold_what_it_holds_itself() {
        static EXPECTED: AtomicU32 = AtomicU32::new(0);
        unsafe extern "C" fn expect(objects: c_uint) {
            EXPECTED.store(objects, Ordering::Relaxed);
        }
        let malloc = Allocator { expect: Some(expect), ..crate::allocators::tests::malloc() };
        let expected = |what| {
            Case { names: Vec::new(), what }.measure(std::slice::from_ref(&malloc), &Ticks::new());
            EXPECTED.load(Ordering::Relaxed) as usize
        };
        assert_eq!(expected(What::Life { count: 30 }), 30);
        assert_eq!(expected(What::Churn { live: 20, steps: 10 }), 20);
        assert_eq!(expected(What::Frames { burst: 10, frames: 1 }), FRAME);
        assert_eq!(expected(What::Children { frames: 1 }), FRAME_OF_A_CHILD);
        let asleep = |objects| What::BesideSleepers { pools: 3, objects, frames: 1 };
        assert_eq!(expected(asleep(10)), FRAME_BESIDE_SLEEPERS);
        assert_eq!(expected(asleep(2_000)), 2_000);
    }

    #[test]
    fn an_allocator_without_memory_leaves_the_others_their_turns() {
        unsafe extern "C" fn none(_: *mut Child) -> Object {
            std::ptr::null_mut()
        }
        let malloc = crate::allocators::tests::malloc();
        let mut empty = malloc.clone();
        empty.api.alloc = none;
        let ticks = Ticks::new();
        for what in [
            What::Life { count: 10 },
            What::Churn { live: 10, steps: 10 },
            What::Frames { burst: 10, frames: 2 },
            What::Children { frames: 2 },
            What::BesideSleepers { pools: 2, objects: 10, frames: 2 },
        ] {
            let case = Case { names: Vec::new(), what };
            let measured = case.measure(&[empty.clone(), malloc.clone()], &ticks);
            assert_eq!(measured[0].as_ref().err().map(String::as_str), Some(NO_MEMORY));
            assert!(measured[1].as_ref().is_ok_and(|recorders| recorders[0].calls() > 0));
        }
    }

    #[test]
    fn what_an_allocator_says_itself_is_the_reason() {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        unsafe extern "C" fn failure() -> *const c_char {
            let first = ASKED.fetch_add(1, Ordering::Relaxed) == 0;
            if first { c"a pool cannot be made".as_ptr() } else { std::ptr::null() }
        }
        let malloc = Allocator { failure: Some(failure), ..crate::allocators::tests::malloc() };
        let ticks = Ticks::new();
        let measured = || {
            let case = Case { names: Vec::new(), what: What::Churn { live: 10, steps: 10 } };
            case.measure(std::slice::from_ref(&malloc), &ticks).remove(0).map(|_| ())
        };
        assert_eq!(measured(), Err("a pool cannot be made".into()));
        // Once only: it can do what comes after.
        assert_eq!(measured(), Ok(()));
    }

    #[test]
    fn each_name_has_what_is_measured_for_it() {
        let ticks = Ticks::new();
        for case in all(true) {
            let small = match case.what {
                What::Life { .. } => What::Life { count: 10 },
                What::Churn { .. } => What::Churn { live: 10, steps: 10 },
                What::Frames { .. } => What::Frames { burst: 10, frames: 1 },
                What::Children { .. } => What::Children { frames: 1 },
                What::BesideSleepers { .. } => {
                    What::BesideSleepers { pools: 2, objects: 10, frames: 1 }
                }
            };
            let small = Case { names: case.names, what: small };
            let measured = small.measure(&[crate::allocators::tests::malloc()], &ticks);
            assert_eq!(measured[0].as_ref().unwrap().len(), small.names.len());
        }
    }
}
