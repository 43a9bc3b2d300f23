//! What notification hears.

use async_trait::async_trait;
use ottery_kit::broker::ConsumerGroup;
use ottery_kit::consume::{Delivery, HandleError, Handler};
use ottery_proto::billing::v1::SubscriptionChanged;
use ottery_proto::catalog::v1::{Brand, BrandChanged};
use sqlx::postgres::PgTransaction;

use super::mails;
use crate::app::App;
use crate::domain::mail::Mail;
use crate::domain::profile::{Profile, platform};
use crate::store;
use crate::store::subscription::Heard;

const BRAND_CHANGED: &str = "catalog.brand.changed.v1";
pub(super) const SUBSCRIPTION_CHANGED: &str = "billing.subscription.changed.v1";

/// Keeps what mails of a brand look like and come from.
#[derive(Clone, Copy, Debug)]
pub struct Brands;

/// The group of [`Brands`].
#[must_use]
pub fn brands_group() -> ConsumerGroup {
    ConsumerGroup::new("notification.brands", &[BRAND_CHANGED]).newest_wins()
}

#[async_trait]
impl Handler for Brands {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        let brand =
            delivery.payload::<BrandChanged>()?.brand.ok_or_else(|| HandleError::permanent("brand is missing"))?;
        let version = i64::try_from(brand.version).map_err(HandleError::permanent)?;
        store::profile::put(tx, delivery.brand()?, version, &profile(brand)).await?;
        Ok(())
    }
}

fn profile(brand: Brand) -> Profile {
    let tokens = brand.tokens.unwrap_or_default();
    let host = brand.hosts.into_iter().next().unwrap_or_default();
    Profile {
        name: brand.name,
        host: host.split(':').next().unwrap_or_default().to_owned(),
        default_locale: brand.default_locale,
        time_zone: brand.time_zone,
        sender_email: brand.sender_email,
        support_email: brand.support_email,
        tokens: tokens.values.into_iter().collect(),
        logo: tokens.logo,
    }
}

/// Plans mails.
#[derive(Clone, Debug)]
pub struct Mails {
    /// The use cases.
    pub app: App,
}

/// The group of [`Mails`]. Every event is a mail of its own, so none waits for another; what is told of a subscription
/// needs its order.
#[must_use]
pub fn mails_group() -> ConsumerGroup {
    let kinds: Vec<&str> = mails::READERS.iter().map(|(kind, _)| *kind).collect();
    ConsumerGroup::new("notification.mails", &kinds).newest_wins().gathers()
}

#[async_trait]
impl Handler for Mails {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        let reader = mails::READERS.iter().find(|(kind, _)| *kind == delivery.kind());
        let (_, read) =
            reader.ok_or_else(|| HandleError::permanent(format!("`{}` is not for this consumer", delivery.kind())))?;
        self.app.plan_from(tx, delivery, read(delivery)?).await
    }
}

/// Plans mails about subscriptions.
#[derive(Clone, Debug)]
pub struct Subscriptions {
    /// The use cases.
    pub app: App,
}

/// The group of [`Subscriptions`].
#[must_use]
pub fn subscriptions_group() -> ConsumerGroup {
    ConsumerGroup::new("notification.subscriptions", &[SUBSCRIPTION_CHANGED]).gathers()
}

#[async_trait]
impl Handler for Subscriptions {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        let event: SubscriptionChanged = delivery.payload()?;
        let subscription =
            event.subscription.as_ref().ok_or_else(|| HandleError::permanent("subscription is missing"))?;
        let version = i64::try_from(subscription.version).map_err(HandleError::permanent)?;
        let is_cancelled = subscription.cancel_at.is_some();
        let heard = store::subscription::note(tx, delivery.brand()?, &subscription.id, version, is_cancelled).await?;
        let Heard::Newer { was_cancelled } = heard else { return Ok(()) };
        let mail = mails::subscription(delivery, &event, subscription, is_cancelled && !was_cancelled);
        self.app.plan_from(tx, delivery, mail).await
    }
}

impl App {
    async fn plan_from(
        &self,
        tx: &mut PgTransaction<'_>,
        delivery: &Delivery,
        mail: Option<Mail>,
    ) -> Result<(), HandleError> {
        let Some(mail) = mail else { return Ok(()) };
        let brand = delivery.brand.unwrap_or_else(platform);
        if delivery.brand.is_none() {
            store::enter(tx, brand).await?;
        }
        self.plan(tx, brand, mail).await?;
        Ok(())
    }
}
