//! Quotes and orders.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ottery_kit::grpc::ActorKind;
use ottery_proto::billing::v1 as billing;
use ottery_proto::identity::v1::{Account, GetAccountRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::invoices::{Invoice, InvoiceLine};
use super::options::{BoughtAddOn, ChosenOption, OptionQuantity};
use super::payments::Payment;
use super::subscriptions::Subscription;
use super::view::{Money, Page, Show as _, Time, page, view, words};
use crate::device::{self, Device};
use crate::idempotency::IdempotencyKey;
use crate::limits::{self, Json, Query};
use crate::links;
use crate::problem::{Refusal, Reply};
use crate::progress::{self, Progress};
use crate::session::Caller;
use crate::state::AppState;
use crate::{referral, sse};

words! {
    /// Where an order stands.
    OrderState from billing::order::State {
        /// Staff have to look at it first: nothing is asked for, charged or served.
        UnderReview,
        AwaitingPayment,
        Paid,
        Cancelled,
    }
}

view! {
    /// A binding offer until it expires: what the order will charge.
    Quote from billing::Quote {
        id: String,
        price_id: String,
        plan_version_id: String,
        lines: Vec<InvoiceLine>,
        subtotal: Option<Money>,
        tax: Option<Money>,
        total: Option<Money>,
        /// Due now; 0 for a trial.
        due_now: Option<Money>,
        expires_at: Option<Time>,
        renews_at: Option<Time>,
        /// What the first renewal costs, the coupon counted in when it still applies then.
        renewal_total: Option<Money>,
        trial_days: u32,
        /// Code of the coupon in it.
        coupon: Option<String>,
        /// What the coupon takes off the first invoice; its lines show it.
        discount: Option<Money>,
        /// How many paid periods the coupon is good for; 0: all of them, when there is a coupon.
        coupon_periods: u32,
        /// What a renewal costs once the coupon is used up.
        regular_total: Option<Money>,
        /// As the invoice will call the tax.
        tax_name: Option<String>,
        /// Why no tax is charged.
        tax_note: Option<String>,
        /// Where the customer was taken to be.
        tax_country: Option<String>,
        /// A VAT number is being checked: it cannot be ordered before the answer (`vat_check_pending`), or this instant.
        vat_pending_until: Option<Time>,
        /// The plan's options as they were chosen.
        options: Vec<ChosenOption>,
        /// A pass: `renews_at` is its end and `renewal_total` nothing.
        once: bool,
        /// Add-ons that are bought with it.
        addons: Vec<BoughtAddOn>,
        /// What is due is less than a payment can be, which is this: the order is refused as `amount_wallet_only` unless the wallet
        /// pays it.
        wallet_only_below: Option<Money>,
    }
}

view! {
    /// An order.
    Order from billing::Order {
        id: String,
        account_id: String,
        state: OrderState,
        subscription_id: String,
        invoice_id: Option<String>,
        plan_name: String,
        total: Option<Money>,
        placed_at: Option<Time>,
        paid_at: Option<Time>,
        referral_code: Option<String>,
        /// For the link to the trace viewer.
        trace_id: Option<String>,
        email: String,
    }
}

/// An order with everything that belongs to it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OrderDetail {
    /// The order.
    pub order: Order,
    /// Its invoice.
    pub invoice: Option<Invoice>,
    /// What was bought.
    pub subscription: Option<Subscription>,
    /// Attempts to pay.
    pub payments: Vec<Payment>,
    /// How far it has come; the live stream carries the same.
    pub progress: Progress,
}

/// What to price.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuoteInput {
    /// `prc_…`
    pub price_id: String,
    /// Refused when the price is in another; may be left out.
    #[serde(default)]
    pub currency: String,
    /// ISO 3166-1 alpha-2, for tax. A customer's billing address comes before it.
    #[serde(default)]
    pub country: String,
    /// The part of ISO 3166-2 after the hyphen, for tax.
    #[serde(default)]
    pub region: String,
    /// For tax.
    #[serde(default)]
    pub postal_code: String,
    /// Start with the plan's trial. One per person: refused as `trial_used` when the account, its mailbox however it is written,
    /// this browser or its means of payment had one before.
    #[serde(default)]
    pub trial: bool,
    /// Code of a coupon, in any case. One that cannot be used refuses the quote: `coupon_unknown` (also another brand's),
    /// `coupon_not_started`, `coupon_expired`, `coupon_used_up`, `coupon_used_by_you`, `coupon_new_customers_only`,
    /// `coupon_not_for_plan`, `coupon_not_for_term`, `coupon_not_for_currency`, `coupon_not_for_orders`,
    /// `coupon_without_effect`.
    #[serde(default)]
    pub coupon: String,
    /// Options that shall differ from what the plan includes. Refused as `option_unknown`, `option_twice` and
    /// `option_quantity`.
    #[serde(default)]
    pub options: Vec<OptionQuantity>,
    /// `pln_…` of add-ons to buy with it. Refused as `addon_not_found`, `addon_not_for_plan`, `addon_cycle` (none of its cycles
    /// fits into the plan's term) and `addon_twice`.
    #[serde(default)]
    pub addons: Vec<String>,
}

