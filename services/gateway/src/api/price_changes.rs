//! A new price for those who have an old one.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use ottery_proto::billing::v1 as billing;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{DryRun, Money, Time, view};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

view! {
    /// What becomes of one subscription.
    PriceChangeRow from billing::change_price_reply::Row {
        subscription_id: String,
        account_id: String,
        old_price: Option<Money>,
        /// The same when the old price is kept.
        new_price: Option<Money>,
        /// The first renewal at the new price; null when the old price is kept.
        effective_at: Option<Time>,
        /// It was promised to keep its price.
        was_promised: bool,
    }
}

view! {
    /// Exactly who pays what and when.
    PriceChange from billing::ChangePriceReply {
        rows: Vec<PriceChangeRow>,
        /// There are more: ask again.
        more: bool,
    }
}

/// A price everybody with another one of the same plan, term and currency shall have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceChangeInput {
    /// `pri_…` of the plan's current version.
    pub to_price_id: String,
    /// Days between the announcement and the first renewal it can apply to.
    #[schema(minimum = 7, maximum = 365)]
    pub notice_days: u32,
    /// Only those who have this version of the plan, `plv_…`; left out: any other than the current one.
    #[serde(default)]
    pub from_plan_version_id: String,
    /// Only these; empty: everybody.
    #[serde(default)]
    pub subscription_ids: Vec<String>,
    /// These subscriptions keep their price for good: a promise that only `end_promises` takes back.
    #[serde(default)]
    pub keep_subscription_ids: Vec<String>,
    /// Also those who were promised to keep their price: the promise is over with the notice.
    #[serde(default)]
    pub end_promises: bool,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create))
}

/// Announce a new price.
///
/// Every customer concerned gets a mail with both prices and the day, and can cancel until then. Who has heard of it already is
/// left alone, so asking again announces nothing twice. Try it first with `dry_run`.
#[utoipa::path(post, path = "/price-changes", tag = "subscriptions", operation_id = "change_price", params(DryRun), request_body = PriceChangeInput, responses((status = 201, body = PriceChange)))]
async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Query(mode): Query<DryRun>,
    Json(input): Json<PriceChangeInput>,
) -> Reply<Response> {
    let request = billing::ChangePriceRequest {
        to_price_id: input.to_price_id,
        notice_days: input.notice_days,
        keep_subscription_ids: input.keep_subscription_ids,
        dry_run: mode.dry_run,
        from_plan_version_id: input.from_plan_version_id,
        subscription_ids: input.subscription_ids,
        end_promises: input.end_promises,
    };
    let reply = state.clients.billing(&caller.call()).change_price(request).await?.into_inner();
    Ok((mode.created(), Json(PriceChange::from(reply))).into_response())
}
