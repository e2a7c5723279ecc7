//! What the first thread does meanwhile: it makes the system unfriendly, asks the library this and
//! that, and looks at what is held.

use std::panic::AssertUnwindSafe;
use std::thread::sleep;
use std::time::Duration;

use mesa_slab::abi::ext::{
    slab_get_parent_stats, slab_parent_stats, slab_set_decay, slab_trim_heap, slab_trim_parent,
    slab_validate,
};
use mesa_slab::abi::slab::{slab_alloc_st, slab_create, slab_destroy, slab_free_st, slab_mempool};
use model::system::{self, End, Function, in_a_forked_process};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::memory::{Minute, Sample, resident};
use crate::share::{Share, heap_stats, problem};

pub struct Watch<'a> {
    share: &'a Share,
    random: SmallRng,
    pub peak: Sample,
    pub forks: u32,
    pub validations: u32,
}

impl<'a> Watch<'a> {
    pub fn new(share: &'a Share, seed: u64) -> Watch<'a> {
        let random = SmallRng::seed_from_u64(!seed);
        Watch { share, random, peak: Sample::default(), forks: 0, validations: 0 }
    }

    /// Does something to the library or to the system, and takes a tenth of a second or so for it.
    pub fn disturb(&mut self) {
        let parent = &self.share.parents[self.random.random_range(0..self.share.parents.len())];
        match self.random.random_range(0..16) {
            0 => {
                slab_trim_heap();
            }
            1 => {
                // SAFETY: the pool exists.
                unsafe { slab_trim_parent(parent.as_ptr()) };
            }
            2 => {
                slab_set_decay([0, 1, 10][self.random.random_range(0..3)]);
            }
            3 => system::pass_time(11),
            4 | 5 => {
                let functions =
                    [Function::Mmap, Function::Mmap, Function::Munmap, Function::Madvise];
                functions[self.random.random_range(0..4)].fail(1, true);
                sleep(Duration::from_millis(50));
                system::recover();
            }
            6 | 7 => {
                self.validations += 1;
                // SAFETY: the pool exists.
                if unsafe { slab_validate(parent.as_ptr()) } != 0 {
                    problem("a structure is broken");
                }
            }
            8 => {
                // SAFETY: zeroes are numbers; the pool exists.
                let got = unsafe {
                    let mut stats: slab_parent_stats = std::mem::zeroed();
                    stats.struct_size = size_of::<slab_parent_stats>();
                    slab_get_parent_stats(parent.as_ptr(), &mut stats)
                };
                if got != 0 {
                    problem("no statistics");
                }
            }
            9 => self.fork(),
            _ => {}
        }
        sleep(Duration::from_millis(50));
    }

    /// The forked process has the heap in order, whatever the threads were doing.
    fn fork(&mut self) {
        self.forks += 1;
        let end = in_a_forked_process(AssertUnwindSafe(|| {
            // SAFETY: the pool is this function's.
            unsafe {
                let mut pool: slab_mempool = std::mem::zeroed();
                slab_create(&mut pool, 100, 32);
                let objects: [_; 100] = std::array::from_fn(|_| slab_alloc_st(&mut pool));
                objects.into_iter().for_each(|object| slab_free_st(&mut pool, object));
                assert_eq!(slab_validate(&mut pool.parent), 0);
                slab_destroy(&mut pool);
            }
        }));
        if end != End::Good {
            problem("a forked process failed");
        }
    }

    /// What is held now.
    pub fn sample(&mut self) -> Sample {
        let sample = Sample { resident: resident(), held: heap_stats().held };
        self.peak.resident = self.peak.resident.max(sample.resident);
        self.peak.held = self.peak.held.max(sample.held);
        sample
    }

    /// Memory may go up and down by a quarter, but not grow.
    pub fn check_growth(&self, minutes: &[Minute]) {
        if let [_, second, .., last] = minutes {
            if last.held() > second.held() + second.held() / 4
                || last.resident() > second.resident() + second.resident() / 4
            {
                problem("memory has grown");
            }
        }
    }
}
