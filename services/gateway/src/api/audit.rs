//! Who did what, in a chain nobody can edit unseen.

use axum::extract::State;
use ottery_proto::identity::v1 as identity;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{Page, PageQuery, Time, view};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

view! {
    /// A link of the chain.
    AuditEntry from identity::AuditEntry {
        sequence: u64,
        action: String,
        actor_kind: String,
        actor_id: Option<String>,
        target_id: Option<String>,
        /// Redacted.
        before_json: Option<String>,
        /// Redacted.
        after_json: Option<String>,
        client_ip: Option<String>,
        request_id: Option<String>,
        occurred_at: Option<Time>,
        /// SHA-256 over this entry and the hash before.
        hash: String,
    }
}

view! {
    /// Whether the chain holds.
    AuditVerdict from identity::VerifyAuditReply {
        intact: bool,
        entries: u64,
        /// 0 when intact.
        first_broken_sequence: u64,
    }
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(verify))
}

/// List the audit chain.
#[utoipa::path(get, path = "/audit", tag = "audit", operation_id = "list_audit", params(PageQuery), responses((status = 200, body = Page<AuditEntry>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Page<AuditEntry>>> {
    let request = identity::ListAuditRequest { page: query.request()? };
    let reply = state.clients.identity(&caller.call()).list_audit(request).await?.into_inner();
    Ok(Json(Page::of(reply.entries, reply.page)))
}

/// Verify the audit chain.
#[utoipa::path(post, path = "/audit/verify", tag = "audit", operation_id = "verify_audit", responses((status = 200, body = AuditVerdict)))]
async fn verify(State(state): State<AppState>, caller: Caller) -> Reply<Json<AuditVerdict>> {
    let brand_id = caller.actor.brand.map(|brand| brand.to_string()).unwrap_or_default();
    let context = caller.call().timeout(state.config.http.timeout());
    let reply = state.clients.identity(&context).verify_audit(identity::VerifyAuditRequest { brand_id }).await?;
    Ok(Json(reply.into_inner().into()))
}
