//! Check digits that several countries share.

/// The digits of a text; what is none counts as zero, which no form lets through.
pub fn of(text: &str) -> impl Iterator<Item = u64> {
    text.chars().map(|c| c.to_digit(10).unwrap_or(0).into())
}

/// The digit at a place.
pub fn at(text: &str, place: usize) -> u64 {
    of(text).nth(place).unwrap_or(0)
}

/// The number a text of at most 18 digits is.
pub fn number(text: &str) -> u64 {
    of(text).fold(0, |number, digit| number * 10 + digit)
}

/// The first digits, each times its weight, added up; as many as there are weights.
pub fn weighted(text: &str, weights: &[u64]) -> u64 {
    of(text).zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// Every second digit is doubled, and the digits of the doubles are added up; the first digit is doubled or not.
pub fn alternating(text: &str, is_first_doubled: bool) -> u64 {
    let value = |(place, digit): (usize, u64)| {
        let is_doubled = place.is_multiple_of(2) == is_first_doubled;
        if is_doubled { digit * 2 / 10 + digit * 2 % 10 } else { digit }
    };
    of(text).enumerate().map(value).sum()
}

/// Whether the last digit is right after Luhn (ISO/IEC 7812-1, annex B).
pub fn luhn(text: &str) -> bool {
    alternating(text, text.len().is_multiple_of(2)).is_multiple_of(10)
}

/// Whether the last digit is right after ISO/IEC 7064, MOD 11,10.
pub fn iso_7064_11_10(text: &str) -> bool {
    let (body, last) = text.split_at(text.len() - 1);
    let product = of(body).fold(10, |product, digit| {
        let sum = (product + digit) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (product + number(last)) % 10 == 1
}

/// Whether the last two digits are right after ISO/IEC 7064, MOD 97-10, letters counting from A = 10.
pub fn iso_7064_97_10(text: &str) -> bool {
    let rest = text
        .chars()
        .filter_map(|c| c.to_digit(36))
        .fold(0_u32, |rest, value| if value < 10 { (rest * 10 + value) % 97 } else { (rest * 100 + value) % 97 });
    rest == 1
}
