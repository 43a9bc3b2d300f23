//! Who may have a trial, and which orders are accepted: what a brand goes by, what was seen, and what staff decide.

use axum::extract::{Path, State};
use ottery_proto::billing::v1 as billing;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::orders::Order;
use super::view::{DryRun, Money, Page, Show as _, Time, page, view, words};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// By what somebody is known again: the mailbox however its address is written, the browser, or what they paid with.
    TrialSign from billing::TrialSign { Email, Device, Card }
}

words! {
    /// What becomes of a running trial whose customer pays with what paid in another person's. `end`: what is left of it ends.
    /// `keep`: it goes on and staff get a task.
    ReusedCard from billing::trial_rules::ReusedCard { End, Keep }
}

view! {
    /// A sign that a trial holds: whoever else has it gets none.
    TrialClaim from billing::trial_guard::Claim {
        sign: TrialSign,
        subscription_id: String,
        taken_at: Option<Time>,
    }
}

view! {
    /// One more trial that was allowed and not begun.
    TrialPass from billing::trial_guard::Pass {
        granted_by: String,
        reason: String,
        granted_at: Option<Time>,
    }
}

view! {
    /// What a customer's trials hold, and whether they may have one more.
    TrialGuard from billing::TrialGuard {
        account_id: String,
        /// Whether they had a trial.
        used: bool,
        /// Oldest first. Signs are kept as hashes and cannot be read back.
        claims: Vec<TrialClaim>,
        pass: Option<TrialPass>,
    }
}

/// Why a customer may have one more trial.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialPassInput {
    /// Kept in the audit trail.
    pub reason: String,
}

view! {
    /// By what a brand tells that somebody had a trial before.
    TrialRules from billing::TrialRules {
        by_email: bool,
        by_device: bool,
        by_card: bool,
        reused_card: ReusedCard,
        /// 0 before the first change.
        version: u64,
    }
}

/// By what the brand shall tell that somebody had a trial before.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialRulesInput {
    /// Addresses of one mailbox are one person.
    pub by_email: bool,
    /// Who sits at one browser is one person.
    pub by_device: bool,
    /// Who pays with one card is one person.
    pub by_card: bool,
    /// When the card comes out during the trial.
    pub reused_card: ReusedCard,
    /// The version that was read; 409 `version_conflict` when somebody else was faster.
    pub version: u64,
}

words! {
    /// What is done with an order: it is accepted, waits for staff, or is refused. The strictest of all rules counts.
    ScreenVerdict from billing::ScreenVerdict { Allow, Review, Deny }
}

words! {
    /// By what orders are counted: an account, a browser, a network (an IPv4 /24 or an IPv6 /48), or accounts that paid with the
    /// same card.
    ScreenBy from billing::screen_rules::By { Account, Device, Network, Card }
}

words! {
    /// What staff decided about an order they had to look at.
    ReviewDecision from billing::screening::Decision { Approved, Declined }
}

/// Countries as ISO 3166-1 alpha-2.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScreenCountries {
    /// Nobody from elsewhere is accepted; empty: from everywhere.
    #[serde(default)]
    pub allow_only: Vec<String>,
    /// Nobody from here is.
    #[serde(default)]
    pub deny: Vec<String>,
    /// Staff look at who is from here.
    #[serde(default)]
    pub review: Vec<String>,
}

/// How many orders are usual.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScreenLimit {
    /// By what they are counted.
    pub by: ScreenBy,
    /// 1 to 1000 are usual; the next one is a hit.
    pub orders: u32,
    /// Within 1 to 720 hours.
    pub hours: u32,
    /// `review` or `deny`.
    pub verdict: ScreenVerdict,
}

const fn allow() -> ScreenVerdict {
    ScreenVerdict::Allow
}

const fn deny() -> ScreenVerdict {
    ScreenVerdict::Deny
}

