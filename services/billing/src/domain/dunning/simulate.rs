//! What will become of an invoice nobody pays: the steps [`next_of`] plans, carried out on paper.
//!
//! The scheduler asks the same function for the same steps, so what is shown before a campaign is saved is what happens
//! afterwards, as long as the customer does nothing and the scheduler is not late.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Settings, Standing, Step, Subject, Waiting, next_of, refused};
use crate::domain::payment::DeclineClass;
use crate::domain::subscription::{Command, Outcome, State, SuspendCause};

/// Longer timelines are cut: a grace that is prolonged for ever has no end.
const MOMENTS_MAX: usize = 100;

/// What happens at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub event: Event,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The scheduler does this.
    Step(Step),
    /// A charge was refused, as was assumed.
    Refused {
        /// Whether the customer hears of it.
        is_told: bool,
        /// By how much everything waits for them.
        pause: TimeDelta,
    },
}

/// The timeline from `now` on, when every charge is refused with `class` and nobody pays. It ends with the subscription, or
/// where something else than dunning comes next.
#[must_use]
pub fn simulate(
    mut subject: Subject,
    mut waiting: Waiting,
    settings: &Settings,
    class: DeclineClass,
    mut now: DateTime<Utc>,
) -> Vec<Moment> {
    let mut moments = Vec::new();
    while moments.len() < MOMENTS_MAX {
        let Some((at, step)) = next_of(&subject, &waiting, settings, now) else { break };
        now = now.max(at);
        let command = match step {
            Step::Roll | Step::DropChange(_) | Step::IssueInvoice | Step::TakeUp => break,
            Step::Charge(_) | Step::ChargeOther { .. } => {
                moments.push(Moment { at: now, event: Event::Step(step) });
                refuse(&mut subject, &mut waiting, settings, class, step, now, &mut moments);
                continue;
            }
            Step::Remind { step: done, .. } => {
                if let Some(invoice) = &mut waiting.invoice {
                    invoice.reminders_done = done;
                }
                waiting.contacted_at = Some(now);
                None
            }
            Step::MissPayment { grace_until } => Some(Command::MissPayment { grace_until }),
            Step::Prolong { grace_until } => Some(Command::Prolong { grace_until }),
            Step::Suspend => {
                waiting.contacted_at = Some(now);
                Some(Command::Suspend(SuspendCause::Unpaid))
            }
            Step::End(cause) => Some(Command::End(cause)),
        };
        if let Some(Ok(Outcome::Moved(state))) = command.map(|command| subject.state.on(command)) {
            if state.as_str() != subject.state.as_str() {
                subject.since = now;
            }
            subject.state = state;
        }
        moments.push(Moment { at: now, event: Event::Step(step) });
    }
    moments
}

fn refuse(
    subject: &mut Subject,
    waiting: &mut Waiting,
    settings: &Settings,
    class: DeclineClass,
    step: Step,
    now: DateTime<Utc>,
    moments: &mut Vec<Moment>,
) {
    let Some(invoice) = &mut waiting.invoice else { return };
    invoice.charges_made += 1;
    invoice.charged_at = Some(now);
    match (step, class) {
        (Step::ChargeOther { .. }, DeclineClass::Soft) => {
            invoice.other = invoice.other.map(|other| super::OtherMethod { is_tried: true, ..other });
        }
        (Step::ChargeOther { .. }, DeclineClass::Hard | DeclineClass::Action) => invoice.other = None,
        (_, DeclineClass::Soft) => invoice.standing = Standing::Failed,
        (_, DeclineClass::Hard | DeclineClass::Action) => invoice.standing = Standing::FailedHard,
    }
    let refusal = refused(class, invoice, waiting.contacted_at, settings, now);
    invoice.paused += refusal.pause;
    if refusal.is_told {
        waiting.contacted_at = Some(now);
    }
    if let State::PastDue { grace_until } = subject.state {
        subject.state = State::PastDue { grace_until: grace_until + refusal.pause };
    }
    let event = Event::Refused { is_told: refusal.is_told, pause: refusal.pause };
    moments.push(Moment { at: now, event });
}
