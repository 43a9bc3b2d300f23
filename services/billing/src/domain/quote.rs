//! A binding offer: what checkout shows is what the order charges, until it expires.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use ottery_kernel::{Currency, Money, MoneyError, PeriodError, PlanId};
use serde::{Deserialize, Serialize};

use super::calendar::Stretch;
use super::coupon::{Applied, Coupon, CouponRefused, Redeemed};
use super::derivation::{Addend, Derivation, Priced, Source};
use super::line::{Line, Totals};
use super::offer::Offer;
use super::option;
use super::tax::{Decision, Tax, on_total};

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
    /// What the first renewal costs (after a trial: the first payment), a coupon counted in.
    pub renewal_total: Money,
    /// Days of trial; 0 for none.
    pub trial_days: u32,
    /// Whether the order starts with the trial.
    pub is_trial: bool,
    /// From here on a new quote is needed.
    pub expires_at: DateTime<Utc>,
    /// What takes something off, as it was when the quote was made: the quote holds even when the coupon ends meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<Coupon>,
    /// How it is taxed; none in quotes from before it was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Decision>,
    /// What is sold in limited number, as it was when the quote was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
}

/// A plan or add-on of which only so many can be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Which.
    pub plan: PlanId,
    /// Its name.
    pub name: String,
    /// How many.
    pub count: u32,
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
    /// A coupon that takes nothing off this offer.
    #[error(transparent)]
    Coupon(#[from] CouponRefused),
    /// A setup fee in another currency than the price.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// The term leads beyond the calendar.
    #[error(transparent)]
    Period(#[from] PeriodError),
}

/// What one term costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Billed {
    /// The lines of its invoice.
    pub lines: Vec<Line>,
    /// What a coupon did.
    pub applied: Applied,
}

/// The lines of an invoice for `stretch`, and for the set-up fee once, each followed by what the coupon takes off it. A
/// bridge costs its part of the term, says so, and has its part of the discount: it is a paid period like any other, so a
/// coupon for a number of periods counts it.
///
/// # Errors
/// When an amount is too large, or the fee has another currency.
pub fn stretch_lines(
    offer: &Offer,
    stretch: &Stretch,
    tax: &Tax,
    with_setup: bool,
    coupon: Option<&Redeemed>,
) -> Result<Billed, MoneyError> {
    let currency = offer.price.currency;
    let nothing = Money::zero(currency);
    let applied = match coupon {
        Some(redeemed) => Applied::to_period(redeemed, offer, with_setup)?,
        None => Applied::default(),
    };
    let label = || applied.redeemed.as_ref().map(|redeemed| redeemed.coupon.label()).unwrap_or_default();
    let priced = || Priced::of(offer);
    let price = Derivation::from(stretch.addend(Source::Price(priced()), offer.price));
    let part = if stretch.is_bridge() { ", prorated" } else { "" };
    let name = format!("{}, {}{part}", offer.plan_name, offer.term);
    let listed = price.total(currency)?;
    let mut lines = vec![Line::priced(name, listed, tax, None)?.derived(price.clone())];
    // The part of the reduced price is what is paid, and what is credited from later; the discount is what it is short of
    // the price.
    let off_term = applied.off_period.unwrap_or(nothing);
    let coupon = applied.redeemed.as_ref().map(|redeemed| &redeemed.coupon);
    let reduced = Source::Reduced {
        price: priced(),
        coupon: coupon.map(|coupon| coupon.code.clone()).unwrap_or_default(),
        benefit: coupon.map(|coupon| coupon.benefit.clone()),
        off: off_term,
    };
    let reduced = Derivation::from(stretch.addend(reduced, offer.price.checked_sub(off_term)?));
    let discount = price.and(reduced.taken());
    let off = discount.total(currency)?;
    if let (Some(line), true) = (lines.first(), off.is_positive()) {
        lines.push(line.discounted(label(), listed, off, tax)?.derived(discount.taken()));
    }
    lines.extend(option::stretch_lines(offer, stretch, tax)?);
    let mut off_setup = nothing;
    let fee = offer.setup_fee.filter(|fee| with_setup && fee.is_positive());
    if let Some(fee) = fee {
        nothing.checked_add(fee)?;
        let setup = |amount| Derivation::from(Addend::all(Source::SetupFee(priced()), amount));
        let line = Line::priced("Set-up", fee, tax, None)?.derived(setup(fee));
        off_setup = coupon.map_or(nothing, |coupon| coupon.off_setup(offer));
        let discount = off_setup.is_positive().then(|| line.discounted(label(), fee, off_setup, tax)).transpose()?;
        let discount = discount.map(|line| line.derived(setup(off_setup).taken()));
        lines.push(line);
        lines.extend(discount);
    }
    if with_setup {
        lines.extend(option::setup_lines(offer, None, tax)?);
    }
    on_total(&mut lines, tax.pricing, tax.round)?;
    // A bridge may be too short for a discount: then no period of the coupon is used up.
    let is_applied = off.is_positive() || off_setup.is_positive();
    Ok(Billed { lines, applied: if is_applied { applied } else { Applied::default() } })
}

