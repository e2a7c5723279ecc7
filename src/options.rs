//! What the environment variable SLAB_DEBUG asks for: words, separated by commas.

/// The words that are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `abort`: a report ends the process.
    pub abort: bool,
    /// `leaks`: slab_destroy_parent() reports objects that are still out.
    pub leaks: bool,
}

/// All words, as they are listed.
pub const WORDS: &str = "abort, leaks";

impl Options {
    /// Reads the words, and calls `unknown` with each that is not known.
    pub fn parse(words: &[u8], mut unknown: impl FnMut(&[u8])) -> Options {
        let mut options = Options::default();
        for word in words.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            match word {
                b"" => {}
                b"abort" => options.abort = true,
                b"leaks" => options.leaks = true,
                _ => unknown(word),
            }
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> (Options, Vec<String>) {
        let mut unknown = Vec::new();
        let options = Options::parse(words.as_bytes(), |word| {
            unknown.push(String::from_utf8(word.to_vec()).unwrap());
        });
        (options, unknown)
    }

    #[test]
    fn words_are_separated_by_commas_and_may_have_spaces() {
        assert_eq!(parse(""), (Options::default(), vec![]));
        assert!(parse("abort").0.abort);
        assert_eq!(parse(" abort ,, leaks"), (Options { abort: true, leaks: true }, vec![]));
    }

    #[test]
    fn every_listed_word_is_known() {
        for word in WORDS.split(", ") {
            assert_ne!(parse(word), (Options::default(), vec![]), "{word}");
            assert!(parse(word).1.is_empty(), "{word}");
        }
    }

    #[test]
    fn unknown_words_are_named_and_the_others_hold() {
        let (options, unknown) = parse("abrt,abort,x=1");
        assert!(options.abort);
        assert_eq!(unknown, ["abrt", "x=1"]);
    }
}
