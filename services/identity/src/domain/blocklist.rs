//! Passwords everybody tries first.

use std::collections::HashSet;
use std::sync::LazyLock;

/// What may surround a common word without making it uncommon.
const APPENDAGE_CHARS_MAX: usize = 6;
/// A repeated piece shorter than this is no secret, whatever it is.
const REPEATED_PIECE_CHARS_MIN: usize = 6;
/// Shorter words are found everywhere.
const WORD_CHARS_MIN: usize = 4;

static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("../../data/common-passwords.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect()
});

/// Whether the password, its capitals, look-alike signs and appendages undone, is one of those.
pub(super) fn is_common(password: &str) -> bool {
    let lower = password.to_lowercase();
    let plain = undo_lookalikes(&lower);
    [&lower, &plain].into_iter().any(|text| in_list(text) || is_two_common_words(text) || is_repetition(text))
        || is_walk(&lower)
        || is_word_with_appendage(&lower)
        || is_word_with_appendage(&plain)
}

fn in_list(text: &str) -> bool {
    COMMON.contains(text)
}

fn undo_lookalikes(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '0' => 'o',
            '1' | '!' | '|' => 'i',
            '3' | '€' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' => 't',
            other => other,
        })
        .collect()
}

fn is_word_with_appendage(text: &str) -> bool {
    let word = text.trim_matches(|c: char| !c.is_alphabetic());
    if word.chars().count() < WORD_CHARS_MIN || !in_list(word) {
        return false;
    }
    let around: String = text.replacen(word, "", 1);
    around.chars().count() <= APPENDAGE_CHARS_MAX || is_walk(&around) || is_repetition(&around) || in_list(&around)
}

fn is_two_common_words(text: &str) -> bool {
    text.char_indices().skip(WORD_CHARS_MIN).any(|(at, _)| {
        let (first, second) = text.split_at(at);
        second.chars().count() >= WORD_CHARS_MIN && in_list(first) && in_list(second)
    })
}

/// `abcabcabcabc`, `passwordpassword`.
fn is_repetition(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (1..=chars.len() / 2).any(|period| {
        let repeats = chars.iter().zip(&chars[period..]).all(|(a, b)| a == b);
        repeats && (period < REPEATED_PIECE_CHARS_MIN || in_list(&chars[..period].iter().collect::<String>()))
    })
}

/// `abcdefghijkl`, `987654321098`.
fn is_walk(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let step = |pair: &[char]| match (pair[0], pair[1]) {
        ('9', '0') => 1,
        ('0', '9') => -1,
        (a, b) => i64::from(u32::from(b)) - i64::from(u32::from(a)),
    };
    let Some(first) = chars.windows(2).next().map(step) else { return true };
    first.abs() <= 1 && chars.windows(2).all(|pair| step(pair) == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secure_s07_the_list_has_at_least_three_thousand_entries_in_lower_case() {
        assert!(COMMON.len() >= 3_000, "{}", COMMON.len());
        assert!(COMMON.iter().all(|entry| entry.to_lowercase() == **entry && entry.trim() == *entry));
    }
}
