//! What an allocator cannot do: it is said once, by whoever meets it, and leaves all that was to be
//! done with that allocator, up to where there is another one.

use std::panic::{self, AssertUnwindSafe};

/// Why an object is null.
pub const NO_MEMORY: &str = "out of memory";

/// What is unwound with.
struct Refusal(String);

/// To be called where an allocator has not done what it was asked for.
pub fn refuse(why: impl Into<String>) -> ! {
    // Not a panic, which would print what is said where it is caught.
    panic::resume_unwind(Box::new(Refusal(why.into())))
}

/// What came out, or why the allocator cannot do it. Panics go on.
///
/// What an allocator has left half done is dropped, or not used again.
pub fn attempt<R>(run: impl FnOnce() -> R) -> Result<R, String> {
    let (mut run, mut result) = (Some(run), None);
    caught(&mut || result = run.take().map(|run| run()))?;
    Ok(result.expect("it has run, as nothing was caught"))
}

/// A function of its own, so that where it is caught is not compiled into loops whose calls are timed.
/// With it in the loop of frames, a release build of rustc 1.95 crashed there; why was not found.
#[inline(never)]
fn caught(run: &mut dyn FnMut()) -> Result<(), String> {
    panic::catch_unwind(AssertUnwindSafe(run)).map_err(|what| match what.downcast::<Refusal>() {
        Ok(refusal) => refusal.0,
        Err(panic) => panic::resume_unwind(panic),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_ends_what_was_tried_alone() {
        assert_eq!(attempt(|| 1), Ok(1));
        assert_eq!(attempt(|| -> i32 { refuse("no memory") }), Err("no memory".into()));
    }

    #[test]
    fn a_panic_is_no_refusal() {
        let caught =
            panic::catch_unwind(|| attempt(|| -> () { panic::resume_unwind(Box::new("a panic")) }));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"a panic"));
    }
}