/// The rules of the fraud screen; what is left out is allowed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScreenRules {
    /// By the country the customer is billed in.
    #[serde(default)]
    pub billing_countries: ScreenCountries,
    /// By the country a proxy in front says they are in (`gateway.http.country_header`); without one nothing is known.
    #[serde(default)]
    pub network_countries: ScreenCountries,
    /// When these two differ.
    #[serde(default = "allow")]
    pub country_mismatch: ScreenVerdict,
    /// At most 12.
    #[serde(default)]
    pub limits: Vec<ScreenLimit>,
    /// Of addresses that are thrown away, as the list of `mailchecker` knows them.
    #[serde(default = "allow")]
    pub disposable_mail: ScreenVerdict,
    /// The brand's own list, with every domain below; at most 1000.
    #[serde(default)]
    pub mail_domains: Vec<String>,
    /// Of addresses on it.
    #[serde(default = "allow")]
    pub listed_mail: ScreenVerdict,
    /// What a first order may cost, one amount per currency.
    #[serde(default)]
    pub new_customer_amounts: Vec<Money>,
    /// Of a first order above that.
    #[serde(default = "allow")]
    pub above_amount: ScreenVerdict,
    /// Of a trial by somebody who is known to have had one (see the trial rules): `deny` or `review`.
    #[serde(default = "deny")]
    pub trial_reuse: ScreenVerdict,
}

impl From<billing::screen_rules::Countries> for ScreenCountries {
    fn from(given: billing::screen_rules::Countries) -> Self {
        Self { allow_only: given.allow_only, deny: given.deny, review: given.review }
    }
}

impl From<ScreenCountries> for billing::screen_rules::Countries {
    fn from(given: ScreenCountries) -> Self {
        Self { allow_only: given.allow_only, deny: given.deny, review: given.review }
    }
}

impl From<billing::ScreenRules> for ScreenRules {
    fn from(given: billing::ScreenRules) -> Self {
        let limit = |limit: billing::screen_rules::Limit| ScreenLimit {
            by: limit.by.show(),
            orders: limit.orders,
            hours: limit.hours,
            verdict: limit.verdict.show(),
        };
        Self {
            billing_countries: given.billing_countries.unwrap_or_default().into(),
            network_countries: given.network_countries.unwrap_or_default().into(),
            country_mismatch: given.country_mismatch.show(),
            limits: given.limits.into_iter().map(limit).collect(),
            disposable_mail: given.disposable_mail.show(),
            mail_domains: given.mail_domains,
            listed_mail: given.listed_mail.show(),
            new_customer_amounts: given.new_customer_amounts.show(),
            above_amount: given.above_amount.show(),
            trial_reuse: given.trial_reuse.show(),
        }
    }
}

impl From<ScreenRules> for billing::ScreenRules {
    fn from(given: ScreenRules) -> Self {
        let limit = |limit: ScreenLimit| billing::screen_rules::Limit {
            by: limit.by.into(),
            orders: limit.orders,
            hours: limit.hours,
            verdict: limit.verdict.into(),
        };
        Self {
            billing_countries: Some(given.billing_countries.into()),
            network_countries: Some(given.network_countries.into()),
            country_mismatch: given.country_mismatch.into(),
            limits: given.limits.into_iter().map(limit).collect(),
            disposable_mail: given.disposable_mail.into(),
            mail_domains: given.mail_domains,
            listed_mail: given.listed_mail.into(),
            new_customer_amounts: given.new_customer_amounts.into_iter().map(Into::into).collect(),
            above_amount: given.above_amount.into(),
            trial_reuse: given.trial_reuse.into(),
        }
    }
}

view! {
    /// The rules with their version; 0 before the first change.
    SavedScreenRules from billing::SavedScreenRules {
        rules: Option<ScreenRules>,
        version: u64,
    }
}

/// The rules for orders from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScreenRulesInput {
    /// What the brand wants.
    pub rules: ScreenRules,
    /// The version that was read; 409 `version_conflict` when somebody else was faster.
    pub version: u64,
}

/// Rules to be tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TryScreenInput {
    /// Nothing is saved.
    pub rules: ScreenRules,
    /// How many of the last orders, 1 to 100.
    pub orders: u32,
}

view! {
    /// One rule that has something to say, and what it saw.
    ScreenHit from billing::screening::Hit {
        /// A stable word.
        rule: String,
        verdict: ScreenVerdict,
        evidence: String,
    }
}

