//! Affiliates, their links and commissions.

use axum::extract::{Path, State};
use ottery_proto::affiliate::v1 as affiliate;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{Money, Page, PageQuery, Time, view, words};
use crate::limits::{Json, Query};
use crate::links;
use crate::problem::{Refusal, Reply};
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// Where a commission stands.
    CommissionState from affiliate::commission::State { Pending, Approved, Reversed, Paid }
}

view! {
    /// Somebody who sends customers.
    Affiliate from affiliate::Affiliate {
        id: String,
        account_id: String,
        code: String,
        clicks: u64,
        referrals: u64,
        pending: Vec<Money>,
        approved: Vec<Money>,
        joined_at: Option<Time>,
    }
}

view! {
    /// What a referral earned.
    Commission from affiliate::Commission {
        id: String,
        affiliate_id: String,
        order_id: String,
        invoice_id: String,
        base: Option<Money>,
        amount: Option<Money>,
        state: CommissionState,
        created_at: Option<Time>,
        approve_after: Option<Time>,
        /// The part taken back by refunds and lost disputes.
        reversed: Option<Money>,
        /// The cardholder disputes the payment: not approved before that is decided.
        held: bool,
    }
}

/// The caller as an affiliate.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnAffiliate {
    /// Numbers.
    pub affiliate: Affiliate,
    /// The link to share.
    pub link: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(join, own))
        .routes(routes!(own_commissions))
        .routes(routes!(list))
        .routes(routes!(commissions))
}

fn with_link(caller: &Caller, affiliate: affiliate::Affiliate) -> OwnAffiliate {
    let link = links::absolute(&caller.request, &format!("/r/{}", affiliate.code));
    OwnAffiliate { affiliate: affiliate.into(), link }
}

/// Become an affiliate.
///
/// The second time answers with the same one.
#[utoipa::path(post, path = "/affiliate", tag = "affiliates", operation_id = "join_affiliates", responses((status = 200, body = OwnAffiliate)))]
async fn join(State(state): State<AppState>, caller: Caller) -> Reply<Json<OwnAffiliate>> {
    let account = caller.account().cloned().ok_or_else(Refusal::sign_in)?;
    let request = affiliate::JoinRequest { account_id: account.id, email: account.email };
    let joined = state.clients.affiliate(&caller.call()).join(request).await?.into_inner();
    Ok(Json(with_link(&caller, joined)))
}

async fn mine(state: &AppState, caller: &Caller) -> Reply<affiliate::Affiliate> {
    let request =
        affiliate::GetAffiliateRequest { affiliate_id: String::new(), account_id: caller.account_id()?.to_owned() };
    Ok(state.clients.affiliate(&caller.call()).get_affiliate(request).await?.into_inner())
}

/// Get my numbers and link.
#[utoipa::path(get, path = "/affiliate", tag = "affiliates", operation_id = "get_own_affiliate", responses((status = 200, body = OwnAffiliate)))]
async fn own(State(state): State<AppState>, caller: Caller) -> Reply<Json<OwnAffiliate>> {
    let affiliate = mine(&state, &caller).await?;
    Ok(Json(with_link(&caller, affiliate)))
}

/// List my commissions.
#[utoipa::path(get, path = "/affiliate/commissions", tag = "affiliates", operation_id = "list_own_commissions", params(PageQuery), responses((status = 200, body = Page<Commission>)))]
async fn own_commissions(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Page<Commission>>> {
    let affiliate_id = mine(&state, &caller).await?.id;
    commissions_of(&state, &caller, affiliate_id, query).await
}

/// List affiliates.
#[utoipa::path(get, path = "/affiliates", tag = "affiliates", operation_id = "list_affiliates", params(PageQuery), responses((status = 200, body = Page<Affiliate>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Page<Affiliate>>> {
    let request = affiliate::ListAffiliatesRequest { page: query.request()? };
    let reply = state.clients.affiliate(&caller.call()).list_affiliates(request).await?.into_inner();
    Ok(Json(Page::of(reply.affiliates, reply.page)))
}

/// List an affiliate's commissions.
#[utoipa::path(get, path = "/affiliates/{id}/commissions", tag = "affiliates", operation_id = "list_commissions", params(("id" = String, Path), PageQuery), responses((status = 200, body = Page<Commission>)))]
async fn commissions(
    State(state): State<AppState>,
    caller: Caller,
    Path(affiliate_id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Page<Commission>>> {
    commissions_of(&state, &caller, affiliate_id, query).await
}

async fn commissions_of(
    state: &AppState,
    caller: &Caller,
    affiliate_id: String,
    query: PageQuery,
) -> Reply<Json<Page<Commission>>> {
    let request = affiliate::ListCommissionsRequest { page: query.request()?, affiliate_id };
    let reply = state.clients.affiliate(&caller.call()).list_commissions(request).await?.into_inner();
    Ok(Json(Page::of(reply.commissions, reply.page)))
}
