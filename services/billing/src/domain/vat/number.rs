//! VAT numbers as they are written: the forms and check digits of the European Union, Northern Ireland, the United Kingdom,
//! Switzerland and Norway.
//!
//! Forms: European Commission, VIES frequently asked questions, "What is the format of VAT numbers?", and for the check digits
//! the national rules collected by the Commission in "VIES VAT number check routines" (TAXUD). United Kingdom: HMRC, VAT
//! notice 700 with the modulus 97 and "9755" rules. Switzerland: Federal Statistical Office, "UID: structure" (eCH-0097).
//! Norway: Brønnøysund Register Centre, "About the organisation number". A number that passes may still belong to nobody;
//! only a validator knows.

use std::fmt;

use super::digits::{self, alternating, iso_7064_11_10, iso_7064_97_10, luhn, weighted};

/// A VAT number with the prefix of its country, upper case, without blanks and punctuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VatNumber(String);

/// Why a text is no VAT number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VatNumberError {
    /// It begins with no known prefix.
    #[error(
        "a VAT number begins with the two letters of its country, such as `DE136695976`; known are the EU, XI, GB, CH and NO"
    )]
    Prefix,
    /// Its length or characters are those of no number of that country.
    #[error("a VAT number of {country} is written like `{example}`")]
    Form {
        /// The prefix.
        country: &'static str,
        /// One that is right.
        example: &'static str,
    },
    /// Its check digits are wrong: a digit was mistyped.
    #[error("the check digits of this VAT number of {country} are wrong; look for a mistyped or missing digit")]
    CheckDigit {
        /// The prefix.
        country: &'static str,
    },
}

/// One country: prefix, an example, the form of what follows, and its check.
struct Country {
    prefix: &'static str,
    example: &'static str,
    form: fn(&str) -> bool,
    check: fn(&str) -> bool,
}

const fn country(
    prefix: &'static str,
    example: &'static str,
    form: fn(&str) -> bool,
    check: fn(&str) -> bool,
) -> Country {
    Country { prefix, example, form, check }
}

fn is_digits(text: &str, lengths: &[usize]) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

