//! What the environment variable SLAB_DEBUG asks for.
//!
//! `words[:pattern][;words[:pattern]]...`, where words are separated by commas. The words of a group hold for
//! the pools that its pattern matches, or for all if it has none. A pattern is matched against the name of a
//! pool, its size and its size and hint (`96` and `96x64`); in it `*` stands for any characters and `?` for
//! one. `abort` and `help` hold for the program, whatever the pattern.
//!
//! Without the feature `debug` only `leaks` and `abort` are known, and no pattern matches.

use crate::debug::Modes;
use crate::line::Line;

/// What the words say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `abort`: a report ends the process.
    pub abort: bool,
    /// `help`: the words are to be listed.
    pub help: bool,
    /// The modes of the pool in question.
    pub modes: Modes,
}

/// What patterns are matched against.
pub struct Pool<'a> {
    /// Empty if it has none.
    pub name: &'a [u8],
    /// Bytes of an object.
    pub item_size: u32,
    /// The hint.
    pub num_items: u32,
}

/// A word that is known.
pub struct Word {
    /// The word.
    pub word: &'static str,
    /// What it does.
    pub help: &'static str,
    effect: Effect,
}

enum Effect {
    Abort,
    #[cfg(feature = "debug")]
    Help,
    Modes(Modes),
}

const fn word(word: &'static str, effect: Effect, help: &'static str) -> Word {
    Word { word, help, effect }
}

/// All words, as they are listed.
pub const WORDS: &[Word] = &[
    #[cfg(feature = "debug")]
    word(
        "checks",
        Effect::Modes(Modes::CHECKS),
        "double free, wrong pool or address, two threads in a child",
    ),
    #[cfg(feature = "debug")]
    word("redzone", Effect::Modes(Modes::REDZONE), "writes before and behind an object"),
    #[cfg(feature = "debug")]
    word("poison", Effect::Modes(Modes::POISON), "writes into free objects"),
    #[cfg(feature = "debug")]
    word(
        "users",
        Effect::Modes(Modes::USERS),
        "reports name thread and stack of allocation and free",
    ),
    #[cfg(feature = "debug")]
    word(
        "quarantine",
        Effect::Modes(Modes::QUARANTINE),
        "freed objects wait before they are used again",
    ),
    #[cfg(all(feature = "debug", unix))]
    word(
        "guard",
        // A pool that is guarded is there to find whatever is wrong, and every call is on the slow path anyway.
        Effect::Modes(Modes::GUARD.with(Modes::CHECKS)),
        "objects end at a protected page, and are protected when they are freed; and checks",
    ),
    #[cfg(all(feature = "debug", unix))]
    word("trace", Effect::Modes(Modes::TRACE), "all calls are written to the file SLAB_TRACE"),
    word(
        "leaks",
        Effect::Modes(Modes::LEAKS),
        "objects that are out when their pool or the program ends",
    ),
    word("abort", Effect::Abort, "the process ends after a report"),
    #[cfg(feature = "debug")]
    word("help", Effect::Help, "lists the words"),
];

impl Options {
    /// Reads what is said of a pool, or of the program if there is none; then no pattern matches. Calls
    /// `unknown` with each word that is not known.
    pub fn parse(text: &[u8], pool: Option<&Pool<'_>>, unknown: &mut dyn FnMut(&[u8])) -> Options {
        let mut options = Options::default();
        for group in text.split(|byte| *byte == b';') {
            let mut parts = group.splitn(2, |byte| *byte == b':');
            let words = parts.next().unwrap_or(&[]);
            let pattern = parts.next().map(<[u8]>::trim_ascii);
            let matched = match (pattern, pool) {
                (None, _) => true,
                (Some(pattern), Some(pool)) => cfg!(feature = "debug") && pool.is_meant_by(pattern),
                (Some(_), None) => false,
            };
            for name in words.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if name.is_empty() {
                    continue;
                }
                match WORDS
                    .iter()
                    .find(|word| word.word.as_bytes() == name)
                    .map(|word| &word.effect)
                {
                    Some(Effect::Abort) => options.abort = true,
                    #[cfg(feature = "debug")]
                    Some(Effect::Help) => options.help = true,
                    Some(Effect::Modes(modes)) if matched => {
                        options.modes = options.modes.with(*modes)
                    }
                    Some(Effect::Modes(_)) => {}
                    None => unknown(name),
                }
            }
        }
        options
    }
}

