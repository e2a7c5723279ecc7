//! The committed corpus of the fuzz target: sequences that reach as much of the library as was
//! found.

use std::fs;

use model::Operation;
use model::system::{End, in_a_forked_process};

#[test]
fn every_sequence_of_the_corpus_gives_what_the_model_says() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/calls");
    let mut files = 0;
    for file in fs::read_dir(corpus).unwrap() {
        let path = file.unwrap().path();
        let operations = Operation::decode_all(&fs::read(&path).unwrap());
        let end = in_a_forked_process(|| model::run(&operations));
        assert_eq!(end, End::Good, "{}: {operations:?}", path.display());
        files += 1;
    }
    assert!(files > 0, "{corpus} is empty");
}
