// SPDX-License-Identifier: MIT
//! How much is kept, and where: every number and every decision of the floor of pools. It holds no
//! object and calls nothing; [`super::depot`] and [`super::exchange`] ask it and do what it says.
//!
//! | decision | asked by | constants |
//! |---|---|---|
//! | how large the magazines of a child are | all | `FIRST_OBJECT`, `BUSY_BYTES`, `BUSY_GROWTH` |
//! | how many rounds a child takes from slabs | exchange | `FIRST_QUOTA` |
//! | when a child is busy | exchange | `BUSY_VISITS` |
//! | when it exchanges both of its magazines | exchange | `ONE_BY_ONE` |
//! | how much of a magazine is drained at a time | exchange | `STEPS_OF_A_DRAIN` |
//! | how much lies in the depot, and when some of it is drained | depot, body | `FULL_*`, `EXCESS_SHARE` |
//! | what is reaped, as it went unused | body | an epoch is a second |
//! | what the last child leaves in the heap | exchange | `KIT_MAX_ORDER` |
//! | whether an empty slab is kept | transfer, partial | `SPARE_BYTES` of [`super::budget`] |
//! | whether a slab is made for rounds that nobody asked for yet | body | `PAGE` |
//! | which slabs are to run empty when objects can be moved | partial | `SPARSE_SHARE` |
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

#[cfg(not(loom))]
use crate::base::geometry::MOST_CACHED;
use crate::base::geometry::{Geometry, MAGAZINE_WORDS, PAGE, magazine_bytes, rounds};
use crate::base::layout::{Field, numbers};

/// A pool has magazines of so many sizes, some of which may be the same: those of a child that
/// starts, of one that goes on, and two for busy ones.
pub(crate) const SIZES: usize = 4;
/// For a walker outside of the process.
pub(crate) const NUMBERS: &[Field] = numbers!("policy": SIZES);

/// The class of the magazines that a child goes on with, and the largest object for which it is that
/// one: two magazines of a child hold at most about 64 KiB, or two objects if they are larger.
/// Without a cache, allocating and freeing one object of 66,632 bytes takes 8304 instructions, as
/// its slab is made anew each time.
const FIRST_CLASS: usize = 2;
#[cfg(not(loom))]
const FIRST_OBJECT: [usize; 7] = [256, 512, 1024, 2048, 4096, 8192, MOST_CACHED];
/// For the model checker, which is to meet every state of a magazine in a few calls: three rounds,
/// one, none.
#[cfg(loom)]
const FIRST_OBJECT: [usize; 7] = [0, 0, 0, 0, 0, 2048, 8192];

/// With larger objects than this a child starts with a magazine of an eighth. It goes on with the
/// other one once that is a small part of what is in use, or it has come `BUSY_VISITS` times: a pool
/// may be one of hundreds of which each has ten objects.
#[cfg(not(loom))]
const START_OBJECT: usize = 256;
#[cfg(loom)]
const START_OBJECT: usize = 1 << 30;
/// The eighth, in classes.
const START_CLASSES: usize = 3;
/// The part, for the other one: so many of it are out of the slabs.
const START_IN_USE: usize = 4;
/// How often a child comes, at least, before it goes on with the other one.
const START_VISITS: usize = 4;

/// A child may have larger ones yet if so many halves of them are out of the slabs, ...
const IN_USE: usize = 3;
/// ... and already if as many are as it holds, if those are so many bytes.
const SMALL_MAGAZINE: usize = 64 << 10;

/// The magazines that a child gets once it has gone to the parent's mutex several times hold so
/// many bytes of objects at most, or about as many objects as the pool was said to be used for at a
/// time, if that is more. They come in two steps.
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

/// How many rounds a new child takes at its first fill; each exchange doubles it up to a
/// magazine, and then adds one. A child that allocates a few objects is not to pay for a whole
/// magazine.
#[cfg(not(loom))]
const FIRST_QUOTA: usize = 8;
/// Less than a magazine of the model checker's.
#[cfg(loom)]
const FIRST_QUOTA: usize = 2;
/// A child that has exchanged so many since its quota is a whole magazine is busy, and gets a larger
/// one.
#[cfg(not(loom))]
const BUSY_VISITS: usize = 128;
#[cfg(loom)]
const BUSY_VISITS: usize = 8;

/// A child that comes for the same thing again and again, to allocate or to free, exchanges one magazine
/// so many times in a row, and then both each time.
///
/// After one it can go on for a magazine's worth of calls in either direction, after both for two in one
/// direction and none in the other. So it is to do that only when it goes far. Were it after a single
/// one, a child whose use goes up and down by one to two magazines could come twice as often as with one
/// each time: having taken both on the way up, it would have to give both on the way down.
const ONE_BY_ONE: usize = 2;

/// While there is room beyond the shares of all pools ([`super::budget`]) the depot may hold so many
/// bytes of objects in full magazines, and at most so many objects, ...
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

