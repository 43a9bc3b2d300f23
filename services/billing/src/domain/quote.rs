//! A binding offer: what checkout shows is what the order charges, until it expires.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use ottery_kernel::{Currency, Money, MoneyError, PeriodError};
use serde::{Deserialize, Serialize};

use super::calendar::Stretch;
use super::line::{Line, Totals};
use super::offer::Offer;

/// How long a quote binds.
pub const VALID_FOR: TimeDelta = TimeDelta::minutes(30);

/// What a quote says beside the offer it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The first invoice.
    pub lines: Vec<Line>,
    /// Its sums.
    pub totals: Totals,
    /// Zero when a trial comes first.
    pub due_now: Money,
    /// When the first renewal (or the end of the trial) comes, if it starts now.
    pub renews_at: DateTime<Utc>,
    /// What each renewal costs.
    pub renewal_total: Money,
    /// Days of trial; 0 for none.
    pub trial_days: u32,
    /// Whether the order starts with the trial.
    pub is_trial: bool,
    /// From here on a new quote is needed.
    pub expires_at: DateTime<Utc>,
}

/// Why there is no quote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// Another currency than the price's was asked for.
    #[error("the price is in {price}, not in {asked}; choose the plan's price in {asked} or leave the currency empty")]
    Currency {
        /// The price's.
        price: Currency,
        /// The one asked for.
        asked: Currency,
    },
    /// The brand does not sell in this currency.
    #[error("{0} is not sold by this brand any more; choose a price in another currency")]
    CurrencyNotSold(Currency),
    /// A trial was asked for where there is none.
    #[error("the plan `{0}` has no trial; ask for the quote without it")]
    NoTrial(String),
    /// A setup fee in another currency than the price.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// The term leads beyond the calendar.
    #[error(transparent)]
    Period(#[from] PeriodError),
}

/// The lines of the first invoice: one term, and the set-up fee once.
///
/// # Errors
/// When an amount is too large, or the fee has another currency.
pub fn first_lines(offer: &Offer, tax_rate_bp: u32, with_setup: bool) -> Result<Vec<Line>, MoneyError> {
    let mut lines = vec![Line::gross(format!("{}, {}", offer.plan_name, offer.term), offer.price, tax_rate_bp, None)?];
    let fee = offer.setup_fee.filter(|fee| with_setup && fee.is_positive());
    if let Some(fee) = fee {
        offer.price.checked_add(fee)?;
        lines.push(Line::gross("Set-up", fee, tax_rate_bp, None)?);
    }
    Ok(lines)
}

/// The lines of an invoice for `stretch`: a bridge costs its part of the term and says which time it is for.
///
/// # Errors
/// As [`first_lines`].
pub fn stretch_lines(
    offer: &Offer,
    stretch: &Stretch,
    tax_rate_bp: u32,
    with_setup: bool,
) -> Result<Vec<Line>, MoneyError> {
    let priced = Offer { price: stretch.cost(offer.price)?, ..offer.clone() };
    let mut lines = first_lines(&priced, tax_rate_bp, with_setup)?;
    if let Some(line) = lines.first_mut().filter(|_| stretch.is_bridge()) {
        line.description.push_str(", prorated");
    }
    Ok(lines)
}

impl Quote {
    /// Prices an offer at `now`.
    ///
    /// # Errors
    /// When currency or trial do not fit the offer.
    pub fn price(
        offer: &Offer,
        asked: Option<Currency>,
        sold: &[Currency],
        trial: bool,
        tax_rate_bp: u32,
        zone: Tz,
        now: DateTime<Utc>,
    ) -> Result<Self, QuoteError> {
        let currency = offer.price.currency;
        if let Some(asked) = asked.filter(|asked| *asked != currency) {
            return Err(QuoteError::Currency { price: currency, asked });
        }
        if !sold.contains(&currency) {
            return Err(QuoteError::CurrencyNotSold(currency));
        }
        if trial && offer.trial_days == 0 {
            return Err(QuoteError::NoTrial(offer.plan_name.clone()));
        }
        let from = if trial { trial_end(now, offer.trial_days) } else { now };
        let begun = offer.anchor.begin(from, zone, offer.term)?;
        let first = Stretch { period: begun.period, whole: begun.whole };
        let mut lines = stretch_lines(offer, &first, tax_rate_bp, true)?;
        // By calendar the end is fixed, whenever it is paid; an anniversary is counted from the payment.
        if let Some(line) = lines.first_mut().filter(|_| offer.is_by_calendar()) {
            line.period = Some(first.period);
        }
        let totals = Totals::of(currency, &lines)?;
        let renews_at = if trial { from } else { first.period.end() };
        Ok(Self {
            due_now: if trial { Money::zero(currency) } else { totals.total },
            lines,
            totals,
            renews_at,
            renewal_total: offer.price,
            trial_days: offer.trial_days,
            is_trial: trial,
            expires_at: now + VALID_FOR,
        })
    }
}

