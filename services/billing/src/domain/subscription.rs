//! The life of a subscription: one function decides every move.
//!
//! `cancel_at` is an attribute beside the state: a subscription that ends with its period is still active until then.

use std::fmt;

use chrono::{DateTime, Utc};
use ottery_kernel::{
    AccountId, BillingAnchor, Money, MoneyError, OrderId, PaymentMethodId, Period, PeriodError, SubscriptionId,
    period_after,
};

use super::coupon::{Discounts, Lasting};
use super::offer::Offer;

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Ordered, never paid.
    Pending,
    /// In its free trial.
    Trialing,
    /// Paid.
    Active,
    /// The renewal is not paid; still served.
    PastDue {
        /// Not suspended before this instant.
        grace_until: DateTime<Utc>,
    },
    /// Not served, comes back when the cause is gone.
    Suspended {
        /// Why.
        cause: SuspendCause,
    },
    /// Put aside by agreement: neither served nor billed.
    Paused,
    /// Over for good.
    Ended {
        /// Why.
        cause: EndCause,
    },
}

/// Why a subscription is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuspendCause {
    /// Nobody paid; paying lifts it.
    Unpaid,
    /// Staff did it; only staff lifts it.
    Staff,
}

/// Why a subscription is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// The customer did not want to renew.
    Cancelled,
    /// Suspended too long.
    Unpaid,
    /// The money went back.
    Refunded,
    /// Staff ended it.
    Staff,
    /// The order was never paid.
    Abandoned,
}

/// What may happen to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The trial begins.
    StartTrial,
    /// A period is paid.
    Activate,
    /// The renewal was not paid when it was due.
    MissPayment {
        /// How long it is still served.
        grace_until: DateTime<Utc>,
    },
    /// Stop serving.
    Suspend(SuspendCause),
    /// Staff lifts a suspension; what follows depends on whether the present time is paid.
    Lift {
        /// Whether it is.
        is_paid: bool,
        /// If it is not: how long it is served nevertheless.
        grace_until: DateTime<Utc>,
    },
    /// Put aside.
    Pause,
    /// Take up again.
    Unpause,
    /// Over.
    End(EndCause),
}

/// The answer to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is now in this state.
    Moved(State),
    /// It was there already, or the command changes nothing here.
    AlreadyThere,
}

/// A move the state forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a subscription that is {state} cannot {command}")]
pub struct Refused {
    /// Where it stands.
    pub state: State,
    /// What was asked.
    pub command: Command,
}