/// What to order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderInput {
    /// `quo_…`, not expired.
    pub quote_id: String,
    /// Whom staff order for; customers order for themselves.
    #[serde(default)]
    pub account_id: Option<String>,
    /// As the invoice shows it; the account's name when left out.
    #[serde(default)]
    pub display_name: Option<String>,
    /// ISO 3166-1 alpha-2; the account's country when left out.
    #[serde(default)]
    pub country: Option<String>,
    /// BCP 47, of mails and the invoice.
    #[serde(default)]
    pub locale: Option<String>,
    /// Of an affiliate; the visited link's code when left out.
    #[serde(default)]
    pub referral_code: Option<String>,
    /// Let the provider keep the method for renewals.
    #[serde(default)]
    pub save_method: bool,
    /// Path the provider's page returns to; `{order}` is replaced. The order's page when left out.
    #[serde(default)]
    pub return_path: Option<String>,
    /// Path it returns to when the customer gives up.
    #[serde(default)]
    pub cancel_path: Option<String>,
    /// The coupon you believe is in the quote: refused as `coupon_not_in_quote` when it is not. When somebody else took its
    /// last use meanwhile, the order is refused as `coupon_used_up`: get a quote without it.
    #[serde(default)]
    pub coupon: String,
    /// The way to pay that was chosen, of those in `/pay-ways`; whichever serves when left out. Refused as `pay_way_unavailable` when it
    /// does not serve what is due.
    #[serde(default)]
    pub provider_account_id: Option<String>,
}

/// The order, and where to pay it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Placed {
    /// The order.
    pub order: Order,
    /// The provider's page. Null when nothing is due now, or when the provider is away: the invoice can be paid later.
    pub checkout_url: Option<String>,
}

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrderQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// One account's, for staff.
    account_id: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_quote))
        .routes(routes!(place_order, list_orders))
        .routes(routes!(get_order))
        .routes(routes!(order_events))
}

/// Get a quote.
#[utoipa::path(post, path = "/quotes", tag = "orders", request_body = QuoteInput, responses((status = 201, body = Quote)))]
async fn create_quote(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Json(input): Json<QuoteInput>,
) -> Reply<Response> {
    let customer = caller.account().filter(|_| caller.actor.kind == ActorKind::Customer);
    let request = billing::CreateQuoteRequest {
        price_id: input.price_id,
        currency: input.currency,
        country: input.country,
        region: input.region,
        postal_code: input.postal_code,
        trial: input.trial,
        coupon: input.coupon,
        options: input.options.into_iter().map(Into::into).collect(),
        addon_plan_ids: input.addons,
        origin: device::of_customer(&state, &caller, &headers).map(|device| device.origin(&caller.request)),
        email: customer.map(|account| account.email.clone()).unwrap_or_default(),
    };
    let quote = state.clients.billing(&caller.call()).create_quote(request).await?.into_inner();
    Ok((StatusCode::CREATED, Json(Quote::from(quote))).into_response())
}

/// Place an order.
///
/// A customer's order may be refused as `order_refused` by the brand's fraud screen, which does not say why, or wait for staff
/// (`under_review`): it then has no invoice yet, and goes on as quoted when they accept it.
#[utoipa::path(post, path = "/orders", tag = "orders", request_body = OrderInput, responses((status = 201, body = Placed)))]
async fn place_order(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    headers: HeaderMap,
    Json(input): Json<OrderInput>,
) -> Reply<Response> {
    limits::order(&state, &caller.request).await?;
    let device = device::of_customer(&state, &caller, &headers);
    let reply = place(&state, &caller, &key, &headers, device.as_ref(), input).await?;
    let order =
        reply.order.ok_or_else(|| Refusal::internal(&std::io::Error::other("an order was placed without one")))?;
    let body = Placed { order: order.into(), checkout_url: reply.checkout_url.show() };
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    if let Some(device) = device {
        response.headers_mut().append(header::SET_COOKIE, device.cookie(&state, &caller.request)?);
    }
    Ok(response)
}

