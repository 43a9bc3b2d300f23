//! Numbers of bank accounts and of banks: ISO 13616 (IBAN) and ISO 9362 (BIC).

use std::fmt;
use std::str::FromStr;

/// Characters of an IBAN by country, from the registry of ISO 13616. A country that is missing here may have 15 to 34.
const LENGTHS: [(&str, usize); 58] = [
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BR", 29),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("EE", 20),
    ("ES", 24),
    ("FI", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MT", 31),
    ("NL", 18),
    ("NO", 15),
    ("PK", 24),
    ("PL", 28),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("SA", 24),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("TR", 26),
];

/// The number of an account, without spaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Iban(String);

/// Text that is no IBAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IbanError {
    /// Not two letters, two digits and more of both.
    #[error(
        "an IBAN is two letters, two digits and up to thirty letters and digits, such as DE89 3704 0044 0532 0130 00"
    )]
    Form,
    /// Something is missing, or too much.
    #[error("an IBAN of this country has {expected} characters, this has {found}")]
    Length {
        /// How many it has in that country.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// A digit is wrong or two changed places.
    #[error("the check digits do not fit: a character is wrong, or two changed places")]
    Check,
}

/// What is left of a number written in base 36 digits, the first four moved to the end, divided by 97 (ISO 7064, MOD 97-10). `text` holds
/// ASCII letters and digits alone.
pub(super) fn mod_97(text: &str) -> u32 {
    let (head, rest) = text.split_at(text.len().min(4));
    rest.chars().chain(head.chars()).filter_map(|sign| sign.to_digit(36)).fold(0, |left, value| {
        let shifted = if value > 9 { left * 100 } else { left * 10 };
        (shifted + value) % 97
    })
}

impl FromStr for Iban {
    type Err = IbanError;

    fn from_str(text: &str) -> Result<Self, IbanError> {
        let own: String = text.chars().filter(|sign| !sign.is_whitespace()).collect::<String>().to_ascii_uppercase();
        let is_form = own.is_ascii()
            && (15..=34).contains(&own.len())
            && own.bytes().take(2).all(|byte| byte.is_ascii_uppercase())
            && own.bytes().skip(2).take(2).all(|byte| byte.is_ascii_digit())
            && own.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_form {
            return Err(IbanError::Form);
        }
        if let Some((_, expected)) = LENGTHS.iter().find(|(country, _)| own.starts_with(country))
            && *expected != own.len()
        {
            return Err(IbanError::Length { expected: *expected, found: own.len() });
        }
        if mod_97(&own) == 1 { Ok(Self(own)) } else { Err(IbanError::Check) }
    }
}

impl Iban {
    /// Without spaces, as machines read it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In groups of four, as people read it.
    #[must_use]
    pub fn printed(&self) -> String {
        super::reference::grouped(&self.0)
    }
}

impl fmt::Display for Iban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The code of a bank.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bic(String);

/// Text that is no BIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a BIC has 8 or 11 characters, such as COBADEFFXXX: four of the bank, two letters of its country, the rest letters and digits"
)]
pub struct BicError;

impl FromStr for Bic {
    type Err = BicError;

    fn from_str(text: &str) -> Result<Self, BicError> {
        let own = text.trim().to_ascii_uppercase();
        let is_form = matches!(own.len(), 8 | 11)
            && own.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && own.bytes().skip(4).take(2).all(|byte| byte.is_ascii_uppercase());
        if is_form { Ok(Self(own)) } else { Err(BicError) }
    }
}

impl Bic {
    /// As it is printed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of the registry of ISO 13616.
    const GOOD: [&str; 8] = [
        "DE89370400440532013000",
        "AT611904300234573201",
        "BE68539007547034",
        "FR1420041010050500013M02606",
        "GB29NWBK60161331926819",
        "NL91ABNA0417164300",
        "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S",
    ];

    #[test]
    fn examples_of_the_registry_are_read_however_they_are_typed() {
        for text in GOOD {
            let iban: Iban = text.parse().unwrap();
            assert_eq!(iban.as_str(), text);
            assert_eq!(iban.printed().to_lowercase().parse::<Iban>().unwrap(), iban);
        }
        assert_eq!("DE89370400440532013000".parse::<Iban>().unwrap().printed(), "DE89 3704 0044 0532 0130 00");
    }

    #[test]
    fn one_wrong_digit_and_two_that_changed_places_are_noticed() {
        for text in GOOD {
            for at in 4..text.len() {
                let mut wrong = text.as_bytes().to_vec();
                wrong[at] = if wrong[at] == b'9' { b'8' } else { b'9' };
                assert!(String::from_utf8(wrong).unwrap().parse::<Iban>().is_err(), "{text} at {at}");
                let mut turned = text.as_bytes().to_vec();
                turned.swap(at - 1, at);
                let turned = String::from_utf8(turned).unwrap();
                assert!(turned == text || turned.parse::<Iban>().is_err(), "{turned}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!("DE8937040044053201300".parse::<Iban>(), Err(IbanError::Length { expected: 22, found: 21 }));
        assert_eq!("DE88370400440532013000".parse::<Iban>(), Err(IbanError::Check));
        for text in ["", "89DE370400440532013000", "DE89-3704-0044-0532-0130-00", "DE8937040044053201300ü"] {
            assert_eq!(text.parse::<Iban>(), Err(IbanError::Form), "{text}");
        }
    }

    #[test]
    fn codes_of_banks_have_their_form() {
        for good in ["COBADEFF", "cobadeffxxx", "BPOTBEB1"] {
            assert!(good.parse::<Bic>().is_ok(), "{good}");
        }
        for bad in ["", "COBADEF", "COBADEFFX", "COBA1EFF", "COBADEFF XX"] {
            assert_eq!(bad.parse::<Bic>(), Err(BicError), "{bad}");
        }
    }
}
