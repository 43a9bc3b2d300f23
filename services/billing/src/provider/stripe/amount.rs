//! Stripe's own minor units, which are not always those of ISO 4217.

use ottery_kernel::{Currency, Money};

use crate::provider::{CallError, from_provider, to_provider};

/// Counted in whole units. MGA has two digits in the standard and none here.
const NO_DIGITS: [&str; 15] =
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"];
/// Counted in thousandths, of which the last digit must be zero.
const THREE_DIGITS: [&str; 5] = ["BHD", "JOD", "KWD", "OMR", "TND"];
/// Stripe's pages contradict each other about it: not taken until somebody has seen which one is right.
const UNCLEAR: &str = "UGX";

/// Whether amounts in it can be told.
pub fn takes(currency: Currency) -> bool {
    currency.code() != UNCLEAR
}

/// Digits behind the point. ISK has none and is counted in hundredths all the same.
pub fn exponent(currency: Currency) -> u32 {
    if NO_DIGITS.contains(&currency.code()) {
        0
    } else if THREE_DIGITS.contains(&currency.code()) {
        3
    } else {
        2
    }
}

/// An amount as Stripe takes it. Of thousandths the last digit is cut: nobody pays more than the invoice says, and what is
/// missing is booked with what the provider keeps.
pub fn to_stripe(amount: Money) -> Result<i64, CallError> {
    if !takes(amount.currency) {
        return Err(CallError::Amount(amount));
    }
    let minor = to_provider(amount, exponent(amount.currency))?;
    Ok(if THREE_DIGITS.contains(&amount.currency.code()) { minor - minor % 10 } else { minor })
}

/// An amount as Stripe tells it, with Stripe's lower-case code.
pub fn from_stripe(minor: i64, code: &str) -> Result<Money, CallError> {
    let unknown = |_| CallError::Ambiguous(format!("an amount in `{}`", code.chars().take(8).collect::<String>()));
    let currency: Currency = code.to_ascii_uppercase().parse().map_err(unknown)?;
    Ok(from_provider(minor, currency, exponent(currency)))
}

/// What was charged of `asked`, when `came` is all of it that Stripe could take: the amount asked for, and what the cut digit
/// left at nobody's.
pub fn uncut(asked: Money, came: Money) -> Option<Money> {
    let cut = asked.checked_sub(came).ok()?;
    let is_cut = (1..10).contains(&cut.minor) && THREE_DIGITS.contains(&asked.currency.code());
    is_cut.then_some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, code.parse().unwrap())
    }

    #[test]
    fn amounts_are_told_in_stripes_minor_units() {
        for (ours, code, theirs) in [
            (1299, "EUR", 1299),
            (500, "JPY", 500),
            // Two digits in the standard, none at Stripe.
            (1300, "MGA", 13),
            // None in the standard, two at Stripe.
            (700, "ISK", 70_000),
            (1_300_000, "HUF", 1_300_000),
            (9_900, "TWD", 9_900),
            (12_340, "KWD", 12_340),
            (12_347, "KWD", 12_340),
            (1_999, "TND", 1_990),
        ] {
            assert_eq!(to_stripe(money(ours, code)), Ok(theirs), "{ours} {code}");
        }
    }

    #[test]
    fn what_cannot_be_told_exactly_is_refused() {
        let fraction = money(1350, "MGA");
        assert_eq!(to_stripe(fraction), Err(CallError::Amount(fraction)));
        let unclear = money(5_000, "UGX");
        assert_eq!(to_stripe(unclear), Err(CallError::Amount(unclear)));
    }

    #[test]
    fn the_cut_digit_is_known_again_and_nothing_else_is_taken_for_one() {
        let asked = money(12_347, "KWD");
        assert_eq!(from_stripe(12_340, "kwd"), Ok(money(12_340, "KWD")));
        assert_eq!(uncut(asked, money(12_340, "KWD")), Some(money(7, "KWD")));
        assert_eq!(uncut(asked, money(12_347, "KWD")), None);
        assert_eq!(uncut(asked, money(12_330, "KWD")), None);
        assert_eq!(uncut(money(1299, "EUR"), money(1295, "EUR")), None);
        assert!(matches!(from_stripe(1, "x"), Err(CallError::Ambiguous(_))));
    }
}
