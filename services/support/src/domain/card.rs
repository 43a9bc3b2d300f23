//! Card numbers have no business in a ticket: they are masked before anything is stored, indexed or mailed.

/// Shortest and longest card number, ISO/IEC 7812.
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// The text with every card number masked but its last four digits. A number may be written with single spaces or hyphens
/// between its digits; what fails the Luhn check (order numbers, phone numbers) stays.
#[must_use]
pub fn mask(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        match card_at(&chars, at) {
            Some(end) => {
                let digits = chars[at..end].iter().filter(|c| c.is_ascii_digit()).count();
                let mut seen = 0;
                for &c in &chars[at..end] {
                    if c.is_ascii_digit() {
                        seen += 1;
                        out.push(if seen + 4 > digits { c } else { '•' });
                    } else {
                        out.push(c);
                    }
                }
                at = end;
            }
            None => {
                out.push(chars[at]);
                at += 1;
            }
        }
    }
    out
}

/// The end of the longest card number that begins here; it begins and ends at the border of a number.
fn card_at(chars: &[char], start: usize) -> Option<usize> {
    let is_digit = |i: usize| chars.get(i).is_some_and(char::is_ascii_digit);
    if !is_digit(start) || (start > 0 && is_digit(start - 1)) {
        return None;
    }
    let (mut digits, mut found, mut i) = (Vec::new(), None, start);
    loop {
        if is_digit(i) {
            digits.push(chars[i]);
            i += 1;
        } else if chars.get(i).is_some_and(|c| matches!(c, ' ' | '-')) && is_digit(i + 1) {
            i += 1;
        } else {
            break;
        }
        if digits.len() > *DIGITS.end() {
            break;
        }
        if DIGITS.contains(&digits.len()) && !is_digit(i) && luhn(&digits) {
            found = Some(i);
        }
    }
    found
}

fn luhn(digits: &[char]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .filter_map(|c| c.to_digit(10))
        .enumerate()
        .map(|(n, digit)| match (n % 2, digit * 2) {
            (0, _) => digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_is_masked_however_it_is_written() {
        for (text, masked) in [
            ("my card 4242424242424242 fails", "my card ••••••••••••4242 fails"),
            ("4242 4242 4242 4242", "•••• •••• •••• 4242"),
            ("3782-822463-10005.", "••••-••••••-•0005."),
            ("zwei: 5555555555554444/4000056655665556", "zwei: ••••••••••••4444/••••••••••••5556"),
        ] {
            assert_eq!(mask(text), masked);
        }
    }

    #[test]
    fn other_numbers_stay() {
        for text in ["order 4242424242424243", "+49 40 1234567", "2026-11-22 10:00", "9".repeat(40).as_str(), "çé 12"]
        {
            assert_eq!(mask(text), text);
        }
    }
}
