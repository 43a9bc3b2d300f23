//! "How was this computed": every figure of an invoice with the steps that lead to it. The results of a figure's steps add
//! up to the figure; where rounding moved a minor unit, it is a step of its own.

mod credit_note;

use chrono::{DateTime, Utc};
use ottery_kernel::{Money, MoneyError, Period};

use super::derivation::{Addend, Priced, Share, Source, Units};
use super::line::{Line, Totals};

pub use credit_note::{Credit, credit_note};

/// Basis points in a whole.
const WHOLE_BP: i64 = 10_000;
/// Seconds of a day.
const DAY_SECONDS: i64 = 86_400;

/// What a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The amount of a line.
    Line,
    /// The tax in a line.
    LineTax,
    /// The sum without tax.
    Subtotal,
    /// The sum of the taxes.
    Tax,
    /// What was or is to be paid.
    Total,
    /// What settles it.
    Paid,
    /// What is left to pay.
    Remaining,
    /// What a credit note takes back.
    CreditNote,
    /// The tax in that.
    CreditNoteTax,
    /// The same tax, by rate.
    CreditNoteRates,
}

impl Kind {
    /// Stable, for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::LineTax => "line_tax",
            Self::Subtotal => "subtotal",
            Self::Tax => "tax",
            Self::Total => "total",
            Self::Paid => "paid",
            Self::Remaining => "remaining",
            Self::CreditNote => "credit_note",
            Self::CreditNoteTax => "credit_note_tax",
            Self::CreditNoteRates => "credit_note_rates",
        }
    }
}

/// How a step was rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounded {
    /// It was not.
    Never,
    /// To the nearest minor unit, a half away from zero.
    HalfUp,
    /// Parts of a whole: the largest remainders got the units that were left, so that the parts add up.
    LargestRemainder,
}

impl Rounded {
    /// Stable, for programs; empty when nothing was rounded.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "",
            Self::HalfUp => "half_up",
            Self::LargestRemainder => "largest_remainder",
        }
    }
}

/// One step on the way to a figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Stable, for programs: what the base is.
    pub kind: &'static str,
    /// For people.
    pub text: String,
    /// What the step starts from.
    pub base: Money,
    /// How much of the base counts; none: all.
    pub share: Option<Share>,
    /// How that was rounded.
    pub rounded: Rounded,
    /// The time it stands for.
    pub period: Option<Period>,
    /// The price of the catalogue it is about.
    pub price: Option<Priced>,
    /// The coupon's code; empty for none.
    pub coupon: String,
    /// The rate of the tax in basis points.
    pub tax_rate_bp: Option<u32>,
    /// Prefixed id of what it comes from; empty for nothing that has one.
    pub reference: String,
    /// What it adds to the figure.
    pub result: Money,
}

impl Step {
    /// A step that takes all of `amount`.
    #[must_use]
    pub fn plain(kind: &'static str, text: impl Into<String>, amount: Money) -> Self {
        Self {
            kind,
            text: text.into(),
            base: amount,
            share: None,
            rounded: Rounded::Never,
            period: None,
            price: None,
            coupon: String::new(),
            tax_rate_bp: None,
            reference: String::new(),
            result: amount,
        }
    }

    /// About that.
    #[must_use]
    pub fn about(self, reference: impl ToString) -> Self {
        Self { reference: reference.to_string(), ..self }
    }
}

/// A figure and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// What it is.
    pub kind: Kind,
    /// As it is printed.
    pub name: String,
    /// The figure.
    pub amount: Money,
    /// Their results add up to it.
    pub steps: Vec<Step>,
}

/// A share of time as people count it.
fn time(share: Share) -> String {
    if share.part % DAY_SECONDS == 0 && share.whole % DAY_SECONDS == 0 {
        format!("{} of {} days", share.part / DAY_SECONDS, share.whole / DAY_SECONDS)
    } else {
        format!("{} of {} seconds", share.part, share.whole)
    }
}

