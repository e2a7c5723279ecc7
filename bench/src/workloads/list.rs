//! The list of all workloads.

use super::batch::Order;
use super::child_life::Company;
use super::false_sharing::Origin;
use super::two_threads::Phases;
use super::{Group, ITEM_SIZE, NUM_ITEMS, Workload};
use super::{
    any_size, any_thread, batch, chained, child_life, churn, false_sharing, handover, new_pool,
    pair, replay, ring, several_pools, sibling, thousand, two_threads,
};
use crate::trace::Trace;
use std::rc::Rc;

/// Object sizes beside the usual one, and how many of them at once: the largest are 65 MiB then.
const OTHER_SIZES: [(u32, &[usize]); 4] = [
    (16, &[64, 1_000, 100_000]),
    (512, &[64, 1_000, 100_000]),
    (4096, &[64, 1_000]),
    (66_632, &[64, 1_000]),
];

/// Objects that are larger than what a magazine takes, and than what the library reserves at a
/// time; how many at once.
const LARGE_SIZES: [u32; 4] = [140_000, 500_000, 3_000_000, 20_000_000];
const LARGE_BATCH: usize = 32;
/// What a driver asks for that has such objects: a page of them is not to be gigabytes.
const LARGE_NUM_ITEMS: u32 = 4;

fn short(count: usize) -> String {
    match count {
        1_000_000.. => format!("{}M", count / 1_000_000),
        1_000.. => format!("{}k", count / 1_000),
        _ => count.to_string(),
    }
}

/// All workloads, with the traces.
pub fn all(traces: &[Rc<Trace>]) -> Vec<Workload> {
    let replays = traces.iter().map(replay::workload);
    let groups: [(Group, Vec<Workload>); 10] = [
        (Group::OneThread, one_thread()),
        (Group::Chained, chained()),
        (Group::Sizes, sizes()),
        (Group::Large, large()),
        (Group::SeveralPools, vec![several_pools::in_turns(), several_pools::one_hot()]),
        (Group::Children, children()),
        (Group::Threads, threads()),
        (Group::AnySize, any_size()),
        (Group::AnyThread, any_thread()),
        (Group::Replays, replays.chain(traces.iter().filter_map(replay::threaded)).collect()),
    ];
    let set = |(group, list): (Group, Vec<Workload>)| {
        list.into_iter().map(move |workload| Workload { group, ..workload })
    };
    groups.into_iter().flat_map(set).collect()
}

/// Churn over 10, 100, ... live objects, up to so many.
pub fn scaling(most: usize) -> Vec<(usize, Workload)> {
    std::iter::successors(Some(10), |live| Some(live * 10))
        .take_while(|live| *live <= most)
        .map(|live| (live, churn::workload(format!("scaling {}", short(live)), live, ITEM_SIZE)))
        .collect()
}

fn one_thread() -> Vec<Workload> {
    let mut list = vec![pair::workload("pair", ITEM_SIZE, NUM_ITEMS)];
    for count in [64, 1_000, 100_000, 1_000_000] {
        for order in [Order::Lifo, Order::Fifo] {
            let name = format!("batch {} {order}", short(count));
            list.push(batch::workload(name, count, order, ITEM_SIZE, NUM_ITEMS));
        }
    }
    for count in [100_000, 1_000_000] {
        list.push(new_pool::workload(format!("new pool of {}", short(count)), count));
    }
    for live in [1_000, 100_000] {
        list.push(churn::workload(format!("churn {}", short(live)), live, ITEM_SIZE));
    }
    for count in [64, 1_000] {
        list.push(sibling::workload(format!("sibling free {}", short(count)), count));
    }
    list
}

fn chained() -> Vec<Workload> {
    let batch = |count| chained::batch(format!("chained batch {}", short(count)), count);
    std::iter::once(chained::pairs()).chain([64, 1_000, 100_000].map(batch)).collect()
}

