// SPDX-License-Identifier: MIT
//! The root: what a walker outside of the process needs to read the library's memory, in a section
//! of its own of whatever object carries the library.
//!
//! A debugger, a tool like `tools/`, or who looks into a core file, finds the section `.mesa_slab`
//! by the object's headers, or where these are gone, [`MAGIC`] in its writable memory, at a
//! multiple of 16. It begins with [`Root`], which says where the structures are, and where in each
//! of them what lies. The program's own help is not needed for it, nor symbols or debug information;
//! strip leaves it, and a linker that drops what nobody refers to keeps it, as what is called when
//! the library is loaded refers to it. It is data that nobody writes, and costs a program nothing but
//! its bytes. Builds without `slab_ext.h` have none: they are for drivers that count bytes, and have
//! no other numbers to show either.
//!
//! | part of the root | what it is |
//! |---|---|
//! | `magic`, `version`, `bytes` | what it is, of which version, how long |
//! | `word`, `flags` | bytes of an address; which build it is: bit 0 hardened, 1 ext, 2 debug |
//! | `places_count`, `fields_count` | how long the two tables are |
//! | `itself` | its own address: it is none that something else has copied |
//! | `places` | where the structures begin, see [`PLACES`]; 0 for one that this build has not |
//! | `fields` | numbers: see [`Field`] |
//!
//! What the fields are called is in `abi/root.txt`, in their order; a build without `debug` has only
//! the first of them. **A version stands for one such list:** whoever changes it, or what one of the
//! structures means, or which lock protects it, gives the root the next version, and adds it to
//! `VERSIONS` in its tests.
//!
//! Who reads while threads run takes no lock. A lock's word, the first four bytes of a mutex, is 0
//! while nobody has it (of the library's own mutexes, and glibc's). Each lock has a generation,
//! which changes whenever it is taken. So if the word is 0 and the generation the same before and
//! after, what the lock protects is as it was read. Words of magazines are sealed in the hardened
//! build, see [`crate::base::seal`].

use super::gone;
use crate::base::config::HARDENED;
use crate::base::layout::Field;
use crate::base::{geometry, seal};
use crate::heap::{self, registry};
use crate::pool;
#[cfg(feature = "debug")]
use crate::watch::debug;
#[cfg(all(feature = "debug", unix))]
use crate::watch::guard;

/// How it begins.
const MAGIC: [u8; 16] = *b"mesa-slab root\r\n";
/// See the head of this file.
const VERSION: u32 = 5;

const FLAGS: u8 =
    HARDENED as u8 | (cfg!(feature = "ext") as u8) << 1 | (cfg!(feature = "debug") as u8) << 2;

/// What all builds have, by the floors that it is of.
const CORE: [&[&[Field]]; 3] = [&[geometry::NUMBERS], heap::LAYOUTS, pool::LAYOUTS];
const GONE: &[&[Field]] = &[gone::NUMBERS, gone::LAYOUT, gone::TABLE_LAYOUT];
#[cfg(all(feature = "debug", unix))]
const DEBUG: [&[&[Field]]; 2] = [debug::LAYOUTS, guard::LAYOUTS];
#[cfg(not(all(feature = "debug", unix)))]
const DEBUG: [&[&[Field]]; 2] = [&[]; 2];
const PARTS: [&[&[Field]]; 6] = [CORE[0], CORE[1], CORE[2], GONE, DEBUG[0], DEBUG[1]];

/// How many fields there are.
const COUNT: usize = {
    let (mut count, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut layout = 0;
        while layout < PARTS[part].len() {
            count += PARTS[part][layout].len();
            layout += 1;
        }
        part += 1;
    }
    count
};

