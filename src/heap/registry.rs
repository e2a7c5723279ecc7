// SPDX-License-Identifier: MIT
//! Which chunks there are: a bit for each place in the address space where one may lie.
//!
//! An address that is freed says by itself where its chunk's header would be. Before the slow paths
//! look there they ask here, so that an address which is no object's is reported and not followed.
//! The fast path of slab_free() does not ask: there a wild address may fault.
//!
//! The bits lie in leaves of 4 KiB, each for 128 GiB of address space (on 32-bit machines for all
//! of it). The first few are the library's own memory, which is all that most programs need;
//! further ones are reserved, and never given back. Setting and testing a bit takes no lock.
//!
//! | what | written | read |
//! |---|---|---|
//! | a leaf's place in the root | once, by who first needs it | by all |
//! | the bit of a chunk | set when it is reserved, cleared under the heap's lock before it is released | by all |

use core::ptr;

use crate::base::geometry::CHUNK_SHIFT;
use crate::base::layout::{Field, numbers};
use crate::sys::os;
use crate::sys::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// Bits of a word.
const WORD: usize = usize::BITS as usize;
/// log2 of the chunks of a leaf.
const LEAF_SHIFT: u32 = 15;
/// Words of a leaf: 4 KiB.
const LEAF_WORDS: usize = (1 << LEAF_SHIFT) / WORD;
/// Bits of an address: what the systems hand out unless they are asked for more.
const ADDRESS_BITS: u32 = if usize::BITS == 64 { 48 } else { 32 };
/// Leaves at most; one on 32-bit machines.
const LEAVES: usize = 1 << (ADDRESS_BITS - CHUNK_SHIFT).saturating_sub(LEAF_SHIFT);

type Leaf = [AtomicUsize; LEAF_WORDS];

static ROOT: [AtomicPtr<Leaf>; LEAVES] = [const { AtomicPtr::new(ptr::null_mut()) }; LEAVES];

/// For a walker outside of the process.
pub(crate) const NUMBERS: &[Field] = numbers!("registry": LEAF_SHIFT, LEAVES);
/// Where the leaves are noted.
pub(crate) const PLACE: *const () = (&raw const ROOT).cast();

/// The first leaves. In models the second one is reserved.
const OWN_LEAVES: usize = if cfg!(loom) { 1 } else { 4 };
static OWN: [Leaf; OWN_LEAVES] =
    [const { [const { AtomicUsize::new(0) }; LEAF_WORDS] }; OWN_LEAVES];
/// How many of them are not taken.
static OWN_LEFT: AtomicUsize = AtomicUsize::new(OWN_LEAVES);

/// Whether there is a chunk above what the bits are for. Then every address there is taken for one
/// in a chunk.
static BEYOND: AtomicBool = AtomicBool::new(false);

/// Where the bits of most programs are: address and bytes.
#[cfg(feature = "debug")]
pub(crate) fn atomics() -> (usize, usize) {
    ((&raw const OWN).addr(), size_of_val(&OWN))
}

/// The leaf of a chunk, and the word and the bit in it. None if it is beyond.
fn place(address: usize) -> Option<(&'static AtomicPtr<Leaf>, usize, usize)> {
    let chunk = address >> CHUNK_SHIFT;
    let leaf = ROOT.get(chunk >> LEAF_SHIFT)?;
    Some((leaf, chunk / WORD % LEAF_WORDS, 1 << (chunk % WORD)))
}

/// Notes a chunk that starts at an address; returns false if there is no memory.
pub fn add(address: usize) -> bool {
    let Some((leaf, word, bit)) = place(address) else {
        // Relaxed: as for a bit.
        BEYOND.store(true, Ordering::Relaxed);
        return true;
    };
    let Some(bits) = leaf_or_new(leaf, word) else { return false };
    // Relaxed: whoever has an object of the chunk got it through a lock, or from someone who did.
    bits[word].fetch_or(bit, Ordering::Relaxed);
    true
}