/// The plan less `off` and each extra, as `cost` says of their prices, with their tax categories.
fn costs(
    offer: &Offer,
    off: Money,
    cost: impl Fn(Money) -> Result<Money, MoneyError>,
) -> Result<Vec<(Money, Option<String>)>, MoneyError> {
    let plan = cost(offer.price.checked_sub(off)?).map(|cost| (cost, None));
    let extras = offer.extras().filter(|extra| extra.units > 0);
    let extras = extras.map(|extra| Ok((cost(extra.price()?)?, extra.category().map(str::to_owned))));
    std::iter::once(plan).chain(extras).collect()
}

/// What lines of these prices add up to.
fn taxed(currency: Currency, costs: Vec<(Money, Option<String>)>, tax: &Tax) -> Result<Money, MoneyError> {
    let priced =
        |(cost, category): (Money, Option<String>)| Line::priced("", cost, &tax.of_category(category.as_deref()), None);
    let lines = costs.into_iter().map(priced);
    let mut lines = lines.collect::<Result<Vec<_>, _>>()?;
    on_total(&mut lines, tax.pricing, tax.round)?;
    Ok(Totals::of(currency, &lines)?.total)
}

/// What a stretch costs without set-up, when a coupon takes `off` the price of a whole term.
///
/// # Errors
/// When an amount is too large to compute with.
pub fn period_cost(offer: &Offer, off: Money, stretch: &Stretch) -> Result<Money, MoneyError> {
    let costs = costs(offer, off, |price| stretch.cost(price))?;
    Money::sum(offer.price.currency, costs.into_iter().map(|(cost, _)| cost))
}

/// The same with its tax: what the lines of its invoice add up to.
///
/// # Errors
/// When an amount is too large to compute with.
pub fn period_total(offer: &Offer, off: Money, stretch: &Stretch, tax: &Tax) -> Result<Money, MoneyError> {
    taxed(offer.price.currency, costs(offer, off, |price| stretch.cost(price))?, tax)
}

/// What a whole term costs with its tax.
///
/// # Errors
/// When an amount is too large to compute with.
pub fn term_total(offer: &Offer, off: Money, tax: &Tax) -> Result<Money, MoneyError> {
    taxed(offer.price.currency, costs(offer, off, Ok)?, tax)
}

/// Who asks for a price and how: what [`Quote::price`] needs beside the offer.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The currency that was seen; none takes the price's.
    pub currency: Option<Currency>,
    /// Start with the trial.
    pub trial: bool,
    /// A coupon that may be used for the offer.
    pub coupon: Option<&'a Coupon>,
}