/// A child is to have smaller magazines again once callers have no more objects than so many of
/// these hold, and had no more for an epoch, ...
const SHRUNK: usize = 8;
/// ... or children gave back so many full magazines in a row, and took none.
const FALL: usize = 4;

/// In how many steps at most a child that frees, and whose full magazine the depot does not want, drains
/// it. A step is of the rounds at its end that lie in one slab: many if objects come back in the order in
/// which they were taken, so that it is drained whole; one if they come back in any order, and each looks
/// at another slab's memory. Then it has less room, and others wait less for the pool. (Small builds
/// drain it whole.)
#[cfg(not(loom))]
pub(crate) const STEPS_OF_A_DRAIN: usize = if cfg!(feature = "ext") { 256 } else { usize::MAX };
/// For the model checker, where a magazine of three rounds is to take more.
#[cfg(loom)]
pub(crate) const STEPS_OF_A_DRAIN: usize = 1;

/// How many magazines above the limit are drained when a child goes: it brings two.
pub(crate) const DRAINED_AS_A_CHILD_GOES: usize = 2;
/// The same when a child exchanges a full one.
pub(crate) const DRAINED_AT_AN_EXCHANGE: usize = 1;

/// How many rounds a visit drains about of what went unused in its own pool, or else when it goes round
/// over pools that sleep: a magazine of the largest size, or several smaller ones. That takes some 4 us,
/// or several times as long where nothing of it is in the cache. (Under the model checker two magazines.)
pub(crate) const REAPED_AT_A_LOOK: usize = if cfg!(loom) { 4 } else { MAGAZINE_WORDS[0] - 1 };
/// How many empty magazines of a pool that sleeps it gives up, if it has drained none.
pub(crate) const EMPTIES_AT_A_LOOK: usize =
    if cfg!(any(loom, not(feature = "ext"))) { 1 } else { 2 };
/// How many pools it looks at.
pub(crate) const POOLS_AT_A_LOOK: usize = if cfg!(loom) { 2 } else { 6 };

/// How many rounds a visit drains about when others give way.
pub(crate) const ROUNDS_AT_A_LOOK: usize = 2 * (MAGAZINE_WORDS[0] - 1);
/// Pages that the heap grows by before pools that were not used lately give way. (Not under the model
/// checker, where those are visited by the clock.)
pub(crate) const GROWTH_STEP: usize = if cfg!(loom) { 1 << 30 } else { (256 << 10) / PAGE };

/// A larger slab is not left in the heap for the next child: log2 of its pages. Seven objects of
/// 66,632 bytes, of which a driver uses one, are a slab of this size.
const KIT_MAX_ORDER: u8 = 7;

/// Objects are moved out of a slab of which at most one part in so many is out: a slab is given back
/// for no more moves than that.
#[cfg(feature = "ext")]
const SPARSE_SHARE: usize = 2;

/// What is decided for one pool, and what was learned of it. Belongs to the pool's lock.
///
/// | field | written |
/// |---|---|
/// | `masks`, `full_rounds` | when the pool gets its layout |
/// | `epoch`, `unused_since`, `least`, `drained`, `regretted`, `reaping`, `most`, `visits`, `asleep`, `used`, `fall`, `shrank` | by `note_...`, `end_epoch` and `gives_way` |
#[derive(Clone, Copy)]
pub(crate) struct Policy {
    /// The sizes of magazines in bytes less 1, none smaller than the one before; 0 if children have
    /// none.
    pub(super) masks: [u16; SIZES],
    /// Rounds in full magazines that the depot may hold beyond its share, if there is room.
    full_rounds: u32,
    /// The second in which it was last looked for what goes unused.
    epoch: u32,
    /// When the epoch before began, or if the pool slept since, the last one in which it did not; 0 of a
    /// new pool.
    unused_since: u32,
    /// The least number of rounds in full magazines since `epoch`.
    least: u32,
    /// Rounds that were drained as too many, lately.
    drained: u32,
    /// How many of them were wanted again.
    regretted: u32,
    /// Rounds that are to be reaped.
    reaping: u32,
    /// The most objects that callers had when a child came, since `epoch` and in the epoch before,
    /// which nobody knows at first.
    most: [u32; 2],
    /// How often a child came, likewise.
    visits: [u32; 2],
    /// Whether the last epoch had no visit of the pool's own.
    asleep: bool,
    /// Whether a child has come since the pool was asked to give way.
    used: bool,
    /// How many rounds children have given back in full magazines in a row.
    fall: u32,
    /// How many times a child got smaller magazines since `epoch`.
    shrank: u8,
}

impl Policy {
    /// Of a pool without a layout.
    const LEARNED_NOTHING: Policy = Policy {
        masks: [0; SIZES],
        full_rounds: 0,
        epoch: 0,
        unused_since: 0,
        least: 0,
        drained: 0,
        regretted: 0,
        reaping: 0,
        most: [0; 2],
        visits: [0; 2],
        asleep: false,
        used: false,
        fall: 0,
        shrank: 0,
    };

