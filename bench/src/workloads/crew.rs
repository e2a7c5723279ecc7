//! Threads that stay on their cores, and do passes together when told to.

use core_affinity::CoreId;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, spawn, yield_now};
use std::time::Duration;

/// The cores of the process, listed before any thread is confined to one of them.
static CORES: OnceLock<Vec<CoreId>> = OnceLock::new();

fn cores() -> &'static [CoreId] {
    CORES.get_or_init(|| core_affinity::get_core_ids().unwrap_or_default())
}

/// Where pinning is forbidden, the scheduler decides.
fn pin(index: usize) {
    let cores = cores();
    if !cores.is_empty() {
        core_affinity::set_for_current(cores[index % cores.len()]);
    }
}

/// To be called first, by the main thread.
pub fn pin_main() {
    pin(0);
}

/// The same; all threads share its core.
pub fn pin_all_to_one() {
    let first = core_affinity::get_core_ids().unwrap_or_default().into_iter().take(1).collect();
    assert!(CORES.set(first).is_ok(), "it is called first");
    pin(0);
}

/// Where the threads of a crew wait for each other. It is passed between what is timed, never
/// within.
pub struct Gate {
    threads: usize,
    arrived: AtomicUsize,
}

impl Gate {
    pub fn new(threads: usize) -> Self {
        Self { threads, arrived: AtomicUsize::new(0) }
    }

    /// Returns when all threads have called it as often.
    pub fn pass(&self) {
        let arrived = self.arrived.fetch_add(1, Ordering::AcqRel) + 1;
        let all = arrived.next_multiple_of(self.threads);
        wait_until(|| self.arrived.load(Ordering::Acquire) >= all);
    }
}

/// Waits for another thread: for a moment on this core, then leaving it to others in between.
pub fn wait_until(ready: impl Fn() -> bool) {
    const SPINS: u32 = 1_000;
    let mut spins = 0;
    while !ready() {
        if spins < SPINS && cores().len() > 1 {
            spins += 1;
            std::hint::spin_loop();
        } else {
            yield_now();
        }
    }
}

struct Member {
    /// None while being dropped, which ends the thread.
    passes: Option<Sender<u64>>,
    taken: Receiver<Duration>,
    thread: Option<JoinHandle<()>>,
}

/// Threads, each with its own part of a session. The first is on the first core, and so on, and
/// again from the first.
pub struct Crew(Vec<Member>);

impl Crew {
    /// Each part does so many passes, and says how long that took.
    pub fn new<P: FnMut(u64) -> Duration + Send + 'static>(parts: Vec<P>) -> Self {
        let threads = parts.len();
        let gate = Arc::new(Gate::new(threads));
        let member = |(index, mut part): (usize, P)| {
            let (passes, to_do) = channel();
            let (done, taken) = channel();
            let gate = Arc::clone(&gate);
            let thread = spawn(move || {
                pin(index);
                for passes in to_do {
                    // Waking up takes the threads longer than a pass may.
                    gate.pass();
                    if done.send(part(passes)).is_err() {
                        return;
                    }
                }
            });
            Member { passes: Some(passes), taken, thread: Some(thread) }
        };
        Self(parts.into_iter().enumerate().map(member).collect())
    }

    /// What each thread took for so many passes.
    pub fn run(&mut self, passes: u64) -> Vec<Duration> {
        const ALIVE: &str = "a thread lives as long as its crew";
        for member in &self.0 {
            member.passes.as_ref().expect("it is taken by drop alone").send(passes).expect(ALIVE);
        }
        self.0.iter().map(|member| member.taken.recv().expect(ALIVE)).collect()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|member| member.passes = None);
        for thread in self.0.iter_mut().filter_map(|member| member.thread.take()) {
            // A panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_leaves_a_gate_before_the_last_has_come() {
        let gate = Arc::new(Gate::new(3));
        let steps: Arc<Vec<AtomicUsize>> = Arc::new((0..3).map(|_| AtomicUsize::new(0)).collect());
        let part = |index: usize| {
            let (gate, steps) = (Arc::clone(&gate), Arc::clone(&steps));
            move |passes| {
                for pass in 0..passes as usize {
                    steps[index].store(pass + 1, Ordering::Relaxed);
                    gate.pass();
                    assert!(steps.iter().all(|steps| steps.load(Ordering::Relaxed) > pass));
                    gate.pass();
                }
                Duration::from_secs(passes)
            }
        };
        let mut crew = Crew::new(vec![part(0), part(1), part(2)]);
        assert_eq!(crew.run(100), [Duration::from_secs(100); 3]);
    }
}
