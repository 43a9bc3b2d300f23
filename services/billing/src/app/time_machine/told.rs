//! What came of it: read from the copy's rows and from what it would have told.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, SubscriptionId};
use ottery_proto::billing::v1::{SubscriptionChanged, subscription::State};
use ottery_proto::common::v1::Envelope;
use prost::Message as _;
use sqlx::PgPool;

use ottery_kernel::BrandId;
use ottery_kit::db::{self, Scope};

use super::Journey;
use crate::domain::time_machine::entry::{Counts, Entry, Kind};
use crate::events::publish::SUBSCRIPTION_CHANGED;
use crate::store;
use crate::store::time_machine::{Known, Since};

/// Events read, and asked about, at once.
const PAGE: i64 = 500;

/// A mail somebody would get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its kind, in notification's words.
    pub kind: String,
    /// About which subscription, when it is about one.
    pub subscription: Option<SubscriptionId>,
}

/// Knows which events become mails; in order, one answer per event.
#[async_trait]
pub trait Postman: Send + Sync {
    /// Decides, and sends nothing.
    ///
    /// # Errors
    /// When nobody can say.
    async fn mails(&self, events: &[Envelope]) -> anyhow::Result<Vec<Option<Told>>>;
}

impl Journey {
    /// Everything that happened since the copy was made.
    ///
    /// # Errors
    /// When the database fails, or the postman cannot say.
    pub async fn entries(&self, postman: Option<&dyn Postman>) -> anyhow::Result<Vec<Entry>> {
        let since = Since { at: self.begins, event: 0 };
        happened(&self.billing.pool, self.brand, &self.known, since, postman).await
    }
}

/// Everything that happened in a brand since an instant; `known` happened before although it has the same instant.
///
/// # Errors
/// When the database fails, or the postman cannot say.
pub async fn happened(
    pool: &PgPool,
    brand: BrandId,
    known: &Known,
    since: Since,
    postman: Option<&dyn Postman>,
) -> anyhow::Result<Vec<Entry>> {
    let mut tx = db::begin(pool, Scope::Brand(brand)).await?;
    let mut entries = store::time_machine::invoices(&mut tx, known, since.at).await?;
    entries.extend(store::time_machine::charges(&mut tx, known, since.at).await?);
    entries.extend(store::time_machine::tasks(&mut tx, known, since.at).await?);
    let mut counts = Counts::default();
    let mut after = since.event;
    loop {
        let page = store::time_machine::events(&mut tx, brand, after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        let page: Vec<Envelope> = page.into_iter().map(|(_, event)| event).collect();
        entries.extend(page.iter().filter_map(|event| change(event, &mut counts)));
        if let Some(postman) = postman {
            let mails = postman.mails(&page).await?;
            anyhow::ensure!(mails.len() == page.len(), "{} answers for {} events", mails.len(), page.len());
            entries.extend(page.iter().zip(mails).filter_map(|(event, told)| Some(mail(event, told?, &mut counts))));
        }
    }
    Ok(entries)
}

/// A subscription that was suspended or ended; nothing for other events.
fn change(event: &Envelope, counts: &mut Counts) -> Option<Entry> {
    if event.r#type != SUBSCRIPTION_CHANGED {
        return None;
    }
    let changed = SubscriptionChanged::decode(event.payload.as_slice()).ok()?;
    let subscription = changed.subscription.as_ref()?;
    if subscription.state() == changed.previous_state() {
        return None;
    }
    let kind = match subscription.state() {
        State::Suspended => Kind::Suspension,
        State::Ended => Kind::End,
        State::Unspecified | State::Pending | State::Trialing | State::Active | State::PastDue | State::Paused => {
            return None;
        }
    };
    Some(Entry {
        kind,
        key: counts.next(&format!("{} {}", kind.as_str(), subscription.id)),
        at: instant(event),
        subscription: subscription.id.parse().ok(),
        account: subscription.account_id.parse::<AccountId>().ok(),
        amount: None,
        outcome: changed.reason,
        label: subscription.plan_name.clone(),
    })
}

fn mail(event: &Envelope, told: Told, counts: &mut Counts) -> Entry {
    let subject = told.subscription.map_or_else(|| event.aggregate_id.clone(), |id| id.to_string());
    Entry {
        kind: Kind::Mail,
        key: counts.next(&format!("{subject} {}", told.kind)),
        at: instant(event),
        subscription: told.subscription,
        account: None,
        amount: None,
        outcome: told.kind,
        label: String::new(),
    }
}

fn instant(event: &Envelope) -> DateTime<Utc> {
    let at = event.occurred_at.unwrap_or_default();
    DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).unwrap_or(0)).unwrap_or_default()
}
