//! When a subscription renews, pauses, and whose it is.

use chrono_tz::Tz;
use ottery_kernel::AnchorDay;
use ottery_kit::grpc::{Actor, Problem};
use ottery_proto::billing::v1 as proto;

use super::order::{TEXT_MAX, country, within};
use super::subscription::answer;
use super::{Caller, convert, id};
use crate::app::Billing;
use crate::app::calendar::{AnchorAsk, AnchorOffered};
use crate::app::price_change::{Ask, Row};
use crate::domain::invoice::Buyer;

fn ask(request: &proto::MoveAnchorRequest) -> Result<AnchorAsk, Problem> {
    let day = match request.day {
        0 => None,
        day => Some(
            AnchorDay::try_new(day).map_err(|error| Problem::invalid("day", "DAY_INVALID", format!("day: {error}")))?,
        ),
    };
    let zone: Option<Tz> = match request.time_zone.as_str() {
        "" => None,
        name => Some(name.parse().map_err(|_| {
            let message = format!("time_zone: `{name}` is no zone; use a name such as `Europe/Madrid`");
            Problem::invalid("time_zone", "ZONE_INVALID", message)
        })?),
    };
    if day.is_none() && zone.is_none() {
        return Err(Problem::invalid("day", "MISSING", "day: give a day of the month (1 to 31), a time_zone, or both"));
    }
    Ok(AnchorAsk { day, zone })
}

fn quote(offered: &AnchorOffered) -> proto::AnchorQuote {
    proto::AnchorQuote {
        period_start: Some(convert::timestamp(offered.stretch.period.start())),
        period_end: Some(convert::timestamp(offered.stretch.period.end())),
        amount: Some(convert::money(offered.amount)),
        prorated: offered.stretch.is_bridge(),
        then_start: Some(convert::timestamp(offered.then.start())),
        then_end: Some(convert::timestamp(offered.then.end())),
    }
}

pub(super) async fn quote_anchor(
    app: &Billing,
    actor: Actor,
    request: proto::MoveAnchorRequest,
) -> Result<proto::AnchorQuote, Problem> {
    let caller = Caller::customer_or(actor, "subscription.manage")?;
    let wanted = id("subscription_id", &request.subscription_id)?;
    Ok(quote(&app.quote_anchor(caller.brand, wanted, caller.owner, ask(&request)?).await?))
}

pub(super) async fn move_anchor(
    app: &Billing,
    actor: Actor,
    request: proto::MoveAnchorRequest,
) -> Result<proto::MoveAnchorReply, Problem> {
    let caller = Caller::customer_or(actor, "subscription.manage")?;
    let wanted = id("subscription_id", &request.subscription_id)?;
    let (changed, offered) = app.move_anchor(caller.brand, wanted, caller.owner, ask(&request)?, &caller.actor).await?;
    Ok(proto::MoveAnchorReply {
        subscription: Some(answer(app, &caller, &changed).await?),
        quote: Some(quote(&offered)),
    })
}

pub(super) async fn pause(
    app: &Billing,
    actor: Actor,
    request: proto::PauseSubscriptionRequest,
) -> Result<proto::Subscription, Problem> {
    let caller = Caller::customer_or(actor, "subscription.manage")?;
    let wanted = id("subscription_id", &request.subscription_id)?;
    let changed = app.pause(caller.brand, wanted, caller.owner, request.days, &caller.actor).await?;
    answer(app, &caller, &changed).await
}

pub(super) async fn unpause(
    app: &Billing,
    actor: Actor,
    request: proto::UnpauseSubscriptionRequest,
) -> Result<proto::Subscription, Problem> {
    let caller = Caller::customer_or(actor, "subscription.manage")?;
    let wanted = id("subscription_id", &request.subscription_id)?;
    let changed = app.unpause(caller.brand, wanted, caller.owner, &caller.actor).await?;
    answer(app, &caller, &changed).await
}

pub(super) async fn renew(
    app: &Billing,
    actor: Actor,
    request: proto::RenewSubscriptionRequest,
) -> Result<proto::Subscription, Problem> {
    let caller = Caller::customer_or(actor, "subscription.manage")?;
    let wanted = id("subscription_id", &request.subscription_id)?;
    let changed = app.renew(caller.brand, wanted, caller.owner).await?;
    answer(app, &caller, &changed).await
}

pub(super) async fn change_price(
    app: &Billing,
    actor: Actor,
    request: proto::ChangePriceRequest,
) -> Result<proto::ChangePriceReply, Problem> {
    let caller = Caller::staff(actor, "subscription.manage")?;
    let keep = request.keep_subscription_ids.iter().map(|text| id("keep_subscription_ids", text));
    let only = request.subscription_ids.iter().map(|text| id("subscription_ids", text));
    let ask = Ask {
        to: id("to_price_id", &request.to_price_id)?,
        notice_days: request.notice_days,
        keep: keep.collect::<Result<_, _>>()?,
        from: match request.from_plan_version_id.as_str() {
            "" => None,
            text => Some(id("from_plan_version_id", text)?),
        },
        only: only.collect::<Result<_, _>>()?,
        ends_promises: request.end_promises,
        is_dry_run: request.dry_run,
    };
    let outcome = app.change_price(caller.brand, ask, &caller.actor).await?;
    let row = |row: &Row| proto::change_price_reply::Row {
        subscription_id: row.subscription.to_string(),
        account_id: row.account.to_string(),
        old_price: Some(convert::money(row.old)),
        new_price: Some(convert::money(row.new)),
        effective_at: row.at.map(convert::timestamp),
        was_promised: row.was_promised,
    };
    Ok(proto::ChangePriceReply { rows: outcome.rows.iter().map(row).collect(), more: outcome.has_more })
}

pub(super) async fn transfer(
    app: &Billing,
    actor: Actor,
    request: proto::TransferSubscriptionRequest,
) -> Result<proto::Subscription, Problem> {
    let caller = Caller::staff(actor, "subscription.manage")?;
    let wanted = id("subscription_id", &request.subscription_id)?;
    let to = id("account_id", &request.account_id)?;
    let buyer = Buyer {
        name: within("display_name", request.display_name.trim(), TEXT_MAX)?.to_owned(),
        email: within("email", request.email.trim(), TEXT_MAX)?.to_owned(),
        country: country(&request.country)?,
        locale: within("locale", &request.locale, 35)?.to_owned(),
        address: None,
    };
    let changed = app.transfer(caller.brand, wanted, to, buyer, &caller.actor).await?;
    answer(app, &caller, &changed).await
}
