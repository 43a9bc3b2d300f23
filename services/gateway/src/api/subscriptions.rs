//! Subscriptions.

use axum::extract::{Path, State};
use ottery_proto::billing::v1 as billing;
use ottery_proto::identity::v1::GetAccountRequest;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::invoices::InvoiceLine;
use super::options::{BoughtAddOn, ChosenOption, OptionQuantity};
use super::plans::TermView;
use super::view::{Money, Page, Show as _, Time, page, view, words};
use crate::idempotency::IdempotencyKey;
use crate::limits::{self, Json, Query};
use crate::links;
use crate::problem::{Refusal, Reply};
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// Why a subscription is suspended: its own invoice is not paid, staff did it, or the reseller it belongs to has not paid.
    SuspendCause from billing::subscription::SuspendCause { Unpaid, Staff, Reseller }
}

words! {
    /// Where a subscription stands.
    SubscriptionState from billing::subscription::State { Pending, Trialing, Active, PastDue, Suspended, Paused, Ended }
}

view! {
    /// What somebody has bought and keeps paying for.
    Subscription from billing::Subscription {
        id: String,
        account_id: String,
        state: SubscriptionState,
        plan_id: String,
        plan_version_id: String,
        price_id: String,
        plan_name: String,
        price: Option<Money>,
        term: Option<TermView>,
        period_start: Option<Time>,
        period_end: Option<Time>,
        /// Set when it ends with the period instead of renewing.
        cancel_at: Option<Time>,
        created_at: Option<Time>,
        ended_at: Option<Time>,
        /// Whether a saved method is charged at renewal.
        auto_renew: bool,
        payment_method_label: Option<String>,
        open_invoice_id: Option<String>,
        /// Code of its coupon, used up or not.
        coupon: Option<String>,
        /// What the next renewal costs, a coupon counted in.
        renewal_total: Option<Money>,
        version: u64,
        /// The day of the month its periods return to; 0 for terms of days and weeks.
        anchor_day: u32,
        /// IANA zone whose days count.
        time_zone: Option<String>,
        /// The day it moves to with the next renewal; 0 when it stays.
        next_anchor_day: u32,
        /// The zone it moves to with the next renewal.
        next_time_zone: Option<String>,
        /// While paused: when it goes on by itself.
        pause_until: Option<Time>,
        /// How many days its customer may pause; 0 for none.
        pause_days_max: u32,
        /// The end of what is paid; later than the period's end after an early renewal.
        paid_through: Option<Time>,
        /// What it becomes with the next renewal; null when it stays as it is.
        next_price_id: Option<String>,
        next_plan_name: Option<String>,
        /// Why it is suspended; `unspecified` when it is not.
        suspend_cause: SuspendCause,
        /// A renewal paid after service was stopped begins with the payment instead of the old end.
        late_renewal_from_payment: bool,
        /// Another price that was announced; null when none was.
        announced_price: Option<Money>,
        /// The first renewal at the announced price.
        announced_price_at: Option<Time>,
        /// While past due: not suspended before this instant.
        grace_until: Option<Time>,
        /// Its options as they were chosen.
        options: Vec<ChosenOption>,
        /// What a whole term costs with its options, before any coupon.
        term_price: Option<Money>,
        /// Its options from the next renewal on, when a change waits for it.
        next_options: Vec<ChosenOption>,
        /// A pass: it ends with its term instead of renewing.
        once: bool,
        addons: Vec<BoughtAddOn>,
        /// Its add-ons from the next renewal on, when a change waits for it.
        next_addons: Vec<BoughtAddOn>,
        /// A change waits for the renewal: `next_options` and `next_addons` say all there will be.
        changes_at_renewal: bool,
        /// Another price of the plan itself that staff has given for renewals; null for none.
        price_override: Option<PriceOverride>,
    }
}

view! {
    /// A lower price that staff has given.
    PriceOverride from billing::PriceOverride {
        price: Option<Money>,
        /// Renewals that begin here or later cost the plan's price again; null: no end.
        until: Option<Time>,
        since: Option<Time>,
    }
}

