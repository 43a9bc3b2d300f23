//! Shared by the types whose one outside form is text: serde writes `Display` and reads `FromStr`.

/// Implements `Serialize` and `Deserialize` through `Display` and `FromStr`.
macro_rules! serde_as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use serde_as_text;

/// Decimal text taken apart: sign, and the digits scaled to `exponent` decimals.
///
/// Digits beyond the exponent are accepted only when they are zero, so reading never rounds.
pub(crate) fn scaled_digits(text: &str, exponent: u32) -> Result<(bool, u128), DecimalError> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let only_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let dangling_point = unsigned.ends_with('.');
    if whole.is_empty() || dangling_point || !only_digits(whole) || !only_digits(fraction) {
        return Err(DecimalError::Malformed);
    }
    let kept = fraction.len().min(exponent as usize);
    let (kept, excess) = fraction.split_at(kept);
    if excess.bytes().any(|byte| byte != b'0') {
        return Err(DecimalError::TooPrecise);
    }
    let padding = exponent as usize - kept.len();
    let mut scaled: u128 = 0;
    for digit in whole.bytes().chain(kept.bytes()).chain(std::iter::repeat_n(b'0', padding)) {
        scaled = scaled
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u128::from(digit - b'0')))
            .ok_or(DecimalError::Overflow)?;
    }
    Ok((negative, scaled))
}

/// Why decimal text was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecimalError {
    Malformed,
    TooPrecise,
    Overflow,
}