/// Makes room for the bit of a chunk at an address, which can then be added without memory; returns
/// false if there is none.
#[cfg(feature = "ext")]
pub(crate) fn make_room(address: usize) -> bool {
    place(address).is_none_or(|(leaf, word, _)| leaf_or_new(leaf, word).is_some())
}

/// The leaf at a place, made if there is none. None if there is no memory.
#[inline(always)]
fn leaf_or_new(leaf: &AtomicPtr<Leaf>, _word: usize) -> Option<&'static Leaf> {
    // Acquire: what it points at is used.
    let mut bits = leaf.load(Ordering::Acquire);
    if bits.is_null() {
        // Relaxed: a leaf of the library's own is zeroed from the beginning.
        let own = OWN.get(OWN_LEFT.fetch_sub(1, Ordering::Relaxed).wrapping_sub(1));
        let new = match own {
            Some(own) => ptr::from_ref(own).cast_mut(),
            None => os::reserve(size_of::<Leaf>(), size_of::<Leaf>()).cast(),
        };
        if new.is_null() {
            return None;
        }
        #[cfg(loom)]
        model::first_use(new, own.is_none(), _word);
        // Release: whoever finds it, finds its zeroes. Acquire: as above.
        match leaf.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => bits = new,
            Err(others) => {
                if own.is_none() {
                    // SAFETY: nobody has seen the new leaf.
                    unsafe { os::release(new.cast(), size_of::<Leaf>()) };
                }
                bits = others;
            }
        }
    }
    // SAFETY: a leaf is never given back.
    Some(unsafe { &*bits })
}

/// Forgets a chunk that is about to be released.
pub fn remove(address: usize) {
    if let Some((leaf, word, bit)) = place(address) {
        // SAFETY: a leaf is never given back. Acquire: what it points at is used. Relaxed: as
        // above.
        if let Some(bits) = unsafe { leaf.load(Ordering::Acquire).as_ref() } {
            bits[word].fetch_and(!bit, Ordering::Relaxed);
        }
    }
}

/// Whether an address lies in the first [`crate::base::geometry::CHUNK`] bytes of a chunk, where
/// objects start.
pub fn has(address: usize) -> bool {
    match place(address) {
        // SAFETY: a leaf is never given back. Acquire: what it points at is used. Relaxed: as
        // above.
        Some((leaf, word, bit)) => unsafe {
            let bits = leaf.load(Ordering::Acquire);
            !bits.is_null() && (&*bits)[word].load(Ordering::Relaxed) & bit != 0
        },
        // Relaxed: as for a bit.
        None => BEYOND.load(Ordering::Relaxed),
    }
}

/// The same, but for an address that there is no bit for: it is taken for none.
pub(crate) fn is_noted(address: usize) -> bool {
    place(address).is_some() && has(address)
}

/// The first chunk that starts at this address or behind it.
pub(crate) fn first_from(address: usize) -> Option<usize> {
    let mut chunk = address.div_ceil(1 << CHUNK_SHIFT);
    while let Some(leaf) = ROOT.get(chunk >> LEAF_SHIFT) {
        // SAFETY: a leaf is never given back. Acquire: what it points at is used.
        let bits = unsafe { leaf.load(Ordering::Acquire).as_ref() };
        let end = ((chunk >> LEAF_SHIFT) + 1) << LEAF_SHIFT;
        let Some(bits) = bits else {
            chunk = end;
            continue;
        };
        while chunk < end {
            // Relaxed: as above.
            let word = bits[chunk / WORD % LEAF_WORDS].load(Ordering::Relaxed) >> (chunk % WORD);
            if word != 0 {
                return Some((chunk + word.trailing_zeros() as usize) << CHUNK_SHIFT);
            }
            chunk = (chunk / WORD + 1) * WORD;
        }
    }
    None
}

/// For the model checker, which has to know an atomic before two threads can meet at it.
#[cfg(loom)]
pub(crate) mod model {
    use super::*;
    use crate::base::geometry::CHUNK;
    use crate::sys::sync::renew;

