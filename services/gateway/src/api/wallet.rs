//! Wallets: what customers have, credit that is granted, statements.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::invoices::{Invoice, file};
use super::orders::buyer;
use super::view::{Money, Show as _, Time, view};
use crate::idempotency::IdempotencyKey;
use crate::limits::{self, Json, Query};
use crate::links;
use crate::problem::{Refusal, Reply};
use crate::session::Caller;
use crate::state::AppState;

view! {
    /// Credit that was granted; it is spent before money that was paid, the soonest expiry first.
    WalletCredit from billing::WalletCredit {
        id: String,
        account_id: String,
        /// As it was granted.
        amount: Option<Money>,
        left: Option<Money>,
        reason: String,
        granted_at: Option<Time>,
        /// From then on it is worth nothing; null: never. What an open invoice took does not expire until it closes.
        expires_at: Option<Time>,
    }
}

view! {
    /// What a customer has in one currency.
    Wallet from billing::Wallet {
        /// What the next invoice can take.
        available: Option<Money>,
        /// The part of it that was paid; never expires.
        paid: Option<Money>,
        /// In the order they are spent.
        credits: Vec<WalletCredit>,
    }
}

view! {
    /// Something that moved.
    WalletMovement from billing::WalletMovement {
        transfer_id: String,
        booked_at: Option<Time>,
        /// `credit.granted`, `credit.expired`, `credit.to_wallet`, `payment.settled`, `refund.settled`, `wallet.applied`,
        /// `wallet.released`, `wallet.topped_up`, `refund.reserved`, `refund.released`,
        /// `wallet.converted`. More may come.
        kind: String,
        /// In words.
        text: String,
        reference_id: Option<String>,
        /// The credit it is about; null for money that was paid.
        credit_id: Option<String>,
        /// What came, below zero what went.
        amount: Option<Money>,
        /// What was in the wallet afterwards.
        balance: Option<Money>,
    }
}

view! {
    /// What moved in a wallet.
    WalletStatement from billing::WalletStatement {
        /// The first day, such as `2026-11-01`.
        from: String,
        /// The last day.
        to: String,
        /// Whose days.
        time_zone: String,
        /// What was in it before.
        opening: Option<Money>,
        /// Oldest first.
        movements: Vec<WalletMovement>,
        /// What was in it at the end.
        closing: Option<Money>,
    }
}

view! {
    /// What a top-up may be, in one currency.
    TopUpLimit from billing::TopUpLimit {
        min: Option<Money>,
        max: Option<Money>,
    }
}

view! {
    /// What amounts a brand takes in one currency, in minor units.
    AmountRule from billing::AmountRule {
        currency: String,
        /// The smallest top-up of a wallet.
        top_up_min_minor: i64,
        /// The largest one.
        top_up_max_minor: i64,
        /// The least a payment may be, where the provider would take less; 0: what the provider takes.
        charge_min_minor: i64,
    }
}

view! {
    /// What amounts a brand takes.
    AmountRules from billing::AmountRules {
        /// One per currency the brand sells in.
        rules: Vec<AmountRule>,
        /// 0 before the first change.
        version: u64,
    }
}

/// What a customer has.
#[derive(Debug, Serialize, ToSchema)]
pub struct Wallets {
    /// One per currency; empty for a customer who never had anything.
    pub wallets: Vec<Wallet>,
    /// What a top-up may be, one per currency the brand sells in.
    pub top_up_limits: Vec<TopUpLimit>,
    /// The saved method a top-up can be charged to.
    pub saved_method_label: Option<String>,
}

view! {
    /// What was converted.
    WalletConversion from billing::WalletConversion {
        /// The reference of its bookings.
        id: String,
        from: Option<Money>,
        to: Option<Money>,
    }
}

/// A wallet to convert.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversionInput {
    /// Whose.
    pub account_id: String,
    /// What is in it; 409 `currency_in_use` while an invoice in it is open, `money_on_hold` while a refund is under way.
    pub from: String,
    /// What shall be in it.
    pub to: String,
    /// How much of `to` one unit of `from` is worth, exactly: `1.0837` or `13/12`. Rounded once, a half to the even minor unit.
    pub rate: String,
    /// For the audit.
    pub reason: String,
}