view! {
    /// An order as the fraud screen saw it.
    Screening from billing::Screening {
        id: String,
        /// Null when it was denied: there is no order then.
        order_id: Option<String>,
        account_id: String,
        plan_name: String,
        amount: Option<Money>,
        mail_domain: String,
        billing_country: Option<String>,
        /// Null when unknown, or forgotten after `billing.screening.keep_days`, as the network.
        network_country: Option<String>,
        /// A prefix, never an address.
        network: Option<String>,
        new_customer: bool,
        verdict: ScreenVerdict,
        hits: Vec<ScreenHit>,
        rules_version: u64,
        screened_at: Option<Time>,
        /// `unspecified` while nobody decided, and when there was nothing to decide.
        decision: ReviewDecision,
        decided_by: Option<String>,
        decided_at: Option<Time>,
        note: Option<String>,
    }
}

view! {
    /// What rules would have said of an order that was.
    ScreenTried from billing::try_screen_rules_reply::Said {
        /// As it was seen, with what was said then.
        order: Option<Screening>,
        verdict: ScreenVerdict,
        hits: Vec<ScreenHit>,
    }
}

/// What rules would have said.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScreenTries {
    /// Newest first.
    pub orders: Vec<ScreenTried>,
}

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ScreeningQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Only those staff have to decide about.
    #[serde(default)]
    waiting: bool,
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewInput {
    /// Kept with the order and in the audit trail; the customer never reads it.
    #[serde(default)]
    pub note: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(guard))
        .routes(routes!(allow_trial))
        .routes(routes!(rules, put_rules))
        .routes(routes!(screen_rules, put_screen_rules))
        .routes(routes!(try_rules))
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(approve))
        .routes(routes!(decline))
}

/// Get what a customer's trials hold.
#[utoipa::path(get, path = "/accounts/{id}/trial-guard", tag = "orders", operation_id = "get_trial_guard", params(("id" = String, Path)), responses((status = 200, body = TrialGuard)))]
async fn guard(
    State(state): State<AppState>,
    caller: Caller,
    Path(account_id): Path<String>,
) -> Reply<Json<TrialGuard>> {
    let request = billing::GetTrialGuardRequest { account_id };
    Ok(Json(state.clients.screening(&caller.call()).get_trial_guard(request).await?.into_inner().into()))
}

/// Allow a customer one more trial.
///
/// Whatever was used before: a family at one computer, a card that two people share. Allowed twice it is still one.
#[utoipa::path(post, path = "/accounts/{id}/trial-pass", tag = "orders", operation_id = "allow_trial", params(("id" = String, Path)), request_body = TrialPassInput, responses((status = 200, body = TrialGuard)))]
async fn allow_trial(
    State(state): State<AppState>,
    caller: Caller,
    Path(account_id): Path<String>,
    Json(input): Json<TrialPassInput>,
) -> Reply<Json<TrialGuard>> {
    let request = billing::LiftTrialGuardRequest { account_id, reason: input.reason };
    Ok(Json(state.clients.screening(&caller.call()).lift_trial_guard(request).await?.into_inner().into()))
}

/// Get the trial rules.
#[utoipa::path(get, path = "/trial-rules", tag = "orders", operation_id = "get_trial_rules", responses((status = 200, body = TrialRules)))]
async fn rules(State(state): State<AppState>, caller: Caller) -> Reply<Json<TrialRules>> {
    let request = billing::GetTrialRulesRequest {};
    Ok(Json(state.clients.screening(&caller.call()).get_trial_rules(request).await?.into_inner().into()))
}

/// Change the trial rules.
#[utoipa::path(put, path = "/trial-rules", tag = "orders", operation_id = "put_trial_rules", request_body = TrialRulesInput, responses((status = 200, body = TrialRules)))]
async fn put_rules(
    State(state): State<AppState>,
    caller: Caller,
    Json(input): Json<TrialRulesInput>,
) -> Reply<Json<TrialRules>> {
    let request = billing::PutTrialRulesRequest {
        by_email: input.by_email,
        by_device: input.by_device,
        by_card: input.by_card,
        reused_card: input.reused_card.into(),
        expected_version: input.version,
    };
    Ok(Json(state.clients.screening(&caller.call()).put_trial_rules(request).await?.into_inner().into()))
}

/// Get the rules of the fraud screen.
#[utoipa::path(get, path = "/screening/rules", tag = "orders", operation_id = "get_screen_rules", responses((status = 200, body = SavedScreenRules)))]
async fn screen_rules(State(state): State<AppState>, caller: Caller) -> Reply<Json<SavedScreenRules>> {
    let request = billing::GetScreenRulesRequest {};
    Ok(Json(state.clients.screening(&caller.call()).get_screen_rules(request).await?.into_inner().into()))
}

