//! What a subscription needs next and when: issuing the renewal, charging, reminding, the end of patience.
//!
//! [`next`] looks at one subscription and names the earliest step that waits. The scheduler stores its instant in the due
//! table, comes back then, executes the step and asks again, so a scheduler that was down for days catches up step by
//! step. A payment whose outcome is not known holds a suspension back until a limit far behind the end of the grace, and so
//! do staff, and the [`guard`] against suspending everybody at once. [`simulate`] shows the same steps ahead of time.

pub mod campaign;
pub mod guard;
pub mod simulate;
pub mod window;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use ottery_kernel::{InvoiceId, PaymentMethodId};

use super::payment::DeclineClass;
use super::subscription::{EndCause, State, Subscription, SuspendCause};
use window::{Window, within};

/// How long before panels stop serving by themselves they hear of a longer grace.
const PROLONG_AHEAD: TimeDelta = TimeDelta::hours(1);
/// By how much a grace is prolonged while a payment is on its way.
const PROLONG_BY: TimeDelta = TimeDelta::days(1);
/// What one step is ahead of the next after an outage: nobody is reminded, missed and suspended at once.
const LATE_STEP: TimeDelta = TimeDelta::days(1);

/// The brand's and the service's patience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long before the end the renewal is issued.
    pub lead: TimeDelta,
    /// From due to suspension.
    pub grace: TimeDelta,
    /// From suspension to the end.
    pub terminate_after: TimeDelta,
    /// Reminders relative to due, earliest first.
    pub reminders: Vec<TimeDelta>,
    /// Off-session charges relative to due, earliest first.
    pub charges: Vec<TimeDelta>,
    /// How long an order waits for its first payment.
    pub abandon_after: TimeDelta,
    /// How long an upgrade's price stays good.
    pub change_valid: TimeDelta,
    /// How long beyond the grace an unfinished payment holds a suspension back.
    pub hold_max: TimeDelta,
    /// Charge another saved method after a decline that no retry of the first can change.
    pub tries_other_method: bool,
    /// How long everything waits for a customer who has to confirm.
    pub confirm_pause: TimeDelta,
    /// Least time between two contacts of a customer.
    pub cooldown: TimeDelta,
    /// When customers are bothered, by their own clock; always without one.
    pub window: Option<Window>,
    /// Zone of customers who have none of their own.
    pub zone: Tz,
}

/// How the payments of an invoice stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// No attempt that says anything.
    #[default]
    None,
    /// Asked for, sent, processing or unknown: may still turn out to be paid.
    InFlight,
    /// The last attempt failed, another one may work.
    Failed,
    /// The last attempt failed for good (stolen, closed): no further charge of this method.
    FailedHard,
}

/// The open invoice of the next (or first) period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenInvoice {
    /// Its id.
    pub id: InvoiceId,
    /// When it should be paid: the end of the paid time, or its issue when that was late.
    pub due_at: DateTime<Utc>,
    /// Reminder steps done.
    pub reminders_done: u32,
    /// Off-session charges asked for.
    pub charges_made: u32,
    /// How its payments stand.
    pub standing: Standing,
    /// By how much its dunning is set back: time given to a customer who had to confirm.
    pub paused: TimeDelta,
    /// When a saved method was charged for it last.
    pub charged_at: Option<DateTime<Utc>>,
    /// A saved method that may still be charged when the usual one cannot.
    pub other: Option<OtherMethod>,
}

/// Another saved method of the customer that was not refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherMethod {
    /// Which.
    pub id: PaymentMethodId,
    /// Whether it was charged for this invoice before.
    pub is_tried: bool,
}

/// The open invoice of an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenChange {
    /// Its id.
    pub id: InvoiceId,
    /// When its price was made.
    pub issued_at: DateTime<Utc>,
    /// How its payments stand.
    pub standing: Standing,
}

/// What waits beside the subscription itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Invoice of a period.
    pub invoice: Option<OpenInvoice>,
    /// Invoice of an upgrade.
    pub change: Option<OpenChange>,
    /// When the customer heard of any debt last.
    pub contacted_at: Option<DateTime<Utc>>,
    /// Neither suspended nor ended for not paying before this instant: staff, or the guard, says so.
    pub held_until: Option<DateTime<Utc>>,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The running period is over and the next one is paid: enter it.
    Roll,
    /// It is over.
    End(EndCause),
    /// The upgrade's price is no longer good.
    DropChange(InvoiceId),
    /// The renewal's time has come.
    IssueInvoice,
    /// Charge the saved method.
    Charge(InvoiceId),
    /// Charge another saved method: the usual one was refused for good.
    ChargeOther {
        /// For this invoice.
        invoice: InvoiceId,
        /// This one.
        method: PaymentMethodId,
    },
    /// Tell the customer; the number of steps done afterwards (more than one after an outage, with one mail).
    Remind {
        /// About this invoice.
        invoice: InvoiceId,
        /// Steps done afterwards.
        step: u32,
    },
    /// The renewal is due and not paid.
    MissPayment {
        /// How long it is still served.
        grace_until: DateTime<Utc>,
    },
    /// Something holds the suspension back: panels have to hear of it before they stop by themselves.
    Prolong {
        /// How long it is served now.
        grace_until: DateTime<Utc>,
    },
    /// The grace is over.
    Suspend,
    /// The pause is over.
    TakeUp,
}

