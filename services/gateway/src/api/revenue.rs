//! Deferred revenue: what became revenue, and what will.

use axum::extract::State;
use ottery_proto::billing::v1 as billing;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{Money, view};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

view! {
    /// What became revenue by the passing of a day.
    RecognisedDay from billing::RecognisedDay {
        /// In the legal entity's zone.
        day: String,
        amount: Option<Money>,
    }
}

view! {
    /// What becomes revenue in a month.
    DeferredMonth from billing::DeferredMonth {
        /// Such as `2026-12`.
        month: String,
        amount: Option<Money>,
    }
}

view! {
    /// What is deferred in one currency.
    DeferredOutlook from billing::DeferredOutlook {
        /// All of it.
        total: Option<Money>,
        /// The part that waits for subscriptions that are paused.
        paused: Option<Money>,
        /// The rest, by the months in which it becomes revenue.
        months: Vec<DeferredMonth>,
    }
}

view! {
    /// What became revenue day by day, and what is deferred.
    DeferredRevenue from billing::DeferredRevenue {
        /// The first day.
        from: String,
        /// The last day.
        to: String,
        /// Whose days.
        time_zone: String,
        /// By day and currency; days without any are left out.
        days: Vec<RecognisedDay>,
        /// One per currency.
        outlooks: Vec<DeferredOutlook>,
    }
}

/// Which days.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RevenueQuery {
    /// The first day in the legal entity's zone, such as `2026-11-01`; without both days: the last 31.
    from: Option<String>,
    /// The last day; 366 days at most.
    to: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(deferred))
}

/// Get deferred revenue.
///
/// What was paid for a term becomes revenue day by day; what is left of it is deferred, and here by the months to come.
#[utoipa::path(get, path = "/revenue/deferred", tag = "ledger", operation_id = "get_deferred_revenue", params(RevenueQuery), responses((status = 200, body = DeferredRevenue)))]
async fn deferred(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<RevenueQuery>,
) -> Reply<Json<DeferredRevenue>> {
    let request =
        billing::GetDeferredRevenueRequest { from: query.from.unwrap_or_default(), to: query.to.unwrap_or_default() };
    Ok(Json(state.clients.billing(&caller.call()).get_deferred_revenue(request).await?.into_inner().into()))
}