/// Change the rules of the fraud screen.
///
/// 400 names field and rule, and what would be accepted.
#[utoipa::path(put, path = "/screening/rules", tag = "orders", operation_id = "put_screen_rules", params(DryRun), request_body = ScreenRulesInput, responses((status = 200, body = SavedScreenRules)))]
async fn put_screen_rules(
    State(state): State<AppState>,
    caller: Caller,
    Query(mode): Query<DryRun>,
    Json(input): Json<ScreenRulesInput>,
) -> Reply<Json<SavedScreenRules>> {
    let request = billing::PutScreenRulesRequest {
        rules: Some(input.rules.into()),
        expected_version: input.version,
        dry_run: mode.dry_run,
    };
    Ok(Json(state.clients.screening(&caller.call()).put_screen_rules(request).await?.into_inner().into()))
}

/// Try rules of the fraud screen on the last orders.
///
/// Nothing is saved. Where an order came from is forgotten after a while, and then held against nobody.
#[utoipa::path(post, path = "/screening/try", tag = "orders", operation_id = "try_screen_rules", request_body = TryScreenInput, responses((status = 200, body = ScreenTries)))]
async fn try_rules(
    State(state): State<AppState>,
    caller: Caller,
    Json(input): Json<TryScreenInput>,
) -> Reply<Json<ScreenTries>> {
    let request = billing::TryScreenRulesRequest { rules: Some(input.rules.into()), orders: input.orders };
    let reply = state.clients.screening(&caller.call()).try_screen_rules(request).await?.into_inner();
    Ok(Json(ScreenTries { orders: reply.orders.show() }))
}

/// List orders as the fraud screen saw them.
#[utoipa::path(get, path = "/screening/orders", tag = "orders", operation_id = "list_screenings", params(ScreeningQuery), responses((status = 200, body = Page<Screening>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ScreeningQuery>,
) -> Reply<Json<Page<Screening>>> {
    let request = billing::ListScreeningsRequest { page: page(query.cursor, query.limit)?, waiting: query.waiting };
    let reply = state.clients.screening(&caller.call()).list_screenings(request).await?.into_inner();
    Ok(Json(Page::of(reply.screenings, reply.page)))
}

/// Get what the fraud screen saw of an order.
#[utoipa::path(get, path = "/orders/{id}/screening", tag = "orders", operation_id = "get_screening", params(("id" = String, Path)), responses((status = 200, body = Screening)))]
async fn one(State(state): State<AppState>, caller: Caller, Path(order_id): Path<String>) -> Reply<Json<Screening>> {
    let request = billing::GetScreeningRequest { order_id };
    Ok(Json(state.clients.screening(&caller.call()).get_screening(request).await?.into_inner().into()))
}

/// Accept an order under review.
///
/// It goes on as it was quoted, although the quote has expired: its customer gets the invoice by mail, or the trial begins.
#[utoipa::path(post, path = "/orders/{id}/approve", tag = "orders", operation_id = "approve_order", params(("id" = String, Path)), request_body = ReviewInput, responses((status = 200, body = Order)))]
async fn approve(
    State(state): State<AppState>,
    caller: Caller,
    Path(order_id): Path<String>,
    Json(input): Json<ReviewInput>,
) -> Reply<Json<Order>> {
    let request = billing::ReviewOrderRequest { order_id, note: input.note };
    Ok(Json(state.clients.screening(&caller.call()).approve_order(request).await?.into_inner().into()))
}

/// Decline an order under review.
///
/// Nothing was charged; its place, coupon and trial are free for others. The customer gets a mail that does not say why.
#[utoipa::path(post, path = "/orders/{id}/decline", tag = "orders", operation_id = "decline_order", params(("id" = String, Path)), request_body = ReviewInput, responses((status = 200, body = Order)))]
async fn decline(
    State(state): State<AppState>,
    caller: Caller,
    Path(order_id): Path<String>,
    Json(input): Json<ReviewInput>,
) -> Reply<Json<Order>> {
    let request = billing::ReviewOrderRequest { order_id, note: input.note };
    Ok(Json(state.clients.screening(&caller.call()).decline_order(request).await?.into_inner().into()))
}
