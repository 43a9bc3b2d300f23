//! Texts people write.

use super::card;

/// Why a text is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: needs {min} to {max} characters, has {length}")]
pub struct BadLength {
    /// Which field.
    pub field: &'static str,
    /// Least number of characters.
    pub min: usize,
    /// Greatest number of characters.
    pub max: usize,
    /// What was given.
    pub length: usize,
}

/// A subject: one line, 3 to 200 characters, without card numbers and control characters.
///
/// # Errors
/// Too short or too long.
pub fn subject(text: &str) -> Result<String, BadLength> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let clean: String = line.chars().filter(|c| !c.is_control()).collect();
    within("subject", clean, 3, 200).map(|text| card::mask(&text))
}

/// A message: 1 to 10 000 characters, lines kept, without card numbers and control characters.
///
/// # Errors
/// Too short or too long.
pub fn message(text: &str) -> Result<String, BadLength> {
    let text = text.replace("\r\n", "\n");
    let clean: String = text.trim().chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    within("text", clean, 1, 10_000).map(|text| card::mask(&text))
}

fn within(field: &'static str, text: String, min: usize, max: usize) -> Result<String, BadLength> {
    let length = text.chars().count();
    if (min..=max).contains(&length) { Ok(text) } else { Err(BadLength { field, min, max, length }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_limits() {
        assert_eq!(subject("  No \n picture ").unwrap(), "No picture");
        assert_eq!(subject("No\0 picture\u{7}").unwrap(), "No picture");
        assert_eq!(subject("No").unwrap_err().field, "subject");
        assert_eq!(message("   ").unwrap_err().length, 0);
        assert_eq!(message(&"x".repeat(10_001)).unwrap_err().max, 10_000);
        assert_eq!(message("a\r\nb\u{7}").unwrap(), "a\nb");
    }
}
