// SPDX-License-Identifier: MIT
//! What the environment variable SLAB_DEBUG asks for.
//!
//! `words[:pattern][;words[:pattern]]...`, where words are separated by commas. The words of a
//! group hold for the pools that its pattern matches, or for all if it has none. A pattern is
//! matched against the name of a pool, its size and its size and hint (`96` and `96x64`); in it `*`
//! stands for any characters and `?` for one. `abort` and `help` hold for the program, whatever the
//! pattern.
//!
//! Without the feature `debug` only `leaks` and `abort` are known, and no pattern matches; without
//! `ext` only `abort`.

use crate::base::line::Text;
use crate::base::modes::Modes;
use crate::base::pool_id::PoolId;

/// What the words say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options<'a> {
    /// `abort`: a report ends the process.
    pub(crate) abort: bool,
    /// `help`: the words are to be listed.
    pub(crate) help: bool,
    /// The modes of the pool in question.
    pub(crate) modes: Modes,
    /// The first word that is not known.
    pub(crate) unknown: Option<&'a [u8]>,
}

/// All words; first those of modes, in the order of [`Modes::nth`].
#[cfg(feature = "debug")]
pub(crate) const WORDS: &str =
    " checks redzone poison users quarantine leaks guard trace abort help";
/// The numbers of those that are no modes.
#[cfg(feature = "debug")]
const OTHERS: [u32; 2] = [8, 9];
/// The same, as far as they are known without modes.
#[cfg(not(feature = "debug"))]
pub(crate) const WORDS: &str = " leaks abort";
/// The same.
#[cfg(not(feature = "debug"))]
const OTHERS: [u32; 2] = [1, u32::MAX];

/// What `help` says.
#[cfg(feature = "debug")]
pub(crate) const HELP: &str = "\
mesa-slab: SLAB_DEBUG=word,...[:pattern][;...]; a pattern is of a pool's name or size
  checks      double free, wrong pool or address, two threads in a child
  redzone     writes before and behind an object
  poison      writes into free objects
  users       reports name thread and stack of allocation and free
  quarantine  freed objects wait before they are used again
  leaks       objects that are out when their pool or the program ends
  guard       objects end at a protected page, and are protected when freed; and checks, leaks
  trace       all calls are written to the file SLAB_TRACE
  abort       the process ends after a report
  help        this
";

impl<'a> Options<'a> {
    /// Reads whether there is the word `abort`, without spaces, and nothing else.
    pub(crate) fn parse_abort(text: &[u8]) -> Options<'static> {
        let abort = text.split(|byte| *byte == b',').any(|word| word == b"abort");
        Options { abort, ..Options::default() }
    }

    /// Reads what is said of a pool, or of the program if there is none; then no pattern matches.
    pub(crate) fn parse(text: &'a [u8], pool: Option<&PoolId>) -> Options<'a> {
        const ABORT: u32 = OTHERS[0];
        const HELP: u32 = OTHERS[1];
        let mut options = Options::default();
        let (mut start, mut in_pattern, mut modes) = (0, false, Modes::NONE);
        for end in 0..=text.len() {
            let byte = text.get(end).copied().unwrap_or(b';');
            if byte != b';' && (in_pattern || !matches!(byte, b',' | b':')) {
                continue;
            }
            let part = trim(text.get(start..end).unwrap_or(&[]));
            start = end + 1;
            let mut matched = true;
            if in_pattern {
                matched = cfg!(feature = "debug") && pool.is_some_and(|pool| is_meant(pool, part));
            } else if !part.is_empty() {
                match number_of(part) {
                    None => options.unknown = options.unknown.or(Some(part)),
                    Some(ABORT) => options.abort = true,
                    Some(HELP) => options.help = true,
                    Some(number) => modes = modes.with(Modes::nth(number)),
                }
            }
            in_pattern |= byte == b':';
            if byte == b';' {
                if matched {
                    options.modes = options.modes.with(modes);
                }
                (in_pattern, modes) = (false, Modes::NONE);
            }
        }
        options
    }
}

/// The number of a word in [`WORDS`].
fn number_of(word: &[u8]) -> Option<u32> {
    let words = WORDS.as_bytes();
    let mut number = 0;
    for (index, byte) in words.iter().enumerate() {
        if *byte == b' ' {
            let rest = &words[index + 1..];
            if rest.starts_with(word) && matches!(rest.get(word.len()), None | Some(b' ')) {
                return Some(number);
            }
            number += 1;
        }
    }
    None
}

