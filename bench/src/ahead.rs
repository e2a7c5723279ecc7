//! Who is ahead of this library, where, and by how much; and whether the bounds hold that it has
//! set itself.

use crate::allocators::{CLASSIC, INLINED, Kind, MESA_SLAB, NULL};
use crate::results::{Measurement, Results, WorkloadResult};
use crate::workloads::Group;

/// Less than this is not told from noise.
const MARGIN: f64 = 0.03;

pub struct Ahead {
    pub allocator: String,
    pub workload: String,
    pub nanoseconds: f64,
    pub ours: f64,
    /// Of both times without the harness's; None if ours is hidden behind the harness's.
    pub net: Option<f64>,
}

/// The allocators that take less time than this library, workload by workload: those that are
/// called against its called functions, those whose functions are inlined against its inlined ones.
pub fn of_time(results: &Results) -> Vec<Ahead> {
    let mut list = Vec::new();
    for workload in &results.workloads {
        let Some(ours) = workload.of(MESA_SLAB).map(|of| of.nanoseconds) else { continue };
        let inlined = workload.of(INLINED).map(|of| of.nanoseconds);
        for of in &workload.allocators {
            let peer = results.kind(&of.allocator) == Some(Kind::Peer);
            let ours = inlined.unwrap_or(ours);
            if peer && of.nanoseconds < ours * (1.0 - MARGIN) {
                let (allocator, workload) = (of.allocator.clone(), workload.name.clone());
                let nanoseconds = of.nanoseconds;
                list.push(Ahead { allocator, workload, nanoseconds, ours, net: None });
            }
        }
        let harness = workload.of(NULL).map_or(0.0, |of| of.nanoseconds);
        for of in &workload.allocators {
            let kind = results.kind(&of.allocator);
            if kind == Some(Kind::General) && of.nanoseconds < ours * (1.0 - MARGIN) {
                list.push(Ahead {
                    allocator: of.allocator.clone(),
                    workload: workload.name.clone(),
                    nanoseconds: of.nanoseconds,
                    ours,
                    net: (ours > harness).then(|| (of.nanoseconds - harness) / (ours - harness)),
                });
            }
        }
    }
    list
}

impl Bound {
    pub fn text(&self) -> String {
        let Some(measured) = self.measured else { return "hidden".into() };
        match self.of_harness {
            _ if self.what == TIME => format!("{measured:.0} ns"),
            Some(harness) => format!("{measured:.2} ({NULL} {harness:.2})"),
            None => format!("{measured:.2}"),
        }
    }
}

impl Ahead {
    pub fn text(&self) -> String {
        let Self { allocator, workload, nanoseconds, ours, net } = self;
        let by = nanoseconds / ours;
        let net = net.map_or(String::new(), |net| format!(", {net:.2} x without the harness"));
        format!("{allocator} {by:.2} x in {workload} ({nanoseconds:.2} ns, {ours:.2} ns{net})")
    }
}

/// A ratio or a time that is not to be exceeded, or a speed-up that is to be reached.
pub struct Bound {
    pub workload: String,
    pub what: &'static str,
    pub bound: f64,
    /// None if the baseline's own time cannot be told from the harness's.
    pub measured: Option<f64>,
    /// Of speed-ups: the harness's own, beyond which the machine gives little.
    pub of_harness: Option<f64>,
    pub holds: bool,
}

enum What {
    Net,
    Inlined,
    SpeedUp,
    /// Nanoseconds, of large objects: the baseline keeps them all and never asks the system, so
    /// that a ratio to it says nothing.
    Time,
}

const TIME: &str = "ns";