    /// The words of a new leaf where the chunks of a model will be, which is at most two words
    /// away: their zeroes are written before the leaf is published.
    pub(super) fn first_use(leaf: *const Leaf, is_reserved: bool, word: usize) {
        if is_reserved {
            renew(leaf, size_of::<Leaf>());
        }
        for word in word.saturating_sub(2)..(word + 3).min(LEAF_WORDS) {
            // SAFETY: the leaf is new, and has this word.
            unsafe { (&*leaf)[word].store(0, Ordering::Relaxed) };
        }
    }

    /// Forgets everything; no thread of an execution runs.
    pub(crate) fn reset() {
        for leaf in &ROOT {
            let bits = leaf.load(Ordering::Relaxed);
            leaf.store(ptr::null_mut(), Ordering::Relaxed);
            if !bits.is_null() && !ptr::eq(bits, &OWN[0]) {
                // SAFETY: it was reserved, and nobody uses it any more.
                unsafe { os::release(bits.cast(), size_of::<Leaf>()) };
            }
        }
        OWN_LEFT.store(OWN_LEAVES, Ordering::Relaxed);
        OWN[0].iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// The first use of what has no lock before it.
    pub(crate) fn begin() {
        let near = os::reserve(CHUNK, CHUNK);
        // SAFETY: nothing refers to it.
        unsafe { os::release(near, CHUNK) };
        let root = near.addr() >> CHUNK_SHIFT >> LEAF_SHIFT;
        for leaf in &ROOT[root.saturating_sub(1)..(root + 2).min(LEAVES)] {
            leaf.load(Ordering::Relaxed);
        }
        OWN_LEFT.load(Ordering::Relaxed);
    }

    /// Whether no chunk is noted any more.
    pub(crate) fn is_empty() -> bool {
        ROOT.iter().all(|leaf| {
            // SAFETY: a leaf is given back in `reset` only.
            let bits = unsafe { leaf.load(Ordering::Relaxed).as_ref() };
            bits.is_none_or(|bits| bits.iter().all(|word| word.load(Ordering::Relaxed) == 0))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::geometry::CHUNK;
    use crate::heap::HEAP;

    /// In a part of the address space where nothing is mapped.
    const NOWHERE: usize =
        if usize::BITS == 64 { (0x3456_7800u64 << 16) as usize } else { 0xffe0_0000 };

    #[test]
    fn an_address_is_known_from_its_chunks_beginning_to_its_end_for_as_long_as_it_is_there() {
        let chunk = NOWHERE & !(CHUNK - 1);
        assert!(!has(chunk));
        // With the heap locked, so that nobody meets a chunk that is not there.
        HEAP.with_state(|_| {
            assert!(add(chunk));
            assert!(has(chunk) && has(chunk + CHUNK - 1) && !has(chunk - 1));
            assert!(!has(chunk.wrapping_add(CHUNK)));
            assert!(is_noted(chunk + CHUNK - 1));
            for from in [chunk - CHUNK + 1, chunk - 1, chunk] {
                assert_eq!(first_from(from), Some(chunk), "{from:x}");
            }
            assert_ne!(first_from(chunk + 1), Some(chunk));
            remove(chunk);
        });
        assert!(!has(chunk) && !is_noted(chunk));
        assert_ne!(first_from(chunk), Some(chunk));
    }

    #[test]
    fn there_is_no_chunk_behind_the_last() {
        assert_eq!(first_from(usize::MAX), None);
        assert_eq!(first_from(usize::MAX - CHUNK), None);
    }

    #[test]
    fn no_address_of_the_programs_own_is_in_a_chunk() {
        let (local, heap) = (0u8, Box::new(0u8));
        for address in
            [0, 8, (&raw const local).addr(), (&raw const *heap).addr(), !0, 1 << (usize::BITS - 1)]
        {
            assert!(!has(address), "{address:x}");
        }
    }
}