/// Without spaces around it.
#[inline(never)]
fn trim(text: &[u8]) -> &[u8] {
    let (mut start, mut end) = (0, text.len());
    while start < end && text[start] == b' ' {
        start += 1;
    }
    while start < end && text[end - 1] == b' ' {
        end -= 1;
    }
    &text[start..end]
}

/// Whether a pattern matches the name, the size, or the size and hint of a pool.
fn is_meant(pool: &PoolId, pattern: &[u8]) -> bool {
    let mut size = Text::empty();
    size.format("%x%", &[pool.item_size as usize, pool.num_items as usize]);
    let size = size.as_bytes();
    let hint = size.iter().position(|byte| *byte == b'x').unwrap_or(size.len());
    [pool.name(), size, &size[..hint]].iter().any(|text| matches(pattern, text))
}

/// Whether a pattern matches all of a text. Takes time in proportion to the product of their
/// lengths at most: a later `*` never has to give back what an earlier one took.
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
    fn queries() -> PoolId {
        let mut pool = PoolId::new(0x1000, 96, 64);
        pool.set_name(b"zink queries");
        pool
    }

    fn parse_for<'a>(words: &'a str, pool: Option<&PoolId>) -> Options<'a> {
        Options::parse(words.as_bytes(), pool)
    }

    fn parse(words: &str) -> Options<'_> {
        parse_for(words, None)
    }

    #[test]
    fn abort_is_read_without_the_other_words() {
        assert!(Options::parse_abort(b"leaks,abort").abort);
        assert!(!Options::parse_abort(b"leaks,aborts").abort);
        assert!(!Options::parse_abort(b"").abort);
    }

    #[test]
    fn words_are_separated_by_commas_and_may_have_spaces() {
        assert_eq!(parse(""), Options::default());
        assert!(parse("abort").abort);
        let both = Options { abort: true, modes: Modes::LEAKS, ..Options::default() };
        assert_eq!(parse(" abort ,, leaks"), both);
    }

    #[test]
    #[cfg(all(feature = "debug", unix))]
    fn guarded_pools_are_checked_and_their_leaks_listed() {
        let all = Modes::GUARD.with(Modes::CHECKS).with(Modes::LEAKS);
        assert_eq!(Options::parse(b"guard", None).modes, all);
    }

    #[test]
    fn every_listed_word_is_known_and_does_something_of_its_own() {
        let mut all = Vec::new();
        for word in WORDS.split_ascii_whitespace() {
            let options = parse(word);
            assert_ne!(options, Options::default(), "{word}");
            assert!(options.unknown.is_none() && !all.contains(&options), "{word}");
            all.push(options);
        }
        for word in ["check", "hel", "abortleaks"] {
            assert_eq!(parse(word).unknown, Some(word.as_bytes()));
        }
    }

    #[cfg(feature = "debug")]
    #[test]
    fn help_tells_of_every_word_in_order() {
        let helped = HELP.lines().skip(1).map(|line| line.split_ascii_whitespace().next().unwrap());
        assert!(helped.eq(WORDS.split_ascii_whitespace()));
    }

    #[test]
    fn the_first_unknown_word_is_named_and_the_others_hold() {
        assert!(parse("abrt,abort,x=1:96;y").abort);
        for (words, first) in
            [("abrt,abort,x=1:96;y", "abrt"), ("abort,x=1:96;y", "x=1"), ("leaks:96;y", "y")]
        {
            assert_eq!(parse(words).unknown, Some(first.as_bytes()));
        }
    }

    #[test]
    #[cfg(feature = "debug")]
    fn words_with_a_pattern_hold_for_the_pools_that_it_matches() {
        let modes = |words: &str| parse_for(words, Some(&queries())).modes;
        for pattern in ["zink queries", "zink*", "*q?eries", "96", "96x64", "96x*", "*", " 9? "] {
            assert_eq!(modes(&format!("leaks:{pattern}")), Modes::LEAKS, "{pattern}");
        }
        for pattern in ["", "zink", "queries", "97", "96x", "9", "964", "96x640", "?"] {
            assert_eq!(modes(&format!("leaks:{pattern}")), Modes::NONE, "{pattern}");
        }
        assert_eq!(parse("leaks:*").modes, Modes::NONE, "no pool is in question");
    }

    #[test]
    #[cfg(feature = "debug")]
    fn groups_add_up_and_abort_holds_for_all() {
        let options = parse_for("abort:97;leaks:96;abort:1", Some(&queries()));
        assert_eq!(options, Options { abort: true, modes: Modes::LEAKS, ..Options::default() });
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