impl Quote {
    /// Prices an offer at `now`.
    ///
    /// # Errors
    /// When currency or trial do not fit the offer.
    pub fn price(
        offer: &Offer,
        asked: Asked<'_>,
        sold: &[Currency],
        decision: &Decision,
        zone: Tz,
        now: DateTime<Utc>,
    ) -> Result<Self, QuoteError> {
        let Asked { currency: asked, trial, coupon } = asked;
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
        let mut redeemed =
            coupon.map(|coupon| Redeemed { redemption: uuid::Uuid::nil(), coupon: coupon.clone(), periods_used: 0 });
        let Billed { mut lines, applied } = stretch_lines(offer, &first, &decision.tax, true, redeemed.as_ref())?;
        if let (Some(coupon), None) = (coupon, &applied.redeemed) {
            return Err(QuoteError::Coupon(CouponRefused::WithoutEffect(coupon.code.clone())));
        }
        // By calendar the end is fixed, whenever it is paid; an anniversary is counted from the payment.
        if let Some(line) = lines.first_mut().filter(|_| offer.is_by_calendar()) {
            line.period = Some(first.period);
        }
        let totals = Totals::of(currency, &lines)?;
        if let (Some(redeemed), false) = (&mut redeemed, trial) {
            redeemed.periods_used = applied.counts;
        }
        let off_renewal = match &redeemed {
            Some(redeemed) => redeemed.off_next(offer)?,
            None => Money::zero(currency),
        };
        let renews_at = if trial { from } else { first.period.end() };
        // The first payment after a trial may be for a part; later ones are for whole terms.
        let paid_for = if trial { first } else { Stretch::term(first.whole) };
        let renewal_total = match offer.once && !trial {
            // A pass is not paid again.
            true => Money::zero(currency),
            false => period_total(offer, off_renewal, &paid_for, &decision.tax)?,
        };
        Ok(Self {
            due_now: if trial { Money::zero(currency) } else { totals.total },
            lines,
            totals,
            renews_at,
            renewal_total,
            trial_days: offer.trial_days,
            is_trial: trial,
            expires_at: now + VALID_FOR,
            coupon: coupon.cloned(),
            tax: Some(decision.clone()),
            limits: Vec::new(),
        })
    }

    /// What a renewal of `offer` costs once the coupon is used up.
    ///
    /// # Errors
    /// When an amount is too large to compute with.
    pub fn regular_total(&self, offer: &Offer) -> Result<Money, MoneyError> {
        let tax = self.tax.as_ref().map(|decision| decision.tax.clone()).unwrap_or_default();
        term_total(offer, Money::zero(offer.price.currency), &tax)
    }

