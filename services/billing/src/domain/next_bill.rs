//! What a subscription is billed next: the invoice that will be issued, and what is said about it before.

use ottery_kernel::{Money, MoneyError, Period, PeriodError};

use super::coupon::Applied;
use super::invoice::Purpose;
use super::line::{Line, Totals};
use super::offer::Offer;
use super::quote::{Billed, stretch_lines};
use super::subscription::{State, Subscription};
use super::tax::Tax;

/// A bill that cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BillError {
    /// An amount that does not fit.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// A date beyond the calendar.
    #[error(transparent)]
    Period(#[from] PeriodError),
}

/// What the next invoice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextBill {
    /// The first period after a trial, or a later one.
    pub purpose: Purpose,
    /// The time it pays for.
    pub period: Period,
    /// What is bought.
    pub offer: Offer,
    /// Its lines.
    pub lines: Vec<Line>,
    /// Their sums.
    pub totals: Totals,
    /// What a coupon does on it.
    pub applied: Applied,
}

/// The bill of the period after the paid time; none when nothing is counted yet.
///
/// # Errors
/// When an amount or a date does not fit.
pub fn next_bill(subscription: &Subscription, tax: &Tax) -> Result<Option<NextBill>, BillError> {
    let Some(next) = subscription.next_stretch()? else { return Ok(None) };
    let offer = subscription.renewal_offer().into_owned();
    let coupon = subscription.discounts.coupon.as_ref();
    let Billed { mut lines, applied } = stretch_lines(&offer, &next.stretch, tax, subscription.is_setup_due, coupon)?;
    let period = next.stretch.period;
    if let Some(line) = lines.first_mut() {
        line.period = Some(period);
    }
    let totals = Totals::of(offer.price.currency, &lines)?;
    let purpose = if subscription.state == State::Trialing { Purpose::First } else { Purpose::Renewal };
    Ok(Some(NextBill { purpose, period, offer, lines, totals, applied }))
}

impl NextBill {
    /// What has to be paid beside the wallet.
    ///
    /// # Errors
    /// When the currencies differ.
    pub fn beside(&self, wallet: Money) -> Result<Money, MoneyError> {
        self.totals.total.checked_sub(self.from(wallet))
    }

    /// What the wallet pays of it.
    #[must_use]
    pub fn from(&self, wallet: Money) -> Money {
        Money::new(wallet.minor.clamp(0, self.totals.total.minor), self.totals.total.currency)
    }
}
