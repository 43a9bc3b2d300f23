//! Wallets: what customers have, credit that is granted, statements.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::invoices::file;
use super::view::{Money, Show as _, Time, view};
use crate::idempotency::IdempotencyKey;
use crate::limits::{Json, Query};
use crate::problem::Reply;
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
        /// `wallet.released`. More may come.
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

/// What a customer has.
#[derive(Debug, Serialize, ToSchema)]
pub struct Wallets {
    /// One per currency; empty for a customer who never had anything.
    pub wallets: Vec<Wallet>,
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
        .routes(routes!(statement))
        .routes(routes!(statement_csv))
}

/// Get a wallet.
#[utoipa::path(get, path = "/wallet", tag = "wallet", operation_id = "get_wallet", params(WalletQuery), responses((status = 200, body = Wallets)))]
async fn read(State(state): State<AppState>, caller: Caller, Query(query): Query<WalletQuery>) -> Reply<Json<Wallets>> {
    let request = billing::GetWalletRequest { account_id: query.account_id.unwrap_or_default() };
    let reply = state.clients.billing(&caller.call()).get_wallet(request).await?.into_inner();
    Ok(Json(Wallets { wallets: reply.wallets.show() }))
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