/// A lower price for one subscription.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceOverrideInput {
    /// One term of the plan itself, 0 to its price; null or left out takes a price that was given back.
    #[serde(default)]
    pub price: Option<Money>,
    /// Renewals that begin here or later cost the plan's price again; left out: no end.
    #[serde(default)]
    pub until: Option<Time>,
    /// Why; it stays in the audit chain.
    pub reason: String,
}

words! {
    /// When a change takes effect. `now`: when what is due is paid, the running period goes on. `now_restarting`: then a new
    /// period begins. `at_renewal`: with the next renewal.
    ChangeEffect from billing::quote_change_reply::Effect { Now, NowRestarting, AtRenewal }
}

view! {
    /// What changing the plan would cost now.
    ChangeQuote from billing::QuoteChangeReply {
        unused_credit: Option<Money>,
        new_charge: Option<Money>,
        /// Once, for units that are added.
        setup_charge: Option<Money>,
        /// Never negative.
        due_now: Option<Money>,
        /// Goes to the wallet: what the new charge does not use up, never more than was paid.
        credit: Option<Money>,
        effect: ChangeEffect,
        lines: Vec<InvoiceLine>,
        /// What to know before confirming.
        warnings: Vec<String>,
    }
}

view! {
    /// What moving the anchor costs: one odd period with the next renewal.
    AnchorQuote from billing::AnchorQuote {
        /// What the next renewal pays for.
        period_start: Option<Time>,
        period_end: Option<Time>,
        amount: Option<Money>,
        /// Whether it is a part of a term.
        prorated: bool,
        /// The first period after it, at the full price.
        then_start: Option<Time>,
        then_end: Option<Time>,
    }
}

/// Which subscriptions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SubscriptionQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// One account's, for staff.
    account_id: Option<String>,
}

/// Why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonInput {
    /// For the people who read it later.
    #[serde(default)]
    pub reason: String,
}

/// When it shall renew.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnchorInput {
    /// 1 to 31, 31 being the last day of shorter months; left out, the day stays.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 31)]
    pub day: u32,
    /// IANA zone whose days count; left out, it stays.
    #[serde(default)]
    #[schema(example = "Europe/Madrid")]
    pub time_zone: String,
}

/// The move as it was noted.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnchorMoved {
    /// As it is now; the running period keeps its bounds.
    pub subscription: Subscription,
    /// What the next renewal pays for.
    pub quote: AnchorQuote,
}

/// For how long.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseInput {
    /// Days; staff may leave it out for a pause without an end.
    #[serde(default)]
    pub days: u32,
}

/// To whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferInput {
    /// `acc_…` of a customer of the same brand.
    pub account_id: String,
}

/// What to change to: another price, other quantities of options, or both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeQuoteInput {
    /// `prc_…`; left out, the price stays and options change alone.
    #[serde(default)]
    pub price_id: String,
    /// Options that shall differ; the others stay as they are, or come along to another plan as far as it has them. More units
    /// begin at once, fewer with the renewal; both together are refused as `options_mixed`.
    #[serde(default)]
    pub options: Vec<OptionQuantity>,
    /// `pln_…` of add-ons to add: at once, prorated to the end of what is paid.
    #[serde(default)]
    pub add_addons: Vec<String>,
    /// `pln_…` of add-ons to take away: with the renewal.
    #[serde(default)]
    pub drop_addons: Vec<String>,
    /// Code of a coupon for upgrades; refused with the codes a quote is refused with, and `coupon_not_for_upgrades`.
    #[serde(default)]
    pub coupon: String,
}

/// A change of the plan.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeInput {
    /// `prc_…`; left out, the price stays and options change alone.
    #[serde(default)]
    pub price_id: String,
    /// Options that shall differ, as for the quote.
    #[serde(default)]
    pub options: Vec<OptionQuantity>,
    /// `pln_…` of add-ons to add: at once, prorated to the end of what is paid.
    #[serde(default)]
    pub add_addons: Vec<String>,
    /// `pln_…` of add-ons to take away: with the renewal.
    #[serde(default)]
    pub drop_addons: Vec<String>,
    /// Path the provider's page returns to; the subscription's page when left out.
    #[serde(default)]
    pub return_path: Option<String>,
    /// Code of a coupon for upgrades; it replaces the one the subscription has once the change is paid.
    #[serde(default)]
    pub coupon: String,
}

