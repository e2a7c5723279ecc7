// SPDX-License-Identifier: MIT
//! How much is kept, and where: every number and every decision of the floor of pools. It holds no
//! object and calls nothing; [`super::depot`] and [`super::exchange`] ask it and do what it says.
//!
//! | decision | asked by | constants |
//! |---|---|---|
//! | how large the magazines of a child are | all | `FIRST_OBJECT`, `BUSY_BYTES`, `BUSY_GROWTH` |
//! | how many rounds a child takes from slabs | exchange | `FIRST_QUOTA` |
//! | when a child is busy | exchange | `BUSY_VISITS` |
//! | how much lies in the depot, and when some of it is drained | depot, body | `FULL_*`, `EXCESS_SHARE` |
//! | what is reaped, as it went unused | body | an epoch is a second |
//! | what the last child leaves in the heap | exchange | `KIT_MAX_ORDER` |
//! | whether a slab is made for rounds that nobody asked for yet | body | `PAGE` |
//!
//! How much may lie in full magazines: a constant, and a part of what is out of the slabs, and what
//! was *regretted*: rounds that were drained into the slabs as too many, and wanted again soon
//! after. So a pool that is filled and emptied over and over comes to keep what it needs, and one
//! that is emptied once does not.
//!
//! Full magazines that no child has wanted for an epoch are reaped: the least number of rounds that
//! was there since the last look is what the children did without (Bonwick and Adams call the rest
//! the working set). What is reaped is regretted no more.
//!
//! The curves behind the constants are in `docs/constants.md`.

use crate::base::geometry::{Geometry, MAGAZINE_WORDS, PAGE, magazine_bytes, rounds};

/// The class of the magazines that a child starts with, and the largest object for which it is that
/// one: two magazines of a child hold at most about 64 KiB, or two objects if they are larger.
/// Without a cache, allocating and freeing one object of 66,632 bytes takes 8304 instructions, as
/// its slab is made anew each time.
const FIRST_CLASS: usize = 2;
#[cfg(not(loom))]
const FIRST_OBJECT: [usize; 7] = [256, 512, 1024, 2048, 4096, 8192, 128 << 10];
/// For the model checker, which is to meet every state of a magazine in a few calls: three rounds,
/// one, none.
#[cfg(loom)]
const FIRST_OBJECT: [usize; 7] = [0, 0, 0, 0, 0, 2048, 8192];

/// The magazines that a child gets once it has gone to the parent's mutex several times hold so
/// many bytes of objects at most, or about as many objects as the pool was said to be used for at a
/// time, if that is more.
///
/// A child goes to the mutex once in a magazine's worth of calls. There it meets other threads, and
/// what it takes from the depot may lie in another core's cache. What it has in its magazines no
/// other child can use.
#[cfg(not(loom))]
const BUSY_BYTES: usize = 1 << 20;
/// For the model checker: seven rounds in place of three, three in place of one.
#[cfg(loom)]
const BUSY_BYTES: usize = 16 << 10;
/// How many times as large they are at least: else the pool's children keep those they start with.
#[cfg(not(loom))]
const BUSY_GROWTH: usize = 4;
#[cfg(loom)]
const BUSY_GROWTH: usize = 2;

/// How many rounds a new child takes at its first fill; each visit to the parent doubles it up to a
/// magazine, and then adds one. A child that allocates a few objects is not to pay for a whole
/// magazine.
#[cfg(not(loom))]
const FIRST_QUOTA: usize = 8;
/// Less than a magazine of the model checker's.
#[cfg(loom)]
const FIRST_QUOTA: usize = 2;
/// A child that has come so often since its quota is a whole magazine is busy, and gets a larger
/// one.
#[cfg(not(loom))]
const BUSY_VISITS: usize = 128;
#[cfg(loom)]
const BUSY_VISITS: usize = 8;

/// The depot may always hold so many bytes of objects in full magazines, and at most so many
/// objects, ...
///
/// What passes through the depot costs an exchange of magazines, the rest is put into bitmaps and
/// taken out again. What goes unused is reaped.
#[cfg(not(loom))]
const FULL_BYTES: usize = 4 << 20;
#[cfg(loom)]
const FULL_BYTES: usize = 0;
const FULL_MOST: usize = 64 << 10;
/// ... and in any case so many magazines, ...
const FULL_LEAST: usize = 2;
/// ... and beyond that one part in `1 << FULL_SHARE` of the objects that are out of the slabs.
const FULL_SHARE: u32 = 3;
/// Full magazines above their limit are drained once they are one part in so many above it.
const EXCESS_SHARE: usize = 4;

