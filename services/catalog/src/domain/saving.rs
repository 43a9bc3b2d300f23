//! What a longer term saves against paying the shortest one so often.
//!
//! Terms of months and years are compared with each other, and terms of days and weeks with each other: between both there
//! is no exact number. A pass is never compared, because it is not paid again.

use ottery_kernel::{Money, Rounding, Term, TermUnit};

use super::plan::Price;

/// Basis points in a whole.
const WHOLE_BP: i128 = 10_000;

/// What a term saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saving {
    /// The shortest term, which it is compared with.
    pub against: Term,
    /// What paying that so often would cost more.
    pub amount: Money,
    /// The same as a share of it in basis points, rounded down: a shop never promises more than it gives.
    pub share_bp: u32,
}

/// Months, or days.
fn length(term: Term) -> (bool, i64) {
    let count = i64::from(term.count());
    match term.unit() {
        TermUnit::Day => (false, count),
        TermUnit::Week => (false, count * 7),
        TermUnit::Month => (true, count),
        TermUnit::Year => (true, count * 12),
    }
}

/// What `price` saves against the shortest comparable one of `all`; none when it is that one, or saves nothing.
#[must_use]
pub fn saving(price: &Price, all: &[Price]) -> Option<Saving> {
    let (in_months, count) = length(price.term);
    let shortest = all
        .iter()
        .filter(|other| !other.once && other.amount.currency == price.amount.currency)
        .filter(|other| length(other.term).0 == in_months)
        .min_by_key(|other| (length(other.term).1, other.amount.minor))?;
    let (_, unit) = length(shortest.term);
    if price.once || count <= unit {
        return None;
    }
    let full = shortest.amount.mul_ratio(count, unit, Rounding::HalfUp).ok()?;
    let amount = full.checked_sub(price.amount).ok().filter(|amount| amount.is_positive())?;
    let share_bp = i128::from(amount.minor) * WHOLE_BP / i128::from(full.minor);
    Some(Saving { against: shortest.term, amount, share_bp: u32::try_from(share_bp).ok()? })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use ottery_kernel::{Currency, PriceId};

    use super::*;

    fn price(minor: i64, currency: Currency, count: u16, unit: TermUnit) -> Price {
        Price {
            id: PriceId::new(DateTime::UNIX_EPOCH),
            amount: Money::new(minor, currency),
            setup_fee: Money::zero(currency),
            term: Term::try_new(count, unit).unwrap(),
            once: false,
        }
    }

    #[test]
    fn a_year_is_compared_with_twelve_months_to_the_cent() {
        let eur = |minor, count, unit| price(minor, Currency::EUR, count, unit);
        let all = [
            eur(999, 1, TermUnit::Month),
            eur(2700, 3, TermUnit::Month),
            eur(5999, 6, TermUnit::Month),
            eur(9999, 1, TermUnit::Year),
            eur(299, 1, TermUnit::Week),
        ];
        let saved: Vec<_> =
            all.iter().map(|price| saving(price, &all).map(|one| (one.amount.minor, one.share_bp))).collect();
        // 3 x 9.99 = 29.97; 12 x 9.99 = 119.88. Six months cost more than six single ones: nothing is claimed.
        assert_eq!(saved, [None, Some((297, 990)), None, Some((1989, 1659)), None]);
        assert_eq!(saving(&all[3], &all).unwrap().against, Term::MONTH);
    }

    #[test]
    fn currencies_days_and_passes_are_not_mixed_and_yen_has_no_cents() {
        let pass = Price { once: true, ..price(100, Currency::JPY, 1, TermUnit::Month) };
        let all = [
            price(1000, Currency::JPY, 1, TermUnit::Month),
            price(9000, Currency::JPY, 12, TermUnit::Month),
            price(999, Currency::EUR, 12, TermUnit::Month),
            price(500, Currency::JPY, 7, TermUnit::Day),
            price(900, Currency::JPY, 2, TermUnit::Week),
            pass,
        ];
        let saved = |at: usize| saving(&all[at], &all).map(|one| (one.amount.minor, one.share_bp));
        assert_eq!((saved(1), saved(2), saved(4), saved(5)), (Some((3000, 2500)), None, Some((100, 1000)), None));
    }

    #[test]
    fn without_a_single_month_the_shortest_term_there_is_counts() {
        let all = [price(5000, Currency::EUR, 2, TermUnit::Month), price(7000, Currency::EUR, 3, TermUnit::Month)];
        assert_eq!(saving(&all[1], &all).map(|one| (one.amount.minor, one.share_bp)), Some((500, 666)));
    }
}
