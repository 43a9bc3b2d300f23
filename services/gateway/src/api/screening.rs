//! Who may have a trial: what a brand goes by, what a customer's trials hold, and allowing one more.

use axum::extract::{Path, State};
use ottery_proto::billing::v1 as billing;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{Time, view, words};
use crate::limits::Json;
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

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(guard)).routes(routes!(allow)).routes(routes!(rules, put_rules))
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
async fn allow(
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
