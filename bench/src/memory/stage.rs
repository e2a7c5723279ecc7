//! Objects that are written, and samples of what is resident while there are more or fewer of them.

use super::resident::anonymous;
use crate::api::Object;
use crate::pools::{Handle, Objects};
use crate::refusal::{NO_MEMORY, refuse};
use crate::results::Memory;

/// What is resident beyond what was there when it was made.
pub struct Stage {
    before: u64,
    peak: u64,
}

impl Stage {
    /// To be made when the harness has all memory that it needs.
    pub fn new() -> Self {
        // What the harness has freed would else serve the pools that have their memory from malloc.
        // SAFETY: it takes nothing away that is in use.
        unsafe { libc::malloc_trim(0) };
        Self { before: anonymous(), peak: 0 }
    }

    pub fn sample(&mut self) -> u64 {
        let now = anonymous().saturating_sub(self.before);
        self.peak = self.peak.max(now);
        now
    }

    pub fn memory(&self, case: &super::Case, allocator: &str, figures: Figures) -> Memory {
        Memory {
            case: case.name.clone(),
            allocator: allocator.into(),
            live: figures.live,
            live_bytes: figures.live_bytes,
            resident: figures.resident,
            peak: self.peak,
            held: figures.held,
            left: figures.left,
            samples: figures.samples,
        }
    }
}

/// What a case finds out.
pub struct Figures {
    /// Objects, their bytes, and what was resident with them.
    pub live: usize,
    pub live_bytes: u64,
    pub resident: u64,
    /// Resident with all objects freed, and with all pools destroyed as well.
    pub held: u64,
    pub left: u64,
    pub samples: Vec<(f64, f64)>,
}

impl Figures {
    /// Of objects of one size.
    pub fn of(item_size: u32, live: usize, resident: u64, held: u64, left: u64) -> Self {
        let live_bytes = live as u64 * u64::from(item_size);
        Self { live, live_bytes, resident, held, left, samples: Vec::new() }
    }
}

/// A list for so many objects, whose own memory is there already.
pub fn list(count: usize) -> Objects {
    let mut objects = Objects::none(count);
    // Null is zeroes, which the system gives without memory behind them.
    objects.0.fill(std::ptr::dangling_mut());
    std::hint::black_box(&mut objects.0);
    objects.0.fill(std::ptr::null_mut());
    objects
}

/// Allocates objects, and writes all of their bytes.
pub fn alloc_written(child: Handle, objects: &mut [Object], item_size: u32) {
    child.alloc_all(objects);
    for &object in objects.iter() {
        if object.is_null() {
            refuse(NO_MEMORY);
        }
        // SAFETY: it is an object of so many bytes, and nobody else's.
        unsafe { object.cast::<u8>().write_bytes(0x5a, item_size as usize) };
    }
}