/// When a trial that starts at `start` is over: whole days of 24 hours, because nobody counts a trial by calendar.
#[must_use]
pub fn trial_end(start: DateTime<Utc>, days: u32) -> DateTime<Utc> {
    start + TimeDelta::days(i64::from(days))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use ottery_kernel::Term;

    use super::*;
    use crate::domain::proration::tests::offer;

    fn noon() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 1, 31, 12, 0, 0).unwrap()
    }

    #[test]
    fn the_first_invoice_holds_the_set_up_fee_and_the_renewal_does_not() {
        let mut offer = offer(1190, Term::MONTH);
        offer.setup_fee = Some(Money::new(500, Currency::EUR));
        let quote = Quote::price(&offer, None, &[Currency::EUR], false, 1900, Tz::UTC, noon()).unwrap();
        assert_eq!(quote.totals.total.minor, 1690);
        assert_eq!(quote.due_now.minor, 1690);
        assert_eq!(quote.renewal_total.minor, 1190);
        assert_eq!(quote.lines[0].tax.minor, 190);
        assert_eq!(quote.expires_at, noon() + TimeDelta::minutes(30));
    }

    #[test]
    fn case_001_a_month_from_the_31st_renews_on_the_last_of_february() {
        let quote = Quote::price(&offer(1, Term::MONTH), None, &[Currency::EUR], false, 0, Tz::UTC, noon()).unwrap();
        assert_eq!(quote.renews_at, Utc.with_ymd_and_hms(2026, 2, 28, 12, 0, 0).unwrap());
    }

    #[test]
    fn by_calendar_the_first_invoice_is_for_the_part_of_the_month_that_is_left() {
        let day = ottery_kernel::AnchorDay::try_new(1).unwrap();
        let offer = Offer { anchor: ottery_kernel::AnchorRule::Day(day), ..offer(3100, Term::MONTH) };
        let middle = Utc.with_ymd_and_hms(2026, 1, 17, 0, 0, 0).unwrap();
        let quote = Quote::price(&offer, None, &[Currency::EUR], false, 0, Tz::UTC, middle).unwrap();
        assert_eq!((quote.due_now.minor, quote.renewal_total.minor), (1500, 3100));
        assert_eq!(quote.renews_at, Utc.with_ymd_and_hms(2026, 2, 1, 0, 0, 0).unwrap());
        assert_eq!(quote.lines[0].description, "Family, 1 month, prorated");
        assert_eq!(quote.lines[0].period.unwrap().end(), quote.renews_at);
    }

    #[test]
    fn a_trial_costs_nothing_now_and_must_exist() {
        let mut offer = offer(1000, Term::MONTH);
        let price = |offer: &Offer| Quote::price(offer, None, &[Currency::EUR], true, 0, Tz::UTC, noon());
        assert!(matches!(price(&offer), Err(QuoteError::NoTrial(_))));
        offer.trial_days = 3;
        let quote = price(&offer).unwrap();
        assert!(quote.due_now.is_zero());
        assert_eq!(quote.renews_at, noon() + TimeDelta::days(3));
    }

    #[test]
    fn another_currency_than_the_price_is_refused_with_both_names() {
        let refused =
            Quote::price(&offer(1, Term::MONTH), Some(Currency::JPY), &[Currency::EUR], false, 0, Tz::UTC, noon());
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("EUR") && text.contains("JPY"), "{text}");
        let unsold = Quote::price(&offer(1, Term::MONTH), None, &[Currency::USD], false, 0, Tz::UTC, noon());
        assert_eq!(unsold.unwrap_err(), QuoteError::CurrencyNotSold(Currency::EUR));
    }
}