const FIELDS: [u32; COUNT] = {
    let mut fields = [0; COUNT];
    let (mut count, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut layout = 0;
        while layout < PARTS[part].len() {
            let mut field = 0;
            while field < PARTS[part][layout].len() {
                let value = PARTS[part][layout][field].value;
                assert!(value <= u32::MAX as usize);
                fields[count] = value as u32;
                count += 1;
                field += 1;
            }
            layout += 1;
        }
        part += 1;
    }
    fields
};

const NOWHERE: *const () = core::ptr::null();

/// The heap, the table of leaves of the registry, the secret of the hardened build, the table of
/// pools that are gone; where the first ledger, the arena of stacks and the newest chunk of guarded
/// objects are noted.
const PLACES: [*const (); 7] = {
    let mut places = [heap::PLACE, registry::PLACE, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE];
    if HARDENED {
        places[2] = seal::PLACE;
    }
    if cfg!(feature = "ext") {
        places[3] = gone::PLACE;
    }
    #[cfg(feature = "debug")]
    {
        [places[4], places[5]] = debug::PLACES;
    }
    #[cfg(all(feature = "debug", unix))]
    {
        places[6] = guard::PLACE;
    }
    places
};

/// See the head of this file.
#[repr(C, align(16))]
struct Root {
    magic: [u8; 16],
    version: u32,
    bytes: u32,
    word: u8,
    flags: u8,
    places_count: u16,
    fields_count: u32,
    itself: *const Root,
    places: [*const (); PLACES.len()],
    fields: [u32; COUNT],
}

// SAFETY: it is never written, and nobody here follows its pointers.
unsafe impl Sync for Root {}

#[cfg_attr(not(any(windows, target_vendor = "apple")), unsafe(link_section = ".mesa_slab"))]
static ROOT: Root = Root {
    magic: MAGIC,
    version: VERSION,
    bytes: size_of::<Root>() as u32,
    word: size_of::<usize>() as u8,
    flags: FLAGS,
    places_count: PLACES.len() as u16,
    fields_count: COUNT as u32,
    itself: &raw const ROOT,
    places: PLACES,
    fields: FIELDS,
};