fn large() -> Vec<Workload> {
    let mut list = Vec::new();
    for size in LARGE_SIZES {
        let of = match size {
            1_000_000.. => format!("{} MB", size / 1_000_000),
            _ => format!("{} KB", size / 1_000),
        };
        list.push(pair::workload(format!("pair, {of}"), size, LARGE_NUM_ITEMS));
        let name = format!("batch {LARGE_BATCH} LIFO, {of}");
        list.push(batch::workload(name, LARGE_BATCH, Order::Lifo, size, LARGE_NUM_ITEMS));
    }
    list
}

fn sizes() -> Vec<Workload> {
    let mut list = Vec::new();
    for (size, counts) in OTHER_SIZES {
        list.push(pair::workload(format!("pair, {size} B"), size, NUM_ITEMS));
        for &count in counts {
            for order in [Order::Lifo, Order::Fifo] {
                let name = format!("batch {} {order}, {size} B", short(count));
                list.push(batch::workload(name, count, order, size, NUM_ITEMS));
            }
        }
        for &live in &counts[1..] {
            list.push(churn::workload(format!("churn {}, {size} B", short(live)), live, size));
        }
    }
    list
}

fn children() -> Vec<Workload> {
    let life = |name: String, objects, company| child_life::workload(name, objects, company);
    let beside = [0, 3, 16, 64]
        .map(|objects| life(format!("child of {objects}"), objects, Company::Another));
    let alone =
        [3, 16].map(|objects| life(format!("only child of {objects}"), objects, Company::Alone));
    let mut list: Vec<_> = beside.into_iter().chain(alone).collect();
    list.push(thousand::workload("a thousand children"));
    list
}

fn threads() -> Vec<Workload> {
    let mut list = vec![handover::workload("producer/consumer")];
    for phases in [Phases::Both, Phases::Alloc, Phases::Free] {
        for count in [1_000, 100_000] {
            for threads in [1, 2] {
                list.push(two_threads::workload(&short(count), phases, count, threads));
            }
        }
    }
    list.extend([1, 2, 4, 8].map(ring::workload));
    list.push(false_sharing::workload("false sharing, own objects", Origin::Own));
    list.push(false_sharing::workload("false sharing, handed objects", Origin::Handed));
    list
}

fn any_size() -> Vec<Workload> {
    let mut list = vec![any_size::pairs("sizes pair")];
    for count in [1_000, 100_000] {
        list.push(any_size::batch(format!("sizes batch {}", short(count)), count, false));
    }
    list.push(any_size::batch("sizes sibling free 1k".into(), 1_000, true));
    for live in [10_000, 100_000] {
        list.push(any_size::churn(format!("sizes churn {}", short(live)), live));
    }
    list
}

fn any_thread() -> Vec<Workload> {
    let of = |(what, batch)| [1, 2].map(|threads| any_thread::workload(what, batch, threads));
    [("shared pair", 1), ("shared batch 1k", 1_000)].into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::tests::malloc;
    use crate::allocators::{Allocator, Kind, Limits};

    #[test]
    fn names_are_distinct() {
        let mut names: Vec<_> = all(&[]).into_iter().map(|workload| workload.name).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn what_an_allocator_cannot_do_is_left_out_with_the_reason() {
        let limits =
            Limits { children: Some("no children"), threads: Some("one thread"), ..Limits::NONE };
        let peer = Allocator { kind: Kind::Peer, limits, ..malloc() };
        let reason = |name: &str| {
            let workload = all(&[]).into_iter().find(|workload| workload.name == name);
            workload.expect("it is in the list").reason_against(&peer)
        };
        assert_eq!(reason("pair"), None);
        assert_eq!(reason("child of 3"), Some("no children"));
        assert_eq!(reason("ring of 1"), None);
        assert_eq!(reason("ring of 2"), Some("one thread"));
        assert!(all(&[]).iter().all(|workload| workload.is_for(&malloc())));
    }

    #[test]
    fn new_workloads_leave_things_as_they_were() {
        let mut chained = chained();
        chained.retain(|workload| workload.operations <= 1_000);
        let list = chained.into_iter().chain(large()).chain([several_pools::in_turns()]);
        let list = list.chain(super::any_size()).chain(super::any_thread());
        for workload in list {
            let mut session = workload.session(&malloc());
            // Freeing twice, or what was not allocated, would end the process.
            session.run(2);
            session.run(1);
        }
    }
}
