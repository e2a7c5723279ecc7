//! Random sequences of calls against the model. A sequence that fails is made as short and as
//! simple as it gets, and printed in a form that can be pasted into `found.rs`.
//!
//! Each runs in a process of its own, so that one that crashes, hangs, or leaves the library
//! broken, does not take the others with it. PROPTEST_CASES says how many there are.

use model::Operation;
use model::system::{End, in_a_forked_process};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

fn operation() -> impl Strategy<Value = Operation> {
    any::<[u8; 4]>().prop_map(Operation::decode)
}

#[test]
fn every_sequence_of_calls_gives_what_the_model_says() {
    let defaults = Config::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { defaults.cases } else { 200 };
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        max_shrink_time: 180_000,
        ..defaults
    };
    let result = TestRunner::new(config).run(&vec(operation(), 1..200), |operations| {
        let end = in_a_forked_process(|| model::run(&operations));
        prop_assert_eq!(end, End::Good);
        Ok(())
    });
    match result {
        Err(TestError::Fail(reason, operations)) => {
            panic!("{reason}\nthe shortest: {operations:?}")
        }
        result => result.unwrap(),
    }
}
