//! How the amount and the tax of a credit note came about: by its own lines, or as its share of the invoice.

use ottery_kernel::{Money, MoneyError};

use super::{Figure, Kind, Rounded, Step, percent, rest};
use crate::domain::derivation::Share;
use crate::domain::line::{Line, Totals};
use crate::domain::portion::{Credited, share_of_tax};
use crate::domain::rates::shared_out;

/// A credit note to explain.
#[derive(Clone, Debug)]
pub struct Credit {
    /// Its printed number.
    pub number: String,
    /// Its prefixed id.
    pub reference: String,
    /// Gross.
    pub amount: Money,
    /// The tax contained.
    pub tax: Money,
    /// The invoice's lines it takes back, counted from 1; empty: a share of all of them.
    pub lines: Vec<u32>,
    /// What notes before it took back.
    pub before: Credited,
}

/// The figures of a credit note of an invoice with these lines and totals.
///
/// # Errors
/// When an amount does not fit or has another currency.
pub fn credit_note(
    credit: &Credit,
    invoiced: &[Line],
    totals: &Totals,
    tax_name: &str,
) -> Result<Vec<Figure>, MoneyError> {
    let tax_name = if tax_name.is_empty() { "Tax" } else { tax_name };
    let (gross, tax) = if credit.lines.is_empty() {
        (vec![Step::plain("stated", "As it was stated", credit.amount)], by_share(credit, totals, tax_name)?)
    } else {
        by_lines(credit, invoiced, tax_name)?
    };
    let number = &credit.number;
    let figure = |kind, name, amount, steps: Vec<Step>| Figure {
        kind,
        name,
        amount,
        steps: steps.into_iter().map(|step| step.about(&credit.reference)).collect(),
    };
    let mut figures = vec![
        figure(Kind::CreditNote, format!("Credit note {number}"), credit.amount, gross),
        figure(Kind::CreditNoteTax, format!("{tax_name} in credit note {number}"), credit.tax, tax),
    ];
    let rates = by_rates(credit, invoiced)?;
    if rates.len() > 1 {
        let name = format!("{tax_name} in credit note {number}, by rate");
        figures.push(figure(Kind::CreditNoteRates, name, credit.tax, rates));
    }
    Ok(figures)
}

/// Each line goes back with the tax it was invoiced with.
fn by_lines(credit: &Credit, invoiced: &[Line], tax_name: &str) -> Result<(Vec<Step>, Vec<Step>), MoneyError> {
    let at = |number: &u32| invoiced.get(usize::try_from(*number).ok()?.checked_sub(1)?);
    let lines: Vec<&Line> = credit.lines.iter().filter_map(at).collect();
    let gross = lines.iter().map(|line| Step::plain("line", &line.description, line.amount)).collect();
    let taxed = lines.iter().filter(|line| !line.tax.is_zero());
    let mut taxes: Vec<Step> = taxed
        .map(|line| Step {
            tax_rate_bp: Some(line.tax_rate_bp),
            ..Step::plain(
                "line",
                format!("{tax_name} in {}, {}", line.description, percent(line.tax_rate_bp)),
                line.tax,
            )
        })
        .collect();
    taxes.extend(rest("bounds", "What earlier credit notes left of the invoice's tax", credit.tax, &taxes)?);
    Ok((gross, taxes))
}

/// The tax through this note is the invoice's in proportion; what earlier notes took is taken off.
fn by_share(credit: &Credit, totals: &Totals, tax_name: &str) -> Result<Vec<Step>, MoneyError> {
    let through = credit.before.amount.checked_add(credit.amount)?;
    let due = share_of_tax(totals, through)?;
    let share = Share { part: through.minor, whole: totals.total.minor };
    let text = if credit.before.amount.is_zero() {
        format!("{tax_name} of the invoice, for {through} of {}", totals.total)
    } else {
        format!("{tax_name} of the invoice, for {through} of {} that are credited with this note", totals.total)
    };
    let rounded = if share.is_all() { Rounded::Never } else { Rounded::HalfUp };
    let mut steps = vec![Step {
        share: (!share.is_all()).then_some(share),
        rounded,
        result: due,
        ..Step::plain("tax_share", text, totals.tax)
    }];
    let before = credit.before.tax;
    if !before.is_zero() {
        let less =
            Step { result: before.checked_neg()?, ..Step::plain("credited", "Less what was credited before", before) };
        steps.push(less);
    }
    steps.extend(rest("bounds", "No more than is left, and no less than the rest allows", credit.tax, &steps)?);
    Ok(steps)
}

