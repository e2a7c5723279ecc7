// SPDX-License-Identifier: MIT
//! What pools held over the last samples, for `top`: how much they grow a second, and in which
//! order they are shown.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::commands::pools::Report;
use crate::numbers::{HeapNumbers, PoolNumbers};

/// Samples that are kept.
const KEPT: usize = 240;

/// By what pools are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Bytes,
    Objects,
    Growth,
    Name,
}

impl Order {
    pub fn word(self) -> &'static str {
        match self {
            Order::Bytes => "bytes",
            Order::Objects => "objects",
            Order::Growth => "growth",
            Order::Name => "name",
        }
    }

    pub fn next(self) -> Order {
        match self {
            Order::Bytes => Order::Objects,
            Order::Objects => Order::Growth,
            Order::Growth => Order::Name,
            Order::Name => Order::Bytes,
        }
    }
}

/// What tells pools apart: the copy's root, the parent's address, size and hint.
type Key = (String, Option<String>, u64, u64);

/// A pool over time.
#[derive(Default)]
struct Track {
    objects: VecDeque<u64>,
    /// Objects and exchanges a second, between the last two samples.
    growth: f64,
    exchanges: f64,
    last_exchanges: u64,
    seen: u64,
}

/// A line of the screen.
pub struct Row {
    /// What the pool is called; of several copies, with the object that carries its one.
    pub title: String,
    pub numbers: PoolNumbers,
    pub growth: f64,
    pub exchanges: f64,
    pub objects: Vec<u64>,
}

#[derive(Default)]
pub struct History {
    tracks: HashMap<Key, Track>,
    samples: u64,
    pools: Vec<(Key, PoolNumbers, String)>,
    pub heap: HeapNumbers,
    pub title: String,
    pub copies: usize,
    pub warnings: Vec<String>,
}

impl History {
    /// Takes in a sample, so long after the last one.
    pub fn add(&mut self, report: Report, since: Duration) {
        self.samples += 1;
        let pid = report.process.map(|pid| format!("{pid} ")).unwrap_or_default();
        self.title = format!("{pid}{}", report.name);
        self.copies = report.copies.len();
        self.warnings = report.warnings;
        self.pools.clear();
        self.heap = HeapNumbers { free_runs: vec![0; 16], ..HeapNumbers::default() };
        for copy in report.copies {
            let object = copy.object_name().to_owned();
            self.warnings.extend(copy.warnings);
            add_heap(&mut self.heap, &copy.heap);
            for pool in copy.pools {
                let key = (copy.root.clone(), pool.address.clone(), pool.item_size, pool.num_items);
                self.track(&key, &pool, since);
                let title = match self.copies {
                    1 => pool.title(),
                    _ => format!("{} ({object})", pool.title()),
                };
                self.pools.push((key, pool, title));
            }
        }
        // Of pools that are gone nothing is kept.
        let samples = self.samples;
        self.tracks.retain(|_, track| track.seen == samples);
    }

    fn track(&mut self, key: &Key, pool: &PoolNumbers, since: Duration) {
        let track = self.tracks.entry(key.clone()).or_default();
        let seconds = since.as_secs_f64();
        if let Some(last) = track.objects.back().filter(|_| seconds > 0.0) {
            track.growth = (pool.objects_out as f64 - *last as f64) / seconds;
            let exchanges = pool.exchanges.wrapping_sub(track.last_exchanges);
            track.exchanges = exchanges as f64 / seconds;
        }
        track.last_exchanges = pool.exchanges;
        track.objects.push_back(pool.objects_out);
        if track.objects.len() > KEPT {
            track.objects.pop_front();
        }
        track.seen = self.samples;
    }

    /// The pools in an order.
    pub fn rows(&self, order: Order) -> Vec<Row> {
        let row = |(key, numbers, title): &(Key, PoolNumbers, String)| {
            let track = self.tracks.get(key);
            Row {
                title: title.clone(),
                numbers: numbers.clone(),
                growth: track.map_or(0.0, |track| track.growth),
                exchanges: track.map_or(0.0, |track| track.exchanges),
                objects: track
                    .map(|track| track.objects.iter().copied().collect())
                    .unwrap_or_default(),
            }
        };
        let mut rows: Vec<Row> = self.pools.iter().map(row).collect();
        rows.sort_by(|one, other| match order {
            Order::Bytes => other.numbers.bytes.cmp(&one.numbers.bytes),
            Order::Objects => other.numbers.objects_out.cmp(&one.numbers.objects_out),
            Order::Growth => other.growth.total_cmp(&one.growth),
            Order::Name => one.title.cmp(&other.title),
        });
        rows
    }
}

