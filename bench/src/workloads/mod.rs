//! What is timed. One kind of workload a file; [`all`] is the list.

mod batch;
mod child_life;
mod churn;
mod handover;
mod pair;
mod pinned;
mod replay;
mod sibling;
mod two_threads;

use crate::api::Api;
use crate::clock::Clock;
use crate::trace::Trace;
use std::path::Path;
use std::rc::Rc;

pub use pinned::pin_main;

/// The item of a driver's transfer, and the number of them it asks for.
const ITEM_SIZE: u32 = 96;
const NUM_ITEMS: u32 = 64;

/// Pools and objects of one allocator, ready to be run over and over.
pub trait Session {
    /// Runs the workload once and leaves things as they were, so that each pass does the same.
    fn pass(&mut self);
}

type NewSession = dyn Fn(&Api) -> Box<dyn Session>;

pub struct Workload {
    pub name: String,
    /// What is counted: "alloc + free", "child", "call".
    pub operation: &'static str,
    /// How many of them a pass makes.
    pub operations: u64,
    pub clock: Clock,
    session: Box<NewSession>,
}

impl Workload {
    fn new<S: Session + 'static>(
        name: impl Into<String>,
        operation: &'static str,
        operations: u64,
        session: impl Fn(&Api) -> S + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            operation,
            operations,
            clock: Clock::Thread,
            session: Box::new(move |api| Box::new(session(api))),
        }
    }

    /// The same, timed as its threads together take.
    fn with_threads(self) -> Self {
        Self { clock: Clock::Wall, ..self }
    }

    pub fn session(&self, api: &Api) -> Box<dyn Session> {
        (self.session)(api)
    }
}

/// All workloads, with the traces that are in the folder.
pub fn all(traces: &Path) -> anyhow::Result<Vec<Workload>> {
    let mut list = vec![pair::workload("pair", ITEM_SIZE)];
    for (name, count) in [("64", 64), ("1k", 1_000), ("100k", 100_000), ("1M", 1_000_000)] {
        for order in [batch::Order::Lifo, batch::Order::Fifo] {
            list.push(batch::workload(format!("batch {name} {order}"), count, order, ITEM_SIZE));
        }
    }
    list.push(churn::workload("churn 1k", 1_000));
    list.push(churn::workload("churn 100k", 100_000));
    for size in [16, 512, 4096, 66_632] {
        list.push(pair::workload(format!("pair {size} B"), size));
        let count = if size > 4096 { 64 } else { 1_000 };
        let name = format!("batch {} {size} B", if count == 64 { "64" } else { "1k" });
        list.push(batch::workload(name, count, batch::Order::Lifo, size));
    }
    list.push(sibling::workload("sibling free 64", 64));
    list.push(sibling::workload("sibling free 1k", 1_000));
    list.push(handover::workload("producer/consumer"));
    list.push(two_threads::workload("two threads, 1k each", 1_000));
    list.push(two_threads::workload("two threads, 100k each", 100_000));
    for objects in [0, 3, 16, 64] {
        list.push(child_life::workload(
            format!("child of {objects}"),
            objects,
            child_life::Company::Another,
        ));
    }
    for objects in [3, 16] {
        list.push(child_life::workload(
            format!("only child of {objects}"),
            objects,
            child_life::Company::Alone,
        ));
    }
    for trace in Trace::all_in(traces)? {
        list.push(replay::workload(Rc::new(trace)));
    }
    Ok(list)
}
