//! How much an account takes, in one line: `EUR 5-500, USD 10-`.

use ottery_kernel::{Currency, Money as Exact};
use ottery_proto::billing::v1::AmountLimit;

use crate::problem::{Refusal, Reply};

/// The field of the form.
pub const FIELD: &str = "amounts";

/// As a person writes it.
pub fn written(limits: &[AmountLimit]) -> String {
    let one = |limit: &AmountLimit| {
        let end = |minor: Option<i64>| match (minor, limit.currency.parse::<Currency>()) {
            (Some(minor), Ok(currency)) => short(Exact::new(minor, currency)),
            (Some(minor), Err(_)) => minor.to_string(),
            (None, _) => String::new(),
        };
        format!("{} {}-{}", limit.currency, end(limit.min_minor), end(limit.max_minor))
    };
    limits.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Without digits that say nothing: `5`, `4.99`.
fn short(amount: Exact) -> String {
    let text = amount.to_decimal();
    match text.split_once('.') {
        Some((whole, digits)) if digits.bytes().all(|digit| digit == b'0') => whole.to_owned(),
        Some(_) | None => text,
    }
}

/// What a person wrote. What the limits mean together is billing's to say.
///
/// # Errors
/// 400 naming the field, with the part that cannot be read.
pub fn read(text: &str) -> Reply<Vec<AmountLimit>> {
    text.split([',', ';', '\n']).map(str::trim).filter(|part| !part.is_empty()).map(limit).collect()
}

fn limit(part: &str) -> Reply<AmountLimit> {
    let wrong = |why: String| Refusal::invalid(FIELD, "amounts_invalid", why);
    let shape = || wrong(format!("`{part}` is no range of amounts; write such as EUR 5-500, EUR 5- or EUR -500"));
    let (code, range) = part.split_once(char::is_whitespace).ok_or_else(shape)?;
    let currency = code.to_uppercase().parse::<Currency>().map_err(|error| wrong(format!("`{part}`: {error}")))?;
    let (min, max) = range.split_once(['-', '–']).ok_or_else(shape)?;
    let end = |text: &str| match text.trim() {
        "" => Ok(None),
        text => Exact::parse(text, currency)
            .map(|amount| Some(amount.minor))
            .map_err(|error| wrong(format!("`{part}`: {error}"))),
    };
    Ok(AmountLimit { currency: currency.to_string(), min_minor: end(min)?, max_minor: end(max)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur(min_minor: Option<i64>, max_minor: Option<i64>) -> AmountLimit {
        AmountLimit { currency: "EUR".into(), min_minor, max_minor }
    }

    #[test]
    fn ranges_are_read_as_they_are_written() {
        let yen = AmountLimit { currency: "JPY".into(), min_minor: None, max_minor: Some(5_000) };
        for (text, limits) in [
            ("EUR 5-500", vec![eur(Some(500), Some(50_000))]),
            ("EUR 4.99-", vec![eur(Some(499), None)]),
            ("EUR -500, JPY -5000", vec![eur(None, Some(50_000)), yen]),
            ("", vec![]),
        ] {
            assert_eq!(read(text).unwrap(), limits, "{text}");
            assert_eq!(written(&limits), text);
        }
        assert_eq!(read(" eur 5 – 500 ;\n").unwrap(), [eur(Some(500), Some(50_000))]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for text in ["EUR", "EUR 5", "5-500", "EURO 5-500", "EUR five-500", "EUR 5.001-500", "EUR 1-2-3"] {
            let refused = read(text).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some(FIELD), "{text}");
            assert!(refused.detail.contains(text), "{}", refused.detail);
        }
    }
}
