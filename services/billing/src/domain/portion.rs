//! How much of an invoice a credit note takes back: an amount of the whole, or single lines of it.

use ottery_kernel::{Money, MoneyError, Rounding};

use super::line::{Line, Totals};

/// What was taken back before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credited {
    /// Gross.
    pub amount: Money,
    /// The tax contained.
    pub tax: Money,
    /// Lines that are taken back already, counted from 1.
    pub lines: Vec<u32>,
}

/// What is to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A gross amount, shared by all lines.
    Amount(Money),
    /// These lines, counted from 1 as they are printed.
    Lines(Vec<u32>),
}

/// A part of an invoice with its own part of the tax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    /// Gross.
    pub amount: Money,
    /// The tax contained, at the rates the invoice was issued with.
    pub tax: Money,
    /// The lines it is made of, in their order; empty: a share of all of them.
    pub lines: Vec<u32>,
}

/// Why a part cannot be taken back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More than is left.
    #[error("amount: {left} can still be credited, asked for {asked}")]
    TooLarge {
        /// What is left.
        left: Money,
        /// What was asked for.
        asked: Money,
    },
    /// No such line.
    #[error("line_numbers: the invoice has the lines 1 to {count}, got {number}")]
    NoSuchLine {
        /// How many it has.
        count: usize,
        /// What was asked for.
        number: u32,
    },
    /// Taken back before.
    #[error("line_numbers: line {0} is credited already")]
    LineCredited(u32),
    /// Nothing, or less, would go back.
    #[error("line_numbers: these lines come to {0}; a credit note takes back more than zero")]
    NotPositive(Money),
    /// An amount that does not fit or has another currency.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl Refused {
    /// The field it is about.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::Money(_) => "amount",
            Self::NoSuchLine { .. } | Self::LineCredited(_) | Self::NotPositive(_) => "line_numbers",
        }
    }
}

/// What a credit note says of an invoice with these lines and totals.
///
/// # Errors
/// When more would be taken back than is left, or a line twice.
pub fn of(printed: &[Line], totals: Totals, before: &Credited, wanted: &Wanted) -> Result<Portion, Refused> {
    let left = Left { amount: totals.total.checked_sub(before.amount)?, tax: totals.tax.checked_sub(before.tax)? };
    match wanted {
        Wanted::Amount(amount) => share(totals, before, left, *amount),
        Wanted::Lines(numbers) => lines(printed, before, left, numbers),
    }
}

#[derive(Clone, Copy)]
struct Left {
    amount: Money,
    tax: Money,
}

impl Left {
    /// The tax a credit of `amount` may take so that neither it nor the rest has less tax than nothing or more than its gross.
    fn bounds(self, amount: Money) -> Result<(i64, i64), MoneyError> {
        let rest = self.amount.checked_sub(amount)?;
        Ok(((self.tax.minor - rest.minor).max(0), amount.minor.min(self.tax.minor)))
    }
}

/// The part of the invoice's tax that is in `gross` of it, when it is taken back as a share of all lines.
///
/// # Errors
/// When the invoice comes to nothing, or the result does not fit.
pub fn share_of_tax(totals: &Totals, gross: Money) -> Result<Money, MoneyError> {
    totals.tax.mul_ratio(gross.minor, totals.total.minor, Rounding::HalfUp)
}

/// The tax through this credit is the invoice's in proportion, so that repeated credits never drift, and the last one
/// takes exactly what is left.
fn share(totals: Totals, before: &Credited, left: Left, amount: Money) -> Result<Portion, Refused> {
    if !amount.is_positive() || amount.checked_cmp(left.amount)?.is_gt() {
        return Err(Refused::TooLarge { left: left.amount, asked: amount });
    }
    let through = before.amount.checked_add(amount)?;
    let due = share_of_tax(&totals, through)?;
    // Lines credited before may have had more or less tax in them than a share of the whole.
    let (least, most) = left.bounds(amount)?;
    let tax = Money::new((due.minor - before.tax.minor).clamp(least, most), amount.currency);
    Ok(Portion { amount, tax, lines: Vec::new() })
}