impl State {
    /// Decides a move.
    ///
    /// # Errors
    /// When the state forbids it.
    pub const fn on(self, command: Command) -> Result<Outcome, Refused> {
        use {Command as C, State as S};
        match (self, command) {
            (S::Pending, C::StartTrial) => Ok(Outcome::Moved(S::Trialing)),
            // Paying in the trial, while past due or while suspended for not paying makes it active.
            (S::Pending | S::Trialing | S::PastDue { .. } | S::Suspended { cause: SuspendCause::Unpaid }, C::Activate) => {
                Ok(Outcome::Moved(S::Active))
            }
            (S::Active, C::MissPayment { grace_until }) => Ok(Outcome::Moved(S::PastDue { grace_until })),
            (S::Trialing | S::Active | S::PastDue { .. }, C::Suspend(cause)) => Ok(Outcome::Moved(S::Suspended { cause })),
            // Staff's word weighs more: paying must not lift what staff has suspended.
            (S::Suspended { cause: SuspendCause::Unpaid } | S::Paused, C::Suspend(SuspendCause::Staff)) => {
                Ok(Outcome::Moved(S::Suspended { cause: SuspendCause::Staff }))
            }
            (S::Suspended { .. }, C::Lift { is_paid: true, .. }) | (S::Paused, C::Unpause) => Ok(Outcome::Moved(S::Active)),
            (S::Suspended { .. }, C::Lift { is_paid: false, grace_until }) => Ok(Outcome::Moved(S::PastDue { grace_until })),
            (S::Active, C::Pause) => Ok(Outcome::Moved(S::Paused)),
            (
                S::Pending | S::Trialing | S::Active | S::PastDue { .. } | S::Suspended { .. } | S::Paused,
                C::End(cause),
            ) => Ok(Outcome::Moved(S::Ended { cause })),

            (S::Trialing, C::StartTrial | C::Lift { .. })
            | (S::Active, C::Activate | C::Lift { .. } | C::Unpause)
            | (S::PastDue { .. }, C::MissPayment { .. } | C::Lift { .. })
            // The money counts, the suspension or pause stays.
            | (S::Suspended { cause: SuspendCause::Staff }, C::Activate | C::Suspend(_))
            | (S::Suspended { cause: SuspendCause::Unpaid }, C::Suspend(SuspendCause::Unpaid) | C::MissPayment { .. })
            | (S::Paused, C::Pause | C::Activate)
            | (S::Ended { .. }, C::End(_)) => Ok(Outcome::AlreadyThere),

            (S::Pending, C::MissPayment { .. } | C::Suspend(_) | C::Lift { .. } | C::Pause | C::Unpause)
            | (S::Trialing, C::MissPayment { .. } | C::Pause | C::Unpause)
            | (S::Active, C::StartTrial)
            | (S::PastDue { .. }, C::StartTrial | C::Pause | C::Unpause)
            | (S::Suspended { .. }, C::StartTrial | C::Pause | C::Unpause)
            | (S::Suspended { cause: SuspendCause::Staff }, C::MissPayment { .. })
            | (S::Paused, C::StartTrial | C::MissPayment { .. } | C::Suspend(SuspendCause::Unpaid) | C::Lift { .. })
            | (
                S::Ended { .. },
                C::StartTrial
                | C::Activate
                | C::MissPayment { .. }
                | C::Suspend(_)
                | C::Lift { .. }
                | C::Pause
                | C::Unpause,
            ) => Err(Refused { state: self, command }),
        }
    }

    /// As stored; cause and grace are columns of their own.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue { .. } => "past_due",
            Self::Suspended { .. } => "suspended",
            Self::Paused => "paused",
            Self::Ended { .. } => "ended",
        }
    }

    /// The cause as stored.
    #[must_use]
    pub const fn cause_str(self) -> Option<&'static str> {
        match self {
            Self::Pending | Self::Trialing | Self::Active | Self::PastDue { .. } | Self::Paused => None,
            Self::Suspended { cause } => Some(cause.as_str()),
            Self::Ended { cause } => Some(cause.as_str()),
        }
    }

    /// The grace as stored.
    #[must_use]
    pub const fn grace_until(self) -> Option<DateTime<Utc>> {
        match self {
            Self::PastDue { grace_until } => Some(grace_until),
            Self::Pending
            | Self::Trialing
            | Self::Active
            | Self::Suspended { .. }
            | Self::Paused
            | Self::Ended { .. } => None,
        }
    }

    /// The state stored in these three columns.
    #[must_use]
    pub fn from_columns(state: &str, cause: Option<&str>, grace_until: Option<DateTime<Utc>>) -> Option<Self> {
        Some(match (state, cause, grace_until) {
            ("pending", None, None) => Self::Pending,
            ("trialing", None, None) => Self::Trialing,
            ("active", None, None) => Self::Active,
            ("past_due", None, Some(grace_until)) => Self::PastDue { grace_until },
            ("suspended", Some(cause), None) => Self::Suspended { cause: SuspendCause::from_text(cause)? },
            ("paused", None, None) => Self::Paused,
            ("ended", Some(cause), None) => Self::Ended { cause: EndCause::from_text(cause)? },
            _ => return None,
        })
    }

    /// Whether it is over.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Ended { .. })
    }
}

impl SuspendCause {
    /// As stored and told to others.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unpaid => "unpaid",
            Self::Staff => "staff",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        [Self::Unpaid, Self::Staff].into_iter().find(|cause| cause.as_str() == text)
    }
}