/// A rate as it is printed.
fn percent(rate_bp: u32) -> String {
    let (whole, part) = (rate_bp / 100, rate_bp % 100);
    if part == 0 { format!("{whole} %") } else { format!("{whole}.{part:02} %") }
}

/// So many units at their price.
fn counted(units: &Units) -> String {
    match units.count {
        1 => format!("{} at {}", units.name, units.each),
        count => format!("{count} × {} at {} each", units.name, units.each),
    }
}

fn step_of(addend: &Addend) -> Result<Step, MoneyError> {
    let price = addend.source.price();
    let mut text = match &addend.source {
        Source::Price(price) => format!("Price of {}, {}", price.plan, price.term),
        Source::Reduced { price, coupon, off, .. } if coupon.is_empty() => {
            format!("Price of {}, {}, less {off} that a coupon takes off", price.plan, price.term)
        }
        Source::Reduced { price, coupon, off, .. } => {
            format!("Price of {}, {}, less {off} that the coupon {coupon} takes off", price.plan, price.term)
        }
        Source::SetupFee(price) => format!("Set-up fee of {}", price.plan),
        Source::Extra { price, units } => format!("{}, {}", counted(units), price.term),
        Source::ExtraSetup { units, .. } => format!("Set-up: {}", counted(units)),
    };
    if let Some(share) = addend.share {
        text = format!("{text}, for {}", time(share));
    }
    if addend.is_taken {
        text = format!("Taken away: {text}");
    }
    let coupon = match &addend.source {
        Source::Reduced { coupon, .. } => coupon.clone(),
        Source::Price(_) | Source::SetupFee(_) | Source::Extra { .. } | Source::ExtraSetup { .. } => String::new(),
    };
    Ok(Step {
        share: addend.share,
        rounded: if addend.share.is_some() { Rounded::HalfUp } else { Rounded::Never },
        period: addend.period,
        price: Some(price.clone()),
        coupon,
        base: addend.base,
        result: addend.result()?,
        ..Step::plain(addend.source.name(), text, addend.base)
    })
}

/// What is missing between the steps and the figure, as a step of its own; none when nothing is.
fn rest(kind: &'static str, text: &str, amount: Money, steps: &[Step]) -> Result<Option<Step>, MoneyError> {
    let reached = Money::sum(amount.currency, steps.iter().map(|step| step.result))?;
    let missing = amount.checked_sub(reached)?;
    Ok((!missing.is_zero()).then(|| Step::plain(kind, text, missing)))
}

fn amount_of(line: &Line) -> Result<Figure, MoneyError> {
    let mut steps = line.how.0.iter().map(step_of).collect::<Result<Vec<_>, _>>()?;
    if steps.is_empty() {
        steps.push(Step { period: line.period, ..Step::plain("stated", "As it was stated", line.amount) });
    }
    // A price that does not contain its tax gets it added, one whose tax is somebody else's to pay loses it.
    steps.extend(rest("tax_added", "Tax that is added to the price, or not charged", line.amount, &steps)?);
    Ok(Figure { kind: Kind::Line, name: line.description.clone(), amount: line.amount, steps })
}

fn tax_of(line: &Line, tax_name: &str) -> Result<Figure, MoneyError> {
    let rate_bp = line.tax_rate_bp;
    let share = Share { part: i64::from(rate_bp), whole: WHOLE_BP + i64::from(rate_bp) };
    let mut steps = vec![Step {
        share: Some(share),
        rounded: Rounded::HalfUp,
        tax_rate_bp: Some(rate_bp),
        result: share.of(line.amount)?,
        ..Step::plain(
            "tax_contained",
            format!("{} contained in {}: {share} of it", percent(rate_bp), line.amount),
            line.amount,
        )
    }];
    let text = "Rounding: lines that belong together contain the tax of their sum";
    steps.extend(rest("rounding", text, line.tax, &steps)?);
    Ok(Figure { kind: Kind::LineTax, name: format!("{tax_name} in {}", line.description), amount: line.tax, steps })
}

