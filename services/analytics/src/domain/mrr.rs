//! Normalising a term's amount to a month.

use ottery_kernel::{Money, MoneyError, Rounding, Term, TermUnit};

/// Monthly recurring revenue of `recurring` a term: n months 1/n, n years 1/(12 n), n weeks 52/(12 n), n days 365/(12 n) of it,
/// rounded once, half away from zero.
///
/// # Errors
/// The amount is too large for 64 bits.
pub fn monthly(recurring: Money, term: Term) -> Result<Money, MoneyError> {
    let count = i64::from(term.count());
    let (numerator, denominator) = match term.unit() {
        TermUnit::Month => (1, count),
        TermUnit::Year => (1, 12 * count),
        TermUnit::Week => (52, 12 * count),
        TermUnit::Day => (365, 12 * count),
    };
    recurring.mul_ratio(numerator, denominator, Rounding::HalfUp)
}

#[cfg(test)]
mod tests {
    use ottery_kernel::Currency;

    use super::*;

    #[test]
    fn each_unit_has_its_factor() {
        let eur = |minor| Money { minor, currency: Currency::EUR };
        for (minor, count, unit, monthly_minor) in [
            (4500, 3, TermUnit::Month, 1500),
            (10_788, 1, TermUnit::Year, 899),
            (400, 1, TermUnit::Week, 1733),
            (1200, 30, TermUnit::Day, 1217),
        ] {
            assert_eq!(monthly(eur(minor), Term::try_new(count, unit).unwrap()).unwrap(), eur(monthly_minor));
        }
    }
}