/// How many magazines above the limit are drained when a child goes: it brings two.
pub(crate) const DRAINED_AS_A_CHILD_GOES: usize = 2;
/// The same when a child exchanges a full one.
pub(crate) const DRAINED_AT_AN_EXCHANGE: usize = 1;

/// A larger slab is not left in the heap for the next child: log2 of its pages. Seven objects of
/// 66,632 bytes, of which a driver uses one, are a slab of this size.
const KIT_MAX_ORDER: u8 = 7;

/// What is decided for one pool, and what was learned of it. Belongs to the pool's lock.
///
/// | field | written |
/// |---|---|
/// | `first_mask`, `busy_mask`, `full_rounds` | when the pool gets its layout |
/// | `epoch`, `least`, `drained`, `regretted` | by `note_...` and `end_epoch` |
pub(crate) struct Policy {
    /// Size in bytes less 1 of the magazine that a child starts with; 0 if children have none.
    first_mask: u16,
    /// The same of the magazines of a busy child: larger, or the same.
    busy_mask: u16,
    /// Rounds in full magazines that the depot may hold however little is in use.
    full_rounds: u32,
    /// The second in which it was last looked for what goes unused.
    epoch: u32,
    /// The least number of rounds in full magazines since `epoch`.
    least: u32,
    /// Rounds that were drained as too many, lately.
    drained: u32,
    /// How many of them were wanted again.
    regretted: u32,
}

impl Policy {
    /// For a pool of such objects, whose children have magazines or not.
    pub(crate) fn new(geometry: &Geometry, cached: bool) -> Policy {
        let (mut first_mask, mut busy_mask, mut full_rounds) = (0, 0, 0);
        let stride = geometry.stride as usize;
        let class = FIRST_OBJECT.iter().position(|&most| stride <= most);
        if let Some(class) = class.filter(|_| cached) {
            let class = (FIRST_CLASS + class) as u8;
            first_mask = magazine_bytes(class) as u16 - 1;
            busy_mask = magazine_bytes(busy_class(class, stride, geometry.num_items)) as u16 - 1;
            let least = FULL_LEAST * (MAGAZINE_WORDS[class as usize] - 1);
            full_rounds = (FULL_BYTES / stride).clamp(least, FULL_MOST) as u32;
        }
        Policy { first_mask, busy_mask, full_rounds, epoch: 0, least: 0, drained: 0, regretted: 0 }
    }

    /// Size in bytes less 1 of the magazine that a child starts with; 0 if it has none.
    pub(crate) fn first_mask(&self) -> usize {
        self.first_mask as usize
    }

    /// Size in bytes less 1 of the magazines of a busy child; 0 if it has none.
    pub(crate) fn busy_mask(&self) -> usize {
        self.busy_mask as usize
    }

    /// The sizes of magazines less 1: of those that a child starts with, and of a busy child's,
    /// which may be the same.
    pub(crate) fn masks(&self) -> [usize; 2] {
        [self.first_mask(), self.busy_mask()]
    }

    /// Whether a magazine is of the size that only busy children have.
    pub(crate) fn is_busy_size(&self, mask: usize) -> bool {
        mask != self.first_mask()
    }

    /// Rounds that may lie in full magazines while `out` objects are out of the slabs.
    pub(crate) fn limit(&self, out: usize) -> usize {
        self.full_rounds as usize + (out >> FULL_SHARE) + self.regretted as usize
    }

    /// Whether a further full magazine is to be kept beside so many rounds in full ones, while
    /// `out` objects are out.
    pub(crate) fn wants_full(&self, full: usize, out: usize) -> bool {
        full < self.limit(out)
    }

    /// Whether so many more rounds are kept than should be that some are to be drained. The margin
    /// keeps a pool whose use goes up and down by a little from draining what it fills again next.
    pub(crate) fn has_excess(&self, full: usize, out: usize) -> bool {
        let limit = self.limit(out);
        full > limit + limit / EXCESS_SHARE
    }

    /// Whether a further empty magazine is to be kept beside those that have room for so many
    /// rounds.
    pub(crate) fn wants_empty(&self, room: usize, out: usize) -> bool {
        room < self.limit(out)
    }

    /// Whether there are more empty magazines than could be filled.
    pub(crate) fn has_excess_empty(&self, room: usize, out: usize) -> bool {
        room > self.limit(out)
    }

    /// Notes that so many rounds are left in full magazines.
    pub(crate) fn note_left(&mut self, full: usize) {
        self.least = self.least.min(full as u32);
    }

