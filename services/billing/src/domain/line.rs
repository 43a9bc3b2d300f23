//! Lines of an invoice and their totals. Amounts are gross, whatever the prices were.

use ottery_kernel::{Currency, Money, MoneyError, Period};
use serde::{Deserialize, Serialize};

use super::derivation::Derivation;
use super::tax::{Tax, Taxed, Treatment};

/// One printed line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What it is for.
    pub description: String,
    /// How many.
    pub quantity: u32,
    /// Gross amount of all of them; negative for a credit.
    pub amount: Money,
    /// Rate of the contained tax in basis points; zero where none is charged.
    pub tax_rate_bp: u32,
    /// The contained tax, fixed at issue.
    pub tax: Money,
    /// How it is taxed beside the rate, fixed at issue.
    #[serde(default, skip_serializing_if = "Treatment::is_rate")]
    pub treatment: Treatment,
    /// The time it covers.
    pub period: Option<Period>,
    /// How its price came about; empty when somebody stated it, and on lines of earlier versions.
    #[serde(default, skip_serializing_if = "Derivation::is_empty")]
    pub how: Derivation,
}

impl Line {
    /// One piece at that price; negative for a credit.
    ///
    /// # Errors
    /// When the price is too large to compute with.
    pub fn priced(
        description: impl Into<String>,
        price: Money,
        tax: &Tax,
        period: Option<Period>,
    ) -> Result<Self, MoneyError> {
        let Taxed { gross, tax: contained } = tax.of(price)?;
        Ok(Self {
            description: description.into(),
            quantity: 1,
            amount: gross,
            tax_rate_bp: tax.charged_bp(),
            tax: contained,
            treatment: tax.treatment.clone(),
            period,
            how: Derivation::default(),
        })
    }

    /// What a discount of `off` takes off this line, whose price is `price`, as a line of its own. Amount and tax are what
    /// those of the line shrink by, so that both lines together are the reduced price with its tax.
    ///
    /// # Errors
    /// When the currencies differ.
    pub fn discounted(
        &self,
        description: impl Into<String>,
        price: Money,
        off: Money,
        tax: &Tax,
    ) -> Result<Self, MoneyError> {
        let rest = tax.of(price.checked_sub(off)?)?;
        let (amount, tax) = (rest.gross.checked_sub(self.amount)?, rest.tax.checked_sub(self.tax)?);
        Ok(Self { description: description.into(), amount, tax, how: Derivation::default(), ..self.clone() })
    }

    /// With the derivation its price was computed by.
    #[must_use]
    pub fn derived(self, how: Derivation) -> Self {
        Self { how, ..self }
    }
}

/// Sums of lines: what the customer sees always adds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Without tax.
    pub subtotal: Money,
    /// The tax of all lines.
    pub tax: Money,
    /// What is to be paid.
    pub total: Money,
}

impl Totals {
    /// Adds the lines up.
    ///
    /// # Errors
    /// When a line has another currency or the sum does not fit.
    pub fn of(currency: Currency, lines: &[Line]) -> Result<Self, MoneyError> {
        let total = Money::sum(currency, lines.iter().map(|line| line.amount))?;
        let tax = Money::sum(currency, lines.iter().map(|line| line.tax))?;
        Ok(Self { subtotal: total.checked_sub(tax)?, tax, total })
    }

    /// Whether an invoice can be made of them: neither price nor tax is less than nothing.
    #[must_use]
    pub const fn is_proper(&self) -> bool {
        !self.subtotal.is_negative() && !self.tax.is_negative()
    }
}

#[cfg(test)]
mod tests {
    use ottery_kernel::Currency;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_019_tax_is_taken_per_line_and_the_sums_match_the_printed_lines() {
        let eur = |minor| Money::new(minor, Currency::EUR);
        let lines: Vec<_> =
            [999, 999, 1].map(|minor| Line::priced("x", eur(minor), &Tax::contained(1900), None).unwrap()).into();
        // 9.99 contains 1.595… of 19 %: 1.60 on each of two lines, not 3.19 on their sum.
        assert_eq!(lines.iter().map(|line| line.tax.minor).collect::<Vec<_>>(), [160, 160, 0]);
        let totals = Totals::of(Currency::EUR, &lines).unwrap();
        assert_eq!((totals.subtotal, totals.tax, totals.total), (eur(1679), eur(320), eur(1999)));
    }

    #[test]
    fn case_017_yen_and_dinar_are_taxed_in_their_own_minor_units() {
        let yen = Line::priced("x", Money::new(1100, Currency::JPY), &Tax::contained(1000), None).unwrap();
        assert_eq!(yen.tax, Money::new(100, Currency::JPY));
        let dinar = Line::priced("x", Money::new(10_500, Currency::KWD), &Tax::contained(500), None).unwrap();
        assert_eq!(dinar.tax.to_decimal(), "0.500");
    }

    proptest! {
        #[test]
        fn net_and_tax_add_up_to_gross(amounts in proptest::collection::vec(-1_000_000_i64..1_000_000, 1..8), bp in 0_u32..5_000) {
            let lines: Vec<_> =
                amounts.iter().map(|minor| Line::priced("x", Money::new(*minor, Currency::EUR), &Tax::contained(bp), None).unwrap()).collect();
            let totals = Totals::of(Currency::EUR, &lines).unwrap();
            prop_assert_eq!(totals.subtotal.minor + totals.tax.minor, totals.total.minor);
            prop_assert_eq!(totals.total.minor, amounts.iter().sum::<i64>());
            prop_assert!(lines.iter().all(|line| line.tax.minor.abs() <= line.amount.minor.abs()));
        }
    }
}
