//! What analytics hears.

use async_trait::async_trait;
use chrono::DateTime;
use ottery_kernel::{Money, Term, TermUnit};
use ottery_kit::broker::ConsumerGroup;
use ottery_kit::consume::{Delivery, HandleError, Handler};
use ottery_proto::billing::v1::{SubscriptionChanged, subscription::State};
use ottery_proto::catalog::v1::TermUnit as ProtoUnit;
use sqlx::postgres::PgTransaction;

use crate::app;
use crate::domain::SubscriptionState;
use crate::store::log::Entry;

/// Records changes of subscriptions.
#[derive(Clone, Copy, Debug)]
pub struct Subscriptions;

/// The group of [`Subscriptions`].
pub fn group() -> ConsumerGroup {
    ConsumerGroup::new("analytics.subscriptions", &["billing.subscription.changed.v1"]).gathers()
}

#[async_trait]
impl Handler for Subscriptions {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        let entry = entry(delivery)?;
        app::record(tx, delivery.brand()?, &entry).await?;
        Ok(())
    }
}

fn entry(delivery: &Delivery) -> Result<Entry, HandleError> {
    let event: SubscriptionChanged = delivery.payload()?;
    let subscription = event.subscription.ok_or_else(|| HandleError::permanent("subscription is missing"))?;
    let amount = event
        .recurring_net
        .or(subscription.price.clone())
        .ok_or_else(|| HandleError::permanent("amount is missing"))?;
    let term = subscription.term.ok_or_else(|| HandleError::permanent("term is missing"))?;
    let unit = match term.unit() {
        ProtoUnit::Unspecified => return Err(HandleError::permanent("term has no unit")),
        ProtoUnit::Day => TermUnit::Day,
        ProtoUnit::Week => TermUnit::Week,
        ProtoUnit::Month => TermUnit::Month,
        ProtoUnit::Year => TermUnit::Year,
    };
    let count = u16::try_from(term.count).map_err(HandleError::permanent)?;
    let state = match subscription.state() {
        State::Unspecified => return Err(HandleError::permanent("state is missing")),
        State::Pending => SubscriptionState::Pending,
        State::Trialing => SubscriptionState::Trialing,
        State::Active => SubscriptionState::Active,
        State::PastDue => SubscriptionState::PastDue,
        State::Suspended => SubscriptionState::Suspended,
        State::Paused => SubscriptionState::Paused,
        State::Ended => SubscriptionState::Ended,
    };
    let effective_at = event
        .effective_at
        .and_then(|at| DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?))
        .ok_or_else(|| HandleError::permanent("effective_at is missing"))?;
    let recurring_minor = if state == SubscriptionState::Active { amount.minor } else { 0 };
    Ok(Entry {
        event_id: delivery.event_id,
        account: parse(&subscription.account_id)?,
        subscription: parse(&subscription.id)?,
        version: delivery.aggregate_version(),
        state,
        recurring: Money { minor: recurring_minor, currency: parse(&amount.currency)? },
        term: Term::try_new(count, unit).map_err(HandleError::permanent)?,
        effective_at,
    })
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, HandleError> {
    text.parse().map_err(|error: T::Err| HandleError::permanent(error))
}
