//! Which passwords are taken. Length and being unguessable count; signs, capitals and age do not.

use super::blocklist;

/// Shortest password of a customer, in characters.
pub const CUSTOMER_CHARS_MIN: usize = 12;
/// Shortest password of staff, in characters.
pub const STAFF_CHARS_MIN: usize = 15;
/// Longest password, in characters.
pub const CHARS_MAX: usize = 128;

const OWN_WORD_CHARS_MIN: usize = 4;
/// What has to be left of a password once the words everybody knows of its owner are taken out.
const REMAINDER_CHARS_MIN: usize = 8;

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefused {
    /// Too short.
    #[error("use at least {min} characters; a few words in a row are good")]
    TooShort {
        /// The least.
        min: usize,
    },
    /// Too long.
    #[error("use at most {CHARS_MAX} characters")]
    TooLong,
    /// Everybody tries it first.
    #[error("this password is among those tried first; choose something only you would think of")]
    Common,
    /// Made of the name, the address or the brand.
    #[error("this password is made of your name, your address or ours; choose something else")]
    OwnWords,
}

impl PasswordRefused {
    /// Stable, for programs.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooShort { .. } => "PASSWORD_TOO_SHORT",
            Self::TooLong => "PASSWORD_TOO_LONG",
            Self::Common => "PASSWORD_COMMON",
            Self::OwnWords => "PASSWORD_OWN_WORDS",
        }
    }
}

/// Judges a password for staff or a customer; `words` are what everybody knows: address, name, brand.
///
/// # Errors
/// The first thing that is wrong.
pub fn check<'a>(
    password: &str,
    is_staff: bool,
    words: impl IntoIterator<Item = &'a str>,
) -> Result<(), PasswordRefused> {
    let min = if is_staff { STAFF_CHARS_MIN } else { CUSTOMER_CHARS_MIN };
    let length = password.chars().count();
    if length < min {
        return Err(PasswordRefused::TooShort { min });
    }
    if length > CHARS_MAX {
        return Err(PasswordRefused::TooLong);
    }
    if blocklist::is_common(password) {
        return Err(PasswordRefused::Common);
    }
    if is_made_of(password, words) {
        return Err(PasswordRefused::OwnWords);
    }
    Ok(())
}

fn is_made_of<'a>(password: &str, words: impl IntoIterator<Item = &'a str>) -> bool {
    let mut rest = password.to_lowercase();
    let mut found = false;
    let mut pieces: Vec<String> = words
        .into_iter()
        .flat_map(|words| words.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect::<Vec<_>>())
        .filter(|word| word.chars().count() >= OWN_WORD_CHARS_MIN)
        .collect();
    pieces.sort_by_key(|word| std::cmp::Reverse(word.len()));
    for word in &pieces {
        found |= rest.contains(word);
        rest = rest.replace(word, "");
    }
    found && rest.chars().filter(|c| c.is_alphanumeric()).count() < REMAINDER_CHARS_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secure_s07_passwords_are_judged_by_length_and_by_being_known() {
        let common = Err(PasswordRefused::Common);
        let own = Err(PasswordRefused::OwnWords);
        let words = ["ann.lighthouse@example.org", "Ann Lighthouse", "Nordic Stream", "nordic-stream"];
        let long = "ä".repeat(64) + &"yx".repeat(32);
        for (password, is_staff, expected) in [
            ("river-canvas-41", true, Ok(())),
            ("river-canvas", false, Ok(())),
            ("river-canvas", true, Err(PasswordRefused::TooShort { min: 15 })),
            ("river-canva", false, Err(PasswordRefused::TooShort { min: 12 })),
            ("", false, Err(PasswordRefused::TooShort { min: 12 })),
            // Characters count, not bytes; anything may be in it, and nothing has to be.
            ("пароль-лодка", false, Ok(())),
            ("correct horse battery", false, Ok(())),
            ("          a b c", true, Ok(())),
            (&long, false, Ok(())),
            (&format!("{long}x"), false, Err(PasswordRefused::TooLong)),
            ("passwordpassword", true, common),
            ("Password1234", false, common),
            ("P@ssw0rd!2024", false, common),
            ("iloveyou123456", false, common),
            ("123456789012", false, common),
            ("abcdefghijklmnop", true, common),
            ("aaaaaaaaaaaaaaaa", true, common),
            ("abcabcabcabcabc", true, common),
            ("qwertyuiopasdfgh", true, common),
            ("dragonmonkey", false, common),
            ("!!letmein!!!", false, common),
            ("correcthorsebatterystaple", true, common),
            ("lighthouse2024", false, own),
            ("NordicStream-12345", true, own),
            ("nordic-lighthouse", true, own),
            ("lighthouse-over-the-hill", true, Ok(())),
        ] {
            assert_eq!(check(password, is_staff, words), expected, "{password:?}");
        }
    }
}