impl EndCause {
    /// As stored and told to others.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Unpaid => "unpaid",
            Self::Refunded => "refunded",
            Self::Staff => "staff",
            Self::Abandoned => "abandoned",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        [Self::Cancelled, Self::Unpaid, Self::Refunded, Self::Staff, Self::Abandoned]
            .into_iter()
            .find(|cause| cause.as_str() == text)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "waiting for its first payment",
            Self::Trialing => "in its trial",
            Self::Active => "active",
            Self::PastDue { .. } => "past due",
            Self::Suspended { .. } => "suspended",
            Self::Paused => "paused",
            Self::Ended { .. } => "over",
        })
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartTrial => "start a trial",
            Self::Activate => "be activated",
            Self::MissPayment { .. } => "become past due",
            Self::Suspend(_) => "be suspended",
            Self::Lift { .. } => "be unsuspended",
            Self::Pause => "be paused",
            Self::Unpause => "be taken up again",
            Self::End(_) => "be ended",
        })
    }
}

/// A saved payment method that renewals are charged to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its id.
    pub id: PaymentMethodId,
    /// How it is shown: `Visa ending 4242`.
    pub label: String,
}

/// A subscription as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Whose it is.
    pub account: AccountId,
    /// The order it came from.
    pub order: OrderId,
    /// Where it stands.
    pub state: State,
    /// Since when.
    pub since: DateTime<Utc>,
    /// What it is entitled to.
    pub offer: Offer,
    /// What it becomes at the next renewal.
    pub next_offer: Option<Offer>,
    /// Its coupon, and what was taken off the periods it has paid.
    pub discounts: Discounts,
    /// Whether it began with a trial.
    pub is_trial: bool,
    /// The set-up fee has not been charged yet.
    pub is_setup_due: bool,
    /// Where its periods are counted from: the first payment, or the end of the trial.
    pub anchor: Option<BillingAnchor>,
    /// How many periods since the anchor are paid; also the number of the next one to bill.
    pub periods_paid: u32,
    /// The running period, or the trial.
    pub period: Option<Period>,
    /// The end of what is paid (or of the trial); later than the running period's end after an early renewal.
    pub paid_through: Option<DateTime<Utc>>,
    /// Ends then instead of renewing.
    pub cancel_at: Option<DateTime<Utc>>,
    /// When it was ordered.
    pub created_at: DateTime<Utc>,
    /// When it was over.
    pub ended_at: Option<DateTime<Utc>>,
    /// Charged at renewals.
    pub method: Option<Method>,
    /// Grows with every change that is told.
    pub version: u64,
    /// Grows with every entitlement that is told.
    pub entitlement_version: u64,
}

impl Subscription {
    /// What the next renewal buys.
    #[must_use]
    pub fn renewal_offer(&self) -> &Offer {
        self.next_offer.as_ref().unwrap_or(&self.offer)
    }

    /// What the next renewal costs, the coupon counted in.
    ///
    /// # Errors
    /// When an amount is too large to compute with.
    pub fn renewal_price(&self) -> Result<Money, MoneyError> {
        let offer = self.renewal_offer();
        match &self.discounts.coupon {
            Some(coupon) => offer.price.checked_sub(coupon.off_next(offer)?),
            None => Ok(offer.price),
        }
    }

    /// What it recurs with, tax contained: the price less a coupon that recurs too. One that is good for a single period
    /// is money once, not less revenue a month.
    ///
    /// # Errors
    /// When the currencies differ.
    pub fn recurring_price(&self) -> Result<Money, MoneyError> {
        let recurs = |coupon: &super::coupon::Redeemed| coupon.coupon.lasting != Lasting::Once;
        if !self.discounts.coupon.as_ref().is_some_and(recurs) {
            return Ok(self.offer.price);
        }
        // The running period; while a trial that is paid already runs on, the first paid one.
        let first = self.anchor.and_then(|anchor| anchor.boundary(self.offer.term, 0).ok());
        let running = self.period.map(Period::start).max(first);
        let off = running.and_then(|start| self.discounts.off(start));
        off.map_or(Ok(self.offer.price), |off| self.offer.price.checked_sub(off))
    }

