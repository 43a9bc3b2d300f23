//! Idempotency keys, test clocks, audit entries, leases, the doctor.

use std::time::Duration;

use chrono::TimeDelta;
use ottery_kernel::{Clock, ManualClock};
use ottery_kit::clock::{self, brand_now, set_brand_clock};
use ottery_kit::db::{Scope, begin};
use ottery_kit::doctor::{self, Severity};
use ottery_kit::grpc::{Actor, ActorKind};
use ottery_kit::idempotency::{self, Begin, IdempotencyError, KeyScope, request_hash};
use ottery_kit::outbox::{self, Event};
use ottery_kit::{audit, lease};
use ottery_proto::catalog::v1::ClockAdvanced;
use ottery_proto::common::v1::{AuditRecorded, PageRequest};
use prost::Message;
use serde_json::json;

use crate::stage::{Stage, brand, now, until};

fn key_scope() -> KeyScope {
    KeyScope { brand: Some(brand()), actor: "acc_1".to_owned(), route: "billing.PlaceOrder" }
}

#[tokio::test]
async fn a_key_is_fresh_once_and_replayed_afterwards() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scope = key_scope();
    let hash = request_hash(&PageRequest { cursor: "a".to_owned(), limit: 1 });
    let other = request_hash(&PageRequest { cursor: "b".to_owned(), limit: 1 });

    let mut abandoned = begin(&pool, Scope::Platform).await.unwrap();
    assert_eq!(idempotency::begin(&mut abandoned, &scope, "k", &hash).await.unwrap(), Begin::Fresh);
    let mut second = begin(&pool, Scope::Platform).await.unwrap();
    let at_work = idempotency::begin(&mut second, &scope, "k", &hash).await.unwrap_err();
    assert!(matches!(at_work, IdempotencyError::InProgress), "{at_work}");
    second.rollback().await.unwrap();
    abandoned.rollback().await.unwrap();

    let mut tx = begin(&pool, Scope::Platform).await.unwrap();
    assert_eq!(
        idempotency::begin(&mut tx, &scope, "k", &hash).await.unwrap(),
        Begin::Fresh,
        "a failed call left nothing"
    );
    idempotency::finish(&mut tx, &scope, "k", b"answer").await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = begin(&pool, Scope::Platform).await.unwrap();
    let again = idempotency::begin(&mut tx, &scope, "k", &hash).await.unwrap();
    assert_eq!(again, Begin::Replay(b"answer".to_vec()));
    let reused = idempotency::begin(&mut tx, &scope, "k", &other).await.unwrap_err();
    assert_eq!(reused.reason(), "IDEMPOTENCY_KEY_REUSED");
    let elsewhere = KeyScope { actor: "acc_2".to_owned(), ..scope };
    assert_eq!(idempotency::begin(&mut tx, &elsewhere, "k", &other).await.unwrap(), Begin::Fresh);
    for invalid in ["", "with space", &"x".repeat(256)] {
        let refused = idempotency::begin(&mut tx, &elsewhere, invalid, &hash).await.unwrap_err();
        assert!(matches!(refused, IdempotencyError::Invalid));
    }
}

#[tokio::test]
async fn a_started_call_whose_owner_is_gone_is_driven_again() {
    let stage = Stage::new().await;
    let (scope, hash) = (key_scope(), request_hash(&PageRequest::default()));
    let mut tx = begin(&stage.pool(), Scope::Platform).await.unwrap();
    idempotency::begin(&mut tx, &scope, "k", &hash).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = begin(&stage.pool(), Scope::Platform).await.unwrap();
    let live = idempotency::begin(&mut tx, &scope, "k", &hash).await.unwrap_err();
    assert!(matches!(live, IdempotencyError::InProgress));
    sqlx::query("UPDATE idempotency SET lease_until = now() - interval '1 s'").execute(&mut *tx).await.unwrap();
    assert_eq!(idempotency::begin(&mut tx, &scope, "k", &hash).await.unwrap(), Begin::Fresh);
}

