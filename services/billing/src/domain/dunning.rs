//! What a subscription needs next and when: issuing the renewal, charging, reminding, the end of patience.
//!
//! [`next`] looks at one subscription and names the earliest step that waits. The scheduler stores its instant in the due
//! table, comes back then, executes the step and asks again, so a scheduler that was down for days catches up step by
//! step. A payment whose outcome is not known holds a suspension back until a limit far behind the end of the grace.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::InvoiceId;

use super::subscription::{EndCause, State, Subscription, SuspendCause};

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
            Self::Remind { .. } => "remind",
            Self::MissPayment { .. } => "miss_payment",
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
            Self::Charge(_) => 4,
            Self::Remind { .. } => 5,
            Self::MissPayment { .. } => 6,
            Self::Suspend => 7,
            Self::TakeUp => 8,
        }
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
    let mut steps = Vec::with_capacity(6);
    let paid_ahead = match (subscription.period, subscription.paid_through) {
        (Some(period), Some(paid_through)) if paid_through > period.end() => Some(period.end()),
        _ => None,
    };
    let cancel = subscription.cancel_at.map(|at| (at, Step::End(EndCause::Cancelled)));
    match subscription.state {
        State::Ended { .. } => return None,
        State::Paused => {
            steps.extend(cancel);
            steps.extend(subscription.calendar.pause.and_then(|pause| pause.until).map(|at| (at, Step::TakeUp)));
        }
        State::Suspended { cause: SuspendCause::Staff } => steps.extend(cancel),
        State::Pending => {
            let at = subscription.created_at + settings.abandon_after;
            let standing = waiting.invoice.map_or(Standing::None, |invoice| invoice.standing);
            steps.push((held_back(at, standing, settings), Step::End(EndCause::Abandoned)));
        }
        State::Suspended { cause: SuspendCause::Unpaid } => {
            let standing = waiting.invoice.map_or(Standing::None, |invoice| invoice.standing);
            let at = subscription.since + settings.terminate_after;
            steps.push((held_back(at, standing, settings), Step::End(EndCause::Unpaid)));
            steps.extend(cancel);
            if let Some(invoice) = &waiting.invoice {
                steps.extend(reminder(invoice, settings, now));
            }
        }
        State::Trialing | State::Active | State::PastDue { .. } => {
            steps.extend(paid_ahead.map(|at| (at, Step::Roll)));
            steps.extend(cancel);
            match &waiting.invoice {
                Some(invoice) => steps.extend(unpaid(subscription, invoice, settings, now)),
                None if cancel.is_none() && paid_ahead.is_none() => {
                    steps.extend(subscription.paid_through.map(|end| (end - settings.lead, Step::IssueInvoice)));
                }
                None => {}
            }
        }
    }
    if let Some(change) = &waiting.change {
        // Not past the instant at which the renewal is priced, or the renewal would be at the old price.
        let lapses = change.issued_at + settings.change_valid;
        let renewal = subscription.paid_through.map(|end| (end - settings.lead).max(change.issued_at));
        let at = renewal.map_or(lapses, |renewal| renewal.min(lapses));
        steps.push((held_back(at, change.standing, settings), Step::DropChange(change.id)));
    }
    steps.into_iter().min_by_key(|(at, step)| (*at, step.rank()))
}

/// A payment that may still succeed holds the end of patience back, up to a limit.
fn held_back(at: DateTime<Utc>, standing: Standing, settings: &Settings) -> DateTime<Utc> {
    match standing {
        Standing::InFlight => at + settings.hold_max,
        Standing::None | Standing::Failed | Standing::FailedHard => at,
    }
}

/// The next reminder. After an outage several are due at once: only the last is sent.
fn reminder(invoice: &OpenInvoice, settings: &Settings, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Step)> {
    let done = usize::try_from(invoice.reminders_done).unwrap_or(usize::MAX);
    let rest = settings.reminders.get(done..)?;
    let first = invoice.due_at + *rest.first()?;
    // "Please pay" makes no sense while a charge is on its way.
    if invoice.standing == Standing::InFlight && first >= invoice.due_at {
        return None;
    }
    let overdue = rest.iter().take_while(|offset| invoice.due_at + **offset <= now).count().max(1);
    let step = invoice.reminders_done.saturating_add(u32::try_from(overdue).unwrap_or(u32::MAX));
    Some((first, Step::Remind { invoice: invoice.id, step }))
}

/// The next off-session charge, while there is a method and a chance.
fn charge(subscription: &Subscription, invoice: &OpenInvoice, settings: &Settings) -> Option<(DateTime<Utc>, Step)> {
    subscription.method.as_ref()?;
    match invoice.standing {
        Standing::InFlight | Standing::FailedHard => None,
        Standing::None | Standing::Failed => {
            let made = usize::try_from(invoice.charges_made).unwrap_or(usize::MAX);
            let offset = settings.charges.get(made)?;
            Some((invoice.due_at + *offset, Step::Charge(invoice.id)))
        }
    }
}

fn unpaid(
    subscription: &Subscription,
    invoice: &OpenInvoice,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Vec<(DateTime<Utc>, Step)> {
    let charge = charge(subscription, invoice, settings);
    let mut steps: Vec<_> = charge.into_iter().chain(reminder(invoice, settings, now)).collect();
    let grace_end = invoice.due_at + settings.grace;
    match subscription.state {
        // A trial that nobody pays for has no grace, unless the payment is on its way.
        State::Trialing => match invoice.standing {
            Standing::InFlight => steps.push((grace_end + settings.hold_max, Step::Suspend)),
            Standing::None | Standing::Failed | Standing::FailedHard => {
                if charge.is_none_or(|(at, _)| at > invoice.due_at) {
                    steps.push((invoice.due_at, Step::Suspend));
                }
            }
        },
        State::Active => {
            let missed = Step::MissPayment { grace_until: grace_end };
            match invoice.standing {
                Standing::InFlight => steps.push((grace_end + settings.hold_max, missed)),
                // The first charge is tried before anybody is called late.
                Standing::None | Standing::Failed | Standing::FailedHard => steps.push((invoice.due_at, missed)),
            }
        }
        State::PastDue { grace_until } => {
            steps.push((held_back(grace_until, invoice.standing, settings), Step::Suspend))
        }
        State::Pending | State::Suspended { .. } | State::Paused | State::Ended { .. } => {}
    }
    steps
}

#[cfg(test)]
mod tests;
