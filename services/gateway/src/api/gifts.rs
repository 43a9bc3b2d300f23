//! Codes that are given away or sold: batches for staff, redeeming for customers.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::invoices::file;
use super::orders::buyer;
use super::plans::TermView;
use super::view::{Money, Page, PageQuery, Show as _, Time, page, view, words};
use super::wallet::WalletCredit;
use crate::idempotency::IdempotencyKey;
use crate::limits::{self, Json, Query};
use crate::problem::{Refusal, Reply};
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// Whether codes are given away, which costs when they are redeemed, or were sold, which is owed from their issue on.
    GiftKind from billing::gift_batch::Kind { Promotion, Sold }
}

view! {
    /// A batch of codes.
    GiftBatch from billing::GiftBatch {
        id: String,
        name: String,
        kind: GiftKind,
        /// What one is worth: the money, or the price of the plan.
        value: Option<Money>,
        /// Of codes for a plan.
        plan_name: Option<String>,
        /// Of codes for a plan.
        term: Option<TermView>,
        /// Of codes for money: for how many days the credit is good; 0: for ever.
        credit_days: u32,
        count: u32,
        prefix: Option<String>,
        /// How many one person may redeem; 0: all of them.
        per_person_max: u32,
        /// From here on none can be redeemed.
        expires_at: Option<Time>,
        created_at: Option<Time>,
        voided_at: Option<Time>,
        /// When those that nobody had redeemed expired; what was owed for them is earned then.
        expired_at: Option<Time>,
        /// The codes were handed out, and nobody can read them any more.
        downloaded: bool,
    }
}

view! {
    /// A code; nobody sees more of it than its end.
    GiftCode from billing::GiftCode {
        /// Not what is redeemed.
        id: String,
        last_four: String,
        redeemed_by: Option<String>,
        redeemed_at: Option<Time>,
        voided_at: Option<Time>,
        expired_at: Option<Time>,
    }
}

/// Codes to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GiftBatchInput {
    /// What staff calls it; customers read it in their statement.
    pub name: String,
    /// It decides how the books are kept.
    pub kind: GiftKind,
    /// Money for the wallet; or `price_id`.
    #[serde(default)]
    pub value: Option<Money>,
    /// For how many days the credit is good; 0: for ever, as always of what was sold.
    #[serde(default)]
    pub credit_days: u32,
    /// One term of a plan at this price. It ends with the term unless its customer goes on.
    #[serde(default)]
    pub price_id: Option<String>,
    /// 1 to 10,000. Of a plan that is sold in limited number each holds a place until it is redeemed, void or expired: 409 `sold_out`
    /// with `left` when fewer are left.
    pub count: u32,
    /// Up to 8 letters and digits before each; means nothing.
    #[serde(default)]
    pub prefix: String,
    /// How many one person may redeem; 0: all of them.
    #[serde(default)]
    pub per_person_max: u32,
    /// From here on none can be redeemed; what was sold and is left is earned then.
    #[serde(default)]
    pub expires_at: Option<Time>,
}

/// Why codes are made void.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GiftVoidInput {
    /// For the audit.
    pub reason: String,
}

/// A batch and a page of its codes.
#[derive(Debug, Serialize, ToSchema)]
pub struct GiftCodes {
    /// The batch.
    pub batch: GiftBatch,
    /// Newest first.
    pub items: Vec<GiftCode>,
    /// Null on the last page.
    pub next_cursor: Option<String>,
}

/// A code to redeem.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedeemInput {
    /// As it is printed, in any case, with or without hyphens. Refused as `code_mistyped`; 404 `code_unknown` when it never was, is
    /// over, or was used by somebody else; `code_used_by_you`; `code_limit`.
    pub code: String,
    /// For staff; customers redeem for themselves.
    #[serde(default)]
    pub account_id: Option<String>,
}

/// What came of a code.
#[derive(Debug, Serialize, ToSchema)]
pub struct RedeemedGift {
    /// Of a code for money.
    pub credit: Option<WalletCredit>,
    /// Of a code for a plan.
    pub order_id: Option<String>,
    /// Of a code for a plan; it ends with its first term unless it is resumed.
    pub subscription_id: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(codes))
        .routes(routes!(download))
        .routes(routes!(void_batch))
        .routes(routes!(void_code))
        .routes(routes!(redeem))
}

/// Make codes.
///
/// What they are is read once, by downloading the batch.
#[utoipa::path(post, path = "/gift-batches", tag = "gifts", operation_id = "create_gift_batch", request_body = GiftBatchInput, responses((status = 201, body = GiftBatch)))]
async fn create(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Json(input): Json<GiftBatchInput>,
) -> Reply<(StatusCode, Json<GiftBatch>)> {
    let request = billing::CreateGiftBatchRequest {
        name: input.name,
        kind: input.kind.into(),
        value: input.value.map(Into::into),
        credit_days: input.credit_days,
        price_id: input.price_id.unwrap_or_default(),
        count: input.count,
        prefix: input.prefix,
        per_person_max: input.per_person_max,
        expires_at: input.expires_at.map(Into::into),
    };
    let call = caller.call().idempotency_key(key.0);
    let made = state.clients.gifts(&call).create_gift_batch(request).await?.into_inner();
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// List batches of codes.
#[utoipa::path(get, path = "/gift-batches", tag = "gifts", operation_id = "list_gift_batches", params(PageQuery), responses((status = 200, body = Page<GiftBatch>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Page<GiftBatch>>> {
    let request = billing::ListGiftBatchesRequest { page: page(query.cursor, query.limit)? };
    let reply = state.clients.gifts(&caller.call()).list_gift_batches(request).await?.into_inner();
    Ok(Json(Page::of(reply.batches, reply.page)))
}