fn add_heap(all: &mut HeapNumbers, one: &HeapNumbers) {
    all.held += one.held;
    all.object_slabs += one.object_slabs;
    all.magazine_slabs += one.magazine_slabs;
    all.metadata += one.metadata;
    all.dirty += one.dirty;
    all.clean += one.clean;
    all.mapped += one.mapped;
    all.chunks += one.chunks;
    all.large += one.large;
    all.unsure |= one.unsure;
    all.free_runs.iter_mut().zip(&one.free_runs).for_each(|(all, one)| *all += one);
}

/// Values as a row of bars, the last ones; the highest of them is a whole bar.
pub fn bars(values: &[u64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let last = &values[values.len().saturating_sub(width)..];
    let most = last.iter().copied().max().unwrap_or(0).max(1);
    let bar = |value: &u64| BARS[(u128::from(*value) * 7 / u128::from(most)) as usize];
    last.iter().map(bar).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::numbers::CopyNumbers;

    /// A sample with two pools.
    pub fn sample(leaking: u64) -> Report {
        let pool = |name: &str, size, objects_out, bytes| PoolNumbers {
            name: name.into(),
            address: Some(format!("{:#x}", 0x5555_0000_0000u64 + size)),
            item_size: size,
            num_items: 64,
            element_size: size,
            objects_per_slab: 85,
            slab_bytes: 8192,
            slabs_full: objects_out / 85,
            slabs_partial: 1,
            objects_out,
            bytes,
            ..PoolNumbers::default()
        };
        let copy = CopyNumbers {
            pools: vec![
                pool("zink transfers", 96, leaking, 8192),
                pool("iris queries", 40, 3000, 1 << 20),
            ],
            heap: HeapNumbers {
                held: 3 << 20,
                mapped: 8 << 20,
                free_runs: vec![0; 16],
                ..HeapNumbers::default()
            },
            ..CopyNumbers::default()
        };
        Report {
            version: 1,
            process: Some(17),
            name: "compositor".into(),
            copies: vec![copy],
            warnings: vec![],
        }
    }

    #[test]
    fn growth_is_of_a_second_and_orders_pools() {
        let mut history = History::default();
        history.add(sample(100), Duration::ZERO);
        assert_eq!(history.rows(Order::Bytes)[0].numbers.name, "iris queries");
        history.add(sample(300), Duration::from_secs(2));
        let rows = history.rows(Order::Growth);
        assert_eq!((rows[0].numbers.name.as_str(), rows[0].growth), ("zink transfers", 100.0));
        assert_eq!((rows[1].growth, rows[0].objects.as_slice()), (0.0, &[100, 300][..]));
        assert_eq!(history.rows(Order::Name)[0].numbers.name, "iris queries");
        assert_eq!(history.rows(Order::Objects)[0].numbers.name, "iris queries");
    }

    #[test]
    fn a_pool_that_is_gone_leaves_no_history() {
        let mut history = History::default();
        history.add(sample(100), Duration::ZERO);
        let mut without = sample(100);
        without.copies[0].pools.remove(0);
        history.add(without, Duration::from_secs(1));
        history.add(sample(500), Duration::from_secs(1));
        let rows = history.rows(Order::Name);
        assert_eq!((rows[1].growth, rows[1].objects.as_slice()), (0.0, &[500][..]));
    }

    #[test]
    fn bars_are_relative_to_the_highest_of_those_that_are_shown() {
        assert_eq!(bars(&[0, 50, 100], 3), "▁▄█");
        assert_eq!(bars(&[1000, 0, 50, 100], 3), "▁▄█");
        assert_eq!(bars(&[], 3), "");
        assert_eq!(bars(&[u64::MAX, 0], 9), "█▁");
    }
}
