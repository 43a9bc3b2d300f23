//! A brand's test clock.

use axum::extract::{Path, State};
use ottery_proto::catalog::v1 as catalog;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::brands;
use super::view::{Time, view, words};
use crate::limits::Json;
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// Whether a brand lives in a time of its own. `advancing`: work that became due is still being done.
    ClockState from catalog::test_clock::State { Off, Ready, Advancing }
}

view! {
    /// A brand's test clock.
    TestClock from catalog::TestClock {
        state: ClockState,
        now: Option<Time>,
        /// What it still waits for while advancing.
        waiting_for: Option<String>,
    }
}

/// Where to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClockInput {
    /// Later than the clock's now; the first time turns it on.
    pub to: Time,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read, advance))
}

/// Look at the clock.
#[utoipa::path(get, path = "/brands/{id}/clock", tag = "brands", operation_id = "get_clock", params(("id" = String, Path)), responses((status = 200, body = TestClock)))]
async fn read(State(state): State<AppState>, caller: Caller, Path(brand_id): Path<String>) -> Reply<Json<TestClock>> {
    let clock = brands::get(&state, &caller, brand_id).await?.test_clock;
    Ok(Json(
        clock
            .unwrap_or(catalog::TestClock { state: catalog::test_clock::State::Off.into(), ..Default::default() })
            .into(),
    ))
}

/// Move the clock forward.
///
/// Asynchronous: look until it is `ready` again.
#[utoipa::path(post, path = "/brands/{id}/clock", tag = "brands", operation_id = "advance_clock", params(("id" = String, Path)), request_body = ClockInput, responses((status = 200, body = TestClock)))]
async fn advance(
    State(state): State<AppState>,
    caller: Caller,
    Path(brand_id): Path<String>,
    Json(input): Json<ClockInput>,
) -> Reply<Json<TestClock>> {
    let request = catalog::AdvanceTestClockRequest { brand_id, to: Some(input.to.into()) };
    Ok(Json(state.clients.catalog(&caller.call()).advance_test_clock(request).await?.into_inner().into()))
}