/// The bounds against classic, by the beginnings of names; the first one that fits is taken.
const BOUNDS: [(&str, What, f64); 24] = [
    ("pair, ", What::Time, 100.0),
    ("batch 32 ", What::Time, 500.0),
    ("pair", What::Inlined, 0.35),
    ("alloc and free 1k, 2 threads", What::SpeedUp, 1.85),
    ("alloc and free 100k, 2 threads", What::SpeedUp, 1.85),
    ("alloc only 1k, 2 threads", What::SpeedUp, 1.85),
    ("alloc only 100k, 2 threads", What::SpeedUp, 1.85),
    ("free only 1k, 2 threads", What::SpeedUp, 1.85),
    ("free only 100k, 2 threads", What::SpeedUp, 1.85),
    ("shared pair, 2 threads", What::SpeedUp, 1.8),
    ("sizes ", What::Net, 1.0),
    ("pair", What::Net, 0.75),
    ("batch 64 ", What::Net, 0.75),
    ("batch 1k ", What::Net, 0.8),
    ("batch 100k ", What::Net, 0.9),
    ("batch 1M ", What::Net, 0.7),
    ("churn 100k", What::Net, 0.7),
    ("churn 1k", What::Net, 0.9),
    ("sibling free ", What::Net, 0.15),
    ("producer/consumer", What::Net, 0.3),
    ("child of 16", What::Net, 0.25),
    ("child of 0", What::Net, 1.5),
    ("replay ", What::Net, 0.6),
    ("", What::Net, 1.0),
];

fn measured(
    results: &Results,
    workload: &WorkloadResult,
    name: &str,
    what: &What,
) -> Option<(&'static str, Option<f64>)> {
    // Those of other sizes have the general bound, but for replays, whose names are given as
    // beginnings.
    let fits = match name {
        "" | "replay " => workload.name.starts_with(name),
        _ => workload.name.starts_with(name) && !workload.name.ends_with(" B"),
    };
    let fits = fits && !(name == "pair" && workload.name != name);
    let fits = fits && (workload.group == Group::Large) == matches!(what, What::Time);
    let of = |allocator| workload.of(allocator).filter(|_| fits);
    match what {
        What::Time => of(MESA_SLAB).map(|of| (TIME, Some(of.nanoseconds))),
        What::Net => of(MESA_SLAB).map(|of| ("net", of.ratio)),
        What::Inlined => of("inlined").map(|of: &Measurement| ("inlined, gross", Some(of.gross))),
        What::SpeedUp => of(MESA_SLAB)
            .and_then(|_| results.speed_up(workload, MESA_SLAB))
            .map(|speed_up| ("speed-up", Some(speed_up))),
    }
}

