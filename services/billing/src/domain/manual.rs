//! What staff may write on an invoice: free lines, each with its own rate of tax.

use ottery_kernel::{Currency, Money, MoneyError};

use super::derivation::Derivation;
use super::line::{Line, Totals};
use super::rates::by_rate;
use super::tax::{Treatment, inside};

/// Lines of one invoice.
pub const LINES_MAX: usize = 100;
/// Characters of a description: what the PDF prints and an e-invoice carries.
pub const DESCRIPTION_CHARS_MAX: usize = 300;
/// Pieces of one line.
pub const QUANTITY_MAX: u32 = 100_000;
/// Largest amount of a line in minor units: above it somebody has mistyped.
pub const AMOUNT_MINOR_MAX: i64 = 9_999_999_999;
/// Highest rate of tax, in basis points.
pub const RATE_BP_MAX: u32 = 10_000;

/// A line as it is entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftLine {
    /// What it is for.
    pub description: String,
    /// How many.
    pub quantity: u32,
    /// Gross price of one; negative for a discount.
    pub unit: Money,
    /// Rate of the contained tax in basis points.
    pub tax_rate_bp: u32,
}

/// Why lines are no invoice. Each names the field, the rule and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Nothing to bill.
    #[error("lines: an invoice has 1 to {LINES_MAX} lines, got {0}")]
    Count(usize),
    /// A blank or endless description.
    #[error("lines[{0}].description: say what it is for in 1 to {DESCRIPTION_CHARS_MAX} characters")]
    Description(usize),
    /// None, or more than anybody buys.
    #[error("lines[{0}].quantity: use 1 to {QUANTITY_MAX}")]
    Quantity(usize),
    /// Another currency than the invoice.
    #[error("lines[{0}].unit_price: the invoice is in {1}, and so is each of its lines")]
    Currency(usize, Currency),
    /// More than an invoice of this business ever has.
    #[error("lines[{line}].unit_price: a line comes to {most} at most; check the number of digits")]
    Amount {
        /// Counted from 0.
        line: usize,
        /// The largest amount.
        most: Money,
    },
    /// More tax than price.
    #[error("lines[{0}].tax_rate_bp: use 0 to {RATE_BP_MAX} basis points (1900 is 19 %)")]
    Rate(usize),
    /// A discount that is larger than what it is taken off.
    #[error(
        "lines: those taxed at {rate_bp} basis points come to {sum}; a discount takes off what has the same rate, down to zero"
    )]
    Negative {
        /// The rate whose lines are below zero.
        rate_bp: u32,
        /// What they come to.
        sum: Money,
    },
    /// Sums that do not fit.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl Invalid {
    /// The field it is about.
    #[must_use]
    pub fn field(&self) -> String {
        match self {
            Self::Count(_) | Self::Negative { .. } | Self::Money(_) => "lines".to_owned(),
            Self::Description(line) => format!("lines[{line}].description"),
            Self::Quantity(line) => format!("lines[{line}].quantity"),
            Self::Currency(line, _) | Self::Amount { line, .. } => format!("lines[{line}].unit_price"),
            Self::Rate(line) => format!("lines[{line}].tax_rate_bp"),
        }
    }
}

/// The printed lines and their totals.
///
/// # Errors
/// The first line that cannot be printed, or lines that come to less than nothing.
pub fn lines(currency: Currency, entered: &[DraftLine]) -> Result<(Vec<Line>, Totals), Invalid> {
    if entered.is_empty() || entered.len() > LINES_MAX {
        return Err(Invalid::Count(entered.len()));
    }
    let lines: Vec<Line> =
        entered.iter().enumerate().map(|(at, line)| printed(currency, at, line)).collect::<Result<_, _>>()?;
    for sum in by_rate(currency, &lines)? {
        // Tax is rounded line by line, so a discount of everything may leave a unit of it.
        if sum.gross.is_negative() || sum.tax.is_negative() || sum.net()?.is_negative() {
            return Err(Invalid::Negative { rate_bp: sum.rate_bp, sum: sum.gross });
        }
    }
    let totals = Totals::of(currency, &lines)?;
    Ok((lines, totals))
}