/// The change, and where to pay it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Changed {
    /// As it is now; upgrades take effect when paid.
    pub subscription: Subscription,
    /// The invoice of the difference.
    pub invoice_id: Option<String>,
    /// The provider's page; null when nothing is due.
    pub checkout_url: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(cancel))
        .routes(routes!(resume))
        .routes(routes!(quote_change))
        .routes(routes!(change))
        .routes(routes!(quote_anchor))
        .routes(routes!(move_anchor))
        .routes(routes!(pause))
        .routes(routes!(unpause))
        .routes(routes!(renew))
        .routes(routes!(override_price))
        .routes(routes!(transfer))
        .routes(routes!(suspend))
        .routes(routes!(unsuspend))
        .routes(routes!(terminate))
}

/// List subscriptions.
#[utoipa::path(get, path = "/subscriptions", tag = "subscriptions", operation_id = "list_subscriptions", params(SubscriptionQuery), responses((status = 200, body = Page<Subscription>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<SubscriptionQuery>,
) -> Reply<Json<Page<Subscription>>> {
    let request = billing::ListSubscriptionsRequest {
        page: page(query.cursor, query.limit)?,
        account_id: query.account_id.unwrap_or_default(),
    };
    let reply = state.clients.billing(&caller.call()).list_subscriptions(request).await?.into_inner();
    Ok(Json(Page::of(reply.subscriptions, reply.page)))
}

/// Get a subscription.
#[utoipa::path(get, path = "/subscriptions/{id}", tag = "subscriptions", operation_id = "get_subscription", params(("id" = String, Path)), responses((status = 200, body = Subscription)))]
async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
) -> Reply<Json<Subscription>> {
    let request = billing::GetSubscriptionRequest { subscription_id };
    Ok(Json(state.clients.billing(&caller.call()).get_subscription(request).await?.into_inner().into()))
}

/// Cancel at the end of the period.
#[utoipa::path(post, path = "/subscriptions/{id}/cancel", tag = "subscriptions", operation_id = "cancel_subscription", params(("id" = String, Path)), request_body = ReasonInput, responses((status = 200, body = Subscription)))]
async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
    Json(input): Json<ReasonInput>,
) -> Reply<Json<Subscription>> {
    let request = billing::CancelSubscriptionRequest { subscription_id, reason: input.reason };
    Ok(Json(state.clients.billing(&caller.call()).cancel_subscription(request).await?.into_inner().into()))
}

/// Undo a cancellation.
#[utoipa::path(post, path = "/subscriptions/{id}/resume", tag = "subscriptions", operation_id = "resume_subscription", params(("id" = String, Path)), responses((status = 200, body = Subscription)))]
async fn resume(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
) -> Reply<Json<Subscription>> {
    let request = billing::ResumeSubscriptionRequest { subscription_id };
    Ok(Json(state.clients.billing(&caller.call()).resume_subscription(request).await?.into_inner().into()))
}

/// What would a change cost?
#[utoipa::path(post, path = "/subscriptions/{id}/change-quote", tag = "subscriptions", operation_id = "quote_change", params(("id" = String, Path)), request_body = ChangeQuoteInput, responses((status = 200, body = ChangeQuote)))]
async fn quote_change(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
    Json(input): Json<ChangeQuoteInput>,
) -> Reply<Json<ChangeQuote>> {
    let request = billing::QuoteChangeRequest {
        subscription_id,
        price_id: input.price_id,
        coupon: input.coupon,
        options: input.options.into_iter().map(Into::into).collect(),
        add_addon_plan_ids: input.add_addons,
        drop_addon_plan_ids: input.drop_addons,
    };
    Ok(Json(state.clients.billing(&caller.call()).quote_change(request).await?.into_inner().into()))
}

