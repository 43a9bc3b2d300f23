//! When a subscription needs attention next.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, InvoiceId, Money, MoneyError, SubscriptionId};
use sqlx::postgres::PgTransaction;

use super::dunning::facts;
use crate::domain::dunning::campaign::{Campaign, Channel};
use crate::domain::dunning::{self, OpenChange, OpenInvoice, OtherMethod, Settings, Standing, Step, Waiting};
use crate::domain::invoice::{Invoice, Purpose, State};
use crate::domain::minimum::Minimums;
use crate::domain::subscription::Subscription;
use crate::store;
use crate::store::share::Share;

/// A subscription with its open invoices, ready to be decided on.
#[derive(Clone, Debug)]
pub struct Case {
    /// The subscription, locked.
    pub subscription: Subscription,
    /// Its open invoices, oldest first.
    pub open: Vec<Invoice>,
    /// How their payments stand.
    pub standings: HashMap<InvoiceId, Standing>,
    /// What dunning goes by and remembers.
    pub facts: Facts,
}

/// What dunning goes by and remembers of a case.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The campaign that was the newest when its invoice was issued; none for the brand's settings.
    pub campaign: Option<Arc<Campaign>>,
    /// Of each open invoice.
    pub notes: HashMap<InvoiceId, store::dunning::Note>,
    /// Another saved method, where the usual one was refused for good.
    pub others: HashMap<InvoiceId, OtherMethod>,
    /// When the customer heard of any debt last.
    pub contacted_at: Option<DateTime<Utc>>,
    /// Neither suspended nor ended for not paying before this instant.
    pub held_until: Option<DateTime<Utc>>,
    /// What is left to pay of all parts of each consolidated invoice that one of the open ones belongs to.
    pub wholes: HashMap<InvoiceId, Money>,
}

impl Case {
    /// The open invoice of a period.
    pub fn period_invoice(&mut self) -> Option<&mut Invoice> {
        self.open.iter_mut().find(|invoice| invoice.holds_period())
    }

    /// What was carried forward and can be asked for together with an invoice of that currency and seller.
    ///
    /// # Errors
    /// When an allocation has another currency.
    pub fn carried(&self, with: &Invoice) -> Result<Vec<Share>, MoneyError> {
        let kind = |invoice: &Invoice| (invoice.totals.total.currency, invoice.snapshot.seller.id);
        let ours = self.open.iter().filter(|invoice| invoice.is_carried() && kind(invoice) == kind(with));
        ours.map(|invoice| Ok(Share { invoice: invoice.id, amount: invoice.remaining()? })).collect()
    }

    /// Whether what is left of the renewal that waits, and of what was carried forward, is too little for a payment.
    #[must_use]
    pub fn is_small(&self, minimums: &Minimums) -> bool {
        let waiting = self.open.iter().find(|invoice| invoice.holds_period());
        // A pro forma is in no books, and what was served last is asked for whatever it is.
        let Some(invoice) = waiting.filter(|invoice| invoice.purpose == Purpose::Renewal && !invoice.is_proforma())
        else {
            return false;
        };
        let is_idle = self.standing(invoice) != Standing::InFlight;
        let sum = || -> Result<Money, MoneyError> {
            let others = self.carried(invoice)?;
            // Parts are asked for together.
            let own = match invoice.part.and_then(|part| self.facts.wholes.get(&part.group)) {
                Some(whole) => *whole,
                None => invoice.remaining()?,
            };
            others.iter().try_fold(own, |sum, share| sum.checked_add(share.amount))
        };
        is_idle && sum().is_ok_and(|sum| minimums.is_too_small(sum))
    }

    /// The open invoice with this id.
    pub fn invoice(&mut self, id: InvoiceId) -> Option<&mut Invoice> {
        self.open.iter_mut().find(|invoice| invoice.id == id)
    }

    fn standing(&self, invoice: &Invoice) -> Standing {
        self.standings.get(&invoice.id).copied().unwrap_or_default()
    }

