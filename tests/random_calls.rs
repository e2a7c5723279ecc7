//! Random calls against a simple model, with every structure checked now and then.
//!
//! `SLAB_RANDOM_STEPS` sets the number of steps; the default takes a few seconds.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr;

use mesa_slab_core::capi::*;
use mesa_slab_core::capi_ext::*;

const PARENTS: usize = 4;
const CHILDREN: usize = 12;
const SIZES: [(u32, u32); PARENTS] = [(88, 16), (8, 512), (600, 64), (66_632, 4)];

/// A linear congruential generator (Knuth's MMIX), the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit
    }
}

struct Object {
    address: *mut c_void,
    size: usize,
    pattern: u8,
}

impl Object {
    fn ends(&self) -> [*mut u8; 2] {
        let first = self.address.cast::<u8>();
        [first, first.wrapping_add(self.size - 1)]
    }
}

#[test]
fn random_calls_leave_every_structure_in_order() {
    let steps = std::env::var("SLAB_RANDOM_STEPS").map_or(300_000, |steps| steps.parse().unwrap());
    let mut random = Random(1);
    type Pools = ([slab_parent_pool; PARENTS], [slab_child_pool; CHILDREN]);
    // SAFETY: all zeroes is a valid pool that was never created.
    let pools: Pools = unsafe { MaybeUninit::zeroed().assume_init() };
    let (mut parents, mut children) = pools;
    let mut live: Vec<Object> = Vec::new();

    // SAFETY: pools are created before they are used, and only by this thread.
    unsafe {
        for step in 0..steps {
            let child_index = random.below(CHILDREN);
            let parent_index = child_index % PARENTS;
            let parent = &raw mut parents[parent_index];
            let child = &raw mut children[child_index];
            let full = live.len() > 20_000;
            match random.below(1000) {
                0..=1 => slab_destroy_child(child),
                2..=3 => {
                    slab_trim_child(child);
                }
                4 => {
                    slab_trim_parent(parent);
                }
                5 if random.below(20) == 0 => {
                    slab_trim_heap();
                }
                6 if random.below(50) == 0 => {
                    // Some are destroyed while their objects live on.
                    for sibling in (parent_index..CHILDREN).step_by(PARENTS) {
                        slab_destroy_child(&raw mut children[sibling]);
                    }
                    slab_destroy_parent(parent);
                }
                7..=500 if !full => {
                    let (size, num) = SIZES[parent_index];
                    if (*parent).num_elements == 0 {
                        slab_create_parent(parent, size, num);
                    }
                    if (*child).parent.is_null() {
                        slab_create_child(child, parent);
                    }
                    for _ in 0..random.below(100) {
                        let object = Object {
                            address: slab_alloc(child),
                            size: size as usize,
                            pattern: random.below(256) as u8,
                        };
                        assert!(!object.address.is_null());
                        object.ends().into_iter().for_each(|end| end.write(object.pattern));
                        live.push(object);
                    }
                }
                _ => {
                    for _ in 0..random.below(100) {
                        if live.is_empty() {
                            break;
                        }
                        let object = live.swap_remove(random.below(live.len()));
                        for end in object.ends() {
                            assert_eq!(end.read(), object.pattern, "step {step}");
                        }
                        slab_free(child, object.address);
                    }
                }
            }
            if step % 1000 == 0 {
                assert_eq!(slab_validate(parent), 0, "step {step}");
            }
        }
        for object in live {
            slab_free(&raw mut children[0], object.address);
        }
        for child in &mut children {
            slab_destroy_child(child);
        }
        for parent in &mut parents {
            assert_eq!(slab_validate(parent), 0);
            slab_destroy_parent(parent);
        }
        slab_trim_heap();
        assert_eq!(slab_validate(ptr::null_mut()), 0);
        let mut heap: slab_heap_stats = MaybeUninit::zeroed().assume_init();
        heap.struct_size = size_of::<slab_heap_stats>();
        slab_get_heap_stats(&mut heap);
        assert_eq!((heap.object_slabs, heap.mapped), (0, 0), "everything went back");
    }
}