/// Change the plan.
#[utoipa::path(post, path = "/subscriptions/{id}/change", tag = "subscriptions", operation_id = "change_plan", params(("id" = String, Path)), request_body = ChangeInput, responses((status = 200, body = Changed)))]
async fn change(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(subscription_id): Path<String>,
    Json(input): Json<ChangeInput>,
) -> Reply<Json<Changed>> {
    limits::order(&state, &caller.request).await?;
    let own = links::SUBSCRIPTION.replace("{subscription}", &subscription_id);
    let path = links::own_path("return_path", input.return_path.as_deref().unwrap_or(&own))?;
    let url = links::absolute(&caller.request, path);
    let request = billing::ChangePlanRequest {
        subscription_id,
        price_id: input.price_id,
        return_url: url.clone(),
        cancel_url: url,
        coupon: input.coupon,
        options: input.options.into_iter().map(Into::into).collect(),
        add_addon_plan_ids: input.add_addons,
        drop_addon_plan_ids: input.drop_addons,
    };
    let context = caller.call().idempotency_key(key.0).timeout(super::payments::PROVIDER_TIMEOUT);
    let reply = state.clients.billing(&context).change_plan(request).await?.into_inner();
    let subscription = reply
        .subscription
        .ok_or_else(|| Refusal::internal(&std::io::Error::other("a change without a subscription")))?;
    Ok(Json(Changed {
        subscription: subscription.into(),
        invoice_id: reply.invoice_id.show(),
        checkout_url: reply.checkout_url.show(),
    }))
}

/// What would another renewal day cost?
#[utoipa::path(post, path = "/subscriptions/{id}/anchor-quote", tag = "subscriptions", operation_id = "quote_anchor", params(("id" = String, Path)), request_body = AnchorInput, responses((status = 200, body = AnchorQuote)))]
async fn quote_anchor(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
    Json(input): Json<AnchorInput>,
) -> Reply<Json<AnchorQuote>> {
    let request = billing::MoveAnchorRequest { subscription_id, day: input.day, time_zone: input.time_zone };
    Ok(Json(state.clients.billing(&caller.call()).quote_anchor(request).await?.into_inner().into()))
}

/// Renew on another day, or by the days of another zone.
///
/// The running period keeps its bounds; the next renewal pays for one period of another length, prorated for a new day.
#[utoipa::path(post, path = "/subscriptions/{id}/anchor", tag = "subscriptions", operation_id = "move_anchor", params(("id" = String, Path)), request_body = AnchorInput, responses((status = 200, body = AnchorMoved)))]
async fn move_anchor(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
    Json(input): Json<AnchorInput>,
) -> Reply<Json<AnchorMoved>> {
    let request = billing::MoveAnchorRequest { subscription_id, day: input.day, time_zone: input.time_zone };
    let reply = state.clients.billing(&caller.call()).move_anchor(request).await?.into_inner();
    match (reply.subscription, reply.quote) {
        (Some(subscription), Some(quote)) => {
            Ok(Json(AnchorMoved { subscription: subscription.into(), quote: quote.into() }))
        }
        (None, _) | (_, None) => Err(Refusal::internal(&std::io::Error::other("a move without a subscription"))),
    }
}

/// Pause: neither served nor billed; what is left of the paid time is kept.
#[utoipa::path(post, path = "/subscriptions/{id}/pause", tag = "subscriptions", operation_id = "pause_subscription", params(("id" = String, Path)), request_body = PauseInput, responses((status = 200, body = Subscription)))]
async fn pause(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
    Json(input): Json<PauseInput>,
) -> Reply<Json<Subscription>> {
    let request = billing::PauseSubscriptionRequest { subscription_id, days: input.days };
    Ok(Json(state.clients.billing(&caller.call()).pause_subscription(request).await?.into_inner().into()))
}

/// Take up again after a pause.
#[utoipa::path(post, path = "/subscriptions/{id}/unpause", tag = "subscriptions", operation_id = "unpause_subscription", params(("id" = String, Path)), responses((status = 200, body = Subscription)))]
async fn unpause(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
) -> Reply<Json<Subscription>> {
    let request = billing::UnpauseSubscriptionRequest { subscription_id };
    Ok(Json(state.clients.billing(&caller.call()).unpause_subscription(request).await?.into_inner().into()))
}

