//! Words of a text, and the terms under which the index has them.
//!
//! Words are those of [UAX #29](https://www.unicode.org/reports/tr29/#Word_Boundaries) in lower case. Languages that are written
//! without spaces have no such words: of a run of Chinese, Japanese or Korean characters each two neighbours are a term, and each
//! character alone, for those who look for one.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use unicode_segmentation::UnicodeSegmentation;

/// A term, in 64 bits: two terms that share a number would show too much, which for 10⁹ different terms has a chance of 3 %.
pub(crate) type Term = u64;

/// The most words of a text that are indexed, or looked for.
const MAX_WORDS: usize = 4096;

/// A word.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// In lower case.
    Spaced(String),
    /// A run of characters that are written without spaces.
    Unspaced(String),
}

/// How often each term is in a text.
pub(crate) fn count_terms(text: &str) -> BTreeMap<Term, u16> {
    let mut counts: BTreeMap<Term, u16> = BTreeMap::new();
    let mut count = |term: &str| {
        let count = counts.entry(number(term)).or_default();
        *count = count.saturating_add(1);
    };
    for word in words(text) {
        match word {
            Word::Spaced(word) => count(&word),
            Word::Unspaced(run) => {
                run.split("")
                    .filter(|one| !one.is_empty())
                    .for_each(&mut count);
                pairs(&run).into_iter().for_each(&mut count);
            }
        }
    }
    counts
}

/// The terms that a text must have all to be found by `question`, the longest word's first: it is in few texts.
pub(crate) fn terms_of_question(question: &str) -> Vec<Term> {
    let mut terms: Vec<(usize, Term)> = Vec::new();
    for word in words(question) {
        match word {
            Word::Spaced(word) => terms.push((word.len(), number(&word))),
            Word::Unspaced(run) => match &*pairs(&run) {
                [] => terms.push((0, number(&run))),
                pairs => terms.extend(pairs.iter().map(|pair| (pair.len(), number(pair)))),
            },
        }
    }
    terms.sort_unstable_by(|a, b| b.cmp(a));
    terms.dedup();
    terms.into_iter().map(|(_, term)| term).collect()
}

/// The words of a question, for clients to mark.
pub(crate) fn highlights(question: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for Word::Spaced(word) | Word::Unspaced(word) in words(question) {
        if !found.contains(&word) {
            found.push(word);
        }
    }
    found
}

fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut run = String::new();
    for segment in text.split_word_bounds() {
        if words.len() >= MAX_WORDS {
            break;
        }
        if segment.chars().all(is_unspaced) {
            run.push_str(segment);
            if run.len() > MAX_WORDS {
                words.push(Word::Unspaced(std::mem::take(&mut run)));
            }
            continue;
        }
        if !run.is_empty() {
            words.push(Word::Unspaced(std::mem::take(&mut run)));
        }
        if segment.chars().any(char::is_alphanumeric) {
            words.push(Word::Spaced(segment.to_lowercase()));
        }
    }
    if !run.is_empty() {
        words.push(Word::Unspaced(run));
    }
    words
}

/// Each two neighbours of a run.
fn pairs(run: &str) -> Vec<&str> {
    let starts: Vec<usize> = run.char_indices().map(|(start, _)| start).collect();
    let ends = starts.iter().skip(2).copied().chain([run.len()]);
    starts
        .iter()
        .zip(ends)
        .take(starts.len().saturating_sub(1))
        .map(|(start, end)| &run[*start..end])
        .collect()
}

/// Han, Hiragana, Katakana, Hangul: the blocks that are in use.
fn is_unspaced(character: char) -> bool {
    matches!(character,
        '\u{3041}'..='\u{30FF}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{AC00}'..='\u{D7AF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{3FFFF}')
}

fn number(term: &str) -> Term {
    let digest = Sha256::digest(term.as_bytes());
    digest[..8]
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