    /// For a pool of such objects, whose children have magazines or not.
    pub(crate) fn new(geometry: &Geometry, cached: bool) -> Policy {
        let (mut masks, mut full_rounds) = ([0; SIZES], 0);
        let stride = geometry.stride as usize;
        let class = FIRST_OBJECT.iter().position(|&most| stride <= most);
        if let Some(class) = class.filter(|_| cached) {
            let classes = classes(FIRST_CLASS + class, stride, geometry.num_items as usize);
            masks = classes.map(|class| magazine_bytes(class as u8) as u16 - 1);
            let least = FULL_LEAST * rounds(masks[0] as usize);
            full_rounds = (FULL_BYTES / stride).min(FULL_MOST).saturating_sub(least) as u32;
        }
        Policy { masks, full_rounds, ..Policy::LEARNED_NOTHING }
    }

    /// Forgets what was learned, for another pool of such objects.
    pub(crate) fn forget(&mut self) {
        let Policy { masks, full_rounds, .. } = *self;
        *self = Policy { masks, full_rounds, ..Policy::LEARNED_NOTHING };
    }

    /// Size in bytes less 1 of the magazine that a child starts with; 0 if it has none.
    pub(crate) fn first_mask(&self) -> usize {
        self.masks[0] as usize
    }

    /// Size in bytes less 1 of the largest magazines that a child may get; 0 if it has none.
    pub(crate) fn largest_mask(&self) -> usize {
        self.masks[SIZES - 1] as usize
    }

    /// The sizes of magazines less 1, none smaller than the one before. Some may be the same.
    pub(crate) fn masks(&self) -> [usize; SIZES] {
        self.masks.map(usize::from)
    }

    /// Which of the sizes a magazine has, the first one of those that are the same.
    pub(crate) fn size_of(&self, mask: usize) -> usize {
        self.masks().iter().position(|&of| of == mask).unwrap_or(0)
    }

    /// Which magazines a child with this quota is to go on with, if callers have so many objects at
    /// least: the next larger ones, if it is busy, and they are a small part of what is in use, or
    /// small, or of as many rounds as the pool was said to be used for at a time.
    pub(crate) fn larger(
        &self,
        mask: usize,
        quota: usize,
        objects: usize,
        geometry: &Geometry,
    ) -> Option<usize> {
        if quota < rounds(mask) + START_VISITS {
            return None;
        }
        let size = (0..SIZES).find(|&size| self.masks()[size] > mask)?;
        let larger = self.masks()[size];
        let halves = if size == 1 { 2 * START_IN_USE } else { IN_USE };
        let is_small_part = halves * rounds(larger) <= objects.saturating_mul(2);
        let visits = if size == 1 && is_small_part { START_VISITS } else { BUSY_VISITS };
        let at_a_time = rounds(larger) <= geometry.num_items as usize;
        let bytes = rounds(larger) * geometry.stride as usize;
        let is_small = bytes <= SMALL_MAGAZINE && rounds(larger) <= objects;
        let fits = is_small_part || is_small || at_a_time;
        (fits && quota >= rounds(mask) + visits).then_some(larger)
    }

    /// Rounds that may lie in full magazines while `out` objects are out of the slabs, whatever
    /// other pools keep or want.
    pub(crate) fn share(&self, out: usize) -> usize {
        FULL_LEAST * rounds(self.first_mask()) + (out >> FULL_SHARE)
    }

    /// The same for as long as no other pool wants it, and if there is `room` beyond the shares of
    /// all pools ([`super::budget`]).
    pub(crate) fn limit(&self, out: usize, room: bool) -> usize {
        let limit = self.share(out) + self.regretted as usize;
        if room { limit + self.full_rounds as usize } else { limit }
    }

    /// Whether a further full magazine is to be kept beside so many rounds in full ones, while
    /// `out` objects are out.
    pub(crate) fn wants_full(&self, full: usize, out: usize, room: bool) -> bool {
        full < self.limit(out, room)
    }

    /// Whether so many more rounds are kept than should be that some are to be drained. The margin
    /// keeps a pool whose use goes up and down by a little from draining what it fills again next.
    pub(crate) fn has_excess(&self, full: usize, out: usize, room: bool) -> bool {
        let limit = self.limit(out, room);
        full > limit + limit / EXCESS_SHARE
    }

    /// Whether a further empty magazine is to be kept beside those that have room for so many
    /// rounds.
    pub(crate) fn wants_empty(&self, capacity: usize, out: usize, room: bool) -> bool {
        capacity < self.limit(out, room)
    }

    /// Whether there are more empty magazines than could be filled.
    pub(crate) fn has_excess_empty(&self, capacity: usize, out: usize, room: bool) -> bool {
        capacity > self.limit(out, room)
    }