    /// What the coupon takes off the first invoice; none without a coupon.
    #[must_use]
    pub fn discount(&self) -> Option<Money> {
        self.coupon.as_ref()?;
        let taken = self.lines.iter().map(|line| line.amount).filter(|amount| amount.is_negative());
        Money::sum(self.due_now.currency, taken).and_then(Money::checked_neg).ok()
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
    use crate::domain::coupon::{Benefit, Lasting};
    use crate::domain::proration::tests::offer;

    const PLAIN: Asked<'_> = Asked { currency: None, trial: false, coupon: None };

    fn at(rate_bp: u32) -> Decision {
        Decision { tax: Tax::contained(rate_bp), ..Decision::default() }
    }

    fn noon() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 1, 31, 12, 0, 0).unwrap()
    }

    #[test]
    fn the_first_invoice_holds_the_set_up_fee_and_the_renewal_does_not() {
        let mut offer = offer(1190, Term::MONTH);
        offer.setup_fee = Some(Money::new(500, Currency::EUR));
        let quote = Quote::price(&offer, PLAIN, &[Currency::EUR], &at(1900), Tz::UTC, noon()).unwrap();
        assert_eq!(quote.totals.total.minor, 1690);
        assert_eq!(quote.due_now.minor, 1690);
        assert_eq!(quote.renewal_total.minor, 1190);
        assert_eq!(quote.lines[0].tax.minor, 190);
        assert_eq!(quote.expires_at, noon() + TimeDelta::minutes(30));
    }

    #[test]
    fn case_001_a_month_from_the_31st_renews_on_the_last_of_february() {
        let quote = Quote::price(&offer(1, Term::MONTH), PLAIN, &[Currency::EUR], &at(0), Tz::UTC, noon()).unwrap();
        assert_eq!(quote.renews_at, Utc.with_ymd_and_hms(2026, 2, 28, 12, 0, 0).unwrap());
    }

    #[test]
    fn by_calendar_the_first_invoice_is_for_the_part_of_the_month_that_is_left() {
        let day = ottery_kernel::AnchorDay::try_new(1).unwrap();
        let offer = Offer { anchor: ottery_kernel::AnchorRule::Day(day), ..offer(3100, Term::MONTH) };
        let middle = Utc.with_ymd_and_hms(2026, 1, 17, 0, 0, 0).unwrap();
        let quote = Quote::price(&offer, PLAIN, &[Currency::EUR], &at(0), Tz::UTC, middle).unwrap();
        assert_eq!((quote.due_now.minor, quote.renewal_total.minor), (1500, 3100));
        assert_eq!(quote.renews_at, Utc.with_ymd_and_hms(2026, 2, 1, 0, 0, 0).unwrap());
        assert_eq!(quote.lines[0].description, "Family, 1 month, prorated");
        assert_eq!(quote.lines[0].period.unwrap().end(), quote.renews_at);
    }

    #[test]
    fn after_a_trial_the_first_payment_is_for_the_part_of_the_month_that_is_left_then() {
        let day = ottery_kernel::AnchorDay::try_new(1).unwrap();
        let anchor = ottery_kernel::AnchorRule::Day(day);
        let offer = Offer { anchor, trial_days: 3, ..offer(3100, Term::MONTH) };
        let half =
            Coupon { lasting: Lasting::Forever, ..crate::domain::coupon::tests::coupon(Benefit::Percent { bp: 5000 }) };
        let start = Utc.with_ymd_and_hms(2026, 1, 14, 0, 0, 0).unwrap();
        let asked = Asked { trial: true, coupon: Some(&half), ..PLAIN };
        let quote = Quote::price(&offer, asked, &[Currency::EUR], &at(0), Tz::UTC, start).unwrap();
        assert_eq!((quote.due_now.minor, quote.totals.total.minor, quote.renewal_total.minor), (0, 750, 750));
    }

    #[test]
    fn a_trial_costs_nothing_now_and_must_exist() {
        let mut offer = offer(1000, Term::MONTH);
        let price = |offer: &Offer| {
            Quote::price(offer, Asked { trial: true, ..PLAIN }, &[Currency::EUR], &at(0), Tz::UTC, noon())
        };
        assert!(matches!(price(&offer), Err(QuoteError::NoTrial(_))));
        offer.trial_days = 3;
        let quote = price(&offer).unwrap();
        assert!(quote.due_now.is_zero());
        assert_eq!(quote.renews_at, noon() + TimeDelta::days(3));
    }

    #[test]
    fn another_currency_than_the_price_is_refused_with_both_names() {
        let refused = Quote::price(
            &offer(1, Term::MONTH),
            Asked { currency: Some(Currency::JPY), ..PLAIN },
            &[Currency::EUR],
            &at(0),
            Tz::UTC,
            noon(),
        );
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("EUR") && text.contains("JPY"), "{text}");
        let unsold = Quote::price(&offer(1, Term::MONTH), PLAIN, &[Currency::USD], &at(0), Tz::UTC, noon());
        assert_eq!(unsold.unwrap_err(), QuoteError::CurrencyNotSold(Currency::EUR));
    }

    #[test]
    fn a_quote_says_what_the_coupon_takes_off_now_at_the_renewal_and_not_any_more() {
        let sold = Offer { trial_days: 3, ..offer(1000, Term::MONTH) };
        let coupon =
            |lasting| Coupon { lasting, ..crate::domain::coupon::tests::coupon(Benefit::Percent { bp: 2500 }) };
        let price = |coupon: &Coupon, trial| {
            let asked = Asked { trial, coupon: Some(coupon), ..PLAIN };
            Quote::price(&sold, asked, &[Currency::EUR], &at(1900), Tz::UTC, noon()).unwrap()
        };
        let once = price(&coupon(Lasting::Once), false);
        assert_eq!((once.due_now.minor, once.renewal_total.minor), (750, 1000));
        assert_eq!(once.discount().map(|off| off.minor), Some(250));
        let twice = price(&coupon(Lasting::Periods { count: 2 }), false);
        assert_eq!((twice.due_now.minor, twice.renewal_total.minor), (750, 750));
        // A trial uses nothing up: the first payment is the discounted one.
        let trial = price(&coupon(Lasting::Once), true);
        assert_eq!((trial.due_now.minor, trial.totals.total.minor, trial.renewal_total.minor), (0, 750, 750));
    }

    #[test]
    fn a_coupon_that_would_take_nothing_off_is_refused_instead_of_used_up() {
        let coupon = crate::domain::coupon::tests::coupon(Benefit::FreeSetup);
        let asked = Asked { coupon: Some(&coupon), ..PLAIN };
        let refused =
            Quote::price(&offer(1000, Term::MONTH), asked, &[Currency::EUR], &at(1900), Tz::UTC, noon()).unwrap_err();
        assert_eq!(refused, QuoteError::Coupon(CouponRefused::WithoutEffect("SUMMER".into())));
    }
}