fn lines(printed: &[Line], before: &Credited, left: Left, numbers: &[u32]) -> Result<Portion, Refused> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    let (mut amount, mut tax) = (Money::zero(left.amount.currency), Money::zero(left.amount.currency));
    for &number in &numbers {
        let line = usize::try_from(number).ok().and_then(|number| printed.get(number.checked_sub(1)?));
        let line = line.ok_or(Refused::NoSuchLine { count: printed.len(), number })?;
        if before.lines.contains(&number) {
            return Err(Refused::LineCredited(number));
        }
        amount = amount.checked_add(line.amount)?;
        tax = tax.checked_add(line.tax)?;
    }
    if !amount.is_positive() {
        return Err(Refused::NotPositive(amount));
    }
    if amount.checked_cmp(left.amount)?.is_gt() {
        return Err(Refused::TooLarge { left: left.amount, asked: amount });
    }
    // A share credited before may have taken some of these lines' tax; what is left is all that can go back.
    let (least, most) = left.bounds(amount)?;
    let tax = Money::new(tax.minor.clamp(least, most), tax.currency);
    Ok(Portion { amount, tax, lines: numbers })
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

    fn printed() -> (Vec<Line>, Totals) {
        let lines = vec![
            Line::priced("Box", eur(1190), &Tax::contained(1900), None).unwrap(),
            Line::priced("Book", eur(1070), &Tax::contained(700), None).unwrap(),
            Line::priced("Discount", eur(-119), &Tax::contained(1900), None).unwrap(),
        ];
        let totals = Totals::of(Currency::EUR, &lines).unwrap();
        (lines, totals)
    }

    fn nothing() -> Credited {
        Credited { amount: eur(0), tax: eur(0), lines: Vec::new() }
    }

    #[test]
    fn case_025_a_line_goes_back_with_its_own_tax_and_an_amount_with_its_share() {
        let (lines, totals) = printed();
        let book = of(&lines, totals, &nothing(), &Wanted::Lines(vec![2])).unwrap();
        assert_eq!(book, Portion { amount: eur(1070), tax: eur(70), lines: vec![2] });
        let box_at_its_price = of(&lines, totals, &nothing(), &Wanted::Lines(vec![3, 1, 1])).unwrap();
        assert_eq!(box_at_its_price, Portion { amount: eur(1071), tax: eur(171), lines: vec![1, 3] });
        let half = of(&lines, totals, &nothing(), &Wanted::Amount(eur(1070))).unwrap();
        assert_eq!(half, Portion { amount: eur(1070), tax: eur(120), lines: vec![] });
    }

    #[test]
    fn a_line_goes_back_once_and_never_more_than_is_left() {
        let (lines, totals) = printed();
        let book = Credited { amount: eur(1070), tax: eur(70), lines: vec![2] };
        let refused = |before: &Credited, wanted| of(&lines, totals, before, &wanted).unwrap_err();
        assert_eq!(refused(&book, Wanted::Lines(vec![2])), Refused::LineCredited(2));
        assert_eq!(refused(&book, Wanted::Lines(vec![1])), Refused::TooLarge { left: eur(1071), asked: eur(1190) });
        assert_eq!(refused(&book, Wanted::Amount(eur(1072))), Refused::TooLarge { left: eur(1071), asked: eur(1072) });
        assert_eq!(refused(&nothing(), Wanted::Lines(vec![4])), Refused::NoSuchLine { count: 3, number: 4 });
        assert_eq!(refused(&nothing(), Wanted::Lines(vec![0])), Refused::NoSuchLine { count: 3, number: 0 });
        assert_eq!(refused(&nothing(), Wanted::Lines(vec![3])), Refused::NotPositive(eur(-119)));
        assert_eq!(refused(&nothing(), Wanted::Lines(vec![])), Refused::NotPositive(eur(0)));
        // The rest takes exactly the tax that is left.
        let rest = of(&lines, totals, &book, &Wanted::Amount(eur(1071))).unwrap();
        assert_eq!(rest.tax, eur(171));
    }

    proptest! {
        #[test]
        fn credits_of_any_kind_and_order_add_up_to_the_invoice(
            entered in proptest::collection::vec((1_i64..5_000, 0_usize..3), 1..6),
            steps in proptest::collection::vec((any::<bool>(), 1_i64..4_000, 1_u32..7), 0..8),
        ) {
            let lines: Vec<_> =
                entered.iter().map(|(minor, rate)| Line::priced("x", eur(*minor), &Tax::contained([0, 700, 1900][*rate]), None).unwrap()).collect();
            let totals = Totals::of(Currency::EUR, &lines).unwrap();
            let mut before = nothing();
            let take = |before: &mut Credited, portion: Portion| {
                assert!(portion.tax.minor >= 0 && portion.tax.minor <= portion.amount.minor);
                before.amount = before.amount.checked_add(portion.amount).unwrap();
                before.tax = before.tax.checked_add(portion.tax).unwrap();
                before.lines.extend(portion.lines);
            };
            for (is_line, minor, number) in steps {
                let wanted = if is_line { Wanted::Lines(vec![number]) } else { Wanted::Amount(eur(minor)) };
                if let Ok(portion) = of(&lines, totals, &before, &wanted) {
                    take(&mut before, portion);
                }
                prop_assert!(before.amount.minor <= totals.total.minor && before.tax.minor <= totals.tax.minor);
            }
            let left = totals.total.checked_sub(before.amount).unwrap();
            if left.is_positive() {
                let last = of(&lines, totals, &before, &Wanted::Amount(left)).unwrap();
                take(&mut before, last);
            }
            prop_assert_eq!((before.amount, before.tax), (totals.total, totals.tax));
        }
    }
}
