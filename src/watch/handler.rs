// SPDX-License-Identifier: MIT
//! The program's own function for reports, and what it is called with.
//!
//! Both are published as one, so that no handler is ever called with the data of another one. They
//! lie in one of a few places, which setters take in turn: each writes its number into the place
//! before and after the two words, and then makes it the current one. A reader takes what it read
//! if the number is still that of a place which is complete. Nobody waits for anybody: a setter
//! that is interrupted by a signal, or that fork() leaves behind, stops no one.

use core::ffi::{c_char, c_void};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering, fence};

/// A function of the program's that is given reports.
pub(crate) type Handler = unsafe extern "C" fn(data: *mut c_void, report: *const c_char);

/// As many may be set at the same time before a reader finds a place that is being written.
const PLACES: usize = 16;
/// So often a reader looks.
const TRIES: usize = 64;

struct Place {
    /// Twice the number of the setting, and one less while it is written.
    version: AtomicUsize,
    handler: AtomicPtr<c_void>,
    data: AtomicPtr<c_void>,
}

/// See the head of this file.
struct Handlers {
    places: [Place; PLACES],
    /// The number of the last setting that was begun; the first one is 1.
    begun: AtomicUsize,
    /// That of the last one that is complete.
    current: AtomicUsize,
}

static HANDLERS: Handlers = Handlers::none();

impl Handlers {
    const fn none() -> Handlers {
        Handlers {
            places: [const {
                Place {
                    version: AtomicUsize::new(0),
                    handler: AtomicPtr::new(ptr::null_mut()),
                    data: AtomicPtr::new(ptr::null_mut()),
                }
            }; PLACES],
            begun: AtomicUsize::new(0),
            current: AtomicUsize::new(0),
        }
    }

    fn set(&self, handler: Option<Handler>, data: *mut c_void) {
        let handler = handler.map_or(ptr::null_mut(), |handler| handler as *mut c_void);
        // Relaxed: it only gives each setter a place of its own.
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let place = &self.places[number % PLACES];
        place.version.store(2 * number - 1, Ordering::Relaxed);
        // Release, as a fence: who sees one of the words sees that the place is being written.
        fence(Ordering::Release);
        place.handler.store(handler, Ordering::Relaxed);
        place.data.store(data, Ordering::Relaxed);
        // Release: who sees the number sees the words.
        place.version.store(2 * number, Ordering::Release);
        self.current.fetch_max(number, Ordering::Release);
    }

    fn get(&self) -> Option<(Handler, *mut c_void)> {
        for _ in 0..TRIES {
            // Acquire: the place is read.
            let number = self.current.load(Ordering::Acquire);
            let place = &self.places[number % PLACES];
            let before = place.version.load(Ordering::Acquire);
            let handler = place.handler.load(Ordering::Relaxed);
            let data = place.data.load(Ordering::Relaxed);
            // Acquire, as a fence: the number is read after the words.
            fence(Ordering::Acquire);
            if before == 2 * number && place.version.load(Ordering::Relaxed) == before {
                // SAFETY: only `set` writes here, the address of a handler or null.
                let handler =
                    unsafe { core::mem::transmute::<*mut c_void, Option<Handler>>(handler) };
                return handler.map(|handler| (handler, data));
            }
        }
        None
    }
}

/// The words that are not under a lock: address and bytes.
#[cfg(feature = "debug")]
pub(crate) fn atomics() -> (usize, usize) {
    ((&raw const HANDLERS).addr(), size_of_val(&HANDLERS))
}

/// Gives reports to `handler` from now on, or says them on stderr if there is none.
pub(crate) fn set(handler: Option<Handler>, data: *mut c_void) {
    HANDLERS.set(handler, data);
}

/// The handler, if there is one, and its data.
pub(crate) fn get() -> Option<(Handler, *mut c_void)> {
    HANDLERS.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicBool;

    unsafe extern "C" fn odd(_: *mut c_void, _: *const c_char) {}
    unsafe extern "C" fn even(_: *mut c_void, _: *const c_char) {
        core::hint::black_box(0);
    }

    #[test]
    fn the_last_one_is_found_and_none_is() {
        let handlers = Handlers::none();
        assert!(handlers.get().is_none());
        for round in 1..100 {
            let data = ptr::without_provenance_mut(round);
            handlers.set(Some(odd), data);
            assert_eq!(handlers.get().map(|(_, data)| data), Some(data));
        }
        handlers.set(None, ptr::null_mut());
        assert!(handlers.get().is_none());
    }

    #[test]
    fn no_handler_is_found_with_the_data_of_another_one() {
        static HANDLERS: Handlers = Handlers::none();
        static STOP: AtomicBool = AtomicBool::new(false);
        let set = |first: usize| {
            for number in (first..40_000).step_by(2) {
                let handler: Handler = if number % 2 == 0 { even } else { odd };
                HANDLERS.set(Some(handler), ptr::without_provenance_mut(number));
            }
        };
        let setters = [1, 2].map(|first| std::thread::spawn(move || set(first)));
        let reader = std::thread::spawn(|| {
            while !STOP.load(Ordering::Relaxed) {
                if let Some((handler, data)) = HANDLERS.get() {
                    let expected: Handler = if data.addr() % 2 == 0 { even } else { odd };
                    assert!(core::ptr::fn_addr_eq(handler, expected));
                }
            }
        });
        setters.into_iter().for_each(|setter| setter.join().unwrap());
        STOP.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    }
}