impl Step {
    /// For metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Roll => "roll",
            Self::End(_) => "end",
            Self::DropChange(_) => "drop_change",
            Self::IssueInvoice => "issue_invoice",
            Self::Charge(_) => "charge",
            Self::ChargeOther { .. } => "charge_other",
            Self::Remind { .. } => "remind",
            Self::MissPayment { .. } => "miss_payment",
            Self::Prolong { .. } => "prolong",
            Self::Suspend => "suspend",
            Self::TakeUp => "take_up",
        }
    }

    /// What comes first when two are due at the same instant.
    const fn rank(self) -> u8 {
        match self {
            Self::Roll => 0,
            Self::End(_) => 1,
            Self::DropChange(_) => 2,
            Self::IssueInvoice => 3,
            Self::Charge(_) | Self::ChargeOther { .. } => 4,
            Self::Remind { .. } => 5,
            Self::MissPayment { .. } => 6,
            Self::Prolong { .. } => 7,
            Self::Suspend => 8,
            Self::TakeUp => 9,
        }
    }
}

/// What of a subscription decides about its next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Where it stands.
    pub state: State,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it was ordered.
    pub created_at: DateTime<Utc>,
    /// The end of the running period.
    pub period_end: Option<DateTime<Utc>>,
    /// The end of what is paid.
    pub paid_through: Option<DateTime<Utc>>,
    /// Ends then instead of renewing.
    pub cancel_at: Option<DateTime<Utc>>,
    /// While paused: when it goes on by itself.
    pub pause_until: Option<DateTime<Utc>>,
    /// Whether a saved method can be charged.
    pub has_method: bool,
    /// Zone in which its periods are counted.
    pub zone: Option<Tz>,
}

impl From<&Subscription> for Subject {
    fn from(subscription: &Subscription) -> Self {
        Self {
            state: subscription.state,
            since: subscription.since,
            created_at: subscription.created_at,
            period_end: subscription.period.map(ottery_kernel::Period::end),
            paid_through: subscription.paid_through,
            cancel_at: subscription.cancel_at,
            pause_until: subscription.calendar.pause.and_then(|pause| pause.until),
            has_method: subscription.method.is_some(),
            zone: subscription.anchor.map(|anchor| anchor.zone),
        }
    }
}

impl Subject {
    /// The customer's zone, else the brand's.
    fn zone(&self, settings: &Settings) -> Tz {
        self.zone.unwrap_or(settings.zone)
    }
}