/// Renew early.
///
/// Bills the next period now, from the end of what is paid; pay the invoice `open_invoice_id`.
#[utoipa::path(post, path = "/subscriptions/{id}/renew", tag = "subscriptions", operation_id = "renew_subscription", params(("id" = String, Path)), responses((status = 200, body = Subscription)))]
async fn renew(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
) -> Reply<Json<Subscription>> {
    let request = billing::RenewSubscriptionRequest { subscription_id };
    Ok(Json(state.clients.billing(&caller.call()).renew_subscription(request).await?.into_inner().into()))
}

/// Give a lower price.
///
/// From its next period on, for a time. A higher price is announced with a price change instead. Refused as `invoice_open` while
/// a renewal waits for its payment, because that has its price already.
#[utoipa::path(post, path = "/subscriptions/{id}/price-override", tag = "subscriptions", operation_id = "override_price", params(("id" = String, Path)), request_body = PriceOverrideInput, responses((status = 200, body = Subscription)))]
async fn override_price(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
    Json(input): Json<PriceOverrideInput>,
) -> Reply<Json<Subscription>> {
    let request = billing::OverridePriceRequest {
        subscription_id,
        price: input.price.map(Into::into),
        until: input.until.map(Into::into),
        reason: input.reason,
    };
    Ok(Json(state.clients.billing(&caller.call()).override_price(request).await?.into_inner().into()))
}

/// Give to another customer of the brand.
#[utoipa::path(post, path = "/subscriptions/{id}/transfer", tag = "subscriptions", operation_id = "transfer_subscription", params(("id" = String, Path)), request_body = TransferInput, responses((status = 200, body = Subscription)))]
async fn transfer(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
    Json(input): Json<TransferInput>,
) -> Reply<Json<Subscription>> {
    let request = transfer_request(&state, &caller, subscription_id, input.account_id).await?;
    Ok(Json(state.clients.billing(&caller.call()).transfer_subscription(request).await?.into_inner().into()))
}

/// A transfer with the new customer as invoices will show them.
///
/// # Errors
/// When the brand has no such customer.
pub(crate) async fn transfer_request(
    state: &AppState,
    caller: &Caller,
    subscription_id: String,
    account_id: String,
) -> Reply<billing::TransferSubscriptionRequest> {
    let asked = GetAccountRequest { account_id };
    let account = state.clients.identity(&caller.call()).get_account(asked).await?.into_inner();
    Ok(billing::TransferSubscriptionRequest {
        subscription_id,
        account_id: account.id,
        email: account.email,
        display_name: account.display_name,
        country: account.country,
        locale: account.locale,
    })
}

/// Suspend by hand.
#[utoipa::path(post, path = "/subscriptions/{id}/suspend", tag = "subscriptions", operation_id = "suspend_subscription", params(("id" = String, Path)), request_body = ReasonInput, responses((status = 200, body = Subscription)))]
async fn suspend(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
    Json(input): Json<ReasonInput>,
) -> Reply<Json<Subscription>> {
    let request = billing::SuspendSubscriptionRequest { subscription_id, reason: input.reason };
    Ok(Json(state.clients.billing(&caller.call()).suspend_subscription(request).await?.into_inner().into()))
}

/// Lift a suspension.
#[utoipa::path(post, path = "/subscriptions/{id}/unsuspend", tag = "subscriptions", operation_id = "unsuspend_subscription", params(("id" = String, Path)), responses((status = 200, body = Subscription)))]
async fn unsuspend(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
) -> Reply<Json<Subscription>> {
    let request = billing::UnsuspendSubscriptionRequest { subscription_id };
    Ok(Json(state.clients.billing(&caller.call()).unsuspend_subscription(request).await?.into_inner().into()))
}

/// End at once.
#[utoipa::path(post, path = "/subscriptions/{id}/terminate", tag = "subscriptions", operation_id = "terminate_subscription", params(("id" = String, Path)), request_body = ReasonInput, responses((status = 200, body = Subscription)))]
async fn terminate(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
    Json(input): Json<ReasonInput>,
) -> Reply<Json<Subscription>> {
    let request = billing::TerminateSubscriptionRequest { subscription_id, reason: input.reason };
    Ok(Json(state.clients.billing(&caller.call()).terminate_subscription(request).await?.into_inner().into()))
}
