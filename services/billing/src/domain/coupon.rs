//! What coupons take off, and whether one may be used.
//!
//! A discount is computed before tax: a line takes it off the gross price, and the tax of both lines together is that of
//! the reduced price. A share is rounded once, to the nearest minor unit, a half upwards. No coupon takes off more than
//! there is: what a fixed amount has beyond the price is lost.

use std::fmt;

use chrono::{DateTime, Utc};
use ottery_kernel::{CouponId, Currency, Money, MoneyError, PlanId, Rounding, Term};
use serde::{Deserialize, Serialize};

use super::offer::Offer;

/// Basis points in a whole.
const WHOLE_BP: u32 = 10_000;

/// What a coupon takes off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Benefit {
    /// A share of the price.
    Percent {
        /// In basis points.
        bp: u32,
    },
    /// An amount.
    Fixed {
        /// One per currency.
        amounts: Vec<Money>,
    },
    /// Another price instead of the plan's.
    Price {
        /// One per currency.
        amounts: Vec<Money>,
    },
    /// The set-up fee.
    FreeSetup,
}

/// How long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "duration", rename_all = "snake_case")]
pub enum Lasting {
    /// The first paid period.
    Once,
    /// So many paid periods.
    Periods {
        /// How many.
        count: u32,
    },
    /// All of them.
    Forever,
}

/// What somebody wants to use a coupon for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A new subscription.
    Order,
    /// A change of plan that is charged now.
    Upgrade,
}

/// A coupon as the catalogue told it, or as it was when it was redeemed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coupon {
    /// Its id.
    pub id: CouponId,
    /// In its canonical form.
    pub code: String,
    /// What it takes off.
    pub benefit: Benefit,
    /// How long.
    pub lasting: Lasting,
    /// Of these plans; empty: of any.
    pub plans: Vec<PlanId>,
    /// For these terms; empty: for any.
    pub terms: Vec<Term>,
    /// For customers without an earlier order.
    pub new_customers_only: bool,
    /// With new subscriptions.
    pub for_orders: bool,
    /// With upgrades.
    pub for_upgrades: bool,
    /// Refused before.
    pub starts_at: Option<DateTime<Utc>>,
    /// Refused from here on.
    pub ends_at: Option<DateTime<Utc>>,
    /// Uses of everybody together; none: no limit.
    pub uses_max: Option<u32>,
    /// Uses of one customer; none: no limit.
    pub uses_per_customer_max: Option<u32>,
}

/// Why a coupon cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CouponRefused {
    /// No enabled coupon of the brand has this code; which of both is nobody's business.
    #[error("there is no coupon `{0}`; check how it is written, or leave it out")]
    Unknown(String),
    /// Its time has not come.
    #[error("the coupon `{code}` is good from {starts_at} on; use it then, or leave it out")]
    NotStarted {
        /// Which.
        code: String,
        /// From when on.
        starts_at: String,
    },
    /// Its time is over.
    #[error("the coupon `{code}` was good until {ends_at}; leave it out")]
    Expired {
        /// Which.
        code: String,
        /// Until when.
        ends_at: String,
    },
    /// Others were faster.
    #[error("the coupon `{0}` has been used as often as it can be; leave it out")]
    UsedUp(String),
    /// This customer had it already.
    #[error("you have used the coupon `{0}` as often as one customer can; leave it out")]
    UsedByYou(String),
    /// It is for somebody else.
    #[error("the coupon `{0}` is for new customers; leave it out")]
    NewCustomersOnly(String),
    /// It is for other plans.
    #[error("the coupon `{code}` is not for the plan `{plan}`; choose another plan, or leave it out")]
    Plan {
        /// Which.
        code: String,
        /// What was wanted.
        plan: String,
    },
    /// It is for other terms.
    #[error("the coupon `{code}` is not for {term}; it is for {accepted}")]
    Term {
        /// Which.
        code: String,
        /// What was wanted.
        term: String,
        /// What it is for.
        accepted: String,
    },
    /// It has no amount in this currency.
    #[error("the coupon `{code}` is not for prices in {currency}; choose one in {accepted}, or leave it out")]
    Currency {
        /// Which.
        code: String,
        /// What was wanted.
        currency: Currency,
        /// What it is for.
        accepted: String,
    },
    /// It is for upgrades.
    #[error("the coupon `{0}` is for upgrades of a running subscription; leave it out")]
    NotForOrders(String),
    /// It is for new subscriptions.
    #[error("the coupon `{0}` is for new subscriptions; leave it out")]
    NotForUpgrades(String),
    /// Nothing is charged that it could take something off.
    #[error("the coupon `{0}` would take nothing off; keep it for another time")]
    WithoutEffect(String),
}

