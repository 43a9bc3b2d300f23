//! What a payer writes on a transfer, so that people find the payment again: a creditor reference of ISO 11649, which banks' forms check
//! themselves.

use std::fmt;
use std::str::FromStr;

use super::iban::mod_97;

/// Letters without I, L and O, which look like digits, and without other vowels, so that no words come about. Letters alone: where digits
/// and letters are mixed, the check misses some slips (`M2` and `2M` leave the same).
const ALPHABET: &[u8; 20] = b"BCDFGHJKMNPQRSTVWXYZ";
/// Characters behind `RF` and its two check digits: 20^8, about 25 thousand million.
const BODY: usize = 8;
/// All of it, without spaces.
const CHARS: usize = BODY + 4;

/// `RF` and two check digits, then eight letters. One wrong character, and two neighbours that changed places, never give another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference(String);

/// Text that holds no reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no payment reference: it begins with RF and has twelve characters, such as RF71 KTBW XQMD; a character may be wrong"
)]
pub struct ReferenceError;

/// In groups of four.
pub(super) fn grouped(text: &str) -> String {
    let signs: Vec<char> = text.chars().collect();
    signs.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

impl Reference {
    /// The reference these random bytes name.
    #[must_use]
    pub fn of(random: [u8; 8]) -> Self {
        let mut number = u64::from_be_bytes(random);
        let base = ALPHABET.len() as u64;
        let body: String = (0..BODY)
            .map(|_| {
                let place = usize::try_from(number % base).unwrap_or_default();
                number /= base;
                char::from(ALPHABET[place])
            })
            .collect();
        let check = 98 - mod_97(&format!("RF00{body}"));
        Self(format!("RF{check:02}{body}"))
    }

    /// Without spaces, as machines read it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In groups of four, as people read it.
    #[must_use]
    pub fn printed(&self) -> String {
        grouped(&self.0)
    }

    /// The first reference in what a bank shows of a transfer, whatever stands around it.
    #[must_use]
    pub fn found_in(text: &str) -> Option<Self> {
        let signs: Vec<char> =
            text.chars().filter(char::is_ascii_alphanumeric).map(|sign| sign.to_ascii_uppercase()).collect();
        signs.windows(CHARS).filter(|found| found.starts_with(&['R', 'F'])).find_map(read)
    }
}

/// Twelve letters and digits as a reference. Where only digits can stand, letters that look like them are read as these, and the other way
/// round.
fn read(signs: &[char]) -> Option<Reference> {
    let digit = |sign: char| match sign {
        'O' => '0',
        'I' | 'L' => '1',
        sign => sign,
    };
    let letter = |sign: char| match sign {
        '2' => 'Z',
        '5' => 'S',
        '6' => 'G',
        '8' => 'B',
        sign => sign,
    };
    let own: String = signs
        .iter()
        .enumerate()
        .map(|(at, sign)| match at {
            0 | 1 => *sign,
            2 | 3 => digit(*sign),
            _ => letter(*sign),
        })
        .collect();
    let is_form = own.starts_with("RF")
        && own.bytes().skip(2).take(2).all(|byte| byte.is_ascii_digit())
        && own.bytes().skip(4).all(|byte| ALPHABET.contains(&byte));
    (is_form && own.len() == CHARS && mod_97(&own) == 1).then_some(Reference(own))
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Reads what somebody typed: any case, with spaces or hyphens.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let signs: Vec<char> = text
            .chars()
            .filter(|sign| !sign.is_whitespace() && *sign != '-')
            .map(|sign| sign.to_ascii_uppercase())
            .collect();
        read(&signs).ok_or(ReferenceError)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> impl Iterator<Item = Reference> {
        (0..200_u64).map(|number| Reference::of(number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()))
    }

    /// The example of ISO 11649.
    #[test]
    fn the_check_is_that_of_the_standard() {
        assert_eq!(mod_97("RF18539007547034"), 1);
    }

    #[test]
    fn a_reference_is_read_however_it_is_typed() {
        for one in some() {
            assert_eq!(one.as_str().len(), CHARS);
            assert_eq!(one.printed().len(), CHARS + 2);
            assert_eq!(one.printed().to_lowercase().parse(), Ok(one.clone()));
            assert_eq!(one.printed().replace(' ', "-").parse(), Ok(one.clone()));
            let typed = one.as_str().chars().enumerate().map(|(at, sign)| match (at, sign) {
                (2 | 3, '0') => 'o',
                (2 | 3, '1') => 'l',
                (4.., 'S') => '5',
                (4.., 'Z') => '2',
                (_, sign) => sign,
            });
            assert_eq!(typed.collect::<String>().parse(), Ok(one));
        }
    }

    #[test]
    fn no_slip_gives_another_reference() {
        for one in some() {
            let text = one.as_str();
            for at in 2..CHARS {
                for other in ALPHABET.iter().filter(|other| **other != text.as_bytes()[at]) {
                    let mut wrong = text.as_bytes().to_vec();
                    wrong[at] = *other;
                    let wrong = String::from_utf8(wrong).unwrap();
                    assert_eq!(wrong.parse::<Reference>(), Err(ReferenceError), "{text} {wrong}");
                }
                let mut turned = text.as_bytes().to_vec();
                turned.swap(at - 1, at);
                let turned = String::from_utf8(turned).unwrap();
                assert!(turned == text || turned.parse::<Reference>().is_err(), "{text} {turned}");
            }
        }
    }

    #[test]
    fn it_is_found_in_what_a_bank_shows() {
        let one = Reference::of(*b"a bank!!");
        let shown = format!("SVWZ+Invoice 2026-000017 {} thank you", one.printed());
        assert_eq!(Reference::found_in(&shown), Some(one.clone()));
        assert_eq!(Reference::found_in(&format!("RFRF{}", one.as_str())), Some(one));
        assert_eq!(Reference::found_in("Invoice 2026-000017, RF of last month"), None);
        assert_eq!(Reference::found_in(""), None);
    }
}
