//! A trace divided among threads, as its program's threads made the calls.
//!
//! What must keep its order is: the calls on one child, those on one object, and whatever concerns
//! a whole parent. Everything else may happen at the same time. A step that has to come after
//! another thread's waits for that thread to get so far; waits that follow from earlier ones are
//! left out.
//!
//! Programs have threads that make a handful of calls. Only those with most calls are threads here;
//! the first of them also makes the others' calls.

use super::{Call, Trace};
use std::collections::HashMap;

const MOST_THREADS: usize = 4;
/// A thread makes at least one of so many calls.
const LEAST_SHARE: usize = 200;

/// So many steps of each thread.
type Clock = [usize; MOST_THREADS];

pub struct Step {
    pub call: Call,
    /// Threads, and how many steps of theirs have to be done.
    pub after: Vec<(usize, usize)>,
    /// Whether another step waits for this one.
    pub is_awaited: bool,
}

/// What calls on it have to be in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Thing {
    Child(usize),
    Mempool(usize),
    Object(usize),
}

#[derive(Default)]
struct Schedule {
    threads: Vec<Vec<Step>>,
    /// What each thread knows to be done after each of its steps.
    clocks: Vec<Vec<Clock>>,
    /// The last step that dealt with a thing.
    last: HashMap<Thing, (usize, usize)>,
    /// The last step that came after, and before, all others.
    barrier: Option<(usize, usize)>,
    /// The parents of live children, and of objects.
    children: HashMap<usize, usize>,
    objects: HashMap<usize, Option<usize>>,
}

impl Schedule {
    /// What a call deals with; None if with everything.
    fn things(&mut self, call: Call) -> Option<Vec<Thing>> {
        match call {
            Call::CreateParent { .. }
            | Call::DestroyParent { .. }
            | Call::Create { .. }
            | Call::Destroy { .. } => None,
            Call::CreateChild { child, parent } => {
                self.children.insert(child, parent);
                Some(vec![Thing::Child(child)])
            }
            Call::DestroyChild { child } => {
                self.children.remove(&child);
                Some(vec![Thing::Child(child)])
            }
            Call::Alloc { child, object } | Call::Zalloc { child, object } => {
                self.objects.insert(object, self.children.get(&child).copied());
                Some(vec![Thing::Child(child), Thing::Object(object)])
            }
            // Not every allocator locks the right thing when a child is destroyed, or another
            // parent's.
            Call::Free { child, object } => {
                let parent = self.children.get(&child).copied();
                let own = parent.is_some() && self.objects.get(&object) == Some(&parent);
                own.then(|| vec![Thing::Child(child), Thing::Object(object)])
            }
            Call::AllocSt { mempool, object } | Call::FreeSt { mempool, object } => {
                Some(vec![Thing::Mempool(mempool), Thing::Object(object)])
            }
        }
    }

    fn add(&mut self, thread: usize, call: Call) {
        let things = self.things(call);
        let mut before: Vec<(usize, usize)> = self.barrier.into_iter().collect();
        match &things {
            Some(things) => before.extend(things.iter().filter_map(|thing| self.last.get(thing))),
            None => {
                let all = self.threads.iter().map(Vec::len).enumerate();
                before.extend(all.filter(|&(_, steps)| steps > 0));
            }
        }

        let mut clock = self.clocks[thread].last().copied().unwrap_or_default();
        // The latest first: they may imply the others.
        before.sort_by_key(|&(_, steps)| std::cmp::Reverse(steps));
        let mut after = Vec::new();
        for (other, steps) in before {
            if other != thread && clock[other] < steps {
                after.push((other, steps));
                self.threads[other][steps - 1].is_awaited = true;
                for (known, of_other) in clock.iter_mut().zip(self.clocks[other][steps - 1]) {
                    *known = (*known).max(of_other);
                }
            }
        }
        self.threads[thread].push(Step { call, after, is_awaited: false });
        let done = self.threads[thread].len();
        clock[thread] = done;
        self.clocks[thread].push(clock);
        match things {
            Some(things) => {
                self.last.extend(things.into_iter().map(|thing| (thing, (thread, done))))
            }
            None => self.barrier = Some((thread, done)),
        }
    }
}

