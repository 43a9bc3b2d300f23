//! Language tags (BCP 47, the part that matters here: language, script, region).

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// A language tag such as `de`, `pt-BR` or `zh-Hant-TW`, in the usual capitals.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Locale(String);

/// Why text is no language tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a language tag such as `en`, `pt-BR` or `zh-Hant-TW`, got `{0}`")]
pub struct LocaleError(String);

impl Locale {
    /// English, the language everything exists in.
    #[must_use]
    pub fn english() -> Self {
        Self("en".to_owned())
    }

    /// The whole tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The language alone: `pt` of `pt-BR`.
    #[must_use]
    pub fn language(&self) -> &str {
        self.0.split('-').next().unwrap_or(&self.0)
    }

    /// The region, when the tag names one: `BR` of `pt-BR`.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.0.split('-').skip(1).find(|part| part.len() < 4)
    }

    /// Whether the language is written from right to left.
    #[must_use]
    pub fn is_right_to_left(&self) -> bool {
        matches!(self.language(), "ar" | "fa" | "he" | "ps" | "sd" | "ug" | "ur" | "yi" | "ckb" | "dv")
    }

    /// The tags to look under, most exact first: `zh-Hant-TW`, `zh-Hant`, `zh`.
    pub fn fallbacks(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |tag| tag.rsplit_once('-').map(|(shorter, _)| shorter))
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Locale {
    type Err = LocaleError;

    fn from_str(text: &str) -> Result<Self, LocaleError> {
        let refused = || LocaleError(text.chars().take(35).collect());
        let letters = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let mut parts = text.split('-').peekable();
        let language = parts.next().filter(|part| matches!(part.len(), 2..=3) && letters(part)).ok_or_else(refused)?;
        let mut tag = language.to_ascii_lowercase();
        if let Some(script) = parts.next_if(|part| part.len() == 4 && letters(part)) {
            tag.push('-');
            tag.push_str(&script[..1].to_ascii_uppercase());
            tag.push_str(&script[1..].to_ascii_lowercase());
        }
        if let Some(region) =
            parts.next_if(|part| (part.len() == 2 && letters(part)) || (part.len() == 3 && digits(part)))
        {
            tag.push('-');
            tag.push_str(&region.to_ascii_uppercase());
        }
        if parts.next().is_some() {
            return Err(refused());
        }
        Ok(Self(tag))
    }
}

serde_as_text!(Locale);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_in_any_capitals_and_written_in_the_usual_ones() {
        for (text, tag) in [
            ("EN", "en"),
            ("pt-br", "pt-BR"),
            ("ZH-hant-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("fil", "fil"),
            ("sr-latn", "sr-Latn"),
        ] {
            assert_eq!(text.parse::<Locale>().unwrap().as_str(), tag);
        }
        for text in ["", "e", "english", "en_US", "en-", "en-USA", "en-US-x", "e1", "ñn", "en-Latñ"] {
            assert!(text.parse::<Locale>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn looking_up_goes_from_exact_to_general() {
        let locale: Locale = "zh-Hant-TW".parse().unwrap();
        assert_eq!(locale.fallbacks().collect::<Vec<_>>(), ["zh-Hant-TW", "zh-Hant", "zh"]);
        assert_eq!((locale.language(), locale.region()), ("zh", Some("TW")));
        assert_eq!("sr-Latn".parse::<Locale>().unwrap().region(), None);
        assert!("ar-EG".parse::<Locale>().unwrap().is_right_to_left());
    }
}