/// Money for a wallet.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TopUpInput {
    /// For staff; customers top up their own.
    #[serde(default)]
    pub account_id: Option<String>,
    /// Within `top_up_limits` of the wallet; refused as `top_up_amount` with `min` and `max`.
    pub amount: Money,
    /// Charge the usual saved method instead of opening a page; 409 `no_saved_method` without one.
    #[serde(default)]
    pub saved_method: bool,
    /// Charge this saved method of the customer; 404 `payment_method_not_found` when it is not theirs.
    #[serde(default)]
    pub payment_method_id: Option<String>,
    /// Keep what pays on the provider's page for later, where the provider can.
    #[serde(default)]
    pub save_method: bool,
    /// Path the provider's page returns to; `{invoice}` is replaced. The wallet's page when left out.
    #[serde(default)]
    pub return_path: Option<String>,
}

/// A top-up that waits for its money.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopUp {
    /// A pro forma until it is paid; nobody owes it, and unpaid it is void after a day.
    pub invoice: Invoice,
    /// The attempt to pay it.
    pub payment_id: String,
    /// The provider's page; null when a saved method is charged.
    pub checkout_url: Option<String>,
}

/// What the brand takes in one currency.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmountRuleInput {
    /// One the brand sells in.
    pub currency: String,
    /// In minor units.
    pub top_up_min_minor: i64,
    /// In minor units.
    pub top_up_max_minor: i64,
    /// The least a payment may be, where the provider would take less. What is owed below it is carried forward, or paid from
    /// the wallet only.
    #[serde(default)]
    pub charge_min_minor: i64,
}

/// What the brand takes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmountRulesInput {
    /// A currency that is left out has what every brand begins with.
    pub rules: Vec<AmountRuleInput>,
    /// The version that was read; 409 `version_conflict` when somebody else was faster.
    pub version: u64,
}

/// Whose.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WalletQuery {
    /// For staff; customers see their own.
    account_id: Option<String>,
}

/// Which statement.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatementQuery {
    /// For staff; customers see their own.
    account_id: Option<String>,
    /// ISO 4217 code.
    currency: String,
    /// The first day in the brand's zone, such as `2026-11-01`; without both days: the last 90.
    from: Option<String>,
    /// The last day; 366 days at most.
    to: Option<String>,
}

/// A credit to grant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WalletCreditInput {
    /// To whom.
    pub account_id: String,
    /// How much.
    pub amount: Money,
    /// Why; the customer reads it.
    pub reason: String,
    /// From when on it is worth nothing; null: never.
    #[serde(default)]
    pub expires_at: Option<Time>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(read))
        .routes(routes!(grant))
        .routes(routes!(top_up))
        .routes(routes!(convert))
        .routes(routes!(rules, put_rules))
        .routes(routes!(statement))
        .routes(routes!(statement_csv))
}

/// Get a wallet.
#[utoipa::path(get, path = "/wallet", tag = "wallet", operation_id = "get_wallet", params(WalletQuery), responses((status = 200, body = Wallets)))]
async fn read(State(state): State<AppState>, caller: Caller, Query(query): Query<WalletQuery>) -> Reply<Json<Wallets>> {
    let request = billing::GetWalletRequest { account_id: query.account_id.unwrap_or_default() };
    let reply = state.clients.billing(&caller.call()).get_wallet(request).await?.into_inner();
    Ok(Json(Wallets {
        wallets: reply.wallets.show(),
        top_up_limits: reply.top_up_limits.show(),
        saved_method_label: reply.saved_method_label.show(),
    }))
}

/// Top up a wallet.
///
/// An invoice of its own, without tax: what is bought with the money is taxed. It is credited once when it is paid.
#[utoipa::path(post, path = "/wallet/top-ups", tag = "wallet", operation_id = "top_up_wallet", request_body = TopUpInput, responses((status = 201, body = TopUp)))]
async fn top_up(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Json(input): Json<TopUpInput>,
) -> Reply<(StatusCode, Json<TopUp>)> {
    limits::order(&state, &caller.request).await?;
    let account = buyer(&state, &caller, input.account_id.as_deref()).await?;
    let path = links::own_path("return_path", input.return_path.as_deref().unwrap_or(links::WALLET))?;
    let back = links::absolute(&caller.request, path);
    let request = billing::TopUpWalletRequest {
        account_id: account.id,
        email: account.email,
        display_name: account.display_name,
        country: account.country,
        locale: account.locale,
        amount: Some(input.amount.into()),
        saved_method: input.saved_method,
        payment_method_id: input.payment_method_id.unwrap_or_default(),
        save_method: input.save_method,
        return_url: back.clone(),
        cancel_url: back,
    };
    let call = caller.call().idempotency_key(key.0).timeout(super::payments::PROVIDER_TIMEOUT);
    let asked = state.clients.billing(&call).top_up_wallet(request).await?.into_inner();
    let invoice = asked.invoice.ok_or_else(|| Refusal::internal(&std::io::Error::other("a top-up has no invoice")))?;
    let body = TopUp { invoice: invoice.into(), payment_id: asked.payment_id, checkout_url: asked.checkout_url.show() };
    Ok((StatusCode::CREATED, Json(body)))
}