/// The steps of each thread.
pub fn schedule(trace: &Trace) -> Vec<Vec<Step>> {
    let mut counts: HashMap<u16, usize> = HashMap::new();
    trace.threads.iter().for_each(|thread| *counts.entry(*thread).or_default() += 1);
    let mut busiest: Vec<_> = counts.into_iter().collect();
    busiest.sort_by_key(|&(thread, calls)| (std::cmp::Reverse(calls), thread));
    busiest.truncate(MOST_THREADS);
    busiest.retain(|&(_, calls)| calls * LEAST_SHARE >= trace.calls.len());

    let mut schedule = Schedule::default();
    schedule.threads.resize_with(busiest.len(), Vec::new);
    schedule.clocks.resize_with(busiest.len(), Vec::new);
    for (&call, thread) in trace.calls.iter().zip(&trace.threads) {
        let place = busiest.iter().position(|(busy, _)| busy == thread).unwrap_or(0);
        schedule.add(place, call);
    }
    schedule.threads
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(calls: &[(u16, Call)]) -> Trace {
        Trace {
            name: "test".into(),
            calls: calls.iter().map(|(_, call)| *call).collect(),
            threads: calls.iter().map(|(thread, _)| *thread).collect(),
            parents: 2,
            children: 3,
            objects: 9,
        }
    }

    const PARENT: Call = Call::CreateParent { parent: 1, item_size: 8, num_items: 8 };
    const CHILDREN: [Call; 2] =
        [Call::CreateChild { child: 1, parent: 1 }, Call::CreateChild { child: 2, parent: 1 }];

    #[test]
    fn an_object_is_freed_after_it_was_allocated() {
        let calls = [
            (7, PARENT),
            (7, CHILDREN[0]),
            (9, CHILDREN[1]),
            (7, Call::Alloc { child: 1, object: 5 }),
            (9, Call::Free { child: 2, object: 5 }),
        ];
        let threads = schedule(&trace(&calls));
        // The parent is first for both; what thread 9 needs of it thread 7 does.
        let (seven, nine) = (&threads[0], &threads[1]);
        assert_eq!((seven.len(), nine.len()), (3, 2));
        assert_eq!(nine[0].after, [(0, 1)]);
        assert_eq!(nine[1].after, [(0, 3)]);
        assert_eq!(
            seven.iter().map(|step| step.is_awaited).collect::<Vec<_>>(),
            [true, false, true]
        );
    }

    #[test]
    fn a_wait_that_an_earlier_one_implies_is_left_out() {
        let calls = [
            (7, PARENT),
            (7, CHILDREN[0]),
            (7, Call::Alloc { child: 1, object: 5 }),
            (7, Call::Alloc { child: 1, object: 6 }),
            (9, CHILDREN[1]),
            (9, Call::Free { child: 2, object: 6 }),
            (9, Call::Free { child: 2, object: 5 }),
        ];
        let threads = schedule(&trace(&calls));
        assert_eq!(threads[1][1].after, [(0, 4)]);
        assert_eq!(threads[1][2].after, []);
    }

    #[test]
    fn destroying_the_parent_waits_for_all() {
        let calls = [
            (7, PARENT),
            (7, CHILDREN[0]),
            (9, CHILDREN[1]),
            (9, Call::DestroyChild { child: 2 }),
            (7, Call::DestroyChild { child: 1 }),
            (7, Call::DestroyParent { parent: 1 }),
        ];
        let threads = schedule(&trace(&calls));
        assert_eq!(threads[0][3].after, [(1, 2)]);
    }

    #[test]
    fn a_free_through_a_destroyed_child_waits_for_all() {
        let calls = [
            (7, PARENT),
            (7, CHILDREN[0]),
            (7, Call::Alloc { child: 1, object: 5 }),
            (9, CHILDREN[1]),
            (9, Call::Alloc { child: 2, object: 6 }),
            (7, Call::DestroyChild { child: 1 }),
            (7, Call::Free { child: 1, object: 5 }),
        ];
        let threads = schedule(&trace(&calls));
        assert_eq!(threads[0][4].after, [(1, 2)]);
    }
}