/// Get a batch and its codes.
#[utoipa::path(get, path = "/gift-batches/{id}", tag = "gifts", operation_id = "get_gift_batch", params(("id" = String, Path), PageQuery), responses((status = 200, body = GiftCodes)))]
async fn codes(
    State(state): State<AppState>,
    caller: Caller,
    Path(batch_id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Reply<Json<GiftCodes>> {
    let request = billing::ListGiftCodesRequest { batch_id, page: page(query.cursor, query.limit)? };
    let reply = state.clients.gifts(&caller.call()).list_gift_codes(request).await?.into_inner();
    let batch = reply.batch.ok_or_else(Refusal::not_found)?;
    let cursor = reply.page.map(|page| page.next_cursor).unwrap_or_default();
    Ok(Json(GiftCodes { batch: batch.into(), items: reply.codes.show(), next_cursor: cursor.show() }))
}

/// Download the codes of a batch.
///
/// As CSV, once: 409 `codes_handed_out` afterwards.
#[utoipa::path(post, path = "/gift-batches/{id}/download", tag = "gifts", operation_id = "download_gift_codes", params(("id" = String, Path)), responses((status = 200, content_type = "text/csv", body = String)))]
async fn download(State(state): State<AppState>, caller: Caller, Path(batch_id): Path<String>) -> Reply<Response> {
    let request = billing::DownloadGiftCodesRequest { batch_id };
    let reply = state.clients.gifts(&caller.call()).download_gift_codes(request).await?.into_inner();
    file(&reply.file_name, "text/csv; charset=utf-8; header=present", reply.csv)
}

/// Make a batch void.
///
/// What was redeemed stays what it is.
#[utoipa::path(post, path = "/gift-batches/{id}/void", tag = "gifts", operation_id = "void_gift_batch", params(("id" = String, Path)), request_body = GiftVoidInput, responses((status = 200, body = GiftBatch)))]
async fn void_batch(
    State(state): State<AppState>,
    caller: Caller,
    Path(batch_id): Path<String>,
    Json(input): Json<GiftVoidInput>,
) -> Reply<Json<GiftBatch>> {
    let request = billing::VoidGiftBatchRequest { batch_id, reason: input.reason };
    Ok(Json(state.clients.gifts(&caller.call()).void_gift_batch(request).await?.into_inner().into()))
}

/// Make a code void.
#[utoipa::path(post, path = "/gift-codes/{id}/void", tag = "gifts", operation_id = "void_gift_code", params(("id" = String, Path)), request_body = GiftVoidInput, responses((status = 204)))]
async fn void_code(
    State(state): State<AppState>,
    caller: Caller,
    Path(code_id): Path<String>,
    Json(input): Json<GiftVoidInput>,
) -> Reply<StatusCode> {
    let request = billing::VoidGiftCodeRequest { code_id, reason: input.reason };
    state.clients.gifts(&caller.call()).void_gift_code(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Redeem a code.
///
/// A few tries a minute for each account and each address.
#[utoipa::path(post, path = "/gift-codes/redeem", tag = "gifts", operation_id = "redeem_gift_code", request_body = RedeemInput, responses((status = 200, body = RedeemedGift)))]
async fn redeem(
    State(state): State<AppState>,
    caller: Caller,
    Json(input): Json<RedeemInput>,
) -> Reply<Json<RedeemedGift>> {
    let reply = redeem_for(&state, &caller, input.account_id.as_deref(), input.code).await?;
    Ok(Json(RedeemedGift {
        credit: reply.credit.map(Into::into),
        order_id: reply.order_id.show(),
        subscription_id: reply.subscription_id.show(),
    }))
}

/// Redeems a code for whoever asks; pages use it as well.
///
/// # Errors
/// 429 after a few tries; what billing refuses.
pub async fn redeem_for(
    state: &AppState,
    caller: &Caller,
    account_id: Option<&str>,
    code: String,
) -> Reply<billing::RedeemGiftCodeReply> {
    limits::gift_code(state, caller).await?;
    let account = buyer(state, caller, account_id).await?;
    let request = billing::RedeemGiftCodeRequest {
        code,
        account_id: account.id,
        email: account.email,
        display_name: account.display_name,
        country: account.country,
        locale: account.locale,
    };
    Ok(state.clients.gifts(&caller.call()).redeem_gift_code(request).await?.into_inner())
}
