//! The life of a subscription: one function decides every move.
//!
//! `cancel_at` is an attribute beside the state: a subscription that ends with its period is still active until then.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use ottery_kernel::{
    AccountId, AnchorRule, Beginning, BillingAnchor, Money, MoneyError, OrderId, PaymentMethodId, Period, PeriodError,
    SubscriptionId,
};

use super::calendar::{Calendar, Move, Next, Pause, Stretch};
use super::coupon::{Discounts, Lasting};
use super::offer::Offer;
use super::quote::{period_cost, period_total, term_total};
use super::tax::Tax;

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
    /// Their reseller did not pay; ends when the reseller has.
    Reseller,
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
    /// While past due: served longer than it was going to be.
    Prolong {
        /// Until then.
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
    pub fn on(self, command: Command) -> Result<Outcome, Refused> {
        use {Command as C, State as S};
        match (self, command) {
            (S::Pending, C::StartTrial) => Ok(Outcome::Moved(S::Trialing)),
            // Paying in the trial, while past due or while suspended for not paying makes it active.
            (S::Pending | S::Trialing | S::PastDue { .. } | S::Suspended { cause: SuspendCause::Unpaid }, C::Activate) => {
                Ok(Outcome::Moved(S::Active))
            }
            (S::Active, C::MissPayment { grace_until }) => Ok(Outcome::Moved(S::PastDue { grace_until })),
            (S::PastDue { grace_until: already }, C::Prolong { grace_until }) if already == grace_until => {
                Ok(Outcome::AlreadyThere)
            }
            (S::PastDue { .. }, C::Prolong { grace_until }) => Ok(Outcome::Moved(S::PastDue { grace_until })),
            (S::Trialing | S::Active | S::PastDue { .. }, C::Suspend(cause)) => Ok(Outcome::Moved(S::Suspended { cause })),
            // Staff's word weighs more: paying must not lift what staff has suspended.
            (
                S::Suspended { cause: SuspendCause::Unpaid | SuspendCause::Reseller } | S::Paused,
                C::Suspend(SuspendCause::Staff),
            ) => Ok(Outcome::Moved(S::Suspended { cause: SuspendCause::Staff })),
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
            | (
                S::Suspended { cause: SuspendCause::Reseller },
                C::Activate | C::Suspend(SuspendCause::Unpaid | SuspendCause::Reseller),
            )
            // Who owes themselves is not served anyway.
            | (
                S::Suspended { cause: SuspendCause::Unpaid },
                C::Suspend(SuspendCause::Unpaid | SuspendCause::Reseller) | C::MissPayment { .. },
            )
            | (S::Paused, C::Pause | C::Activate)
            | (S::Ended { .. }, C::End(_)) => Ok(Outcome::AlreadyThere),

            // Only a grace that runs can be prolonged.
            (
                S::Pending | S::Trialing | S::Active | S::Suspended { .. } | S::Paused | S::Ended { .. },
                C::Prolong { .. },
            )
            | (S::Pending, C::MissPayment { .. } | C::Suspend(_) | C::Lift { .. } | C::Pause | C::Unpause)
            | (S::Trialing, C::MissPayment { .. } | C::Pause | C::Unpause)
            | (S::Active, C::StartTrial)
            | (S::PastDue { .. }, C::StartTrial | C::Pause | C::Unpause)
            | (S::Suspended { .. }, C::StartTrial | C::Pause | C::Unpause)
            | (S::Suspended { cause: SuspendCause::Staff | SuspendCause::Reseller }, C::MissPayment { .. })
            | (
                S::Paused,
                C::StartTrial
                | C::MissPayment { .. }
                | C::Suspend(SuspendCause::Unpaid | SuspendCause::Reseller)
                | C::Lift { .. },
            )
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
            Self::Reseller => "reseller",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        [Self::Unpaid, Self::Staff, Self::Reseller].into_iter().find(|cause| cause.as_str() == text)
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
            Self::Prolong { .. } => "be given a longer grace",
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
    /// Where its periods are counted from: the first payment, the end of the trial, a day of the month.
    pub anchor: Option<BillingAnchor>,
    /// How many periods since the anchor are paid; also the number of the next one to bill.
    pub periods_paid: u32,
    /// What is paid, stretch by stretch, and what waits to change that.
    pub calendar: Calendar,
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

/// What a renewal pays for, and what a coupon takes off the price of a whole term.
enum Renewal {
    /// It is a pass: there is none.
    Nothing,
    /// This time.
    Stretch(Money, Stretch),
    /// A term nobody knows the dates of.
    Term(Money),
}

impl Subscription {
    /// What the next renewal buys.
    #[must_use]
    pub fn renewal_offer(&self) -> Cow<'_, Offer> {
        let chosen = self.next_offer.as_ref().unwrap_or(&self.offer);
        let announced = self.calendar.price_change.as_ref();
        let announced = announced.filter(|change| self.paid_through.is_some_and(|end| end >= change.from));
        let offer = match announced {
            // Other quantities of the same plan do not put off its new price.
            Some(change) if chosen.price_id == self.offer.price_id => Cow::Owned(change.offer.clone().keeping(chosen)),
            // Another plan that the customer chose weighs more than what was announced.
            Some(_) | None => Cow::Borrowed(chosen),
        };
        match self.given_price(&offer) {
            None if offer.regular.is_none() => offer,
            given => Cow::Owned(offer.into_owned().priced(given)),
        }
    }

    /// Buys `offer` from now on. An announced price is over with it, or was for another one.
    pub fn take_offer(&mut self, offer: Offer) {
        if offer.price_id != self.offer.price_id {
            self.calendar.price_change = None;
        }
        if self.offer.once && !offer.once {
            self.cancel_at = None;
        }
        let kind = |offer: &Offer| (offer.plan_id, offer.term, offer.price.currency);
        if kind(&self.offer) != kind(&offer) {
            self.calendar.price_override = None;
        }
        self.offer = offer;
        self.next_offer = None;
    }

    /// A pass is over at the end of what is paid. Called after something of it was paid or changed.
    pub fn end_with_pass(&mut self) {
        if self.offer.once && !self.calendar.paid.is_empty() {
            self.cancel_at = self.paid_through;
        }
    }

    /// The first renewal at an announced price; none when none was announced.
    ///
    /// # Errors
    /// When it lies beyond the calendar.
    pub fn price_changes_at(&self) -> Result<Option<DateTime<Utc>>, PeriodError> {
        let Some(change) = &self.calendar.price_change else { return Ok(None) };
        let mut ahead = self.clone();
        while let Some(end) = ahead.paid_through.filter(|end| *end < change.from) {
            ahead.extend(self.offer.clone(), end)?;
            // Nothing is counted before the first payment.
            if ahead.paid_through == Some(end) {
                return Ok(None);
            }
        }
        Ok(ahead.paid_through)
    }

    /// What the next renewal costs, the coupon counted in; nothing for a pass that is paid.
    ///
    /// # Errors
    /// When an amount is too large to compute with.
    pub fn renewal_price(&self) -> Result<Money, MoneyError> {
        let offer = self.renewal_offer();
        match self.renewal_of(&offer)? {
            Renewal::Nothing => Ok(Money::zero(offer.price.currency)),
            Renewal::Stretch(off, stretch) => period_cost(&offer, off, &stretch),
            Renewal::Term(off) => offer.term_price()?.checked_sub(off),
        }
    }

    /// The same with its tax, as the invoice will add it up.
    ///
    /// # Errors
    /// When an amount is too large to compute with.
    pub fn renewal_total(&self, tax: &Tax) -> Result<Money, MoneyError> {
        let offer = self.renewal_offer();
        match self.renewal_of(&offer)? {
            Renewal::Nothing => Ok(Money::zero(offer.price.currency)),
            Renewal::Stretch(off, stretch) => period_total(&offer, off, &stretch, tax),
            Renewal::Term(off) => term_total(&offer, off, tax),
        }
    }

    fn renewal_of(&self, offer: &Offer) -> Result<Renewal, MoneyError> {
        if offer.once && self.offer.once && !self.calendar.paid.is_empty() {
            return Ok(Renewal::Nothing);
        }
        let off = match &self.discounts.coupon {
            Some(coupon) => coupon.off_next(offer)?,
            None => Money::zero(offer.price.currency),
        };
        Ok(match self.next_of(offer) {
            Ok(Some(next)) => Renewal::Stretch(off, next.stretch),
            // Nothing is counted yet, or not any more.
            Ok(None) | Err(_) => Renewal::Term(off),
        })
    }

    /// What a whole term recurs with, tax contained: the price less a coupon that recurs too. One that is good for a
    /// single period is money once, not less revenue a month.
    ///
    /// # Errors
    /// When the currencies differ.
    pub fn recurring_price(&self) -> Result<Money, MoneyError> {
        let price = self.offer.term_price()?;
        if self.offer.once {
            return Ok(Money::zero(price.currency));
        }
        let recurs = |coupon: &super::coupon::Redeemed| coupon.coupon.lasting != Lasting::Once;
        if !self.discounts.coupon.as_ref().is_some_and(recurs) {
            return Ok(price);
        }
        // The running period; while a trial that is paid already runs on, the first paid one.
        let running = self.calendar.paid.first().map(|stretch| stretch.period.start());
        let off = running.and_then(|start| self.discounts.off(start));
        off.map_or(Ok(price), |off| price.checked_sub(off))
    }

    /// Where the last paid period starts; none before anything was paid.
    #[must_use]
    pub fn last_paid_start(&self) -> Option<DateTime<Utc>> {
        self.calendar.paid.last().map(|stretch| stretch.period.start())
    }

    /// Moves the state; false when it was there already.
    ///
    /// # Errors
    /// When the state forbids it.
    pub fn apply(&mut self, command: Command, now: DateTime<Utc>) -> Result<bool, Refused> {
        match self.state.on(command)? {
            Outcome::AlreadyThere => Ok(false),
            Outcome::Moved(state) => {
                // A longer grace is the same being past due.
                if state.as_str() != self.state.as_str() {
                    self.since = now;
                }
                self.state = state;
                if state.has_ended() {
                    self.ended_at = Some(now);
                }
                Ok(true)
            }
        }
    }

    /// What the next renewal pays for, at the price of [`Subscription::renewal_offer`].
    ///
    /// # Errors
    /// When it lies beyond the calendar.
    pub fn next_stretch(&self) -> Result<Option<Next>, PeriodError> {
        self.next_of(&self.renewal_offer())
    }

    /// What comes after the paid time when `offer` is bought. It begins where the paid time ends, always.
    ///
    /// # Errors
    /// When it lies beyond the calendar.
    pub fn next_of(&self, offer: &Offer) -> Result<Option<Next>, PeriodError> {
        let (Some(anchor), Some(from)) = (self.anchor, self.paid_through) else { return Ok(None) };
        let term = offer.term;
        let moved = self.calendar.moved.unwrap_or(Move { day: None, zone: anchor.zone });
        let rule = moved.day.map_or(offer.anchor, AnchorRule::Day);
        let is_new_term = term != self.offer.term;
        let is_by_calendar = matches!(rule, AnchorRule::Day(_)) && term.has_months();
        // After a trial counting begins; with a new day it begins again.
        if self.calendar.paid.is_empty() || (is_by_calendar && (is_new_term || moved.day.is_some())) {
            return rule.begin(from, moved.zone, term).map(|begun| Some(next_from(begun)));
        }
        // Days and weeks keep their instant in another zone; months keep their local date and time.
        if !term.has_months() && moved.zone != anchor.zone {
            return AnchorRule::Anniversary.begin(from, moved.zone, term).map(|begun| Some(next_from(begun)));
        }
        let (anchor, index) = match (is_new_term, self.offer.term.has_months()) {
            (false, _) => (anchor, self.periods_paid),
            (true, true) => (anchor.again_at(from), 0),
            (true, false) => (BillingAnchor::at(from, anchor.zone), 0),
        };
        let anchor = anchor.in_zone(moved.zone);
        let index = index.checked_add(1).ok_or(PeriodError::OutOfRange)?;
        let period = Period::try_new(from, anchor.boundary(term, index)?)?;
        Ok(Some(Next { stretch: Stretch::term(period), anchor, index }))
    }

    /// The paid stretches that are not over at `now`, the running one first; a trial is none of them.
    #[must_use]
    pub fn paid_left(&self, now: DateTime<Utc>) -> Vec<Stretch> {
        self.calendar.left_at(now)
    }

    /// Starts counting: the first stretch is paid and running.
    pub fn start_paid(&mut self, begun: Beginning) {
        self.anchor = Some(begun.anchor);
        self.periods_paid = begun.next;
        self.period = Some(begun.period);
        self.paid_through = Some(begun.period.end());
        self.calendar.paid = vec![Stretch { period: begun.period, whole: begun.whole }];
        self.calendar.moved = None;
        self.calendar.pause = None;
    }

    /// Starts at `now` what was billed as `billed` and could not be used then: as much time as was paid for. A plan with a
    /// day of the month comes back to it with the next renewal.
    ///
    /// # Errors
    /// When the period lies beyond the calendar.
    pub fn start_late(&mut self, billed: Stretch, zone: chrono_tz::Tz, now: DateTime<Utc>) -> Result<(), PeriodError> {
        let mut begun = AnchorRule::Anniversary.begin(now, zone, self.offer.term)?;
        if billed.is_bridge() {
            let period = Period::try_new(now, now + billed.period.duration())?;
            let anchor = BillingAnchor::at(period.end(), zone);
            begun = Beginning { anchor, period, whole: billed.whole, next: 0 };
        }
        self.start_paid(begun);
        self.calendar.moved = self.way_back(zone);
        Ok(())
    }

    /// Counts the next stretch as paid, at `offer`; the running period stays until its end.
    ///
    /// # Errors
    /// When the period lies beyond the calendar.
    pub fn extend(&mut self, offer: Offer, now: DateTime<Utc>) -> Result<(), PeriodError> {
        let Some(next) = self.next_of(&offer)? else { return Ok(()) };
        self.take_offer(offer);
        self.anchor = Some(next.anchor);
        self.periods_paid = next.index;
        self.paid_through = Some(next.stretch.period.end());
        self.calendar.moved = None;
        self.calendar.paid.push(next.stretch);
        self.roll(now);
        Ok(())
    }

    /// Enters the paid period that contains `now` (the last one when all are over); false when the running one is not over
    /// or nothing later is paid.
    pub fn roll(&mut self, now: DateTime<Utc>) -> bool {
        let Some(period) = self.period.filter(|period| period.end() <= now) else { return false };
        let begun = |stretch: &&Stretch| stretch.period.start() <= now;
        let Some(entered) = self.calendar.paid.iter().rfind(begun).map(|stretch| stretch.period) else { return false };
        self.period = Some(entered);
        self.calendar.paid.retain(|stretch| stretch.period.start() >= entered.start());
        entered != period
    }

    /// Puts it aside: time stands still from `now` on. What is over by then is over, whether or not it was entered.
    ///
    /// # Errors
    /// When the state forbids it.
    pub fn pause(&mut self, until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<bool, Refused> {
        let is_new = self.apply(Command::Pause, now)?;
        if is_new {
            self.roll(now);
            self.calendar.pause = Some(Pause { since: now, until });
        }
        Ok(is_new)
    }

    /// Time that was neither paid nor served is not billed: what comes next begins at `now`, as after a trial. Nothing
    /// happens while something is paid.
    ///
    /// # Errors
    /// When a period lies beyond the calendar.
    pub fn forgo_time_off(&mut self, now: DateTime<Utc>) -> Result<(), PeriodError> {
        let (Some(anchor), Some(period), Some(through)) = (self.anchor, self.period, self.paid_through) else {
            return Ok(());
        };
        if through >= now {
            return Ok(());
        }
        self.period = Some(Period::try_new(period.start(), now)?);
        (self.anchor, self.periods_paid, self.paid_through) = (Some(BillingAnchor::at(now, anchor.zone)), 0, Some(now));
        self.calendar.paid.clear();
        self.discounts.periods.clear();
        Ok(())
    }

    /// Lets time go on after a pause: what was left of the running period is left from `now`, and what was paid ahead
    /// follows it. The state is moved beside, because more than one command ends a pause.
    ///
    /// # Errors
    /// When a period lies beyond the calendar.
    pub fn take_up(&mut self, now: DateTime<Utc>) -> Result<(), PeriodError> {
        let (Some(pause), Some(anchor), Some(period)) = (self.calendar.pause, self.anchor, self.period) else {
            return Ok(());
        };
        let zone = anchor.zone;
        let mut end = now + period.remaining(pause.since);
        let paid = std::mem::take(&mut self.calendar.paid);
        let mut starts = Vec::new();
        if let Ok(rest) = Period::try_new(now, end) {
            let running = paid.iter().find(|stretch| stretch.period == period);
            self.calendar.paid.extend(running.map(|running| Stretch { period: rest, ..*running }));
            starts.extend(running.map(|running| (running.period.start(), now)));
            self.period = Some(rest);
        }
        let (mut anchor, mut index) = (BillingAnchor::at(end, zone), 0);
        for ahead in paid.iter().filter(|stretch| stretch.period.start() >= period.end()) {
            let next = if ahead.is_bridge() {
                let period = Period::try_new(end, end + ahead.period.duration())?;
                (anchor, index) = (BillingAnchor::at(period.end(), zone), 0);
                Stretch { period, ..*ahead }
            } else {
                index += 1;
                Stretch::term(Period::try_new(end, anchor.boundary(self.offer.term, index)?)?)
            };
            starts.push((ahead.period.start(), end));
            end = next.period.end();
            self.calendar.paid.push(next);
        }
        self.discounts.moved(&starts);
        (self.anchor, self.periods_paid, self.paid_through) = (Some(anchor), index, Some(end));
        self.cancel_at = self.cancel_at.map(|_| end);
        self.calendar.pause = None;
        self.calendar.moved = self.calendar.moved.or_else(|| self.way_back(zone));
        self.roll(now);
        Ok(())
    }

    /// How a plan with a day of the month comes back to it.
    fn way_back(&self, zone: chrono_tz::Tz) -> Option<Move> {
        match self.offer.anchor {
            AnchorRule::Day(day) if self.offer.term.has_months() => Some(Move { day: Some(day), zone }),
            AnchorRule::Day(_) | AnchorRule::Anniversary => None,
        }
    }
}

const fn next_from(begun: Beginning) -> Next {
    Next { stretch: Stretch { period: begun.period, whole: begun.whole }, anchor: begun.anchor, index: begun.next }
}

#[cfg(test)]
mod tests;
