//! What is timed. One kind of workload a file; `list.rs` has them all.

mod any_size;
mod any_thread;
mod batch;
mod chained;
mod child_life;
mod churn;
mod crew;
mod false_sharing;
mod handover;
mod list;
mod new_pool;
mod pair;
pub mod replay;
mod ring;
mod several_pools;
mod sibling;
mod thousand;
mod two_threads;

use crate::allocators::{Allocator, Kind};
use crate::clock::thread_time;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub use any_size::some_sizes;
pub use crew::{pin_all_to_one, pin_main};
pub use list::{all, scaling};

/// The item of a driver's transfer, and the number of them it asks for.
pub const ITEM_SIZE: u32 = 96;
pub const NUM_ITEMS: u32 = 64;

/// Pools and objects of one allocator, ready to be run over and over.
pub trait Session {
    /// Runs the workload so many times, and says how long it took. Each pass leaves things as they
    /// were, so that the next one does the same.
    fn run(&mut self, passes: u64) -> Duration;
}

/// A session of one thread, timed by what the thread uses of its core.
trait Pass {
    fn pass(&mut self);
}

impl<P: Pass> Session for P {
    fn run(&mut self, passes: u64) -> Duration {
        thread_time(|| (0..passes).for_each(|_| self.pass()))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Group {
    OneThread,
    Chained,
    Sizes,
    Large,
    SeveralPools,
    Children,
    Threads,
    AnySize,
    AnyThread,
    Replays,
}

impl Group {
    pub const ALL: [Self; 10] = [
        Self::OneThread,
        Self::Chained,
        Self::Sizes,
        Self::Large,
        Self::SeveralPools,
        Self::Children,
        Self::Threads,
        Self::AnySize,
        Self::AnyThread,
        Self::Replays,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::OneThread => "One thread, objects of 96 bytes",
            Self::Sizes => "One thread, objects of other sizes",
            Self::Chained => "One thread, each call needs the address of the one before",
            Self::Large => "One thread, large objects, which are not written",
            Self::SeveralPools => "One thread, several pools",
            Self::Children => "Children that come and go",
            Self::Threads => "Several threads",
            Self::AnySize => "One thread, objects of 8 to 1024 bytes",
            Self::AnyThread => "Threads without a child of their own",
            Self::Replays => "Recorded drivers",
        }
    }
}

type NewSession = dyn Fn(&Allocator) -> Box<dyn Session>;

pub struct Workload {
    pub name: String,
    /// Under which heading it is shown.
    pub group: Group,
    /// What is counted: "alloc + free", "child", "call".
    pub operation: &'static str,
    /// How many of them a pass makes.
    pub operations: u64,
    pub threads: usize,
    /// Whether it is run by the caller's thread.
    pub in_this_thread: bool,
    /// The workload that does the same on one thread, for those of which both are timed.
    pub one_thread: Option<String>,
    /// Whether its calls are made by the loops, and so can be inlined.
    pub in_loops: bool,
    /// Objects that a pool holds at most.
    live: usize,
    session: Box<NewSession>,
}

impl Workload {
    fn new<S: Session + 'static>(
        name: impl Into<String>,
        operation: &'static str,
        operations: u64,
        session: impl Fn(&Allocator) -> S + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            group: Group::OneThread,
            operation,
            operations,
            threads: 1,
            in_this_thread: true,
            one_thread: None,
            in_loops: true,
            live: operations as usize,
            session: Box::new(move |allocator| Box::new(session(allocator))),
        }
    }

    fn with_threads(self, threads: usize) -> Self {
        Self { threads, in_this_thread: false, ..self }
    }

    fn compared_to(self, one_thread: String) -> Self {
        Self { one_thread: Some(one_thread), ..self }
    }

    /// For those whose pools hold more or far fewer objects than there are operations in a pass.
    fn with_live(self, live: usize) -> Self {
        Self { live, ..self }
    }

    fn without_loops(self) -> Self {
        Self { in_loops: false, ..self }
    }

    /// Why it is not for the allocator, or differs in nothing from what that is measured as under
    /// another name.
    pub fn reason_against(&self, allocator: &Allocator) -> Option<&'static str> {
        let limits = &allocator.limits;
        match self.group {
            _ if !self.in_loops && allocator.kind == Kind::Inlined => {
                Some("its calls are not made by the loops: it would be static again")
            }
            Group::AnySize | Group::AnyThread if allocator.groups.is_none() => {
                Some("it has objects of one size, of a pool or a child")
            }
            _ if self.threads > 1 && limits.threads.is_some() => limits.threads,
            Group::Children => limits.children,
            Group::Large => limits.large,
            Group::Replays => limits.traces,
            _ => None,
        }
    }

    pub fn is_for(&self, allocator: &Allocator) -> bool {
        self.reason_against(allocator).is_none()
    }

    pub fn session(&self, allocator: &Allocator) -> Box<dyn Session> {
        allocator.expect(self.live);
        (self.session)(allocator)
    }
}
