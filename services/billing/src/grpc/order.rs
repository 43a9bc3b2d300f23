//! Quotes, orders and changes of plan.

use std::net::IpAddr;

use ottery_kernel::{Currency, PlanId};
use ottery_kit::grpc::{Actor, ActorKind, Problem};
use ottery_kit::idempotency::{KeyScope, request_hash};
use ottery_proto::billing::v1 as proto;
use uuid::Uuid;

use super::provider::chosen_account;
use super::{Caller, convert, id, next_page, own_account, page};
use crate::app::Billing;
use crate::app::change::{ChangeTo, Urls};
use crate::app::checkout::Ask;
use crate::app::order::{Idempotency, Place};
use crate::app::payment;
use crate::app::screen::{Visit, network_of};
use crate::domain::coupon::Coupon;
use crate::domain::invoice::Buyer;
use crate::domain::proration::Effect;
use crate::domain::tax::{self, words};
use crate::store::quote::Stored;

/// Longest text of a field people fill in.
pub(super) const TEXT_MAX: usize = 300;
/// Longest address of a page.
const URL_MAX: usize = 2_000;

pub(super) fn quote_id(text: &str) -> Result<Uuid, Problem> {
    text.strip_prefix("quo_")
        .filter(|digits| digits.len() == 32)
        .and_then(|digits| Uuid::try_parse(digits).ok())
        .ok_or_else(|| {
            Problem::invalid("quote_id", "ID_INVALID", "quote_id: expected `quo_` followed by 32 hexadecimal digits")
        })
}

pub(super) fn within<'a>(field: &str, text: &'a str, limit: usize) -> Result<&'a str, Problem> {
    if text.chars().count() > limit {
        return Err(Problem::invalid(
            field,
            "TOO_LONG",
            format!("{field} has more than {limit} characters; shorten it"),
        ));
    }
    Ok(text)
}

pub(super) fn country(text: &str) -> Result<String, Problem> {
    let code = text.to_ascii_uppercase();
    if code.is_empty() || code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(code);
    }
    Err(Problem::invalid("country", "COUNTRY_INVALID", "country: expected two letters such as `DE`, or nothing"))
}

pub(super) fn idempotency(
    actor: &Actor,
    route: &'static str,
    key: Option<String>,
    hash: [u8; 32],
) -> Option<Idempotency> {
    let scope = KeyScope { brand: actor.brand, actor: actor.subject.clone(), route };
    key.map(|key| Idempotency { scope, key, hash })
}

pub(super) async fn create_quote(
    app: &Billing,
    actor: Actor,
    request: proto::CreateQuoteRequest,
) -> Result<proto::Quote, Problem> {
    let brand = actor.brand_or_problem()?;
    let currency: Option<Currency> = match request.currency.as_str() {
        "" => None,
        code => Some(
            code.parse()
                .map_err(|error| Problem::invalid("currency", "CURRENCY_INVALID", format!("currency: {error}")))?,
        ),
    };
    let ask = Ask {
        price: id("price_id", &request.price_id)?,
        currency,
        place: tax::Place {
            country: country(&request.country)?,
            region: within("region", request.region.trim(), 3)?.to_ascii_uppercase(),
            postal_code: within("postal_code", request.postal_code.trim(), 20)?.to_owned(),
        },
        trial: request.trial,
        account: (actor.kind == ActorKind::Customer).then(|| own_account(&actor)).transpose()?,
        coupon: request.coupon,
        options: convert::option::quantities_from(request.options),
        addons: plan_ids("addons", &request.addon_plan_ids)?,
        email: within("email", request.email.trim(), TEXT_MAX)?.to_owned(),
        device: device(request.origin.as_ref())?,
    };
    let stored = app.create_quote(brand, ask).await?;
    let least = app.wallet_only_below(brand, stored.quote.due_now).await?;
    Ok(proto::Quote { wallet_only_below: least.map(convert::money), ..quote(&stored) })
}

/// Longest id of a browser.
const DEVICE_MAX: usize = 100;

fn device(origin: Option<&proto::Origin>) -> Result<String, Problem> {
    let device = origin.map_or("", |origin| origin.device_id.as_str());
    Ok(within("origin.device_id", device, DEVICE_MAX)?.to_owned())
}

/// Where a customer's own order comes from.
fn visit(actor: &Actor, origin: Option<proto::Origin>) -> Result<Visit, Problem> {
    let address = actor.client_ip.as_deref().and_then(|text| text.parse::<IpAddr>().ok());
    Ok(Visit {
        device: device(origin.as_ref())?,
        network: address.map(network_of).unwrap_or_default(),
        country: country(&origin.map(|origin| origin.country).unwrap_or_default())?,
    })
}