    /// Notes that a child took objects, of which callers have so many.
    pub(crate) fn note_taken(&mut self, objects: usize) {
        self.note_use(objects);
        self.fall = 0;
    }

    /// Notes that a child gives back a full magazine of so many rounds, when callers have so many
    /// objects.
    pub(crate) fn note_given(&mut self, objects: usize, rounds: usize) {
        self.note_use(objects);
        self.note_another_given(rounds);
    }

    /// Notes that it gives back another one in the same visit.
    pub(crate) fn note_another_given(&mut self, rounds: usize) {
        self.fall = self.fall.saturating_add(rounds as u32);
    }

    /// Notes that it has kept so many rounds of it.
    pub(crate) fn note_not_given(&mut self, rounds: usize) {
        self.fall = self.fall.saturating_sub(rounds as u32);
    }

    fn note_use(&mut self, objects: usize) {
        self.used = true;
        self.most[0] = self.most[0].max(objects as u32);
        self.visits[0] = self.visits[0].saturating_add(1);
    }

    /// Which smaller magazines a child with these is to go on with, if any, when callers have so
    /// many objects: for an epoch they had no more than a few of them hold, or for a while they have
    /// only given back. A few times in an epoch: what is emptied may be filled again next.
    pub(crate) fn shrinks(&self, mask: usize, objects: usize) -> Option<usize> {
        let falls = self.fall as usize >= FALL * rounds(mask);
        let most = if falls { objects } else { self.most[0].max(self.most[1]) as usize };
        // Smaller ones hold less than these.
        if most >= SHRUNK * rounds(mask) || usize::from(self.shrank) >= SIZES - 1 {
            return None;
        }
        let holds = |smaller: &usize| *smaller < mask && most < SHRUNK * rounds(*smaller);
        self.masks().into_iter().find(holds)
    }

