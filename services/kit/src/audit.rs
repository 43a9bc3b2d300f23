//! What people did, for the audit chain.
//!
//! The entry is an event in the outbox of the change it describes, so neither exists without the other; `identity`
//! links it into the brand's hash chain. Never put a secret into `before` or `after`.

use ottery_proto::common::v1::AuditRecorded;
use serde_json::Value;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use crate::grpc::Actor;
use crate::outbox::{self, Event};

/// Says in the caller's transaction that `actor` did `action` (`resource.action`) to `target` (a prefixed id).
/// `before` and `after` are what the change was, redacted; `None` when there was or is nothing.
pub async fn append(
    tx: &mut PgTransaction<'_>,
    actor: &Actor,
    action: &str,
    target: impl ToString,
    before: Option<Value>,
    after: Option<Value>,
) -> sqlx::Result<Uuid> {
    let target = target.to_string();
    // The database knows whose it is, and its time cannot be set back by a test clock.
    let here =
        sqlx::query!(r#"SELECT name, clock_timestamp() AS "now!" FROM kit_service"#).fetch_one(&mut **tx).await?;
    let recorded = AuditRecorded {
        action: action.to_owned(),
        actor_kind: actor.kind.to_string(),
        actor_id: actor.subject.clone(),
        target_id: target.clone(),
        before_json: json(before),
        after_json: json(after),
        client_ip: actor.client_ip.clone().unwrap_or_default(),
        request_id: actor.request_id.clone(),
        occurred_at: Some(prost_types::Timestamp {
            seconds: here.now.timestamp(),
            nanos: i32::try_from(here.now.timestamp_subsec_nanos()).unwrap_or(0),
        }),
    };
    let kind = format!("{}.audit.recorded.v1", here.name);
    let mut event = Event::new(kind, target, 0, actor.brand, here.now, &recorded);
    event.correlation_id.clone_from(&actor.request_id);
    outbox::append(tx, event).await
}

fn json(value: Option<Value>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