fn quote(stored: &Stored) -> proto::Quote {
    let quote = &stored.quote;
    proto::Quote {
        id: format!("quo_{}", stored.id.simple()),
        price_id: stored.offer.price_id.to_string(),
        plan_version_id: stored.offer.plan_version_id.to_string(),
        lines: quote.lines.iter().map(convert::line).collect(),
        subtotal: Some(convert::money(quote.totals.subtotal)),
        tax: Some(convert::money(quote.totals.tax)),
        total: Some(convert::money(quote.totals.total)),
        due_now: Some(convert::money(quote.due_now)),
        expires_at: Some(convert::timestamp(quote.expires_at)),
        renews_at: Some(convert::timestamp(quote.renews_at)),
        renewal_total: Some(convert::money(quote.renewal_total)),
        trial_days: quote.trial_days,
        coupon: quote.coupon.as_ref().map(|coupon| coupon.code.clone()).unwrap_or_default(),
        discount: quote.discount().map(convert::money),
        coupon_periods: quote.coupon.as_ref().and_then(Coupon::periods).unwrap_or(0),
        // A price that was quoted fits with its tax.
        regular_total: Some(convert::money(quote.regular_total(&stored.offer).unwrap_or(stored.offer.price))),
        tax_name: quote.tax.as_ref().map(|taxed| taxed.name.clone()).unwrap_or_default(),
        tax_note: words(&quote.lines, "en").unwrap_or_default(),
        tax_country: stored.country.clone(),
        vat_pending_until: stored.vat_until.map(convert::timestamp),
        options: stored.offer.options.iter().map(convert::option::chosen).collect(),
        once: stored.offer.once,
        addons: stored.offer.addons.iter().map(convert::addon::bought).collect(),
        wallet_only_below: None,
    }
}

pub(super) async fn place_order(
    app: &Billing,
    actor: Actor,
    key: Option<String>,
    mut request: proto::PlaceOrderRequest,
) -> Result<proto::PlaceOrderReply, Problem> {
    let caller = Caller::customer_or(actor, "order.create")?;
    // A call that is sent again may come from elsewhere.
    let origin = request.origin.take();
    let hash = request_hash(&request);
    let account = match (caller.owner, request.account_id.as_str()) {
        (Some(owner), "") => owner,
        (Some(owner), asked) if id::<ottery_kernel::AccountId>("account_id", asked)? == owner => owner,
        (Some(_), _) => {
            return Err(
                Problem::denied("NOT_YOURS", "an order is placed for the signed-in account").on_field("account_id")
            );
        }
        (None, asked) => id("account_id", asked)?,
    };
    let email = within("email", request.email.trim(), TEXT_MAX)?;
    if !email.contains('@') {
        return Err(Problem::invalid(
            "email",
            "EMAIL_INVALID",
            "email: the invoice needs an address such as `me@example.com`",
        ));
    }
    let place = Place {
        quote: quote_id(&request.quote_id)?,
        account,
        buyer: Buyer {
            name: within("display_name", request.display_name.trim(), TEXT_MAX)?.to_owned(),
            email: email.to_owned(),
            country: country(&request.country)?,
            locale: within("locale", &request.locale, 35)?.to_owned(),
            address: None,
        },
        referral_code: within("referral_code", &request.referral_code, 64)?.to_owned(),
        return_url: within("return_url", &request.return_url, URL_MAX)?.to_owned(),
        cancel_url: within("cancel_url", &request.cancel_url, URL_MAX)?.to_owned(),
        save_method: request.save_method,
        chosen: chosen_account(&request.provider_account_id)?,
        coupon: request.coupon.clone(),
        visit: caller.owner.is_some().then(|| visit(&caller.actor, origin)).transpose()?,
    };
    let call = idempotency(&caller.actor, "billing.PlaceOrder", key, hash);
    let placed = app.place_order(caller.brand, place, call).await?;
    let checkout_url = checkout(app, &caller, placed.payment).await;
    Ok(proto::PlaceOrderReply { order: Some(convert::order(&placed.order)), checkout_url })
}

/// The hosted page of an attempt. The order stands whatever the provider says: without an address the order page offers
/// to try again.
async fn checkout(app: &Billing, caller: &Caller, payment: Option<ottery_kernel::PaymentId>) -> String {
    let Some(id) = payment else { return String::new() };
    match payment::open_checkout(app, caller.brand, id).await {
        Ok(url) => url,
        Err(problem) => {
            tracing::warn!(payment.id = %id, reason = %problem.reason, error = %problem.message, "no hosted page yet");
            String::new()
        }
    }
}