    /// Notes that rounds are drained as too many.
    pub(crate) fn note_drained(&mut self, rounds: usize) {
        self.drained = self.drained.saturating_add(rounds as u32);
    }

    /// Notes that so many rounds were wanted, and taken from slabs as there was no full magazine.
    pub(crate) fn note_wanted(&mut self, rounds: usize) {
        let regretted = self.drained.min(rounds as u32);
        self.drained -= regretted;
        self.regretted = self.regretted.saturating_add(regretted);
    }

    /// If an epoch, a second, is over: how many of so many rounds in full magazines are to be
    /// reaped. That is half of those that went unused, so that it never takes long; and for each
    /// further epoch, in which nobody came, half of what there is.
    pub(crate) fn end_epoch(&mut self, now: u32, full: usize) -> Option<usize> {
        let epochs = now.wrapping_sub(self.epoch);
        if epochs == 0 {
            return None;
        }
        self.epoch = now;
        self.drained = self.drained.checked_shr(epochs).unwrap_or(0);
        let full = full as u32;
        let kept = full - self.least.min(full).div_ceil(2);
        let kept = kept.checked_shr(epochs - 1).unwrap_or(0);
        self.least = kept;
        let reaped = full - kept;
        self.regretted = self.regretted.saturating_sub(reaped);
        Some(reaped as usize)
    }
}

/// The class of a busy child's magazines.
fn busy_class(first: u8, stride: usize, num_items: u32) -> u8 {
    let most = (BUSY_BYTES / stride).max(num_items as usize).min(MAGAZINE_WORDS[0]);
    if most < BUSY_GROWTH * MAGAZINE_WORDS[first as usize] {
        return first;
    }
    // Each class has half the words of the one before.
    (most.leading_zeros() - MAGAZINE_WORDS[0].leading_zeros()) as u8
}

/// The quota of a new child's magazine: how many rounds its first fill takes.
pub(crate) fn first_quota(mask: usize) -> usize {
    FIRST_QUOTA.min(rounds(mask))
}

/// The quota of a magazine that a new child takes over. It is not busy because another one was.
pub(crate) fn inherited_quota(quota: usize, mask: usize) -> usize {
    quota.min(rounds(mask))
}

/// The quota after a further visit.
pub(crate) fn next_quota(quota: usize, mask: usize) -> usize {
    if quota < rounds(mask) {
        (2 * quota).min(rounds(mask))
    } else {
        (quota + 1).min(rounds(mask) + BUSY_VISITS)
    }
}

/// How many rounds a child with this quota takes from slabs.
pub(crate) fn rounds_to_take(quota: usize, mask: usize) -> usize {
    quota.min(rounds(mask))
}

/// Whether a child has come so often that it is to have the larger magazines.
pub(crate) fn is_busy(quota: usize, mask: usize) -> bool {
    quota >= rounds(mask) + BUSY_VISITS
}

/// Whether a quota is one that [`next_quota`] can give.
pub(crate) fn is_quota(quota: usize, mask: usize) -> bool {
    quota.wrapping_sub(1) < rounds(mask) + BUSY_VISITS
}

/// Whether the slab and the magazine of a pool's last child are left in the heap for the next one.
pub(crate) fn leaves_kit(order: u8) -> bool {
    order <= KIT_MAX_ORDER
}

/// Whether a slab is made for rounds that nobody asked for yet.
pub(crate) fn fills_ahead(geometry: &Geometry) -> bool {
    geometry.stride as usize <= PAGE
}

