//! Several renewals of one customer as one invoice. Each subscription keeps an invoice of its own, its part; what is here joins
//! parts and says what their group looks like: it has no state and no sums of its own, so it cannot disagree with them.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use ottery_kernel::{Currency, InvoiceId, Money, MoneyError, SubscriptionId};

use super::invoice::{Invoice, Part, State};
use super::line::{Line, Totals};
use super::subscription::{self, Subscription};
use super::tax::{Pricing, Round, on_group_total};

/// Parts of one group: more subscriptions than a customer has, few enough for one transaction and one payment.
pub const PARTS_MAX: usize = 50;
/// Letters of a subscription's id that name it on paper.
const NAME_LETTERS: usize = 6;

/// What may be billed together: the day in the brand's zone on which it is due, and the currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Together {
    /// The day on which what is paid ends.
    pub day: NaiveDate,
    /// What it is paid in.
    pub currency: Currency,
}

impl Together {
    /// Of a subscription that runs and will be renewed; none of one that is late, paused, about to end, in a trial, or paid for
    /// longer than its period.
    #[must_use]
    pub fn of(subscription: &Subscription, zone: Tz) -> Option<Self> {
        let end = subscription.paid_through?;
        let is_running = subscription.state == subscription::State::Active
            && subscription.cancel_at.is_none()
            && subscription.period.is_some_and(|period| period.end() == end);
        is_running.then(|| Self {
            day: end.with_timezone(&zone).date_naive(),
            currency: subscription.renewal_offer().price.currency,
        })
    }
}

/// How a subscription is told from others of the same plan on paper.
#[must_use]
pub fn short_name(subscription: SubscriptionId) -> String {
    let id = subscription.as_uuid().simple().to_string();
    id[id.len() - NAME_LETTERS..].to_uppercase()
}

/// Makes new invoices the parts of one group, in their order: due together, when the last of them is, and with tax that is rounded
/// on the sum of all where the seller rounds on the total. One alone stays what it is.
///
/// # Errors
/// When a sum does not fit.
pub fn join(group: InvoiceId, parts: &mut [Invoice]) -> Result<(), MoneyError> {
    if parts.len() < 2 {
        return Ok(());
    }
    let due_at = parts.iter().filter_map(|part| part.due_at).max();
    for (number, part) in (1..).zip(parts.iter_mut()) {
        part.part = Some(Part { group, number });
        part.due_at = due_at;
    }
    round_together(parts)
}

/// Rounds each rate on the sum of all parts, where the seller rounds on the total.
fn round_together(parts: &mut [Invoice]) -> Result<(), MoneyError> {
    for pricing in [Pricing::Inclusive, Pricing::Exclusive] {
        let is_ours = |part: &Invoice| {
            let tax = part.tax();
            tax.round == Round::Total && tax.pricing == pricing
        };
        let mut ours: Vec<&mut Invoice> = parts.iter_mut().filter(|part| is_ours(part)).collect();
        let mut lines: Vec<&mut Vec<Line>> = ours.iter_mut().map(|part| &mut part.lines).collect();
        on_group_total(&mut lines, pricing)?;
        for part in ours {
            part.totals = Totals::of(part.totals.total.currency, &part.lines)?;
        }
    }
    Ok(())
}

/// How the group stands: open while one of its parts is, else given up when one of them was, else paid, void when nothing of it
/// is left.
fn state(parts: &[Invoice]) -> State {
    let has = |state: State| parts.iter().any(|part| part.state == state);
    [State::Open, State::Uncollectible, State::Closed].into_iter().find(|state| has(*state)).unwrap_or(State::Void)
}

/// The group as one invoice; none without parts. What was taken back of it by a credit note counts as paid, as on every invoice.
///
/// # Errors
/// When a sum does not fit.
pub fn view(parts: Vec<Invoice>) -> Result<Option<Invoice>, MoneyError> {
    let Some((first, Part { group, .. })) = parts.first().and_then(|first| Some((first.clone(), first.part?))) else {
        return Ok(None);
    };
    let currency = first.totals.total.currency;
    let sum = |of: &dyn Fn(&Invoice) -> Money| Money::sum(currency, parts.iter().map(of));
    let state = state(&parts);
    let settled = |part: &Invoice| match part.state {
        State::Void if state != State::Void => part.totals.total,
        State::Void | State::Draft | State::Open | State::Uncollectible | State::Closed => part.paid,
    };
    let latest = |of: fn(&Invoice) -> Option<DateTime<Utc>>| parts.iter().filter_map(of).max();
    let mut merged = Invoice {
        id: group,
        subscription: None,
        order: None,
        state,
        lines: parts.iter().flat_map(named_lines).collect(),
        totals: Totals {
            subtotal: sum(&|part| part.totals.subtotal)?,
            tax: sum(&|part| part.totals.tax)?,
            total: sum(&|part| part.totals.total)?,
        },
        period: None,
        closed_at: latest(|part| part.closed_at).filter(|_| state == State::Closed),
        paid: sum(&settled)?,
        from_wallet: sum(&|part| part.from_wallet)?,
        refunded: sum(&|part| part.refunded)?,
        part: None,
        ..first
    };
    merged.snapshot.offer = None;
    merged.parts = parts;
    Ok(Some(merged))
}

/// The lines of a part, each with the name of its subscription, and with its time: the whole has none that add-ons could share.
fn named_lines(part: &Invoice) -> Vec<Line> {
    let name = part.subscription.map(short_name).unwrap_or_default();
    let named = |line: &Line| Line {
        description: format!("{} ({name})", line.description),
        period: line.period.or_else(|| line.how.time()),
        ..line.clone()
    };
    part.lines.iter().map(named).collect()
}

/// What the group is for, in words: the plans of its parts, each once.
#[must_use]
pub fn plan_names(parts: &[Invoice]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for offer in parts.iter().filter_map(|part| part.snapshot.offer.as_ref()) {
        if !names.contains(&offer.plan_name.as_str()) {
            names.push(&offer.plan_name);
        }
    }
    names.join(", ")
}