/// Every figure of these lines and their totals.
///
/// # Errors
/// When an amount does not fit or has another currency.
pub fn lines(lines: &[Line], totals: &Totals, tax_name: &str) -> Result<Vec<Figure>, MoneyError> {
    let tax_name = if tax_name.is_empty() { "Tax" } else { tax_name };
    let mut figures = Vec::with_capacity(2 * lines.len() + 3);
    for line in lines {
        figures.push(amount_of(line)?);
        if line.tax_rate_bp > 0 || !line.tax.is_zero() {
            figures.push(tax_of(line, tax_name)?);
        }
    }
    let named = |line: &Line, amount| Step::plain("line", line.description.clone(), amount);
    let taxed = lines.iter().filter(|line| !line.tax.is_zero());
    let (tax, total) = (totals.tax, totals.total);
    figures.push(Figure {
        kind: Kind::Total,
        name: "Total".into(),
        amount: total,
        steps: lines.iter().map(|line| named(line, line.amount)).collect(),
    });
    figures.push(Figure {
        kind: Kind::Tax,
        name: tax_name.to_owned(),
        amount: tax,
        steps: taxed.map(|line| named(line, line.tax)).collect(),
    });
    let less_tax = Step { result: tax.checked_neg()?, ..Step::plain("tax", format!("Less {tax_name}"), tax) };
    figures.push(Figure {
        kind: Kind::Subtotal,
        name: format!("Total without {tax_name}"),
        amount: totals.subtotal,
        steps: vec![Step::plain("total", "Total", total), less_tax],
    });
    Ok(figures)
}

/// A piece of money that settles an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// `payment`, `wallet`, …
    pub source: String,
    /// Prefixed id of what it came from.
    pub reference: String,
    /// How much.
    pub amount: Money,
    /// When.
    pub at: DateTime<Utc>,
}

/// What was paid, piece by piece, and what is left.
///
/// # Errors
/// When an amount does not fit or has another currency.
pub fn settlement(total: Money, remaining: Money, pieces: &[Settlement]) -> Result<[Figure; 2], MoneyError> {
    let paid = Money::sum(total.currency, pieces.iter().map(|piece| piece.amount))?;
    let words = |source: &str| match source {
        "payment" => "Payment".to_owned(),
        "wallet" => "From the wallet".to_owned(),
        other => other.replace('_', " "),
    };
    let step = |piece: &Settlement| {
        let text = format!("{} on {}", words(&piece.source), piece.at.format("%Y-%m-%d"));
        Step::plain("allocation", text, piece.amount).about(&piece.reference)
    };
    let less_paid = Step { result: paid.checked_neg()?, ..Step::plain("paid", "Less what is paid", paid) };
    let mut steps = vec![Step::plain("total", "Total", total), less_paid];
    steps.extend(rest("given_up", "Not asked for any more", remaining, &steps)?);
    Ok([
        Figure { kind: Kind::Paid, name: "Paid".into(), amount: paid, steps: pieces.iter().map(step).collect() },
        Figure { kind: Kind::Remaining, name: "Left to pay".into(), amount: remaining, steps },
    ])
}

/// What of the next bill the wallet pays, and what is then charged.
///
/// # Errors
/// When the currencies differ.
pub fn charge(total: Money, wallet: Money) -> Result<Figure, MoneyError> {
    let less = Step { result: wallet.checked_neg()?, ..Step::plain("wallet", "Less what is in the wallet", wallet) };
    let steps = std::iter::once(Step::plain("total", "Total", total)).chain((!wallet.is_zero()).then_some(less));
    let amount = total.checked_sub(wallet)?;
    Ok(Figure { kind: Kind::Remaining, name: "To be charged".into(), amount, steps: steps.collect() })
}

#[cfg(test)]
mod tests;