/// Refers to the root, so that it stays where the library is. Called when that is loaded.
pub(crate) fn refer() {
    if cfg!(feature = "ext") {
        core::hint::black_box(&raw const ROOT);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::mem::MaybeUninit;

    use super::*;
    use crate::pool::child::ChildPool;
    use crate::pool::parent::ParentPool;

    /// What `abi/root.txt` was in each version, as [`digest`] has it, the last one being the one
    /// that is. An older line never changes.
    const VERSIONS: [(u32, u64); 5] = [
        (1, 472570365576019576),
        (2, 1689738104919999782),
        (3, 576708894896572332),
        (4, 14304732515159573096),
        (5, 13629542468565937220),
    ];

    /// A digest of a text (FNV-1a).
    fn digest(text: &str) -> u64 {
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        })
    }

    fn fields() -> impl Iterator<Item = &'static Field> {
        PARTS.into_iter().flatten().copied().flatten()
    }

    /// A line for each field: its name, and how many bytes it has if it is read as a number. Where
    /// it lies, and how large a structure is, the root itself says.
    fn list() -> String {
        let line = |field: &Field| {
            let is_field = field.name.contains('.');
            let what = match field.value & 0xff {
                _ if !is_field => "number".into(),
                bytes @ 1..=8 => format!("{bytes} bytes"),
                _ => "structure".into(),
            };
            format!("{}\t{what}\n", field.name)
        };
        fields().map(line).collect()
    }

    /// What a field is, by its name, as the root has it.
    fn field(name: &str) -> usize {
        let place = fields().position(|field| field.name == name);
        ROOT.fields[place.unwrap_or_else(|| panic!("{name}"))] as usize
    }

    /// A field of what begins at an address, as a walker reads it: by the root alone.
    fn read(start: usize, name: &str) -> usize {
        let at = start + (field(name) >> 8);
        let from = core::ptr::with_exposed_provenance::<u8>(at);
        let mut bytes = [0; size_of::<usize>()];
        for (index, byte) in bytes.iter_mut().take(field(name) & 0xff).enumerate() {
            // SAFETY: the test's own pool is there, and its lock is held if it changes.
            *byte = unsafe { from.add(index).read_volatile() };
        }
        usize::from_le_bytes(bytes)
    }

    #[test]
    #[cfg_attr(target_endian = "big", ignore = "reads words as little-endian ones")]
    fn what_the_root_leads_to_is_what_the_library_knows() {
        let mut pool = MaybeUninit::<ParentPool>::uninit();
        let mut child = MaybeUninit::<ChildPool>::uninit();
        // SAFETY: the pools are created before they are used, and are this test's alone.
        unsafe {
            ParentPool::create(pool.as_mut_ptr(), 96, 64);
            let parent = &*pool.as_ptr();
            ChildPool::create(child.as_mut_ptr(), parent);
            let objects: Vec<_> = (0..300).map(|_| ChildPool::alloc(child.as_mut_ptr())).collect();
            assert!(parent.set_name(b"seen from outside"));

            let body = read(parent.address(), "parent.pool");
            assert_eq!(read(body, "entry.owner"), parent.address());
            let name = read(body, "entry.name");
            assert_eq!(read(name, "name.length"), "seen from outside".len());
            let (numbers, start) = (parent.numbers(), body + (field("pool.body") >> 8));
            for (name, number) in [
                ("body.geometry.item_size", 96),
                ("body.geometry.num_items", 64),
                ("body.geometry.stride", numbers.element_size),
                ("body.geometry.capacity", numbers.objects_per_slab),
                ("body.slabs.slabs", numbers.slabs()),
                ("body.slabs.out", numbers.objects_out),
                ("body.slabs.peak", numbers.peak_objects_out),
                ("body.slabs.holders", 1),
            ] {
                assert_eq!(read(start, name), number, "{name}");
            }
            let generation = read(start, "body.generation");
            parent.numbers();
            assert_ne!(read(start, "body.generation"), generation);

            let object = objects[0].addr();
            let chunk = object >> ROOT.fields[1] << ROOT.fields[1];
            let page = (object - chunk) >> ROOT.fields[0];
            let word = read(chunk + page * size_of::<usize>(), "parent.pool");
            assert_eq!(word, parent.address(), "an owner word");
            let slot_at = chunk + (field("chunk.slots") >> 8) + 2 * page;
            let slot = read(slot_at - (field("chunk.slots_written") >> 8), "chunk.slots_written");
            let slab = chunk + (field("chunk.slabs") >> 8) + slot * field("slab bytes");
            assert_eq!(read(slab, "slab.item_size"), 96);
            assert!(read(slab, "slab.page") <= page && page < read(slab, "slab.page") + 2);

            for object in objects {
                ChildPool::free(child.as_mut_ptr(), object);
            }
            ChildPool::destroy(child.as_mut_ptr());
            ParentPool::destroy(pool.as_mut_ptr());
        }
    }

    #[test]
    #[cfg_attr(
        not(all(
            target_pointer_width = "64",
            target_os = "linux",
            feature = "debug",
            not(feature = "hardened")
        )),
        ignore = "fields have other widths in other builds, or are fewer"
    )]
    fn a_version_stands_for_one_list_of_fields() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/abi/root.txt");
        let kept = std::fs::read_to_string(path).unwrap();
        let kept = kept.split_once("\n\n").unwrap().1;
        let now = list();
        if kept != now {
            let new = format!("{path}.new");
            std::fs::write(&new, &now).unwrap();
            panic!("abi/root.txt is not what the types are, which is in {new}");
        }
        assert_eq!(
            VERSIONS.last(),
            Some(&(VERSION, digest(&now))),
            "the root has changed: give it the next VERSION, and add that to VERSIONS"
        );
        assert!(VERSIONS.is_sorted_by(|one, next| one.0 < next.0));
    }
}