impl CouponRefused {
    /// Stable, for programs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "COUPON_UNKNOWN",
            Self::NotStarted { .. } => "COUPON_NOT_STARTED",
            Self::Expired { .. } => "COUPON_EXPIRED",
            Self::UsedUp(_) => "COUPON_USED_UP",
            Self::UsedByYou(_) => "COUPON_USED_BY_YOU",
            Self::NewCustomersOnly(_) => "COUPON_NEW_CUSTOMERS_ONLY",
            Self::Plan { .. } => "COUPON_NOT_FOR_PLAN",
            Self::Term { .. } => "COUPON_NOT_FOR_TERM",
            Self::Currency { .. } => "COUPON_NOT_FOR_CURRENCY",
            Self::NotForOrders(_) => "COUPON_NOT_FOR_ORDERS",
            Self::NotForUpgrades(_) => "COUPON_NOT_FOR_UPGRADES",
            Self::WithoutEffect(_) => "COUPON_WITHOUT_EFFECT",
        }
    }
}

fn listed(items: impl IntoIterator<Item = impl fmt::Display>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn in_currency(amounts: &[Money], currency: Currency) -> Option<Money> {
    amounts.iter().copied().find(|amount| amount.currency == currency)
}

impl Coupon {
    /// Whether it may be used for `offer` at `now`, as far as the coupon alone knows.
    ///
    /// # Errors
    /// The reason why not.
    pub fn check(&self, occasion: Occasion, offer: &Offer, now: DateTime<Utc>) -> Result<(), CouponRefused> {
        let code = || self.code.clone();
        if let Some(starts_at) = self.starts_at.filter(|starts_at| now < *starts_at) {
            return Err(CouponRefused::NotStarted { code: code(), starts_at: day(starts_at) });
        }
        if let Some(ends_at) = self.ends_at.filter(|ends_at| now >= *ends_at) {
            return Err(CouponRefused::Expired { code: code(), ends_at: day(ends_at) });
        }
        match occasion {
            Occasion::Order if !self.for_orders => return Err(CouponRefused::NotForOrders(code())),
            Occasion::Upgrade if !self.for_upgrades => return Err(CouponRefused::NotForUpgrades(code())),
            Occasion::Order | Occasion::Upgrade => {}
        }
        if !self.is_for_plan(offer) {
            return Err(CouponRefused::Plan { code: code(), plan: offer.plan_name.clone() });
        }
        if !self.is_for_term(offer) {
            let (term, accepted) = (offer.term.to_string(), listed(&self.terms));
            return Err(CouponRefused::Term { code: code(), term, accepted });
        }
        if let Benefit::Fixed { amounts } | Benefit::Price { amounts } = &self.benefit
            && in_currency(amounts, offer.price.currency).is_none()
        {
            let accepted = listed(amounts.iter().map(|amount| amount.currency));
            return Err(CouponRefused::Currency { code: code(), currency: offer.price.currency, accepted });
        }
        Ok(())
    }

    fn is_for_plan(&self, offer: &Offer) -> bool {
        self.plans.is_empty() || self.plans.contains(&offer.plan_id)
    }

    fn is_for_term(&self, offer: &Offer) -> bool {
        self.terms.is_empty() || self.terms.contains(&offer.term)
    }

    /// What it takes off the price of one period: 0 to the price.
    ///
    /// # Errors
    /// When an amount is too large to compute with.
    pub fn off_price(&self, offer: &Offer) -> Result<Money, MoneyError> {
        let price = offer.price;
        let nothing = Money::zero(price.currency);
        if !self.is_for_plan(offer) || !self.is_for_term(offer) {
            return Ok(nothing);
        }
        let wanted = match &self.benefit {
            Benefit::Percent { bp } => price.mul_ratio(i64::from(*bp), i64::from(WHOLE_BP), Rounding::HalfUp)?,
            Benefit::Fixed { amounts } => in_currency(amounts, price.currency).unwrap_or(nothing),
            Benefit::Price { amounts } => match in_currency(amounts, price.currency) {
                Some(instead) => price.checked_sub(instead)?,
                None => nothing,
            },
            Benefit::FreeSetup => nothing,
        };
        Ok(Money::new(wanted.minor.clamp(0, price.minor.max(0)), price.currency))
    }

    /// What it takes off the set-up fee: nothing or all of it.
    #[must_use]
    pub fn off_setup(&self, offer: &Offer) -> Money {
        let fee = offer.setup_fee.filter(|fee| fee.is_positive());
        match self.benefit {
            Benefit::FreeSetup if self.is_for_plan(offer) && self.is_for_term(offer) => {
                fee.unwrap_or(Money::zero(offer.price.currency))
            }
            Benefit::FreeSetup | Benefit::Percent { .. } | Benefit::Fixed { .. } | Benefit::Price { .. } => {
                Money::zero(offer.price.currency)
            }
        }
    }

    /// For how many paid periods it is good; none: for all of them.
    #[must_use]
    pub const fn periods(&self) -> Option<u32> {
        match self.lasting {
            Lasting::Once => Some(1),
            Lasting::Periods { count } => Some(count),
            Lasting::Forever => None,
        }
    }

    /// As its line on an invoice says.
    #[must_use]
    pub fn label(&self) -> String {
        match self.benefit {
            Benefit::Percent { bp } => {
                let (whole, part) = (bp / 100, bp % 100);
                let share = if part == 0 { whole.to_string() } else { format!("{whole}.{part:02}") };
                format!("Coupon {} ({share} %)", self.code)
            }
            Benefit::Fixed { .. } | Benefit::Price { .. } | Benefit::FreeSetup => format!("Coupon {}", self.code),
        }
    }
}

/// A coupon somebody uses: what it said then, whatever becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redeemed {
    /// The use; given back under this name.
    pub redemption: uuid::Uuid,
    /// What it said.
    pub coupon: Coupon,
    /// Paid periods that had it. Periods, not invoices: one that was withdrawn uses nothing up.
    pub periods_used: u32,
}