/// Places an order for whoever asks.
async fn place(
    state: &AppState,
    caller: &Caller,
    key: &IdempotencyKey,
    headers: &HeaderMap,
    device: Option<&Device>,
    input: OrderInput,
) -> Reply<billing::PlaceOrderReply> {
    let request = &caller.request;
    let account = buyer(state, caller, input.account_id.as_deref()).await?;
    let path = |field: &str, given: Option<&str>| -> Reply<String> {
        let path = links::own_path(field, given.unwrap_or(links::ORDER))?;
        Ok(links::absolute(request, path))
    };
    let order = billing::PlaceOrderRequest {
        quote_id: input.quote_id,
        account_id: account.id,
        email: account.email,
        display_name: input.display_name.unwrap_or(account.display_name),
        country: input.country.unwrap_or(account.country),
        locale: input.locale.unwrap_or(account.locale),
        referral_code: input.referral_code.or_else(|| referral::code(headers, request)).unwrap_or_default(),
        return_url: path("return_path", input.return_path.as_deref())?,
        cancel_url: path("cancel_path", input.cancel_path.as_deref())?,
        save_method: input.save_method,
        coupon: input.coupon,
        origin: device.map(|device| device.origin(request)),
        provider_account_id: input.provider_account_id.unwrap_or_default(),
    };
    let context = caller.call().idempotency_key(&key.0).timeout(super::payments::PROVIDER_TIMEOUT);
    Ok(state.clients.billing(&context).place_order(order).await?.into_inner())
}

/// The account an order is for.
///
/// # Errors
/// When a customer names somebody else, or staff name nobody.
pub async fn buyer(state: &AppState, caller: &Caller, named: Option<&str>) -> Reply<Account> {
    if caller.actor.kind == ActorKind::Customer {
        let own = caller.account().cloned().ok_or_else(Refusal::sign_in)?;
        return match named {
            Some(id) if id != own.id => {
                Err(Refusal::invalid("account_id", "not_yours", "customers order for themselves"))
            }
            _ => Ok(own),
        };
    }
    let id = named.ok_or_else(|| Refusal::invalid("account_id", "missing", "name the account the order is for"))?;
    let request = GetAccountRequest { account_id: id.to_owned() };
    Ok(state.clients.identity(&caller.call()).get_account(request).await?.into_inner())
}

/// List orders.
#[utoipa::path(get, path = "/orders", tag = "orders", params(OrderQuery), responses((status = 200, body = Page<Order>)))]
async fn list_orders(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<OrderQuery>,
) -> Reply<Json<Page<Order>>> {
    let request = billing::ListOrdersRequest {
        page: page(query.cursor, query.limit)?,
        account_id: query.account_id.unwrap_or_default(),
    };
    let reply = state.clients.billing(&caller.call()).list_orders(request).await?.into_inner();
    Ok(Json(Page::of(reply.orders, reply.page)))
}

/// Get an order.
#[utoipa::path(get, path = "/orders/{id}", tag = "orders", params(("id" = String, Path)), responses((status = 200, body = OrderDetail)))]
async fn get_order(
    State(state): State<AppState>,
    caller: Caller,
    Path(order_id): Path<String>,
) -> Reply<Json<OrderDetail>> {
    let (detail, service) = progress::read(&state, &caller, &order_id).await?;
    let progress = Progress::of(&detail, service.as_ref());
    let order = detail.order.ok_or_else(Refusal::not_found)?;
    Ok(Json(OrderDetail {
        order: order.into(),
        invoice: detail.invoice.show(),
        subscription: detail.subscription.show(),
        payments: detail.payments.show(),
        progress,
    }))
}

/// Watch an order.
///
/// Server-sent events: `progress` with the order's progress as data whenever it changes, a comment every 15 seconds. `Last-Event-ID`
/// resumes. Where streams are not possible, ask for the order every two seconds: it says the same.
#[utoipa::path(get, path = "/orders/{id}/events", tag = "orders", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/event-stream", body = Progress)))]
async fn order_events(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Path(order_id): Path<String>,
) -> Reply<Response> {
    sse::order(state, caller, &headers, order_id).await
}