/// Convert a wallet.
///
/// Everything the customer can spend in one currency; granted credit keeps its expiry. Both sides are booked against the
/// account `exchange`.
#[utoipa::path(post, path = "/wallet/conversions", tag = "wallet", operation_id = "convert_wallet", request_body = ConversionInput, responses((status = 201, body = WalletConversion)))]
async fn convert(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Json(input): Json<ConversionInput>,
) -> Reply<(StatusCode, Json<WalletConversion>)> {
    let request = billing::ConvertWalletRequest {
        account_id: input.account_id,
        from_currency: input.from,
        to_currency: input.to,
        rate: input.rate,
        reason: input.reason,
    };
    let call = caller.call().idempotency_key(key.0);
    let converted = state.clients.billing(&call).convert_wallet(request).await?.into_inner();
    Ok((StatusCode::CREATED, Json(converted.into())))
}

/// Get the amount rules.
#[utoipa::path(get, path = "/amount-rules", tag = "wallet", operation_id = "get_amount_rules", responses((status = 200, body = AmountRules)))]
async fn rules(State(state): State<AppState>, caller: Caller) -> Reply<Json<AmountRules>> {
    let reply = state.clients.billing(&caller.call()).get_amount_rules(billing::GetAmountRulesRequest {}).await?;
    Ok(Json(reply.into_inner().into()))
}

/// Change the amount rules.
#[utoipa::path(put, path = "/amount-rules", tag = "wallet", operation_id = "put_amount_rules", request_body = AmountRulesInput, responses((status = 200, body = AmountRules)))]
async fn put_rules(
    State(state): State<AppState>,
    caller: Caller,
    Json(input): Json<AmountRulesInput>,
) -> Reply<Json<AmountRules>> {
    let rule = |rule: AmountRuleInput| billing::AmountRule {
        currency: rule.currency,
        top_up_min_minor: rule.top_up_min_minor,
        top_up_max_minor: rule.top_up_max_minor,
        charge_min_minor: rule.charge_min_minor,
    };
    let request = billing::PutAmountRulesRequest {
        rules: input.rules.into_iter().map(rule).collect(),
        expected_version: input.version,
    };
    Ok(Json(state.clients.billing(&caller.call()).put_amount_rules(request).await?.into_inner().into()))
}

/// Grant credit.
#[utoipa::path(post, path = "/wallet/credits", tag = "wallet", operation_id = "grant_credit", request_body = WalletCreditInput, responses((status = 201, body = WalletCredit)))]
async fn grant(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Json(input): Json<WalletCreditInput>,
) -> Reply<(StatusCode, Json<WalletCredit>)> {
    let request = billing::GrantCreditRequest {
        account_id: input.account_id,
        amount: Some(input.amount.into()),
        reason: input.reason,
        expires_at: input.expires_at.map(Into::into),
    };
    let call = caller.call().idempotency_key(key.0);
    let granted = state.clients.billing(&call).grant_credit(request).await?.into_inner();
    Ok((StatusCode::CREATED, Json(granted.into())))
}

async fn ask(state: &AppState, caller: &Caller, query: StatementQuery) -> Reply<billing::WalletStatement> {
    let request = billing::GetWalletStatementRequest {
        account_id: query.account_id.unwrap_or_default(),
        currency: query.currency,
        from: query.from.unwrap_or_default(),
        to: query.to.unwrap_or_default(),
    };
    Ok(state.clients.billing(&caller.call()).get_wallet_statement(request).await?.into_inner())
}

/// Get a statement of a wallet.
///
/// Opening balance, movements, closing balance; the closing balance of one period is the opening balance of the next.
#[utoipa::path(get, path = "/wallet/statement", tag = "wallet", operation_id = "get_wallet_statement", params(StatementQuery), responses((status = 200, body = WalletStatement)))]
async fn statement(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<StatementQuery>,
) -> Reply<Json<WalletStatement>> {
    Ok(Json(ask(&state, &caller, query).await?.into()))
}

/// Get a statement of a wallet as CSV.
#[utoipa::path(get, path = "/wallet/statement.csv", tag = "wallet", operation_id = "get_wallet_statement_csv", params(StatementQuery), responses((status = 200, content_type = "text/csv", body = String)))]
async fn statement_csv(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<StatementQuery>,
) -> Reply<Response> {
    let found = ask(&state, &caller, query).await?;
    file(&found.file_name, "text/csv; charset=utf-8; header=present", found.csv)
}