    /// What dunning looks at.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let facts = &self.facts;
        let mut waiting =
            Waiting { contacted_at: facts.contacted_at, held_until: facts.held_until, ..Waiting::default() };
        for invoice in self.open.iter().filter(|invoice| !invoice.is_carried()) {
            let issued_at = invoice.asked_at().unwrap_or(self.subscription.created_at);
            let standing = self.standing(invoice);
            match invoice.purpose {
                Purpose::First | Purpose::Renewal => {
                    waiting.invoice = Some(OpenInvoice {
                        id: invoice.id,
                        due_at: invoice.due_at.unwrap_or(issued_at),
                        reminders_done: invoice.reminders_done,
                        charges_made: invoice.charges_made,
                        standing,
                        paused: facts.notes.get(&invoice.id).map(|note| note.paused).unwrap_or_default(),
                        charged_at: facts.notes.get(&invoice.id).and_then(|note| note.charged_at),
                        other: facts.others.get(&invoice.id).copied(),
                    });
                }
                // It belongs to no subscription, so it is never among these.
                Purpose::Manual | Purpose::TopUp => {}
                Purpose::Upgrade => waiting.change = Some(OpenChange { id: invoice.id, issued_at, standing }),
            }
        }
        waiting
    }

    /// How its customer hears of a step.
    #[must_use]
    pub fn channels_of(&self, step: u32) -> &[Channel] {
        self.facts.campaign.as_ref().map_or(&[Channel::Mail], |campaign| campaign.channels_of(step))
    }

    /// What counts for this case, of a brand with these settings.
    #[must_use]
    pub fn settings(&self, brand: &Settings) -> Settings {
        let plan = self.subscription.offer.plan_id;
        self.facts.campaign.as_ref().map_or_else(|| brand.clone(), |campaign| campaign.applied(brand, plan))
    }

    /// The earliest step that waits, of a brand with these settings.
    #[must_use]
    pub fn next(&self, settings: &Settings, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Step)> {
        dunning::next(&self.subscription, &self.waiting(), &self.settings(settings), now)
    }
}

/// Reads open invoices and payments of subscriptions whose locks the caller holds.
///
/// # Errors
/// When the database fails.
pub async fn cases(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    subscriptions: Vec<Subscription>,
) -> sqlx::Result<Vec<Case>> {
    let ids: Vec<SubscriptionId> = subscriptions.iter().map(|subscription| subscription.id).collect();
    let open = store::invoice::open_of(tx, &ids).await?;
    let invoices: Vec<InvoiceId> = open.iter().map(|invoice| invoice.id).collect();
    let standings =
        if invoices.is_empty() { HashMap::new() } else { store::payment::standings(tx, brand, &invoices).await? };
    let mut facts = facts(tx, brand, &subscriptions, &open, &standings).await?;
    let wholes = wholes(tx, &open).await?;
    let mut by_subscription: HashMap<SubscriptionId, Vec<Invoice>> = HashMap::new();
    for invoice in open {
        if let Some(id) = invoice.subscription {
            by_subscription.entry(id).or_default().push(invoice);
        }
    }
    Ok(subscriptions
        .into_iter()
        .map(|subscription| {
            let open = by_subscription.remove(&subscription.id).unwrap_or_default();
            let standings =
                open.iter().filter_map(|invoice| Some((invoice.id, *standings.get(&invoice.id)?))).collect();
            let mut facts = facts.remove(&subscription.id).unwrap_or_default();
            for group in open.iter().filter_map(|invoice| invoice.part.map(|part| part.group)) {
                facts.wholes.extend(wholes.get(&group).map(|left| (group, *left)));
            }
            Case { subscription, open, standings, facts }
        })
        .collect())
}

/// What is left to pay of the consolidated invoices some of these are parts of.
async fn wholes(tx: &mut PgTransaction<'_>, open: &[Invoice]) -> sqlx::Result<HashMap<InvoiceId, Money>> {
    let mut groups: Vec<InvoiceId> = open.iter().filter_map(|invoice| invoice.part.map(|part| part.group)).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut left: HashMap<InvoiceId, Money> = HashMap::new();
    let unreadable = |error: MoneyError| sqlx::Error::Decode(error.into());
    for part in store::invoice::parts_of(tx, &groups).await?.iter().filter(|part| part.state == State::Open) {
        let rest = part.remaining().map_err(unreadable)?;
        let whole = left.entry(part.known_as()).or_insert(Money::zero(rest.currency));
        *whole = whole.checked_add(rest).map_err(unreadable)?;
    }
    Ok(left)
}

/// One subscription, locked, with its open invoices.
///
/// # Errors
/// When the database fails.
pub async fn lock_case(tx: &mut PgTransaction<'_>, brand: BrandId, id: SubscriptionId) -> sqlx::Result<Option<Case>> {
    let locked = store::subscription::lock_all(tx, &[id]).await?;
    Ok(cases(tx, brand, locked).await?.pop())
}

/// Plans a subscription anew after something else than the scheduler changed it. The last statement of its transaction
/// before the commit: it reads what was written.
///
/// # Errors
/// When the database fails.
pub async fn replan(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    subscription: Subscription,
    settings: &Settings,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let id = subscription.id;
    let next = cases(tx, brand, vec![subscription]).await?.pop().and_then(|case| case.next(settings, now));
    store::due::set(tx, brand, &[(id, next.map(|(at, _)| at))]).await
}