impl Redeemed {
    /// For how many more periods it is good, at most `wanted`.
    #[must_use]
    pub fn left(&self, wanted: u32) -> u32 {
        self.coupon.periods().map_or(wanted, |periods| periods.saturating_sub(self.periods_used).min(wanted))
    }

    /// What it takes off the price of the next period.
    ///
    /// # Errors
    /// When an amount is too large to compute with.
    pub fn off_next(&self, offer: &Offer) -> Result<Money, MoneyError> {
        if self.left(1) == 0 { Ok(Money::zero(offer.price.currency)) } else { self.coupon.off_price(offer) }
    }
}

/// A paid period and what a coupon took off its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discounted {
    /// Where the period starts.
    pub start: DateTime<Utc>,
    /// Off the price of a whole term; a bridge had its part of it.
    pub amount: Money,
}

/// What paying an invoice does to the discounts of its subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The coupon that took something off.
    pub redeemed: Option<Redeemed>,
    /// It comes with this invoice, and its use goes back when the invoice is withdrawn.
    pub is_new: bool,
    /// How many periods of it are used up with the payment.
    pub counts: u32,
    /// Off the price of a whole term, for the period that starts with (or is extended by) the payment.
    pub off_period: Option<Money>,
    /// Off paid periods whose plan changes with the payment.
    pub running: Vec<Discounted>,
}

impl Applied {
    /// What a coupon does on the invoice of one period.
    ///
    /// # Errors
    /// When an amount is too large to compute with.
    pub fn to_period(redeemed: &Redeemed, offer: &Offer, with_setup: bool) -> Result<Self, MoneyError> {
        let off = redeemed.off_next(offer)?;
        let off_setup = redeemed.left(1) > 0 && with_setup && redeemed.coupon.off_setup(offer).is_positive();
        if !off.is_positive() && !off_setup {
            return Ok(Self::default());
        }
        let redeemed = Some(redeemed.clone());
        Ok(Self { redeemed, counts: 1, off_period: Some(off).filter(|off| off.is_positive()), ..Self::default() })
    }
}

/// The coupon of a subscription and what is discounted of the periods it has paid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discounts {
    /// The coupon, used up or not.
    pub coupon: Option<Redeemed>,
    /// Paid periods that are not over and had a discount.
    pub periods: Vec<Discounted>,
}

impl Discounts {
    /// With a coupon that was not used yet.
    #[must_use]
    pub const fn with(coupon: Option<Redeemed>) -> Self {
        Self { coupon, periods: Vec::new() }
    }

    /// Whether there is nothing to remember.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.coupon.is_none() && self.periods.is_empty()
    }

    /// What was taken off the paid period that starts there, off the price of a whole term.
    #[must_use]
    pub fn off(&self, start: DateTime<Utc>) -> Option<Money> {
        self.periods.iter().find(|period| period.start == start).map(|period| period.amount)
    }

    /// An invoice was paid: `started` is where the period starts that it paid for, `kept_from` where the running one does.
    /// Returns a coupon that had to make room for another and was never used.
    pub fn settle(
        &mut self,
        applied: &Applied,
        started: Option<DateTime<Utc>>,
        kept_from: Option<DateTime<Utc>>,
    ) -> Option<Redeemed> {
        self.periods.retain(|period| kept_from.is_none_or(|from| period.start >= from));
        for period in &applied.running {
            self.remember(*period);
        }
        if let Some(start) = started {
            // A period that is paid anew (after a restart) had another price before.
            self.periods.retain(|period| period.start != start);
            if let Some(amount) = applied.off_period {
                self.remember(Discounted { start, amount });
            }
        }
        let redeemed = applied.redeemed.as_ref()?;
        match &mut self.coupon {
            Some(own) if own.redemption == redeemed.redemption => {
                own.periods_used += applied.counts;
                None
            }
            own => {
                let replaced = own.replace(Redeemed { periods_used: applied.counts, ..redeemed.clone() });
                replaced.filter(|replaced| replaced.periods_used == 0)
            }
        }
    }

    /// Paid periods start at other instants than before: (before, now).
    pub fn moved(&mut self, starts: &[(DateTime<Utc>, DateTime<Utc>)]) {
        for period in &mut self.periods {
            if let Some((_, now)) = starts.iter().find(|(before, _)| *before == period.start) {
                period.start = *now;
            }
        }
    }

    fn remember(&mut self, discounted: Discounted) {
        self.periods.retain(|period| period.start != discounted.start);
        if discounted.amount.is_positive() {
            self.periods.push(discounted);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