/// Whether a pool with so many holders keeps one empty slab. (A slab of a large object is as large
/// as that; without modes no pool of such has holders.)
pub(crate) fn keeps_spare(holders: u32, geometry: &Geometry) -> bool {
    holders != 0 && !geometry.is_large()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(item_size: u32, num_items: u32) -> Policy {
        Policy::new(&Geometry::new(item_size, num_items), true)
    }

    #[test]
    fn a_child_caches_about_64_kib_at_most_or_two_objects() {
        for item_size in (1..20_000).chain([66_632, 128 << 10, 200_000]) {
            let rounds = rounds(policy(item_size, 64).first_mask());
            let stride = Geometry::new(item_size, 64).stride as usize;
            assert!(rounds == 1 || 2 * rounds * stride <= 64 << 10);
        }
    }

    #[test]
    fn a_pool_that_is_not_cached_has_no_magazines() {
        assert_eq!(Policy::new(&Geometry::new(96, 64), false).masks(), [0, 0]);
        assert_eq!(policy(200_000, 1).masks(), [0, 0], "too large");
    }

    #[test]
    fn the_depot_may_hold_more_the_more_is_out() {
        let driver = policy(96, 64);
        let always = driver.limit(0);
        assert_eq!(always, FULL_BYTES / 96);
        assert_eq!(driver.limit(1_000_000), always + 125_000);
        assert_eq!(policy(66_632, 4).limit(0), FULL_BYTES / 66_640);
        assert_eq!(policy(8, 1).limit(0), FULL_MOST);
        assert!(policy(u32::MAX, 1).limit(100) > 0);
    }

    #[test]
    fn a_busy_child_has_larger_magazines_or_the_same() {
        let busy = |item_size, num_items| rounds(policy(item_size, num_items).busy_mask());
        assert_eq!(busy(16, 64), 511);
        assert_eq!(busy(96, 64), 511);
        assert_eq!(busy(512, 64), 511);
        assert_eq!(busy(4096, 16), 255);
        assert_eq!(busy(66_632, 64), 63, "about those that are used at a time");
        assert_eq!(busy(66_632, 4), 7);
        assert_eq!(busy(1 << 20, 64), 0);
        for item_size in (1..20_000).chain([66_632, 128 << 10, 200_000]) {
            for num_items in [1, 64, u32::MAX] {
                let [first, busy] = policy(item_size, num_items).masks().map(rounds);
                assert!(
                    first == busy || busy > 2 * first,
                    "two first magazines fit into one, with room"
                );
            }
        }
    }

    #[test]
    fn a_quota_doubles_up_to_a_magazine_and_then_counts_visits() {
        let mask = policy(96, 64).first_mask();
        let mut quota = first_quota(mask);
        let mut fills = vec![quota];
        while quota < rounds(mask) {
            quota = next_quota(quota, mask);
            fills.push(quota);
        }
        assert_eq!(fills, [8, 16, 32, 64, 127]);
        let visits = (0..1000).take_while(|_| {
            let busy = is_busy(quota, mask);
            assert!(is_quota(quota, mask) && rounds_to_take(quota, mask) == rounds(mask));
            quota = next_quota(quota, mask);
            !busy
        });
        assert_eq!(visits.count(), BUSY_VISITS);
        assert_eq!(quota, next_quota(quota, mask), "it counts no further");
        assert_eq!(inherited_quota(quota, mask), rounds(mask));
        assert!(!is_quota(0, mask) && !is_quota(quota + 1, mask) && !is_quota(usize::MAX, mask));
    }

    #[test]
    fn what_goes_unused_is_reaped_by_halves_for_each_epoch() {
        let mut policy = policy(4096, 1);
        assert_eq!(policy.end_epoch(100, 0), Some(0));
        assert_eq!(policy.end_epoch(100, 70), None);
        assert_eq!(policy.end_epoch(101, 70), Some(0), "they came within the epoch");
        policy.note_left(63);
        policy.note_left(56);
        assert_eq!(policy.end_epoch(102, 56), Some(28), "of those that were there all the time");
        policy.note_left(28);
        assert_eq!(policy.end_epoch(104, 28), Some(21), "14 for the first epoch, half of 14");
    }

    #[test]
    fn what_was_drained_and_wanted_again_raises_the_limit_until_it_is_reaped() {
        let mut policy = policy(4096, 1);
        let limit = policy.limit(0);
        policy.end_epoch(100, 0);
        policy.note_wanted(50);
        assert_eq!(policy.limit(0), limit, "nothing was drained before");
        policy.note_drained(70);
        policy.note_wanted(30);
        assert_eq!(policy.limit(0), limit + 30);
        policy.note_wanted(100);
        assert_eq!(policy.limit(0), limit + 70, "no more than was drained");
        policy.note_drained(40);
        policy.end_epoch(101, 0);
        policy.note_wanted(40);
        assert_eq!(policy.limit(0), limit + 90, "half of it is forgotten");
        policy.end_epoch(102, 70);
        assert_eq!(policy.end_epoch(103, 70), Some(35));
        assert_eq!(policy.limit(0), limit + 90 - 35);
    }

    #[test]
    fn there_is_a_margin_between_wanting_a_magazine_and_draining_one() {
        let policy = policy(96, 64);
        let limit = policy.limit(0);
        assert!(policy.wants_full(limit - 1, 0) && !policy.wants_full(limit, 0));
        assert!(
            !policy.has_excess(limit + limit / 4, 0) && policy.has_excess(limit + limit / 4 + 1, 0)
        );
        assert!(policy.wants_empty(limit - 1, 0) && !policy.wants_empty(limit, 0));
        assert!(!policy.has_excess_empty(limit, 0) && policy.has_excess_empty(limit + 1, 0));
    }
}