pub(super) async fn get_order(
    app: &Billing,
    actor: Actor,
    request: proto::GetOrderRequest,
) -> Result<proto::OrderDetail, Problem> {
    let caller = Caller::customer_or(actor, "order.read")?;
    let detail = app.order(caller.brand, id("order_id", &request.order_id)?, caller.owner).await?;
    Ok(proto::OrderDetail {
        order: Some(convert::order(&detail.order)),
        invoice: detail.invoice.map(|(invoice, notes)| convert::invoice(&invoice, &notes)),
        subscription: detail.subscription.as_ref().map(super::subscription::shown),
        payments: detail.payments.iter().map(super::payment::to_proto).collect(),
    })
}

pub(super) async fn list_orders(
    app: &Billing,
    actor: Actor,
    request: proto::ListOrdersRequest,
) -> Result<proto::ListOrdersReply, Problem> {
    let caller = Caller::customer_or(actor, "order.read")?;
    let page = page(request.page.as_ref())?;
    let found = app.orders(caller.brand, caller.account_filter(&request.account_id)?, page).await?;
    let last = found.last().map(|order| order.id.as_uuid());
    Ok(proto::ListOrdersReply {
        page: next_page(page, found.len(), last),
        orders: found.iter().map(convert::order).collect(),
    })
}

/// Add-ons of one request at most.
const ADDONS_MAX: usize = 20;

fn plan_ids(field: &str, sent: &[String]) -> Result<Vec<PlanId>, Problem> {
    if sent.len() > ADDONS_MAX {
        let message = format!("{field}: name at most {ADDONS_MAX}, got {}", sent.len());
        return Err(Problem::invalid(field, "TOO_MANY", message));
    }
    sent.iter().map(|text| id(field, text)).collect()
}

fn optional_price(text: &str) -> Result<Option<ottery_kernel::PriceId>, Problem> {
    if text.is_empty() { Ok(None) } else { id("price_id", text).map(Some) }
}

pub(super) async fn quote_change(
    app: &Billing,
    actor: Actor,
    request: proto::QuoteChangeRequest,
) -> Result<proto::QuoteChangeReply, Problem> {
    let caller = Caller::customer_or(actor, "subscription.manage")?;
    let subscription = id("subscription_id", &request.subscription_id)?;
    let to = ChangeTo {
        price: optional_price(&request.price_id)?,
        options: convert::option::quantities_from(request.options),
        add: plan_ids("add_addons", &request.add_addon_plan_ids)?,
        drop: plan_ids("drop_addons", &request.drop_addon_plan_ids)?,
        coupon: request.coupon,
        urls: Urls::default(),
    };
    let offered = app.quote_change(caller.brand, subscription, caller.owner, &to).await?;
    Ok(proto::QuoteChangeReply {
        unused_credit: Some(convert::money(offered.change.unused_credit)),
        new_charge: Some(convert::money(offered.change.new_charge)),
        due_now: Some(convert::money(offered.change.due_now)),
        lines: offered.lines.iter().map(convert::line).collect(),
        credit: Some(convert::money(offered.change.credit)),
        setup_charge: Some(convert::money(offered.change.setup_charge)),
        warnings: offered.change.warnings.iter().map(ToString::to_string).collect(),
        effect: match offered.change.effect {
            Effect::Now => proto::quote_change_reply::Effect::Now,
            Effect::NowRestarting => proto::quote_change_reply::Effect::NowRestarting,
            Effect::AtRenewal => proto::quote_change_reply::Effect::AtRenewal,
        }
        .into(),
    })
}

pub(super) async fn change_plan(
    app: &Billing,
    actor: Actor,
    key: Option<String>,
    request: proto::ChangePlanRequest,
) -> Result<proto::ChangePlanReply, Problem> {
    let caller = Caller::customer_or(actor, "subscription.manage")?;
    let call = idempotency(&caller.actor, "billing.ChangePlan", key, request_hash(&request));
    let subscription = id("subscription_id", &request.subscription_id)?;
    let price = optional_price(&request.price_id)?;
    let options = convert::option::quantities_from(request.options);
    let urls = Urls {
        return_url: within("return_url", &request.return_url, URL_MAX)?.to_owned(),
        cancel_url: within("cancel_url", &request.cancel_url, URL_MAX)?.to_owned(),
    };
    let (add, drop) =
        (plan_ids("add_addons", &request.add_addon_plan_ids)?, plan_ids("drop_addons", &request.drop_addon_plan_ids)?);
    let to = ChangeTo { price, options, add, drop, coupon: request.coupon, urls };
    let changed = app.change_plan(caller.brand, subscription, caller.owner, to, call).await?;
    let checkout_url = checkout(app, &caller, changed.payment).await;
    Ok(proto::ChangePlanReply {
        subscription: Some(convert::subscription(
            &changed.subscription,
            changed.invoice.filter(|_| changed.payment.is_some()),
            &changed.tax,
        )),
        invoice_id: changed.invoice.map(|id| id.to_string()).unwrap_or_default(),
        checkout_url,
    })
}