/// The earliest step that waits and its instant; nothing when only something from outside can happen.
#[must_use]
pub fn next(
    subscription: &Subscription,
    waiting: &Waiting,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Option<(DateTime<Utc>, Step)> {
    next_of(&subscription.into(), waiting, settings, now)
}

/// [`next`] for what decides about it.
#[must_use]
pub fn next_of(
    subscription: &Subject,
    waiting: &Waiting,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Option<(DateTime<Utc>, Step)> {
    let mut steps = Vec::with_capacity(6);
    let zone = subscription.zone(settings);
    let paid_ahead = match (subscription.period_end, subscription.paid_through) {
        (Some(period_end), Some(paid_through)) if paid_through > period_end => Some(period_end),
        _ => None,
    };
    let cancel = subscription.cancel_at.map(|at| (at, Step::End(EndCause::Cancelled)));
    match subscription.state {
        State::Ended { .. } => return None,
        State::Paused => {
            steps.extend(cancel);
            steps.extend(subscription.pause_until.map(|at| (at, Step::TakeUp)));
        }
        State::Suspended { cause: SuspendCause::Staff | SuspendCause::Reseller } => steps.extend(cancel),
        State::Pending => {
            // Staff may have looked at the order first; its customer has as long from then on.
            let at = subscription.since + settings.abandon_after;
            let standing = waiting.invoice.map_or(Standing::None, |invoice| invoice.standing);
            steps.push((held_back(at, standing, settings), Step::End(EndCause::Abandoned)));
        }
        State::Suspended { cause: SuspendCause::Unpaid } => {
            let standing = waiting.invoice.map_or(Standing::None, |invoice| invoice.standing);
            let at = held_back(subscription.since + settings.terminate_after, standing, settings);
            let at = waiting.held_until.map_or(at, |until| until.max(at));
            steps.push((within(settings.window, at, zone, now), Step::End(EndCause::Unpaid)));
            steps.extend(cancel);
            if let Some(invoice) = &waiting.invoice {
                steps.extend(reminder(invoice, waiting.contacted_at, settings, zone, now));
            }
        }
        State::Trialing | State::Active | State::PastDue { .. } => {
            steps.extend(paid_ahead.map(|at| (at, Step::Roll)));
            steps.extend(cancel);
            match &waiting.invoice {
                Some(invoice) => steps.extend(unpaid(subscription, invoice, waiting, settings, now)),
                None if cancel.is_none() && paid_ahead.is_none() => {
                    steps.extend(subscription.paid_through.map(|end| {
                        let at = end - settings.lead;
                        // A change that was asked for later decides on the price: it is awaited.
                        let change = waiting.change.as_ref().filter(|change| change.issued_at >= at);
                        let at = change.map_or(at, |change| lapses(change, subscription.paid_through, settings));
                        (at, Step::IssueInvoice)
                    }));
                }
                None => {}
            }
        }
    }
    if let Some(change) = &waiting.change {
        steps.push((lapses(change, subscription.paid_through, settings), Step::DropChange(change.id)));
    }
    steps.into_iter().min_by_key(|(at, step)| (*at, step.rank()))
}

/// When the price of an open change is no longer good: not past the instant at which the renewal is priced, or the renewal
/// would be at the old price. One that was asked for later holds the renewal back, at most to the end of what is paid.
fn lapses(change: &OpenChange, paid_through: Option<DateTime<Utc>>, settings: &Settings) -> DateTime<Utc> {
    let by_itself = change.issued_at + settings.change_valid;
    let latest = paid_through.map(|end| {
        let priced = end - settings.lead;
        if change.issued_at >= priced { end.max(change.issued_at) } else { priced }
    });
    held_back(latest.map_or(by_itself, |latest| latest.min(by_itself)), change.standing, settings)
}

/// A payment that may still succeed holds the end of patience back, up to a limit.
fn held_back(at: DateTime<Utc>, standing: Standing, settings: &Settings) -> DateTime<Utc> {
    match standing {
        Standing::InFlight => at + settings.hold_max,
        Standing::None | Standing::Failed | Standing::FailedHard => at,
    }
}

/// The next reminder: at least the cool-down after the last contact, within the hours of the customer. After an outage
/// several are due at once: only the last is sent.
fn reminder(
    invoice: &OpenInvoice,
    contacted_at: Option<DateTime<Utc>>,
    settings: &Settings,
    zone: Tz,
    now: DateTime<Utc>,
) -> Option<(DateTime<Utc>, Step)> {
    let done = usize::try_from(invoice.reminders_done).unwrap_or(usize::MAX);
    let rest = settings.reminders.get(done..)?;
    let due_at = invoice.due_at + invoice.paused;
    let first = due_at + *rest.first()?;
    // "Please pay" makes no sense while a charge is on its way.
    if invoice.standing == Standing::InFlight && first >= due_at {
        return None;
    }
    let rested = contacted_at.map_or(first, |at| first.max(at + settings.cooldown));
    let at = within(settings.window, rested, zone, now);
    // What is due by then is said with it.
    let overdue = rest.iter().take_while(|offset| due_at + **offset <= now.max(at)).count().max(1);
    let step = invoice.reminders_done.saturating_add(u32::try_from(overdue).unwrap_or(u32::MAX));
    Some((at, Step::Remind { invoice: invoice.id, step }))
}

/// The next off-session charge, while there is a method and a chance.
fn charge(
    subscription: &Subject,
    invoice: &OpenInvoice,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Option<(DateTime<Utc>, Step)> {
    if !subscription.has_method {
        return None;
    }
    let zone = subscription.zone(settings);
    match (invoice.standing, invoice.other.filter(|_| settings.tries_other_method)) {
        (Standing::InFlight, _) | (Standing::FailedHard, None) => None,
        (Standing::None | Standing::Failed, _) => Some((slot(invoice, settings, zone, now)?, Step::Charge(invoice.id))),
        (Standing::FailedHard, Some(other)) => {
            let at = match invoice.charged_at {
                // Nobody waits for a method that was not asked yet.
                Some(at) if !other.is_tried => at,
                Some(_) | None => slot(invoice, settings, zone, now)?,
            };
            Some((at, Step::ChargeOther { invoice: invoice.id, method: other.id }))
        }
    }
}

/// When the schedule has its next charge. Retries keep their distance to the one before, also after an outage, and the
/// customer's hours: their refusal is told.
fn slot(invoice: &OpenInvoice, settings: &Settings, zone: Tz, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let made = usize::try_from(invoice.charges_made).unwrap_or(usize::MAX);
    let offset = *settings.charges.get(made)?;
    let planned = invoice.due_at + invoice.paused + offset;
    let Some(before) = made.checked_sub(1).and_then(|before| settings.charges.get(before)) else {
        return Some(planned);
    };
    let spaced = invoice.charged_at.map_or(planned, |at| planned.max(at + (offset - *before)));
    Some(within(settings.window, spaced, zone, now))
}

fn unpaid(
    subscription: &Subject,
    invoice: &OpenInvoice,
    waiting: &Waiting,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Vec<(DateTime<Utc>, Step)> {
    let zone = subscription.zone(settings);
    let held = |at: DateTime<Utc>| waiting.held_until.map_or(at, |until| until.max(at));
    let charge = charge(subscription, invoice, settings, now);
    let reminder = reminder(invoice, waiting.contacted_at, settings, zone, now);
    let mut steps: Vec<_> = charge.into_iter().chain(reminder).collect();
    let grace_end = invoice.due_at + invoice.paused + settings.grace;
    match subscription.state {
        // A trial that nobody pays for has no grace, unless the payment is on its way.
        State::Trialing => match invoice.standing {
            Standing::InFlight => steps.push((held(grace_end + settings.hold_max), Step::Suspend)),
            Standing::None | Standing::Failed | Standing::FailedHard => {
                if charge.is_none_or(|(at, _)| at > invoice.due_at + invoice.paused) {
                    steps.push((held(invoice.due_at + invoice.paused), Step::Suspend));
                }
            }
        },
        State::Active => {
            let mut grace_until = held(window_of(settings, grace_end, zone));
            if now > invoice.due_at + LATE_STEP {
                grace_until = grace_until.max(now + LATE_STEP);
            }
            let missed = Step::MissPayment { grace_until };
            match invoice.standing {
                // Nobody whose payment is on its way is called late before panels would stop by themselves.
                Standing::InFlight => steps.push(((grace_end - PROLONG_AHEAD).max(invoice.due_at), missed)),
                // The first charge is tried before anybody is called late.
                Standing::None | Standing::Failed | Standing::FailedHard => steps.push((invoice.due_at, missed)),
            }
        }
        State::PastDue { grace_until } => {
            let mut until = held(grace_until);
            if invoice.standing == Standing::InFlight {
                until = until.max((grace_until + PROLONG_BY).min(grace_end + settings.hold_max));
            }
            steps.push(if until > grace_until {
                (grace_until - PROLONG_AHEAD, Step::Prolong { grace_until: until })
            } else {
                (within(settings.window, grace_until, zone, now), Step::Suspend)
            });
        }
        State::Pending | State::Suspended { .. } | State::Paused | State::Ended { .. } => {}
    }
    steps
}

fn window_of(settings: &Settings, at: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    settings.window.map_or(at, |window| window.next(at, zone))
}

/// A charge that was refused, and what follows for the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// By how much dunning is set back now.
    pub pause: TimeDelta,
    /// Whether the customer hears of it.
    pub is_told: bool,
}

/// What follows from a refused charge of a saved method. A customer who has to confirm gets their time once per invoice.
/// A refusal that may mend itself is not told to somebody who heard of the debt a moment ago, and none is while another
/// method waits to be tried.
#[must_use]
pub fn refused(
    class: DeclineClass,
    invoice: &OpenInvoice,
    contacted_at: Option<DateTime<Utc>>,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Refusal {
    let has_other = settings.tries_other_method && invoice.other.is_some_and(|other| !other.is_tried);
    let is_rested = contacted_at.is_none_or(|at| at + settings.cooldown <= now);
    match class {
        DeclineClass::Soft => Refusal { pause: TimeDelta::zero(), is_told: is_rested },
        DeclineClass::Hard => Refusal { pause: TimeDelta::zero(), is_told: !has_other },
        DeclineClass::Action => Refusal {
            pause: if has_other || !invoice.paused.is_zero() { TimeDelta::zero() } else { settings.confirm_pause },
            is_told: !has_other,
        },
    }
}

#[cfg(test)]
mod tests;