const COUNTRIES: [Country; 31] = [
    country("AT", "ATU13585627", |n| n.starts_with('U') && is_digits(&n[1..], &[8]), austria),
    country("BE", "BE0428759497", |n| is_digits(n, &[10]) && n.starts_with(['0', '1']), belgium),
    country("BG", "BG175074752", |n| is_digits(n, &[9, 10]), bulgaria),
    country("CY", "CY10259033P", |n| n.len() == 9 && is_digits(&n[..8], &[8]) && ends_in_letter(n), cyprus),
    country("CZ", "CZ25123891", |n| is_digits(n, &[8, 9, 10]), czechia),
    country("DE", "DE136695976", |n| is_digits(n, &[9]) && !n.starts_with('0'), iso_7064_11_10),
    country(
        "DK",
        "DK13585628",
        |n| is_digits(n, &[8]) && !n.starts_with('0'),
        |n| weighted(n, &[2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11),
    ),
    country(
        "EE",
        "EE100931558",
        |n| is_digits(n, &[9]),
        |n| weighted(n, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10),
    ),
    country(
        "EL",
        "EL094259216",
        |n| is_digits(n, &[9]),
        |n| weighted(n, &[256, 128, 64, 32, 16, 8, 4, 2]) % 11 % 10 == digits::at(n, 8),
    ),
    country("ES", "ESB58378431", |n| n.len() == 9 && is_digits(&n[1..8], &[7]), spain),
    country("FI", "FI20774740", |n| is_digits(n, &[8]), |n| weighted(n, &[7, 9, 10, 5, 8, 4, 2, 1]).is_multiple_of(11)),
    country("FR", "FR40303265045", |n| n.len() == 11 && is_digits(&n[2..], &[9]), france),
    country("HR", "HR33392005961", |n| is_digits(n, &[11]), iso_7064_11_10),
    country("HU", "HU12892312", |n| is_digits(n, &[8]), |n| weighted(n, &[9, 7, 3, 1, 9, 7, 3, 1]).is_multiple_of(10)),
    country("IE", "IE6433435F", is_irish, ireland),
    country("IT", "IT00743110157", |n| is_digits(n, &[11]) && !n.starts_with("0000000"), luhn),
    country("LT", "LT119511515", |n| is_digits(n, &[9, 12]) && n[..n.len() - 1].ends_with('1'), lithuania),
    country("LU", "LU15027442", |n| is_digits(n, &[8]), |n| digits::number(&n[..6]) % 89 == digits::number(&n[6..])),
    country("LV", "LV40003521600", |n| is_digits(n, &[11]), latvia),
    country(
        "MT",
        "MT11679112",
        |n| is_digits(n, &[8]) && !n.starts_with('0'),
        |n| weighted(n, &[3, 4, 6, 7, 8, 9, 10, 1]).is_multiple_of(37),
    ),
    country(
        "NL",
        "NL004495445B01",
        |n| n.len() == 12 && is_digits(&n[..9], &[9]) && &n[9..10] == "B" && is_digits(&n[10..], &[2]),
        netherlands,
    ),
    country(
        "PL",
        "PL8567346215",
        |n| is_digits(n, &[10]),
        |n| weighted(n, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == digits::at(n, 9),
    ),
    country(
        "PT",
        "PT501964843",
        |n| is_digits(n, &[9]) && !n.starts_with('0'),
        |n| complement_11(weighted(n, &[9, 8, 7, 6, 5, 4, 3, 2])) % 10 == digits::at(n, 8),
    ),
    country("RO", "RO18547290", |n| is_digits(n, &[2, 3, 4, 5, 6, 7, 8, 9, 10]) && !n.starts_with('0'), romania),
    country("SE", "SE556188840401", |n| is_digits(n, &[12]) && !n.ends_with("00"), |n| luhn(&n[..10])),
    country(
        "SI",
        "SI50223054",
        |n| is_digits(n, &[8]) && !n.starts_with('0'),
        |n| {
            let check = 11 - weighted(n, &[8, 7, 6, 5, 4, 3, 2]) % 11;
            check != 11 && check % 10 == digits::at(n, 7)
        },
    ),
    country("SK", "SK2022749619", |n| is_digits(n, &[10]), slovakia),
    country("XI", "XI980780684", is_british, britain),
    country("GB", "GB980780684", is_british, britain),
    country(
        "CH",
        "CHE107787577",
        |n| n.starts_with('E') && is_digits(&n[1..], &[9]),
        |n| {
            let check = complement_11(weighted(&n[1..], &[5, 4, 3, 2, 7, 6, 5, 4]));
            check == digits::at(n, 9)
        },
    ),
    country(
        "NO",
        "NO988077917",
        |n| is_digits(n, &[9]),
        |n| complement_11(weighted(n, &[3, 2, 7, 6, 5, 4, 3, 2])) == digits::at(n, 8),
    ),
];

fn ends_in_letter(text: &str) -> bool {
    text.ends_with(|last: char| last.is_ascii_uppercase())
}

/// What is missing to a multiple of 11; 10 is no digit, so whoever compares it with one refuses it.
fn complement_11(sum: u64) -> u64 {
    (11 - sum % 11) % 11
}

fn austria(n: &str) -> bool {
    // Every second digit is doubled and its own digits added up, as in Luhn's sum; 4 is added to the whole.
    let sum = alternating(&n[1..8], false) + 4;
    (10 - sum % 10) % 10 == digits::at(n, 8)
}

fn belgium(n: &str) -> bool {
    97 - digits::number(&n[..8]) % 97 == digits::number(&n[8..])
}

fn bulgaria(n: &str) -> bool {
    if n.len() == 9 {
        let check = weighted(n, &[1, 2, 3, 4, 5, 6, 7, 8]) % 11;
        let check = if check == 10 { weighted(n, &[3, 4, 5, 6, 7, 8, 9, 10]) % 11 % 10 } else { check };
        return check == digits::at(n, 8);
    }
    // Citizens, foreigners and others count differently.
    let citizen = weighted(n, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10;
    let foreigner = weighted(n, &[21, 19, 17, 13, 11, 9, 7, 3, 1]) % 10;
    let other = complement_11(weighted(n, &[4, 3, 2, 7, 6, 5, 4, 3, 2]));
    let last = digits::at(n, 9);
    // Those born before 1900 have 20 added to the month, those since 2000 have 40.
    let (month, day) = (digits::number(&n[2..4]), digits::number(&n[4..6]));
    let is_date = (1..=12).contains(&(month % 20)) && month <= 52 && (1..=31).contains(&day);
    (citizen == last && is_date) || foreigner == last || other == last
}

fn cyprus(n: &str) -> bool {
    const ODD: [u64; 10] = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21];
    let value = |(place, digit): (usize, u64)| {
        if place.is_multiple_of(2) { usize::try_from(digit).map_or(0, |digit| ODD[digit]) } else { digit }
    };
    let sum: u64 = digits::of(&n[..8]).enumerate().map(value).sum();
    !n.starts_with("12") && n.as_bytes().get(8).copied().map(u64::from) == Some(u64::from(b'A') + sum % 26)
}

fn czechia(n: &str) -> bool {
    match n.len() {
        8 => {
            let check = complement_11(weighted(n, &[8, 7, 6, 5, 4, 3, 2]));
            let check = if check == 0 { 1 } else { check % 10 };
            !n.starts_with('9') && check == digits::at(n, 7)
        }
        9 if n.starts_with('6') => {
            // By what is missing to the next multiple of 11.
            const CHECKS: [u64; 11] = [8, 7, 6, 5, 4, 3, 2, 1, 0, 9, 8];
            let present = weighted(&n[1..], &[8, 7, 6, 5, 4, 3, 2]) % 11;
            usize::try_from(10 - present).is_ok_and(|missing| CHECKS[missing] == digits::at(n, 8))
        }
        // Birth numbers of before 1954 have no check digit.
        9 => digits::number(&n[..2]) <= 53 && is_birthday(n),
        _ => is_birth_number(n),
    }
}

/// Birth numbers of the Czech Republic and Slovakia since 1954.
fn is_birth_number(n: &str) -> bool {
    digits::number(&n[..9]) % 11 % 10 == digits::at(n, 9) && is_birthday(n)
}

/// Whether month and day of a Czech birth number can be right; women have 50 added to the month, and when the numbers of a
/// day ran out 20 or 70 are added.
fn is_birthday(n: &str) -> bool {
    let month = digits::number(&n[2..4]) % 50;
    let month = if month > 20 { month - 20 } else { month };
    (1..=12).contains(&month) && (1..=31).contains(&digits::number(&n[4..6]))
}

fn slovakia(n: &str) -> bool {
    let is_tax_number = !n.starts_with('0') && "234789".contains(&n[2..3]) && digits::number(n).is_multiple_of(11);
    is_tax_number || is_birth_number(n)
}

fn spain(n: &str) -> bool {
    const PERSONS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let letter_of = |number: u64| usize::try_from(number % 23).ok().map(|place| char::from(PERSONS[place]));
    let (Some(first), last) = (n.chars().next(), n.chars().last()) else { return false };
    match first {
        '0'..='9' => letter_of(digits::number(&n[..8])) == last,
        'X' | 'Y' | 'Z' => {
            let century = u64::from(first as u32 - 'X' as u32) * 10_000_000;
            letter_of(century + digits::number(&n[1..8])) == last
        }
        'K' | 'L' | 'M' => letter_of(digits::number(&n[1..8])) == last,
        'A'..='H' | 'J' | 'N' | 'P'..='S' | 'U' | 'V' | 'W' => {
            let check = (10 - alternating(&n[1..8], true) % 10) % 10;
            let letter = "JABCDEFGHI".chars().nth(usize::try_from(check).unwrap_or(0));
            last == letter || last == char::from_digit(u32::try_from(check).unwrap_or(0), 10)
        }
        _ => false,
    }
}

fn france(n: &str) -> bool {
    let (key, siren) = n.split_at(2);
    // Monaco's companies are in the French system without a SIREN.
    if !siren.starts_with("000") && !luhn(siren) {
        return false;
    }
    let siren = digits::number(siren);
    if key.bytes().all(|byte| byte.is_ascii_digit()) {
        return (siren * 100 + 12) % 97 == digits::number(key);
    }
    // Keys with letters count in an alphabet without I and O.
    let place = |c: char| "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ".find(c).and_then(|place| u64::try_from(place).ok());
    let mut places = key.chars().map(place);
    let (Some(Some(first)), Some(Some(second))) = (places.next(), places.next()) else { return false };
    let value = if first < 10 { (first * 24 + second).checked_sub(10) } else { (first * 34 + second).checked_sub(100) };
    value.is_some_and(|value| (siren + 1 + value / 11) % 11 == value % 11)
}

const IRISH: &str = "WABCDEFGHIJKLMNOPQRSTUV";

fn is_irish(n: &str) -> bool {
    let bytes = n.as_bytes();
    let is_new =
        (n.len() == 8 || n.len() == 9) && is_digits(&n[..7], &[7]) && n[7..].chars().all(|c| IRISH.contains(c));
    // Old: a letter in the second place. Its `+` and `*` do not survive the way numbers are cleaned here; none is left.
    let is_old = n.len() == 8
        && bytes[0].is_ascii_digit()
        && bytes[1].is_ascii_uppercase()
        && is_digits(&n[2..7], &[5])
        && IRISH.contains(char::from(bytes[7]));
    is_new || is_old
}

fn ireland(n: &str) -> bool {
    let place = |c: Option<char>| c.and_then(|c| IRISH.find(c)).and_then(|place| u64::try_from(place).ok());
    let (sum, second) = if n[1..2].bytes().all(|byte| byte.is_ascii_digit()) {
        (weighted(n, &[8, 7, 6, 5, 4, 3, 2]), place(n.chars().nth(8)).unwrap_or(0))
    } else {
        // The first digit comes last, after the others.
        (weighted(&n[2..7], &[7, 6, 5, 4, 3]) + digits::at(n, 0) * 2, 0)
    };
    place(n.chars().nth(7)) == Some((sum + 9 * second) % 23)
}

fn lithuania(n: &str) -> bool {
    let (body, last) = n.split_at(n.len() - 1);
    let sum = |from: u64| -> u64 {
        digits::of(body).zip(0_u64..).map(|(digit, place)| (1 + (place + from) % 9) * digit).sum()
    };
    let check = sum(0) % 11;
    let check = if check == 10 { sum(2) % 11 % 10 } else { check };
    check == digits::number(last)
}

fn latvia(n: &str) -> bool {
    if digits::at(n, 0) > 3 {
        return weighted(n, &[9, 1, 4, 8, 3, 10, 2, 5, 7, 6, 1]) % 11 == 3;
    }
    // Persons: the day and month of birth, or 32 and a number that says nothing.
    if n.starts_with("32") {
        return true;
    }
    let is_date = (1..=31).contains(&digits::number(&n[..2])) && (1..=12).contains(&digits::number(&n[2..4]));
    is_date && (1 + weighted(n, &[10, 5, 8, 4, 2, 1, 6, 3, 7, 9])) % 11 % 10 == digits::at(n, 10)
}

fn netherlands(n: &str) -> bool {
    // Legal persons have the number of their fiscal unit in it; sole traders, since 2020, one that says nothing of them.
    let fiscal = weighted(n, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11 == digits::at(n, 8);
    fiscal || iso_7064_97_10(&format!("NL{n}"))
}

fn romania(n: &str) -> bool {
    let padded = format!("{n:0>10}");
    weighted(&padded, &[7, 5, 3, 2, 1, 7, 5, 3, 2]) * 10 % 11 % 10 == digits::at(&padded, 9)
}

fn is_british(n: &str) -> bool {
    let is_body = n.len() == 5 && (n.starts_with("GD") || n.starts_with("HA")) && is_digits(&n[2..], &[3]);
    is_digits(n, &[9, 12]) || is_body
}

fn britain(n: &str) -> bool {
    match n.get(..2) {
        Some("GD") => return digits::number(&n[2..]) < 500,
        Some("HA") => return digits::number(&n[2..]) >= 500,
        _ => {}
    }
    // The second rule ("9755") is for numbers given out since 2009, which begin with 100 or more.
    match (weighted(n, &[8, 7, 6, 5, 4, 3, 2]) + digits::number(&n[7..9])) % 97 {
        0 => true,
        42 => digits::number(&n[..3]) >= 100,
        _ => false,
    }
}

impl VatNumber {
    /// Reads a number as people write it: blanks, dots and hyphens do not matter, and Greece may be GR. Swiss and Norwegian
    /// numbers lose the word for VAT at their end.
    ///
    /// # Errors
    /// When it is no number of the country its prefix names.
    pub fn parse(text: &str) -> Result<Self, VatNumberError> {
        let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
        let (prefix, rest) = plain.split_at_checked(2).ok_or(VatNumberError::Prefix)?;
        let prefix = if prefix == "GR" { "EL" } else { prefix };
        let rule = COUNTRIES.iter().find(|rule| rule.prefix == prefix).ok_or(VatNumberError::Prefix)?;
        let ends: &[&str] = match prefix {
            "CH" => &["MWST", "TVA", "IVA"],
            "NO" => &["MVA"],
            _ => &[],
        };
        let rest = ends.iter().find_map(|end| rest.strip_suffix(end)).unwrap_or(rest);
        if !(rule.form)(rest) {
            return Err(VatNumberError::Form { country: rule.prefix, example: rule.example });
        }
        if !(rule.check)(rest) {
            return Err(VatNumberError::CheckDigit { country: rule.prefix });
        }
        Ok(Self(format!("{prefix}{rest}")))
    }

    /// With its prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The prefix, as the validators name the country.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0[..2]
    }

    /// Without the prefix.
    #[must_use]
    pub fn national(&self) -> &str {
        &self.0[2..]
    }

    /// The country in ISO 3166-1: Greece writes EL, Northern Ireland XI.
    #[must_use]
    pub fn country(&self) -> &str {
        country_of(self.prefix())
    }
}

/// The country of a prefix in ISO 3166-1 alpha-2.
#[must_use]
pub fn country_of(prefix: &str) -> &str {
    match prefix {
        "EL" => "GR",
        "XI" => "GB",
        prefix => prefix,
    }
}

impl fmt::Display for VatNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
