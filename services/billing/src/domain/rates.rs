//! What each rate of tax has in an invoice, and in a credit note that takes a part of it back.

use ottery_kernel::{Currency, Money, MoneyError};

use super::line::Line;
use super::tax::Treatment;

/// The sums of one rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateSum {
    /// The rate in basis points.
    pub rate_bp: u32,
    /// How it is taxed beside the rate.
    pub treatment: Treatment,
    /// With tax.
    pub gross: Money,
    /// The tax in it.
    pub tax: Money,
}

impl RateSum {
    /// Without tax.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn net(&self) -> Result<Money, MoneyError> {
        self.gross.checked_sub(self.tax)
    }
}

/// The sums of an invoice's lines by rate and treatment, the lowest rate first.
///
/// # Errors
/// When a line has another currency or a sum does not fit.
pub fn by_rate(currency: Currency, lines: &[Line]) -> Result<Vec<RateSum>, MoneyError> {
    let mut kinds: Vec<(u32, &Treatment)> = lines.iter().map(|line| (line.tax_rate_bp, &line.treatment)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
        .into_iter()
        .map(|(rate_bp, treatment)| {
            let lines = || lines.iter().filter(|line| (line.tax_rate_bp, &line.treatment) == (rate_bp, treatment));
            let gross = Money::sum(currency, lines().map(|line| line.amount))?;
            let tax = Money::sum(currency, lines().map(|line| line.tax))?;
            Ok(RateSum { rate_bp, treatment: treatment.clone(), gross, tax })
        })
        .collect()
}

/// A credit of `gross` with `tax` in it, shared out over the rates of the invoice in proportion to what each contributed
/// (largest remainder), as a credit note keeps only sums. The parts add up to the whole.
///
/// # Errors
/// When a sum does not fit.
pub fn shared_out(gross: Money, tax: Money, lines: &[Line]) -> Result<Vec<RateSum>, MoneyError> {
    let sums = by_rate(gross.currency, lines)?;
    // A rate whose lines are a credit takes no part: there is nothing to give back of it.
    let weights = |of: fn(&RateSum) -> Money| -> Vec<u64> {
        sums.iter().map(|sum| u64::try_from(of(sum).minor).unwrap_or(0)).collect()
    };
    let amounts = gross.split_by_weights(&weights(|sum| sum.gross))?;
    let taxes = if tax.is_zero() { vec![tax; sums.len()] } else { tax.split_by_weights(&weights(|sum| sum.tax))? };
    let parts = sums.into_iter().zip(amounts).zip(taxes).map(|((sum, gross), tax)| RateSum { gross, tax, ..sum });
    Ok(parts.filter(|part| !part.gross.is_zero() || !part.tax.is_zero()).collect())
}

/// The lines of an invoice a credit note takes back: those it names, counted from 1, or all of them.
#[must_use]
pub fn credited(lines: &[Line], numbers: &[u32]) -> Vec<Line> {
    if numbers.is_empty() {
        return lines.to_vec();
    }
    let at = |number: &u32| usize::try_from(*number).ok()?.checked_sub(1);
    numbers.iter().filter_map(|number| lines.get(at(number)?).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use ottery_kernel::Currency;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::tax::Tax;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    fn line(minor: i64, rate_bp: u32) -> Line {
        Line::priced("x", eur(minor), &Tax::contained(rate_bp), None).unwrap()
    }

    #[test]
    fn case_025_a_credit_note_takes_back_the_rates_of_its_invoice() {
        let lines = [line(1190, 1900), line(1070, 700), line(1190, 1900)];
        let sums = by_rate(Currency::EUR, &lines).unwrap();
        assert_eq!(
            sums.iter().map(|sum| (sum.rate_bp, sum.gross, sum.tax)).collect::<Vec<_>>(),
            [(700, eur(1070), eur(70)), (1900, eur(2380), eur(380))]
        );
        // Everything back is exactly the invoice.
        assert_eq!(shared_out(eur(3450), eur(450), &lines).unwrap(), sums);
        let half = shared_out(eur(1725), eur(225), &lines).unwrap();
        assert_eq!((half[0].rate_bp, half[0].gross, half[0].tax), (700, eur(535), eur(35)));
        assert_eq!(half[1].net().unwrap(), eur(1000));
    }

    proptest! {
        #[test]
        fn parts_of_a_credit_add_up(amounts in proptest::collection::vec((1_i64..100_000, 0_u32..3), 1..6), share in 1_i64..=100) {
            let lines: Vec<_> = amounts.iter().map(|(minor, rate)| line(*minor, [0, 700, 1900][*rate as usize])).collect();
            let sums = by_rate(Currency::EUR, &lines).unwrap();
            let gross: i64 = sums.iter().map(|sum| sum.gross.minor).sum();
            let tax: i64 = sums.iter().map(|sum| sum.tax.minor).sum();
            let (gross, tax) = ((gross * share / 100).max(1), tax * share / 100);
            let parts = shared_out(eur(gross), eur(tax), &lines).unwrap();
            prop_assert_eq!(parts.iter().map(|part| part.gross.minor).sum::<i64>(), gross);
            prop_assert_eq!(parts.iter().map(|part| part.tax.minor).sum::<i64>(), tax);
        }
    }
}