    /// Notes that a child got smaller magazines.
    pub(crate) fn note_smaller(&mut self) {
        self.shrank += 1;
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

    /// If an epoch, a second, is over: decides how many of so many rounds in full magazines are to
    /// be reaped. That is half of those that went unused; and for each further epoch, in which
    /// nobody came, half of what there is. Returns whether it is over.
    #[inline(never)]
    pub(crate) fn end_epoch(&mut self, now: u32, full: usize) -> bool {
        // Who waited for the lock may have read the clock before who had it.
        let epochs = now.saturating_sub(self.epoch);
        if epochs == 0 {
            return false;
        }
        let last = match epochs {
            1 => [self.most[0], self.visits[0]],
            _ if self.epoch == 0 => [u32::MAX, 0],
            _ => [0; 2],
        };
        if !self.asleep {
            self.unused_since = self.epoch;
        }
        self.epoch = now;
        self.most = [0, last[0]];
        self.visits = [0, last[1]];
        self.shrank = 0;
        self.drained = self.drained.checked_shr(epochs).unwrap_or(0);
        let full = full as u32;
        let kept = full - self.least.min(full).div_ceil(2);
        let kept = kept.checked_shr(epochs - 1).unwrap_or(0);
        self.least = kept;
        self.reaping = full - kept;
        self.regretted = self.regretted.saturating_sub(self.reaping);
        self.asleep = false;
        true
    }

    /// The same for a pool that had no visit in this epoch. If it had none in the one before either,
    /// all of it is to be reaped.
    pub(crate) fn end_epoch_asleep(&mut self, now: u32, full: usize) -> bool {
        let was_asleep = self.asleep;
        if !self.end_epoch(now, full) {
            return false;
        }
        if was_asleep {
            self.reaping = full as u32;
            self.least = 0;
        }
        self.asleep = true;
        true
    }

    /// Whether the last epoch that ended had no visit of the pool's own.
    pub(crate) fn is_asleep(&self) -> bool {
        self.asleep
    }

    /// Whether the pool is to give way to others: no child has come since this was asked last. Then
    /// it forgets what it regretted.
    pub(crate) fn gives_way(&mut self) -> bool {
        if core::mem::replace(&mut self.used, false) {
            return false;
        }
        self.regretted = 0;
        true
    }

    /// Since when nobody has used what is to be reaped; 0 if there can be nothing.
    pub(crate) fn unused_since(&self) -> u32 {
        self.unused_since
    }

    /// How many rounds a child that has come reaps about: so many that, if children come as often as in
    /// the last epoch, all is reaped by the end of this one.
    pub(crate) fn reaped_at_a_time(&self) -> usize {
        ((self.reaping / self.visits[1].max(1)) as usize).max(REAPED_AT_A_LOOK)
    }

    /// Whether rounds are to be reaped that were not yet.
    pub(crate) fn is_reaping(&self) -> bool {
        self.reaping != 0
    }

    /// Notes that rounds were reaped, or, if it is 0, that there are no more.
    pub(crate) fn note_reaped(&mut self, rounds: usize) {
        self.reaping = if rounds == 0 { 0 } else { self.reaping.saturating_sub(rounds as u32) };
    }
}

/// The classes of a pool's magazines, by the one that a child goes on with. Each class has half the
/// words of the one before.
fn classes(second: usize, stride: usize, num_items: usize) -> [usize; SIZES] {
    let start = if stride > START_OBJECT { second + START_CLASSES } else { second };
    let most = (BUSY_BYTES / stride).max(num_items).min(MAGAZINE_WORDS[0]);
    let busy = if most < BUSY_GROWTH * MAGAZINE_WORDS[second] { second } else { class_for(most) };
    let at_a_time = class_for(num_items);
    let half_way = if at_a_time < second { at_a_time } else { second.saturating_sub(2) }.max(busy);
    [start.min(MAGAZINE_WORDS.len() - 1), second, half_way, busy]
}

/// The class of the largest magazines with no more than so many words.
fn class_for(words: usize) -> usize {
    let words = words.clamp(MAGAZINE_WORDS[MAGAZINE_WORDS.len() - 1], MAGAZINE_WORDS[0]);
    (words.leading_zeros() - MAGAZINE_WORDS[0].leading_zeros()) as usize
}

/// The quota of a new child's magazine: how many rounds its first fill takes.
pub(crate) fn first_quota(mask: usize) -> usize {
    FIRST_QUOTA.min(rounds(mask))
}

/// The quota of a magazine that a new child takes over. It is not busy because another one was.
pub(crate) fn inherited_quota(quota: usize, mask: usize) -> usize {
    quota.min(rounds(mask))
}

/// The quota after a further exchange.
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

/// How many times in a row, this one included, a child has come for the same thing, by the words 0 of
/// its loaded and its previous magazine ([`super::exchange`]): from 1 to one more than is noted.
pub(crate) fn visits_in_a_row(loaded: usize, previous: usize) -> usize {
    // Small builds do without.
    let again = cfg!(feature = "ext") && loaded > previous;
    if again { previous.min(ONE_BY_ONE) + 1 } else { 1 }
}

/// What is noted of it.
pub(crate) fn noted_in_a_row(visits: usize) -> usize {
    visits.min(ONE_BY_ONE)
}

/// Whether a child that has come so many times in a row exchanges both of its magazines.
pub(crate) fn exchanges_both(visits: usize) -> bool {
    visits > ONE_BY_ONE
}

/// Whether a quota is one that [`next_quota`] can give.
pub(crate) fn is_quota(quota: usize, mask: usize) -> bool {
    quota.wrapping_sub(1) < rounds(mask) + BUSY_VISITS
}

/// Whether the slab and the magazine of a pool's last child are left in the heap for the next one.
pub(crate) fn leaves_kit(order: u8) -> bool {
    order <= KIT_MAX_ORDER
}

/// How many slabs are made at once for so many rounds: as many as these fill, or begin.
pub(crate) fn slabs_at_a_time(geometry: &Geometry, rounds: usize) -> usize {
    if fills_ahead(geometry) { rounds.div_ceil(geometry.capacity as usize) } else { 1 }
}

/// Whether a slab is made for rounds that nobody asked for yet.
pub(crate) fn fills_ahead(geometry: &Geometry) -> bool {
    geometry.stride as usize <= PAGE
}

/// Of how many slabs all objects are to be moved into others, if there are `slabs` of this capacity
/// with `out` objects in all: as many as the others have room for.
#[cfg(feature = "ext")]
pub(crate) fn slabs_to_empty(slabs: usize, out: usize, capacity: u16) -> usize {
    slabs - out.div_ceil(capacity as usize).min(slabs)
}

/// Whether a slab has so few objects that they are to be moved.
#[cfg(feature = "ext")]
pub(crate) fn is_sparse(used: u16, capacity: u16) -> bool {
    used as usize * SPARSE_SHARE <= capacity as usize
}

/// Whether a pool with so many holders keeps one empty slab. One whose objects no child caches has no
/// holders, unless it has modes, and its slab is as large as they are: it may be `granted` it.
pub(crate) fn keeps_spare(holders: u32, geometry: &Geometry, granted: bool) -> bool {
    if holders == 0 { granted } else { !geometry.is_large() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(item_size: u32, num_items: u32) -> Policy {
        Policy::new(&Geometry::new(item_size, num_items), true)
    }

    /// What is to be reaped, if the epoch is over.
    fn end_epoch(policy: &mut Policy, now: u32, full: usize) -> Option<u32> {
        policy.end_epoch(now, full).then_some(policy.reaping)
    }

    #[test]
    fn a_child_caches_about_64_kib_at_most_or_two_objects() {
        for item_size in (1..20_000).chain([66_632, 128 << 10, 200_000]) {
            let rounds = rounds(policy(item_size, 64).masks()[1]);
            let stride = Geometry::new(item_size, 64).stride as usize;
            assert!(rounds == 1 || 2 * rounds * stride <= 64 << 10);
        }
    }

    #[test]
    #[cfg(feature = "ext")]
    fn as_many_slabs_are_to_run_empty_as_the_others_have_room_for() {
        assert_eq!(slabs_to_empty(0, 0, 85), 0);
        assert_eq!(slabs_to_empty(10, 850, 85), 0);
        assert_eq!(slabs_to_empty(10, 765, 85), 1);
        assert_eq!(slabs_to_empty(10, 766, 85), 0);
        assert_eq!(slabs_to_empty(11_766, 20_000, 85), 11_530);
        assert!(is_sparse(42, 85) && !is_sparse(43, 85) && !is_sparse(1, 1));
    }

    #[test]
    fn a_child_that_has_not_turned_exchanges_both_magazines_after_two_visits() {
        let mut quota = first_quota(1023);
        let mut in_a_row = 0;
        for visit in 1..100 {
            quota = next_quota(quota, 1023);
            in_a_row = match visit {
                1 => visits_in_a_row(1, quota),
                _ => visits_in_a_row(quota, noted_in_a_row(in_a_row)),
            };
            assert_eq!(exchanges_both(in_a_row), visit > ONE_BY_ONE);
            assert!(noted_in_a_row(in_a_row) < quota);
        }
        assert_eq!(visits_in_a_row(noted_in_a_row(in_a_row), quota), 1, "it has turned");
        assert_eq!([visits_in_a_row(1, 1), visits_in_a_row(quota, quota)], [1, 1], "nobody knows");
    }

    #[test]
    fn a_pool_that_is_not_cached_has_no_magazines() {
        assert_eq!(Policy::new(&Geometry::new(96, 64), false).masks(), [0; SIZES]);
        assert_eq!(policy(200_000, 1).masks(), [0; SIZES], "too large");
    }

    #[test]
    fn a_pool_keeps_an_empty_slab_while_a_child_may_want_it_or_if_it_is_granted() {
        let keeps = |item_size, holders, granted| {
            keeps_spare(holders, &Geometry::new(item_size, 1), granted)
        };
        assert!(keeps(96, 1, false) && !keeps(96, 0, false));
        // They fill runs on machines of either width.
        let uncached = 2 * MOST_CACHED as u32;
        assert!(keeps(uncached, 1, false), "it has modes");
        assert!(keeps(uncached, 0, true) && !keeps(uncached, 0, false));
        assert!(keeps(5 << 20, 0, true) && !keeps(5 << 20, 0, false));
        assert!(!keeps(5 << 20, 1, false), "it has modes");
    }

    #[test]
    fn the_depot_may_hold_more_the_more_is_out() {
        let driver = policy(96, 64);
        let always = driver.limit(0, true);
        assert_eq!(always, FULL_BYTES / 96);
        assert_eq!(driver.limit(1_000_000, true), always + 125_000);
        assert_eq!(policy(66_632, 4).limit(0, true), FULL_BYTES / 66_640);
        assert_eq!(policy(8, 1).limit(0, true), FULL_MOST);
        assert!(policy(u32::MAX, 1).limit(100, true) > 0);
    }

    #[test]
    fn a_pool_has_magazines_of_several_sizes_or_fewer() {
        let sizes = |item_size, num_items| policy(item_size, num_items).masks().map(rounds);
        assert_eq!(sizes(16, 64), [127, 127, 511, 511]);
        assert_eq!(sizes(96, 64), [127, 127, 511, 511]);
        assert_eq!(sizes(512, 64), [7, 63, 255, 511]);
        assert_eq!(sizes(2000, 64), [1, 15, 63, 511]);
        assert_eq!(sizes(4096, 16), [1, 7, 15, 255]);
        assert_eq!(sizes(4096, 64), [1, 7, 63, 255]);
        assert_eq!(sizes(66_632, 64), [1, 1, 63, 63], "about those that are used at a time");
        assert_eq!(sizes(66_632, 4), [1, 1, 3, 7]);
        assert_eq!(sizes(1 << 20, 64), [0; SIZES]);
        for item_size in (1..20_000).chain([66_632, 128 << 10, 200_000]) {
            for num_items in [1, 64, u32::MAX] {
                let sizes = sizes(item_size, num_items);
                assert!(
                    sizes.is_sorted() && sizes.windows(2).all(|s| s[0] == s[1] || s[1] > 2 * s[0]),
                    "two magazines fit into one of the next size, with room: {sizes:?}"
                );
            }
        }
    }

    /// The least quota with which a child goes on with larger magazines, less the rounds of its own.
    fn visits(policy: &Policy, geometry: &Geometry, mask: usize, objects: usize) -> Option<usize> {
        let own = rounds(mask);
        (0..2 * BUSY_VISITS)
            .find(|visits| policy.larger(mask, own + visits, objects, geometry).is_some())
    }

    #[test]
    fn a_child_goes_on_with_larger_magazines_as_far_as_its_pool_is_large() {
        let geometry = Geometry::new(512, 64);
        let policy = Policy::new(&geometry, true);
        let [start, second, half_way, largest] = policy.masks();
        let visits = |mask, out| visits(&policy, &geometry, mask, out);
        let enough = |mask| (IN_USE * rounds(mask)).div_ceil(2);
        let much = START_IN_USE * rounds(second);
        assert_eq!(visits(start, much), Some(START_VISITS));
        assert_eq!(visits(start, much - 1), Some(BUSY_VISITS), "it is small");
        assert_eq!(visits(second, enough(half_way)), Some(BUSY_VISITS));
        assert_eq!(visits(second, enough(half_way) - 1), None);
        assert_eq!(visits(half_way, enough(largest)), Some(BUSY_VISITS));
        assert_eq!(visits(largest, usize::MAX), None);
    }

    #[test]
    fn a_child_of_a_few_objects_that_are_small_stays_with_small_magazines() {
        let geometry = Geometry::new(96, 64);
        let policy = Policy::new(&geometry, true);
        let [.., second, larger, _] = policy.masks();
        let enough = rounds(larger);
        assert_eq!(visits(&policy, &geometry, second, enough), Some(BUSY_VISITS));
        assert_eq!(visits(&policy, &geometry, second, enough - 1), None);
    }

    #[test]
    fn a_child_of_a_small_pool_goes_on_with_as_many_as_are_used_at_a_time() {
        let geometry = Geometry::new(4096, 64);
        let policy = Policy::new(&geometry, true);
        let [_, second, half_way, _] = policy.masks();
        assert_eq!(visits(&policy, &geometry, second, 0), Some(BUSY_VISITS));
        assert_eq!(visits(&policy, &geometry, half_way, 0), None);
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
            let busy = quota >= rounds(mask) + BUSY_VISITS;
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
        assert_eq!(end_epoch(&mut policy, 100, 0), Some(0));
        assert_eq!(end_epoch(&mut policy, 100, 70), None);
        assert_eq!(end_epoch(&mut policy, 101, 70), Some(0), "they came within the epoch");
        policy.note_left(63);
        policy.note_left(56);
        assert_eq!(
            end_epoch(&mut policy, 102, 56),
            Some(28),
            "of those that were there all the time"
        );
        policy.note_left(28);
        assert_eq!(end_epoch(&mut policy, 104, 28), Some(21), "14 for the first epoch, half of 14");
        policy.note_reaped(20);
        assert!(policy.is_reaping());
        policy.note_reaped(20);
        assert!(!policy.is_reaping());
    }

    #[test]
    fn what_was_drained_and_wanted_again_raises_the_limit_until_it_is_reaped() {
        let mut policy = policy(4096, 1);
        let limit = policy.limit(0, true);
        policy.end_epoch(100, 0);
        policy.note_wanted(50);
        assert_eq!(policy.limit(0, true), limit, "nothing was drained before");
        policy.note_drained(70);
        policy.note_wanted(30);
        assert_eq!(policy.limit(0, true), limit + 30);
        policy.note_wanted(100);
        assert_eq!(policy.limit(0, true), limit + 70, "no more than was drained");
        policy.note_drained(40);
        policy.end_epoch(101, 0);
        policy.note_wanted(40);
        assert_eq!(policy.limit(0, true), limit + 90, "half of it is forgotten");
        policy.end_epoch(102, 70);
        assert_eq!(end_epoch(&mut policy, 103, 70), Some(35));
        assert_eq!(policy.limit(0, true), limit + 90 - 35);
    }

    #[test]
    fn what_is_reaped_went_unused_since_the_last_epoch_with_a_visit() {
        let mut policy = policy(96, 64);
        let mut since = |asleep: bool, now: u32| {
            let over =
                if asleep { policy.end_epoch_asleep(now, 0) } else { policy.end_epoch(now, 0) };
            assert!(over);
            policy.unused_since()
        };
        assert_eq!(since(false, 100), 0, "it is new");
        assert_eq!(since(false, 101), 100);
        assert_eq!(since(false, 160), 101);
        assert_eq!([161, 162, 170].map(|now| since(true, now)), [160; 3]);
        assert_eq!(since(false, 180), 160, "as it wakes");
        assert_eq!(since(false, 181), 180);
        assert!(!policy.end_epoch(180, 0), "who has read the clock before ends none");
    }

    #[test]
    fn what_is_to_be_reaped_is_shared_out_among_the_visits_of_an_epoch() {
        let mut policy = policy(96, 64);
        let full = 1000 * REAPED_AT_A_LOOK;
        policy.end_epoch(100, full);
        policy.end_epoch(101, full);
        policy.note_left(full);
        policy.end_epoch(102, full);
        assert_eq!(policy.reaping as usize, full / 2);
        assert_eq!(policy.reaped_at_a_time(), full / 2, "nobody comes");
        (0..10).for_each(|_| policy.note_taken(1));
        policy.note_left(full);
        policy.end_epoch(103, full);
        assert_eq!(policy.reaped_at_a_time(), full / 4 / 10);
        (0..10_000).for_each(|_| policy.note_taken(1));
        policy.note_left(full);
        policy.end_epoch(104, full);
        assert_eq!(policy.reaped_at_a_time(), REAPED_AT_A_LOOK);
    }

    #[test]
    fn a_pool_that_slept_for_two_epochs_is_reaped_whole() {
        let mut policy = policy(4096, 1);
        policy.end_epoch(100, 0);
        policy.note_left(80);
        policy.end_epoch(101, 80);
        assert!(policy.end_epoch_asleep(102, 80) && policy.reaping < 80);
        assert!(!policy.end_epoch_asleep(102, 80));
        assert!(policy.end_epoch_asleep(103, 50));
        assert_eq!(policy.reaping, 50);
        policy.end_epoch(104, 50);
        assert!(policy.end_epoch_asleep(105, 50) && policy.reaping < 50, "it was awake between");
    }

    #[test]
    fn a_pool_gives_way_unless_it_was_used_since_it_was_asked_last() {
        let mut policy = policy(4096, 1);
        let limit = policy.limit(0, true);
        policy.note_drained(70);
        policy.note_wanted(30);
        policy.note_taken(10);
        assert!(!policy.gives_way());
        policy.note_given(10, 7);
        assert!(!policy.gives_way());
        assert_eq!(policy.limit(0, true), limit + 30);
        assert!(policy.gives_way());
        assert_eq!(policy.limit(0, true), limit, "it has forgotten what it regretted");
    }

    #[test]
    fn a_pool_shrinks_when_little_was_in_use_for_an_epoch() {
        let mut policy = policy(512, 64);
        let [start, second, larger, _] = policy.masks();
        let [few, some] = [start, second].map(|mask| SHRUNK * rounds(mask) - 1);
        policy.end_epoch(100, 0);
        policy.note_taken(10_000);
        policy.note_taken(10);
        assert_eq!(policy.shrinks(larger, 10), None);
        policy.end_epoch(101, 0);
        policy.note_taken(10);
        assert_eq!(policy.shrinks(larger, 10), None, "it was the epoch before");
        policy.end_epoch(102, 0);
        policy.note_taken(some);
        assert_eq!(policy.shrinks(larger, some), Some(second));
        assert_eq!(policy.shrinks(second, some), None);
        assert_eq!(policy.shrinks(start, some), None, "there are no smaller ones");
        policy.end_epoch(200, 0);
        policy.note_taken(few);
        assert_eq!(policy.shrinks(larger, few), Some(start));
    }

    #[test]
    fn a_pool_shrinks_when_magazines_only_come_back_and_few_objects_are_left() {
        let mut policy = policy(512, 64);
        let [start, second, larger, _] = policy.masks();
        let [few, some] = [start, second].map(|mask| SHRUNK * rounds(mask) - 1);
        policy.note_taken(10_000);
        (0..FALL).for_each(|_| {
            assert_eq!(policy.shrinks(larger, few), None);
            policy.note_given(few, rounds(larger));
        });
        assert_eq!(policy.shrinks(larger, some + 1), None);
        assert_eq!(policy.shrinks(larger, some), Some(second));
        assert_eq!(policy.shrinks(larger, few), Some(start));
        policy.note_not_given(1);
        assert_eq!(policy.shrinks(larger, few), None, "it was not all of them");
        policy.note_another_given(1);
        assert_eq!(policy.shrinks(larger, few), Some(start));
        (1..SIZES).for_each(|_| policy.note_smaller());
        assert_eq!(policy.shrinks(larger, few), None, "a few times in an epoch");
        policy.end_epoch(100, 0);
        assert_eq!(policy.shrinks(larger, few), Some(start));
        policy.note_taken(few);
        policy.note_taken(10_000);
        assert_eq!(policy.shrinks(larger, few), None);
    }

    #[test]
    fn without_room_a_depot_has_its_share() {
        let policy = policy(96, 64);
        let least = FULL_LEAST * rounds(policy.first_mask());
        assert_eq!(policy.limit(0, false), least);
        assert_eq!(policy.limit(8000, false), least + 1000);
        assert_eq!(policy.limit(8000, true), FULL_BYTES / 96 + 1000);
    }

    #[test]
    fn there_is_a_margin_between_wanting_a_magazine_and_draining_one() {
        let policy = policy(96, 64);
        let limit = policy.limit(0, true);
        assert!(policy.wants_full(limit - 1, 0, true) && !policy.wants_full(limit, 0, true));
        assert!(
            !policy.has_excess(limit + limit / 4, 0, true)
                && policy.has_excess(limit + limit / 4 + 1, 0, true)
        );
        assert!(policy.wants_empty(limit - 1, 0, true) && !policy.wants_empty(limit, 0, true));
        assert!(
            !policy.has_excess_empty(limit, 0, true) && policy.has_excess_empty(limit + 1, 0, true)
        );
    }
}