impl Pool<'_> {
    fn is_meant_by(&self, pattern: &[u8]) -> bool {
        let mut size = Line::<32>::EMPTY;
        size.decimal(self.item_size as usize);
        if matches(pattern, self.name) || matches(pattern, size.as_bytes()) {
            return true;
        }
        size.text("x").decimal(self.num_items as usize);
        matches(pattern, size.as_bytes())
    }
}

/// Whether a pattern matches all of a text. Takes time in proportion to the product of their lengths at most:
/// a later `*` never has to give back what an earlier one took.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|byte| *byte == b'?' || *byte == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            star = Some((star_p, star_t + 1));
            (p, t) = (star_p + 1, star_t + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "debug")]
    const QUERIES: Pool<'_> = Pool { name: b"zink queries", item_size: 96, num_items: 64 };

    fn parse_for(words: &str, pool: Option<&Pool<'_>>) -> (Options, Vec<String>) {
        let mut unknown = Vec::new();
        let options = Options::parse(words.as_bytes(), pool, &mut |word| {
            unknown.push(String::from_utf8(word.to_vec()).unwrap());
        });
        (options, unknown)
    }

    fn parse(words: &str) -> (Options, Vec<String>) {
        parse_for(words, None)
    }

    #[test]
    fn words_are_separated_by_commas_and_may_have_spaces() {
        assert_eq!(parse(""), (Options::default(), vec![]));
        assert!(parse("abort").0.abort);
        let both = Options { abort: true, modes: Modes::LEAKS, ..Options::default() };
        assert_eq!(parse(" abort ,, leaks"), (both, vec![]));
    }

    #[test]
    #[cfg(all(feature = "debug", unix))]
    fn guarded_pools_are_checked() {
        let all = Modes::GUARD.with(Modes::CHECKS);
        assert_eq!(Options::parse(b"guard", None, &mut |_| {}).modes, all);
    }

    #[test]
    fn every_listed_word_is_known_and_does_something_of_its_own() {
        let mut all = Vec::new();
        for word in WORDS {
            let (options, unknown) = parse(word.word);
            assert_ne!(options, Options::default(), "{}", word.word);
            assert!(unknown.is_empty() && !all.contains(&options), "{}", word.word);
            all.push(options);
        }
    }

    #[test]
    fn unknown_words_are_named_and_the_others_hold() {
        let (options, unknown) = parse("abrt,abort,x=1:96;y");
        assert!(options.abort);
        assert_eq!(unknown, ["abrt", "x=1", "y"]);
    }

    #[test]
    #[cfg(feature = "debug")]
    fn words_with_a_pattern_hold_for_the_pools_that_it_matches() {
        let modes = |words: &str| parse_for(words, Some(&QUERIES)).0.modes;
        for pattern in ["zink queries", "zink*", "*q?eries", "96", "96x64", "96x*", "*", " 9? "] {
            assert_eq!(modes(&format!("leaks:{pattern}")), Modes::LEAKS, "{pattern}");
        }
        for pattern in ["", "zink", "queries", "97", "96x", "9", "964", "96x640", "?"] {
            assert_eq!(modes(&format!("leaks:{pattern}")), Modes::NONE, "{pattern}");
        }
        assert_eq!(parse("leaks:*").0.modes, Modes::NONE, "no pool is in question");
    }

    #[test]
    #[cfg(feature = "debug")]
    fn groups_add_up_and_abort_holds_for_all() {
        let (options, unknown) = parse_for("abort:97;leaks:96;abort:1", Some(&QUERIES));
        assert_eq!(options, Options { abort: true, help: false, modes: Modes::LEAKS });
        assert!(unknown.is_empty());
    }

    #[test]
    fn a_star_matches_any_characters_and_none() {
        for (pattern, text) in
            [("*", ""), ("a*b*c", "abbcbc"), ("**a", "a"), ("*ab", "aab"), ("a*a", "aa"), ("", "")]
        {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in
            [("a*a", "a"), ("*b", "ba"), ("?", ""), ("a*b*c", "acb"), ("a?", "a")]
        {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }
}
