//! What is measured one after the other. What a part has found is written before the next one begins,
//! and a part that fails leaves the others their turns.

use crate::results::Results;
use anyhow::{Context, Result, anyhow};
use std::panic::{self, AssertUnwindSafe};

/// Adds what it finds as it comes: of a part that fails, what is there by then counts.
type Measure<'a> = dyn FnOnce(&mut Results) -> Result<()> + 'a;

pub struct Part<'a> {
    name: &'static str,
    measure: Box<Measure<'a>>,
}

impl<'a> Part<'a> {
    pub fn new(name: &'static str, measure: impl FnOnce(&mut Results) -> Result<()> + 'a) -> Self {
        Self { name, measure: Box::new(measure) }
    }
}

/// The names of the parts that failed, or whose results could not be written. A line is said of each
/// of them, and of each case that an allocator could not do.
pub fn run(
    parts: Vec<Part>,
    results: &mut Results,
    write: impl Fn(&Results) -> Result<()>,
    say: impl Fn(&str),
) -> Vec<&'static str> {
    let mut failed = Vec::new();
    for Part { name, measure } in parts {
        let known = results.failures.len();
        let measured = panic::catch_unwind(AssertUnwindSafe(|| measure(results)));
        // The panic itself was said where it was.
        let measured = measured.unwrap_or_else(|_| Err(anyhow!("a panic")));
        for of in &results.failures[known.min(results.failures.len())..] {
            say(&format!("n/a: {}, {}: {}", of.case, of.allocator, of.reason));
        }
        for end in [measured, write(results).context("its results")] {
            if let Err(error) = end {
                say(&format!("failed: {name}: {error:#}"));
                failed.push(name);
            }
        }
    }
    failed.dedup();
    failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::CLASSIC;
    use crate::results::Failure;
    use anyhow::{bail, ensure};
    use std::cell::RefCell;

    fn failure(case: &str) -> Failure {
        let reason = "out of memory".into();
        Failure { case: case.into(), allocator: "malloc".into(), reason }
    }

    fn part(name: &'static str, end: fn() -> Result<()>) -> Part<'static> {
        Part::new(name, move |results| {
            results.failures.push(failure(name));
            end()
        })
    }

    #[test]
    fn each_part_is_written_before_the_next_and_whatever_fails() {
        let (written, said) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let write = |results: &Results| {
            written.borrow_mut().push(results.failures.len());
            ensure!(results.failures.len() != 3, "no room");
            Ok(())
        };
        let parts = vec![
            part("times", || Ok(())),
            part("latency", || bail!("no process")),
            part("memory", || Ok(())),
            part("the rest", || panic::resume_unwind(Box::new("a panic"))),
        ];
        let mut results = Results::new("test".into(), CLASSIC, 1, &[]);
        let failed =
            run(parts, &mut results, write, |line| said.borrow_mut().push(line.to_owned()));
        assert_eq!(failed, ["latency", "memory", "the rest"]);
        assert_eq!(*written.borrow(), [1, 2, 3, 4]);
        assert_eq!(
            *said.borrow(),
            [
                "n/a: times, malloc: out of memory",
                "n/a: latency, malloc: out of memory",
                "failed: latency: no process",
                "n/a: memory, malloc: out of memory",
                "failed: memory: its results: no room",
                "n/a: the rest, malloc: out of memory",
                "failed: the rest: a panic",
            ]
        );
    }
}
