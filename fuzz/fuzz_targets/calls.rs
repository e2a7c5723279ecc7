//! Sequences of calls, found by what of the library they reach.
#![no_main]

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use model::Operation;

/// All bytes are taken: those of a corpus are the operations and nothing else.
#[derive(Debug)]
struct Operations(Vec<Operation>);

impl<'a> Arbitrary<'a> for Operations {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let length = bytes.len();
        Ok(Operations(Operation::decode_all(bytes.bytes(length)?)))
    }

    fn arbitrary_take_rest(bytes: Unstructured<'a>) -> Result<Self> {
        Ok(Operations(Operation::decode_all(bytes.take_rest())))
    }
}

fuzz_target!(|operations: Operations| model::run(&operations.0));
