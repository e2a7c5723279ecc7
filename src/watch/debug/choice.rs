// SPDX-License-Identifier: MIT
//! Which modes a pool gets.
//!
//! When it is created: those that the program set for pools to come, and those that SLAB_DEBUG has
//! for it. When it is named, those that SLAB_DEBUG has for the name are added. Modes decide on the
//! layout, so that they change only while the pool has no slab and no child of it has been used.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::base::geometry::{Geometry, stride};
use crate::base::modes::{Modes, ModesWord};
use crate::base::pool_id::PoolId;
use crate::base::redzone::with_redzones;
use crate::pool::parent::ParentPool;
use crate::sys::os;
use crate::watch::options::{HELP, Options};

use crate::watch::report;
use crate::watch::tools;

/// What the program set for pools to come.
static DEFAULT: ModesWord = ModesWord::new(Modes::NONE);

/// All modes that any pool was given.
static GIVEN: ModesWord = ModesWord::new(Modes::NONE);

// Relaxed: whoever comes first says it.
static HELP_SAID: AtomicBool = AtomicBool::new(false);

/// Whether some pool was given one of these modes: for calls that lead to no pool.
pub(crate) fn given_any(modes: Modes) -> bool {
    GIVEN.get().has_any(modes)
}

/// The modes of a new pool, and how far its objects are apart. No lock is held.
pub(crate) fn modes(pool: &PoolId) -> (u32, Modes) {
    tools::look();
    let options = report::options(Some(pool));
    if options.help && !HELP_SAID.swap(true, Relaxed) {
        os::say(HELP.as_bytes());
    }
    let modes = options.modes.with(DEFAULT.get());
    if modes.is_empty() && !tools::watch_objects() {
        return (stride(pool.item_size, pool.alignment), modes);
    }
    let (geometry, modes) = geometry(modes, pool);
    (geometry.stride, modes)
}

/// The layout of a pool with these modes, and which of them it can have.
pub(crate) fn geometry(modes: Modes, pool: &PoolId) -> (Geometry, Modes) {
    let modes = if tools::watch_objects() {
        // What these do the tool does better, and it would report that they do it.
        modes.with(tools::modes()).without(Modes::REDZONE).without(Modes::POISON)
    } else {
        modes
    };
    if modes.is_empty() {
        return (pool.geometry(), modes);
    }
    GIVEN.add(modes);
    if modes.has(Modes::USERS) {
        super::stack::prepare();
    }
    if modes.has_any(Modes::REDZONE.with(Modes::TOOLS)) {
        let PoolId { item_size, num_items, alignment, .. } = *pool;
        if let Some((_, bytes)) = with_redzones(item_size, alignment) {
            return (Geometry::with_stride(item_size, num_items, alignment, bytes), modes);
        }
    }
    let modes = modes.without(Modes::REDZONE);
    (pool.geometry(), modes)
}

/// Gives a pool the modes that `words` say, in place of those it has. Returns false if a word is
/// not known, or if the pool has been used.
pub(crate) fn set(parent: &ParentPool, words: &[u8]) -> bool {
    read(words).is_some_and(|modes| parent.set_modes(modes))
}

/// Gives pools that are created from now on the modes that `words` say. Returns false if a word is
/// not known.
pub(crate) fn set_default(words: &[u8]) -> bool {
    let Some(modes) = read(words) else { return false };
    DEFAULT.set(modes);
    true
}

/// The modes that words say; none if there is something else in them.
fn read(words: &[u8]) -> Option<Modes> {
    let options = Options::parse(words, None);
    let others = options.abort || options.help || options.unknown.is_some();
    let patterns = words.iter().any(|byte| matches!(byte, b':' | b';'));
    (!others && !patterns).then_some(options.modes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redzones_make_room() {
        let pool = PoolId::new(0, 96, 64);
        let (ordinary, _) = geometry(Modes::NONE, &pool);
        assert_eq!(ordinary, Geometry::new(96, 64));
        let (checked, modes) = geometry(Modes::CHECKS, &pool);
        assert_eq!((checked.stride, modes), (96, Modes::CHECKS));
        let (zoned, modes) = geometry(Modes::REDZONE, &pool);
        assert_eq!((zoned.stride, modes), (128, Modes::REDZONE));
        let pool = PoolId::new(0, u32::MAX, 1);
        let (huge, modes) = geometry(Modes::REDZONE.with(Modes::CHECKS), &pool);
        assert_eq!((huge.stride, modes), (u32::MAX, Modes::CHECKS));
    }

    #[test]
    fn words_for_a_pool_are_modes_only() {
        assert_eq!(read(b"checks,poison"), Some(Modes::CHECKS.with(Modes::POISON)));
        assert_eq!(read(b""), Some(Modes::NONE));
        for wrong in ["chekcs", "abort", "help", "checks:96", "checks;poison"] {
            assert_eq!(read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
