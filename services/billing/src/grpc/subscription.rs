//! Subscriptions: read, cancelled, resumed; suspended and ended by staff.

use ottery_kit::grpc::{Actor, Problem};
use ottery_proto::billing::v1 as proto;

use super::{Caller, convert, id, next_page, page};
use crate::app::Billing;
use crate::app::price_override::Give;
use crate::app::read::Held;
use crate::domain::subscription::Subscription;

/// A subscription with the invoice that waits and what its renewal will cost.
pub(super) fn shown(held: &Held) -> proto::Subscription {
    convert::subscription(&held.subscription, held.open, &held.tax)
}

/// The subscription as it now is, with the invoice that waits.
pub(super) async fn answer(
    app: &Billing,
    caller: &Caller,
    subscription: &Subscription,
) -> Result<proto::Subscription, Problem> {
    Ok(shown(&app.subscription(caller.brand, subscription.id, caller.owner).await?))
}

pub(super) async fn get(
    app: &Billing,
    actor: Actor,
    request: proto::GetSubscriptionRequest,
) -> Result<proto::Subscription, Problem> {
    let caller = Caller::customer_or(actor, "subscription.read")?;
    let wanted = id("subscription_id", &request.subscription_id)?;
    Ok(shown(&app.subscription(caller.brand, wanted, caller.owner).await?))
}

pub(super) async fn list(
    app: &Billing,
    actor: Actor,
    request: proto::ListSubscriptionsRequest,
) -> Result<proto::ListSubscriptionsReply, Problem> {
    let caller = Caller::customer_or(actor, "subscription.read")?;
    let page = page(request.page.as_ref())?;
    let found = app.subscriptions(caller.brand, caller.account_filter(&request.account_id)?, page).await?;
    let last = found.last().map(|held| held.subscription.id.as_uuid());
    Ok(proto::ListSubscriptionsReply {
        page: next_page(page, found.len(), last),
        subscriptions: found.iter().map(shown).collect(),
    })
}

/// Longest reason that is kept.
const REASON_MAX: usize = 200;

fn reason(text: &str) -> Result<&str, Problem> {
    if text.chars().count() > REASON_MAX {
        return Err(Problem::invalid(
            "reason",
            "TOO_LONG",
            format!("reason has more than {REASON_MAX} characters; shorten it"),
        ));
    }
    Ok(text)
}

pub(super) async fn cancel(
    app: &Billing,
    actor: Actor,
    request: proto::CancelSubscriptionRequest,
) -> Result<proto::Subscription, Problem> {
    let caller = Caller::customer_or(actor, "subscription.manage")?;
    let wanted = id("subscription_id", &request.subscription_id)?;
    let changed = app.cancel(caller.brand, wanted, caller.owner, reason(&request.reason)?, &caller.actor).await?;
    answer(app, &caller, &changed).await
}

pub(super) async fn resume(
    app: &Billing,
    actor: Actor,
    request: proto::ResumeSubscriptionRequest,
) -> Result<proto::Subscription, Problem> {
    let caller = Caller::customer_or(actor, "subscription.manage")?;
    let wanted = id("subscription_id", &request.subscription_id)?;
    let changed = app.resume(caller.brand, wanted, caller.owner, &caller.actor).await?;
    answer(app, &caller, &changed).await
}

pub(super) async fn terminate(
    app: &Billing,
    actor: Actor,
    request: proto::TerminateSubscriptionRequest,
) -> Result<proto::Subscription, Problem> {
    let caller = Caller::staff(actor, "subscription.manage")?;
    let wanted = id("subscription_id", &request.subscription_id)?;
    let changed = app.terminate(caller.brand, wanted, reason(&request.reason)?, &caller.actor).await?;
    answer(app, &caller, &changed).await
}

pub(super) async fn override_price(
    app: &Billing,
    actor: Actor,
    request: proto::OverridePriceRequest,
) -> Result<proto::Subscription, Problem> {
    let caller = Caller::staff(actor, "subscription.manage")?;
    let wanted = id("subscription_id", &request.subscription_id)?;
    let give = Give {
        price: request.price.as_ref().map(|price| convert::money_from("price", price)).transpose()?,
        until: convert::instant_from(request.until)?,
        reason: reason(&request.reason)?.to_owned(),
    };
    let changed = app.override_price(caller.brand, wanted, give, &caller.actor).await?;
    answer(app, &caller, &changed).await
}

pub(super) async fn suspend(
    app: &Billing,
    actor: Actor,
    request: proto::SuspendSubscriptionRequest,
) -> Result<proto::Subscription, Problem> {
    let caller = Caller::staff(actor, "subscription.manage")?;
    let wanted = id("subscription_id", &request.subscription_id)?;
    let changed = app.suspend(caller.brand, wanted, reason(&request.reason)?, &caller.actor).await?;
    answer(app, &caller, &changed).await
}

pub(super) async fn unsuspend(
    app: &Billing,
    actor: Actor,
    request: proto::UnsuspendSubscriptionRequest,
) -> Result<proto::Subscription, Problem> {
    let caller = Caller::staff(actor, "subscription.manage")?;
    let wanted = id("subscription_id", &request.subscription_id)?;
    let changed = app.unsuspend(caller.brand, wanted, &caller.actor).await?;
    answer(app, &caller, &changed).await
}