/// Every workload of which a bound is known; those of gross ratios and speed-ups beside those of
/// net ratios.
pub fn bounds(results: &Results) -> Vec<Bound> {
    if results.baseline != CLASSIC {
        return Vec::new();
    }
    let mut list = Vec::new();
    for workload in &results.workloads {
        let mut net = false;
        for (name, what, bound) in &BOUNDS {
            let is_net = matches!(what, What::Net);
            let Some((label, measured)) = measured(results, workload, name, what) else { continue };
            if is_net && std::mem::replace(&mut net, true) {
                continue;
            }
            let holds = measured.is_some_and(|measured| match what {
                What::SpeedUp => measured >= *bound,
                _ => measured <= *bound,
            });
            let of_harness = match what {
                What::SpeedUp => results.speed_up(workload, NULL),
                _ => None,
            };
            let workload = workload.name.clone();
            list.push(Bound { workload, what: label, bound: *bound, measured, of_harness, holds });
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Measured;

    fn results(name: &str, times: &[(&str, Kind, f64)]) -> Results {
        let measurement = |&(allocator, _, nanoseconds): &(&str, Kind, f64)| Measurement {
            allocator: allocator.into(),
            nanoseconds,
            spread: 0.0,
            ratio: Some((nanoseconds - 1.0) / 4.0),
            gross: nanoseconds / 5.0,
            samples: Vec::new(),
        };
        let mut results = Results::new("test".into(), CLASSIC, 1, &[]);
        results.allocators =
            times.iter().map(|of| Measured { name: of.0.into(), kind: of.1 }).collect();
        results.workloads = vec![WorkloadResult {
            name: name.into(),
            group: Group::OneThread,
            operation: "pair".into(),
            threads: 1,
            one_thread: None,
            left_out: Vec::new(),
            allocators: times.iter().map(measurement).collect(),
        }];
        results
    }

    #[test]
    fn who_is_ahead_is_named() {
        let results = results(
            "pair",
            &[
                (NULL, Kind::Null, 1.0),
                (CLASSIC, Kind::Pools, 5.0),
                (MESA_SLAB, Kind::Pools, 3.0),
                ("malloc", Kind::General, 2.95),
                ("mimalloc", Kind::General, 2.0),
            ],
        );
        let ahead = of_time(&results);
        assert_eq!(ahead.len(), 1);
        assert_eq!((ahead[0].allocator.as_str(), ahead[0].net), ("mimalloc", Some(0.5)));
    }

    #[test]
    fn pools_of_others_are_held_against_the_inlined_calls() {
        let times = [
            (NULL, Kind::Null, 1.0),
            (MESA_SLAB, Kind::Pools, 3.0),
            (INLINED, Kind::Inlined, 2.0),
            ("boost", Kind::Peer, 1.5),
            ("foonathan", Kind::Peer, 2.5),
        ];
        let ahead = of_time(&results("pair", &times));
        assert_eq!(ahead.len(), 1);
        assert_eq!((ahead[0].allocator.as_str(), ahead[0].ours), ("boost", 2.0));
    }

    #[test]
    fn a_speed_up_is_shown_beside_the_harness_s_own() {
        let times = [(NULL, Kind::Null, 1.0), (MESA_SLAB, Kind::Pools, 4.5)];
        let mut both = results("alloc only 1k, 1 thread", &times);
        let times = [(NULL, Kind::Null, 0.8), (MESA_SLAB, Kind::Pools, 2.5)];
        let two = results("alloc only 1k, 2 threads", &times).workloads.remove(0);
        let one_thread = Some("alloc only 1k, 1 thread".into());
        both.workloads.push(WorkloadResult { one_thread, ..two });
        let bounds = bounds(&both);
        let speed_up = bounds.iter().find(|bound| bound.what == "speed-up").unwrap();
        assert_eq!((speed_up.text().as_str(), speed_up.holds), ("1.80 (null 1.25)", false));
    }

    #[test]
    fn the_bound_of_a_name_goes_before_the_general_one() {
        let times = [(NULL, Kind::Null, 1.0), (MESA_SLAB, Kind::Pools, 4.6)];
        let bound = |name| {
            let bounds = bounds(&results(name, &times));
            assert_eq!(bounds.len(), 1, "{name}");
            (bounds[0].bound, bounds[0].holds)
        };
        assert_eq!(bound("batch 100k FIFO"), (0.9, true));
        assert_eq!(bound("batch 1k LIFO"), (0.8, false));
        assert_eq!(bound("batch 1k LIFO, 512 B"), (1.0, true));
        assert_eq!(bound("pair, 16 B"), (1.0, true));
        assert_eq!(bound("replay gears, 2 threads"), (0.6, false));
    }

    #[test]
    fn large_objects_have_bounds_of_time_alone() {
        let times = [(NULL, Kind::Null, 1.0), (MESA_SLAB, Kind::Pools, 120.0)];
        let bounds = |name| {
            let mut results = results(name, &times);
            results.workloads[0].group = Group::Large;
            let bounds = bounds(&results);
            assert_eq!(bounds.len(), 1, "{name}");
            (bounds[0].text(), bounds[0].bound, bounds[0].holds)
        };
        assert_eq!(bounds("pair, 3 MB"), ("120 ns".into(), 100.0, false));
        assert_eq!(bounds("batch 32 LIFO, 140 KB"), ("120 ns".into(), 500.0, true));
    }
}