/// The same tax as documents and exports print it.
fn by_rates(credit: &Credit, invoiced: &[Line]) -> Result<Vec<Step>, MoneyError> {
    let lines = crate::domain::rates::credited(invoiced, &credit.lines);
    let parts = shared_out(credit.amount, credit.tax, &lines)?;
    let step = |rate_bp: u32, gross: Money, tax: Money| Step {
        rounded: Rounded::LargestRemainder,
        tax_rate_bp: Some(rate_bp),
        base: gross,
        result: tax,
        ..Step::plain("rate_share", format!("{} contained in its part of {gross}", percent(rate_bp)), tax)
    };
    Ok(parts.iter().map(|part| step(part.rate_bp, part.gross, part.tax)).collect())
}

#[cfg(test)]
mod tests {
    use ottery_kernel::Currency;

    use super::*;
    use crate::domain::portion::{self, Wanted};
    use crate::domain::tax::Tax;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    fn invoiced() -> (Vec<Line>, Totals) {
        let lines = vec![
            Line::priced("Box", eur(1190), &Tax::contained(1900), None).unwrap(),
            Line::priced("Book", eur(1070), &Tax::contained(700), None).unwrap(),
        ];
        let totals = Totals::of(Currency::EUR, &lines).unwrap();
        (lines, totals)
    }

    fn explained(before: Credited, wanted: &Wanted) -> Vec<Figure> {
        let (lines, totals) = invoiced();
        let portion = portion::of(&lines, totals, &before, wanted).unwrap();
        let credit = Credit {
            number: "CN-1".into(),
            reference: "crn_1".into(),
            amount: portion.amount,
            tax: portion.tax,
            lines: portion.lines,
            before,
        };
        let figures = credit_note(&credit, &lines, &totals, "VAT").unwrap();
        for figure in &figures {
            assert_eq!(
                figure.steps.iter().map(|step| step.result.minor).sum::<i64>(),
                figure.amount.minor,
                "{figure:?}"
            );
        }
        figures
    }

    fn tax(figures: &[Figure]) -> Vec<(&'static str, i64)> {
        figures[1].steps.iter().map(|step| (step.kind, step.result.minor)).collect()
    }

    const fn nothing() -> Credited {
        Credited { amount: Money::zero(Currency::EUR), tax: Money::zero(Currency::EUR), lines: Vec::new() }
    }

    #[test]
    fn case_025_the_tax_of_an_amount_is_its_share_of_the_invoices_less_what_was_credited() {
        // 2.60 of tax in 22.60: half of it for half of it.
        let first = explained(nothing(), &Wanted::Amount(eur(1130)));
        assert_eq!(tax(&first), [("tax_share", 130)]);
        assert_eq!(first[1].steps[0].share, Some(Share { part: 1130, whole: 2260 }));
        let before = Credited { amount: eur(1130), tax: eur(130), lines: Vec::new() };
        let last = explained(before, &Wanted::Amount(eur(1130)));
        assert_eq!(tax(&last), [("tax_share", 260), ("credited", -130)]);
        assert_eq!((last[1].steps[0].share, last[1].steps[0].rounded), (None, Rounded::Never));
    }

    #[test]
    fn case_025_the_tax_of_lines_is_their_own_and_rates_are_told_apart() {
        let book = explained(nothing(), &Wanted::Lines(vec![2]));
        assert_eq!((book.len(), tax(&book)), (2, vec![("line", 70)]));
        assert_eq!(book[1].steps[0].text, "VAT in Book, 7 %");
        let both = explained(nothing(), &Wanted::Lines(vec![1, 2]));
        assert_eq!(tax(&both), [("line", 190), ("line", 70)]);
        let rates: Vec<_> = both[2].steps.iter().map(|step| (step.tax_rate_bp, step.result.minor)).collect();
        assert_eq!((both[2].kind, rates), (Kind::CreditNoteRates, vec![(Some(700), 70), (Some(1900), 190)]));
    }

    #[test]
    fn what_a_share_took_of_a_line_is_a_step_when_the_line_goes_back() {
        // 11.90 as a share took 1.37 of the tax, so 1.23 goes back with the book instead of its own 0.70.
        let before = Credited { amount: eur(1190), tax: eur(137), lines: Vec::new() };
        let book = explained(before, &Wanted::Lines(vec![2]));
        assert_eq!(tax(&book), [("line", 70), ("bounds", 53)]);
    }
}