#[tokio::test]
async fn a_brand_lives_by_its_clock_and_never_backwards() {
    let stage = Stage::new().await;
    stage.start(clock::consumer("kit", stage.pool())).await;
    let (real, brand) = (ManualClock::new(now()), brand());
    let mut tx = begin(&stage.pool(), Scope::Brand(brand)).await.unwrap();
    assert_eq!(brand_now(&mut tx, brand, &real).await.unwrap(), real.now());
    tx.commit().await.unwrap();

    let later = chrono::DateTime::from_timestamp(now().timestamp(), 0).unwrap() + TimeDelta::days(400);
    let advanced = ClockAdvanced {
        brand_id: brand.to_string(),
        now: Some(prost_types::Timestamp { seconds: later.timestamp(), nanos: 0 }),
    };
    let mut tx = begin(&stage.pool(), Scope::Brand(brand)).await.unwrap();
    let event = Event::new(clock::CLOCK_ADVANCED, brand, 1, brand, later, &advanced);
    outbox::append(&mut tx, event).await.unwrap();
    tx.commit().await.unwrap();
    stage.send().await;
    until(|| async {
        let mut tx = begin(&stage.pool(), Scope::Platform).await.unwrap();
        (brand_now(&mut tx, brand, &real).await.unwrap() == later).then_some(())
    })
    .await;

    let mut tx = begin(&stage.pool(), Scope::Platform).await.unwrap();
    set_brand_clock(&mut tx, brand, later - TimeDelta::days(1)).await.unwrap();
    assert_eq!(brand_now(&mut tx, brand, &real).await.unwrap(), later);
}

#[tokio::test]
async fn an_audit_entry_says_who_did_what_and_belongs_to_its_change() {
    let stage = Stage::new().await;
    let brand = brand();
    let actor = Actor::new(ActorKind::Staff, "acc_1", Some(brand));
    let mut tx = begin(&stage.pool(), Scope::Brand(brand)).await.unwrap();
    audit::append(&mut tx, &actor, "panel.update", "pnl_1", None, Some(json!({"name": "Panel"}))).await.unwrap();
    tx.commit().await.unwrap();
    let (kind, payload): (String, Vec<u8>) =
        sqlx::query_as("SELECT kind, payload FROM outbox").fetch_one(&stage.database.admin_pool).await.unwrap();
    let recorded = AuditRecorded::decode(payload.as_slice()).unwrap();
    assert_eq!(kind, "kit.audit.recorded.v1");
    assert_eq!((recorded.actor_kind.as_str(), recorded.actor_id.as_str()), ("staff", "acc_1"));
    assert_eq!((recorded.before_json.as_str(), recorded.after_json.as_str()), ("", r#"{"name":"Panel"}"#));
}

#[tokio::test]
async fn a_lease_has_one_holder_and_the_old_one_is_fenced_off() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let (long, short) = (Duration::from_secs(60), Duration::from_millis(1));
    let first = lease::acquire(&pool, "job", "a", long).await.unwrap().unwrap();
    assert_eq!(lease::acquire(&pool, "job", "b", long).await.unwrap(), None);
    assert_eq!(
        lease::acquire(&pool, "job", "a", short).await.unwrap().unwrap().token,
        first.token,
        "renewing keeps the token"
    );
    tokio::time::sleep(Duration::from_millis(20)).await;
    let second = lease::acquire(&pool, "job", "b", long).await.unwrap().unwrap();
    assert!(second.token > first.token);
    let mut tx = begin(&pool, Scope::Platform).await.unwrap();
    assert!(!lease::check(&mut tx, &first).await.unwrap());
    assert!(lease::check(&mut tx, &second).await.unwrap());
    tx.commit().await.unwrap();
    lease::release(&pool, &first).await.unwrap();
    assert_eq!(lease::acquire(&pool, "job", "a", long).await.unwrap(), None, "a fenced holder cannot release it");
    lease::release(&pool, &second).await.unwrap();
    assert!(lease::acquire(&pool, "job", "a", long).await.unwrap().is_some());
}

#[tokio::test]
async fn the_doctor_finds_what_is_wrong() {
    let stage = Stage::new().await;
    assert_eq!(doctor::invariants(&stage.pool()).await.unwrap(), []);
    stage.append(brand(), "a", [1]).await;
    assert_eq!(doctor::invariants(&stage.pool()).await.unwrap(), [], "a fresh event may wait");
    let admin = &stage.database.admin_pool;
    sqlx::query("UPDATE outbox SET appended_at = now() - interval '2 minutes'").execute(admin).await.unwrap();
    sqlx::query("UPDATE relay_lease SET owner = 'gone', lease_until = now() - interval '5 minutes' WHERE shard = 3")
        .execute(admin)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO retry_delivery (consumer, event_id, kind, aggregate_id, aggregate_version, occurred_at, envelope, state, reason) \
         VALUES ('c', gen_random_uuid(), 'x.y.v1', 'a', 1, now(), '', 'parked', 'permanent')",
    )
    .execute(admin)
    .await
    .unwrap();
    let found = doctor::invariants(&stage.pool()).await.unwrap();
    let names: Vec<(&str, Severity)> =
        found.iter().map(|finding| (finding.invariant.as_str(), finding.severity)).collect();
    assert_eq!(
        names,
        [
            ("outbox.unsent", Severity::Error),
            ("deliveries.parked", Severity::Warning),
            ("relay.lease", Severity::Error)
        ]
    );
}