    /// Where the last paid period starts; none before anything was paid.
    ///
    /// # Errors
    /// When it lies beyond the calendar.
    pub fn last_paid_start(&self) -> Result<Option<DateTime<Utc>>, PeriodError> {
        match (self.anchor, self.periods_paid.checked_sub(1)) {
            (Some(anchor), Some(last)) => anchor.boundary(self.offer.term, last).map(Some),
            _ => Ok(None),
        }
    }

    /// Moves the state; false when it was there already.
    ///
    /// # Errors
    /// When the state forbids it.
    pub fn apply(&mut self, command: Command, now: DateTime<Utc>) -> Result<bool, Refused> {
        match self.state.on(command)? {
            Outcome::AlreadyThere => Ok(false),
            Outcome::Moved(state) => {
                self.state = state;
                self.since = now;
                if state.has_ended() {
                    self.ended_at = Some(now);
                }
                Ok(true)
            }
        }
    }

    /// The period the next renewal pays for. A change of the term at the renewal counts anew from the end of what is paid.
    ///
    /// # Errors
    /// When it lies beyond the calendar.
    pub fn next_period(&self) -> Result<Option<Period>, PeriodError> {
        let (Some(anchor), Some(paid_through)) = (self.anchor, self.paid_through) else { return Ok(None) };
        let next = self.renewal_offer();
        if next.term == self.offer.term {
            period_after(&anchor, self.offer.term, self.periods_paid).map(Some)
        } else {
            period_after(&BillingAnchor::at(paid_through, anchor.zone), next.term, 0).map(Some)
        }
    }

    /// The paid periods that are not over at `now`, the running one first; a trial is none of them.
    ///
    /// # Errors
    /// When one lies beyond the calendar.
    pub fn paid_periods(&self, now: DateTime<Utc>) -> Result<Vec<Period>, PeriodError> {
        let Some(anchor) = self.anchor else { return Ok(Vec::new()) };
        let first = anchor.index_at(self.offer.term, now)?.unwrap_or(0);
        (first..self.periods_paid).map(|n| period_after(&anchor, self.offer.term, n)).collect()
    }

    /// Starts counting at `anchor`: its first period is paid and running.
    ///
    /// # Errors
    /// When the period lies beyond the calendar.
    pub fn start_paid(&mut self, anchor: BillingAnchor) -> Result<(), PeriodError> {
        let first = period_after(&anchor, self.offer.term, 0)?;
        self.anchor = Some(anchor);
        self.periods_paid = 1;
        self.period = Some(first);
        self.paid_through = Some(first.end());
        Ok(())
    }

    /// Counts one more period as paid, which has run out of `next_offer`'s way; the running period stays until its end.
    ///
    /// # Errors
    /// When the period lies beyond the calendar.
    pub fn extend(&mut self, offer: Offer, now: DateTime<Utc>) -> Result<(), PeriodError> {
        let (Some(anchor), Some(paid_through)) = (self.anchor, self.paid_through) else { return Ok(()) };
        if offer.term != self.offer.term {
            self.anchor = Some(BillingAnchor::at(paid_through, anchor.zone));
            self.periods_paid = 0;
        }
        self.offer = offer;
        self.next_offer = None;
        self.periods_paid += 1;
        let anchor = self.anchor.unwrap_or(anchor);
        self.paid_through = Some(anchor.boundary(self.offer.term, self.periods_paid)?);
        self.roll(now)?;
        Ok(())
    }

    /// Enters the paid period that contains `now`; false when the running one is not over or nothing later is paid.
    ///
    /// # Errors
    /// When the period lies beyond the calendar.
    pub fn roll(&mut self, now: DateTime<Utc>) -> Result<bool, PeriodError> {
        let (Some(anchor), Some(period)) = (self.anchor, self.period) else { return Ok(false) };
        if now < period.end() || self.periods_paid == 0 {
            return Ok(false);
        }
        let index = anchor.index_at(self.offer.term, now)?.unwrap_or(0).min(self.periods_paid - 1);
        let entered = period_after(&anchor, self.offer.term, index)?;
        let moved = entered != period;
        self.period = Some(entered);
        Ok(moved)
    }
}

#[cfg(test)]
mod tests;
