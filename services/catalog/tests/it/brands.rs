use catalog::app::AppError;
use catalog::domain::TestClock;
use chrono::TimeDelta;
use ottery_kit::grpc::Problem;

use crate::{brand_draft, noon, owner, world};

fn reason(error: AppError) -> (String, Option<String>) {
    let problem = Problem::from(error);
    (problem.reason.to_string(), problem.field)
}

#[tokio::test]
async fn a_brand_is_found_by_each_of_its_hosts() {
    let world = world().await;
    let mut draft = brand_draft("nordlicht");
    draft.hosts.push("TV.Nordlicht.example:8443".into());
    let made = world.app.put_brand(&owner(), None, draft, 0).await.unwrap();
    for host in ["nordlicht.example", "tv.nordlicht.example", "TV.nordlicht.example:443"] {
        assert_eq!(world.app.resolve_host(host).await.unwrap().id, made.id, "{host}");
    }
    let unknown = world.app.resolve_host("nordlicht.example.evil.example").await.unwrap_err();
    assert_eq!(reason(unknown).0, "HOST_UNKNOWN");
}

#[tokio::test]
async fn a_host_belongs_to_one_brand() {
    let world = world().await;
    world.app.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap();
    let mut draft = brand_draft("suedwind");
    draft.hosts.push("nordlicht.example".into());
    let refused = world.app.put_brand(&owner(), None, draft, 0).await.unwrap_err();
    assert_eq!(reason(refused), ("HOST_TAKEN".into(), Some("hosts[1]".into())));
}

#[tokio::test]
async fn a_stale_change_is_refused_and_overwrites_nothing() {
    let world = world().await;
    let made = world.app.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap();
    let mut newer = brand_draft("nordlicht");
    newer.tagline = "Television from the north".into();
    let changed = world.app.put_brand(&owner(), Some(made.id), newer, 1).await.unwrap();
    assert_eq!((changed.version, changed.catalog_version), (2, 2));
    let mut stale = brand_draft("nordlicht");
    stale.tagline = "Old news".into();
    let refused = world.app.put_brand(&owner(), Some(made.id), stale, 1).await.unwrap_err();
    assert_eq!(reason(refused).0, "STALE_VERSION");
    let stored = world.app.get_brand(Some(made.id), "").await.unwrap();
    assert_eq!(stored.brand.tagline, "Television from the north");
}

#[tokio::test]
async fn saying_the_same_again_changes_nothing() {
    let world = world().await;
    let made = world.app.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap();
    let again = world.app.put_brand(&owner(), Some(made.id), brand_draft("nordlicht"), 1).await.unwrap();
    assert_eq!((again.version, again.event_version), (made.version, made.event_version));
}

#[tokio::test]
async fn case_027_a_currency_in_use_stays() {
    let world = world().await;
    let made = world.app.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap();
    world.app.put_plan(&owner(), made.id, None, crate::plan_draft("family", &[1000]), 0).await.unwrap();
    let mut draft = brand_draft("nordlicht");
    draft.currencies = vec!["USD".into()];
    let refused = world.app.put_brand(&owner(), Some(made.id), draft, 1).await.unwrap_err();
    assert_eq!(reason(refused), ("CURRENCY_IN_USE".into(), Some("currencies".into())));
}

#[tokio::test]
async fn a_test_clock_moves_forward_one_step_at_a_time() {
    let world = world().await;
    let made = world.app.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap();
    let to = noon() + TimeDelta::days(30);
    let clock = world.app.advance_test_clock(&owner(), made.id, to).await.unwrap();
    assert!(matches!(clock, TestClock::Advancing { now, .. } if now == to));
    let busy = world.app.advance_test_clock(&owner(), made.id, to + TimeDelta::days(1)).await.unwrap_err();
    assert_eq!(reason(busy).0, "CLOCK_ADVANCING");
    let stored = world.app.get_brand(Some(made.id), "").await.unwrap();
    assert_eq!(stored.clock.now(), Some(to));
    world.clock.advance(TimeDelta::days(1));
}

#[tokio::test]
async fn every_change_tells_the_whole_brand_in_order() {
    let world = world().await;
    let made = world.app.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap();
    let mut newer = brand_draft("nordlicht");
    newer.name = "Nordlicht".into();
    world.app.put_brand(&owner(), Some(made.id), newer, 1).await.unwrap();
    let told: Vec<(String, i64)> = sqlx::query_as(
        "SELECT kind, aggregate_version FROM outbox WHERE kind = 'catalog.brand.changed.v1' ORDER BY seq",
    )
    .fetch_all(&world.database.pool)
    .await
    .unwrap();
    let kind = "catalog.brand.changed.v1".to_owned();
    assert_eq!(told, [(kind.clone(), 1), (kind, 2)]);
    let audited: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE kind = 'catalog.audit.recorded.v1'")
        .fetch_one(&world.database.pool)
        .await
        .unwrap();
    assert_eq!(audited, 2);
    assert_eq!(catalog::invariants(&world.database.pool).await.unwrap(), []);
}