fn printed(currency: Currency, at: usize, line: &DraftLine) -> Result<Line, Invalid> {
    let description = line.description.trim();
    if description.is_empty() || description.chars().count() > DESCRIPTION_CHARS_MAX {
        return Err(Invalid::Description(at));
    }
    if !(1..=QUANTITY_MAX).contains(&line.quantity) {
        return Err(Invalid::Quantity(at));
    }
    if line.unit.currency != currency {
        return Err(Invalid::Currency(at, currency));
    }
    if line.tax_rate_bp > RATE_BP_MAX {
        return Err(Invalid::Rate(at));
    }
    let too_much = Invalid::Amount { line: at, most: Money::new(AMOUNT_MINOR_MAX, currency) };
    let Ok(amount) = line.unit.checked_mul(line.quantity.into()) else { return Err(too_much) };
    if amount.minor.unsigned_abs() > AMOUNT_MINOR_MAX.unsigned_abs() {
        return Err(too_much);
    }
    let tax = inside(amount, line.tax_rate_bp)?;
    let (quantity, tax_rate_bp) = (line.quantity, line.tax_rate_bp);
    let (treatment, how) = (Treatment::Rate, Derivation::default());
    Ok(Line { description: description.to_owned(), quantity, amount, tax_rate_bp, tax, treatment, period: None, how })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(quantity: u32, minor: i64, tax_rate_bp: u32) -> DraftLine {
        let unit = Money::new(minor, Currency::EUR);
        DraftLine { description: "Installation".into(), quantity, unit, tax_rate_bp }
    }

    #[test]
    fn lines_are_taxed_one_by_one_at_their_own_rates() {
        let (lines, totals) =
            lines(Currency::EUR, &[line(2, 1190, 1900), line(1, 1070, 700), line(1, -119, 1900)]).unwrap();
        let taxes: Vec<_> = lines.iter().map(|line| (line.amount.minor, line.tax.minor)).collect();
        assert_eq!(taxes, [(2380, 380), (1070, 70), (-119, -19)]);
        assert_eq!((totals.subtotal.minor, totals.tax.minor, totals.total.minor), (2900, 431, 3331));
    }

    #[test]
    fn case_031_an_absurd_amount_is_refused_by_field_and_nothing_overflows() {
        for (quantity, minor) in [(1, 10_000_000_000), (100_000, 999_999_999), (2, i64::MAX), (1, i64::MIN)] {
            let refused = lines(Currency::EUR, &[line(1, 1, 0), line(quantity, minor, 1900)]).unwrap_err();
            assert_eq!(refused.field(), "lines[1].unit_price", "{refused}");
        }
        assert!(lines(Currency::EUR, &[line(1, AMOUNT_MINOR_MAX, RATE_BP_MAX)]).is_ok());
    }

    #[test]
    fn every_refusal_names_its_field() {
        let blank = DraftLine { description: "  ".into(), ..line(1, 100, 0) };
        let yen = DraftLine { unit: Money::new(1, Currency::JPY), ..line(1, 100, 0) };
        for (entered, field) in [
            (vec![], "lines"),
            (vec![line(1, 1, 0); LINES_MAX + 1], "lines"),
            (vec![blank], "lines[0].description"),
            (vec![line(0, 100, 0)], "lines[0].quantity"),
            (vec![line(1, 100, 0), yen], "lines[1].unit_price"),
            (vec![line(1, 100, RATE_BP_MAX + 1)], "lines[0].tax_rate_bp"),
            (vec![line(1, 100, 0), line(1, -101, 0)], "lines"),
            (vec![line(1, 1000, 0), line(1, -119, 1900)], "lines"),
        ] {
            let refused = lines(Currency::EUR, &entered).unwrap_err();
            assert_eq!(refused.field(), field, "{refused}");
            assert!(refused.to_string().starts_with(field), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_has_totals_the_database_accepts(
            entered in proptest::collection::vec((1_u32..20, -5_000_i64..50_000, 0_usize..3), 1..8),
        ) {
            let entered: Vec<_> = entered.iter().map(|(quantity, minor, rate)| line(*quantity, *minor, [0, 700, 1900][*rate])).collect();
            if let Ok((lines, totals)) = lines(Currency::EUR, &entered) {
                prop_assert!(totals.subtotal.minor >= 0 && totals.tax.minor >= 0);
                prop_assert_eq!(totals.subtotal.minor + totals.tax.minor, totals.total.minor);
                prop_assert_eq!(lines.iter().map(|line| line.amount.minor).sum::<i64>(), totals.total.minor);
            }
        }
    }
}
