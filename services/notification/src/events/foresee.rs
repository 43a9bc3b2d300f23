//! Which mails events would become: the decision of the consumers, and nothing of what follows from it.

use std::collections::HashMap;

use chrono::DateTime;
use ottery_kernel::BrandId;
use ottery_kit::consume::{Delivery, HandleError};
use ottery_proto::billing::v1::SubscriptionChanged;
use ottery_proto::common::v1::Envelope;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::consume::SUBSCRIPTION_CHANGED;
use super::mails;
use crate::domain::kind::Kind;
use crate::domain::mail::Mail;
use crate::store;

/// The mail each of these events of one brand would become, if any, in their order.
///
/// # Errors
/// When an event is none, or the database fails.
pub async fn foresee(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    events: Vec<Envelope>,
) -> Result<Vec<Option<Kind>>, HandleError> {
    let mut cancelled: HashMap<String, bool> = HashMap::new();
    let mut kinds = Vec::with_capacity(events.len());
    for event in events {
        let delivery = delivery(brand, event)?;
        let mail = if delivery.kind() == SUBSCRIPTION_CHANGED {
            subscription(tx, &delivery, &mut cancelled).await?
        } else {
            match mails::READERS.iter().find(|(kind, _)| *kind == delivery.kind()) {
                Some((_, read)) => read(&delivery)?,
                None => None,
            }
        };
        // Without an address there is nobody to tell.
        kinds.push(mail.filter(|mail| !mail.recipient.is_empty()).map(|mail| mail.kind));
    }
    Ok(kinds)
}

fn delivery(brand: BrandId, envelope: Envelope) -> Result<Delivery, HandleError> {
    let event_id: Uuid = envelope.event_id.parse().map_err(HandleError::permanent)?;
    let at = envelope.occurred_at.unwrap_or_default();
    let occurred_at = DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).unwrap_or(0))
        .ok_or_else(|| HandleError::permanent("occurred_at is out of range"))?;
    Ok(Delivery {
        consumer: "notification.foresee".into(),
        event_id,
        brand: Some(brand),
        occurred_at,
        attempt: 1,
        envelope,
    })
}

/// What was heard of the subscription before these events counts, and then what they say.
async fn subscription(
    tx: &mut PgTransaction<'_>,
    delivery: &Delivery,
    cancelled: &mut HashMap<String, bool>,
) -> Result<Option<Mail>, HandleError> {
    let event: SubscriptionChanged = delivery.payload()?;
    let subscription = event.subscription.as_ref().ok_or_else(|| HandleError::permanent("subscription is missing"))?;
    let is_cancelled = subscription.cancel_at.is_some();
    let was_cancelled = match cancelled.insert(subscription.id.clone(), is_cancelled) {
        Some(before) => before,
        None => store::subscription::is_cancelled(tx, &subscription.id).await?.unwrap_or(false),
    };
    Ok(mails::subscription(delivery, &event, subscription, is_cancelled && !was_cancelled))
}
