//! Growing tables over the years, on a clock that is moved.

use chrono::{DateTime, Datelike as _, Months, TimeDelta, Utc};
use ottery_kernel::BrandId;
use ottery_kit::db::{self, DAYS_AHEAD_MIN, Kept, Scope, begin, keep_partitions, partition_state};
use ottery_kit::doctor::{self, Severity};
use ottery_kit::telemetry::Metrics;
use ottery_kit::upkeep;
use ottery_testkit::TestDatabase;
use sqlx::AssertSqlSafe;

use crate::stage::{MIGRATIONS, Record, Stage, brand, now, until};

async fn fresh() -> TestDatabase {
    ottery_testkit::database("kit", &MIGRATIONS).await
}

async fn keep(database: &TestDatabase, at: DateTime<Utc>) -> Kept {
    keep_partitions(&database.settings, "kit", Some(at)).await.unwrap()
}

/// As the administrator: sees every brand's rows.
async fn count(database: &TestDatabase, of: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {of}");
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&database.admin_pool).await.unwrap()
}

async fn admin(database: &TestDatabase, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&database.admin_pool).await.unwrap();
}

fn part(table: &str, at: DateTime<Utc>) -> String {
    format!("{table}_{:04}{:02}", at.year(), at.month())
}

async fn parts(database: &TestDatabase, table: &str) -> Vec<String> {
    sqlx::query_scalar("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::regclass ORDER BY 1")
        .bind(table)
        .fetch_all(&database.admin_pool)
        .await
        .unwrap()
}

/// An event sent at once, a mark, and a row of a tenant, all of this instant.
async fn live(database: &TestDatabase, brand: BrandId, at: DateTime<Utc>) {
    let mut tx = begin(&database.pool, Scope::Brand(brand)).await.unwrap();
    sqlx::query(
        "INSERT INTO outbox (appended_at, event_id, shard, kind, aggregate_id, aggregate_version, occurred_at, payload, sent_at) \
         VALUES ($1, gen_random_uuid(), 0, 'a.b.v1', 'a', 0, $1, '', $1)",
    )
    .bind(at)
    .execute(&mut *tx)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO inbox (consumer, event_id, occurred_at, handled_at) VALUES ('c', gen_random_uuid(), $1, $1)",
    )
    .bind(at)
    .execute(&mut *tx)
    .await
    .unwrap();
    sqlx::query("INSERT INTO journal (brand_id, at) VALUES ($1, $2)")
        .bind(brand.as_uuid())
        .bind(at)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn years_pass_without_a_restart() {
    let (database, brand, start) = (fresh().await, brand(), now());
    admin(
        &database,
        "INSERT INTO outbox (event_id, shard, kind, aggregate_id, aggregate_version, occurred_at, payload) \
         VALUES (gen_random_uuid(), 0, 'a.b.v1', 'unsent', 0, now(), '')",
    )
    .await;
    let mut at = start;
    for _ in 0..40 {
        live(&database, brand, at).await;
        keep(&database, at).await;
        for state in partition_state(&database.pool, Some(at)).await.unwrap() {
            assert!(state.days_ahead > 80 && state.strays == 0, "{at}: {state:?}");
        }
        at += TimeDelta::days(20);
    }
    let (last, years) = (at - TimeDelta::days(20), (at - start).num_days() / 365);
    assert!(years >= 2);
    for table in ["outbox", "inbox", "journal"] {
        assert_eq!(count(&database, &format!("{table}_default")).await, 0, "{table}");
    }
    // Rows of tenants have no rule and are all there; of the others whole months went.
    assert_eq!(count(&database, "journal").await, 40);
    for (table, done, keep_days) in [("outbox", "sent_at", 30), ("inbox", "handled_at", 90)] {
        let kept = (last - TimeDelta::days(keep_days)).to_rfc3339();
        let gone = (last - TimeDelta::days(keep_days + 31 + 20)).to_rfc3339();
        let recent = count(&database, &format!("{table} WHERE {done} >= '{kept}'")).await;
        assert_eq!(recent, keep_days / 20 + 1, "{table}: what is to be kept is there");
        // The first month is kept for the event that was never sent.
        let old = format!("{table} WHERE {done} < '{gone}' AND tableoid <> '{}'::regclass", part("outbox", start));
        assert_eq!(count(&database, &old).await, 0, "{table}: the rest is gone");
        assert!(parts(&database, table).await.len() < 12, "{table}");
    }
    assert_eq!(count(&database, "outbox WHERE sent_at IS NULL").await, 1, "what was never sent stays, years later");
    assert!(parts(&database, "outbox").await.contains(&part("outbox", start)), "and so does its month");
}

#[tokio::test]
async fn rows_already_in_the_default_partition_are_moved() {
    let (database, brand, start) = (fresh().await, brand(), now());
    let months: Vec<DateTime<Utc>> = (4..8).map(|months| start + Months::new(months)).collect();
    for at in &months {
        live(&database, brand, *at).await;
        live(&database, brand, *at).await;
    }
    // A brand on a test clock is decades ahead of everybody.
    live(&database, brand, start + Months::new(12 * 40)).await;
    admin(&database, "UPDATE outbox SET sent_at = NULL").await;
    let contents = "SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM (SELECT * FROM outbox) t \
         UNION ALL SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM (SELECT * FROM inbox) t \
         UNION ALL SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM (SELECT * FROM journal) t";
    let before: Vec<String> = sqlx::query_scalar(contents).fetch_all(&database.admin_pool).await.unwrap();
    assert_eq!(count(&database, "outbox_default").await, 9);

    let at = months[3];
    let strays: Vec<i64> =
        partition_state(&database.admin_pool, Some(at)).await.unwrap().iter().map(|state| state.strays).collect();
    assert_eq!(strays, [8, 8, 8], "inbox, journal, outbox");
    let kept = keep(&database, at).await;
    assert_eq!(kept.moved, 3 * 8, "{kept:?}");

    let after: Vec<String> = sqlx::query_scalar(contents).fetch_all(&database.admin_pool).await.unwrap();
    assert_eq!(before, after, "nothing is lost, doubled or changed");
    for table in ["outbox", "inbox", "journal"] {
        assert_eq!(count(&database, &format!("{table}_default")).await, 1, "{table}: that of the far future");
        for at in &months {
            assert_eq!(count(&database, &part(table, *at)).await, 2, "{table} at {at}");
        }
    }
    assert!(partition_state(&database.pool, Some(at)).await.unwrap().iter().all(|state| state.days_ahead > 80));
    // Numbers go on, and uniqueness holds over what was moved.
    live(&database, brand, at).await;
    assert_eq!(count(&database, "outbox WHERE seq > 9").await, 1);
    let again = sqlx::query(
        "INSERT INTO inbox (consumer, event_id, occurred_at) SELECT consumer, event_id, occurred_at FROM inbox \
         ON CONFLICT DO NOTHING",
    );
    assert_eq!(again.execute(&database.pool).await.unwrap().rows_affected(), 0);
    assert_eq!(keep(&database, at).await, Kept::default(), "nothing is left to do");
}

#[tokio::test]
async fn an_unsent_event_that_moved_is_sent_once() {
    let stage = Stage::new().await;
    stage.start(stage.consumer("listener", Record)).await;
    stage.append(brand(), "a", 1..=3).await;
    admin(&stage.database, "UPDATE outbox SET appended_at = appended_at + interval '7 months'").await;
    assert_eq!(count(&stage.database, "outbox_default").await, 3);
    let kept = keep(&stage.database, now() + Months::new(7)).await;
    assert_eq!(kept.moved, 3);
    assert_eq!(stage.send().await, 3);
    assert_eq!(stage.until_effects(3).await.len(), 3);
    assert_eq!(stage.send().await, 0);
}

#[tokio::test]
async fn secure_s14_a_partition_shows_no_more_than_its_table() {
    let (database, mine, at) = (fresh().await, brand(), now() + Months::new(9));
    live(&database, mine, now()).await;
    live(&database, mine, at).await;
    assert_eq!(keep(&database, at).await.moved, 3);
    for name in [part("journal", at), part("journal", now()), "journal_default".to_owned()] {
        for scope in [Scope::Platform, Scope::Brand(brand())] {
            let mut tx = begin(&database.pool, scope).await.unwrap();
            let query = format!("SELECT count(*) FROM {name}");
            let seen: i64 = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut *tx).await.unwrap();
            assert_eq!(seen, 0, "{name} for {scope:?}");
            let foreign =
                format!("INSERT INTO {name} (id, brand_id, at) OVERRIDING SYSTEM VALUE VALUES (1, $1, now())");
            sqlx::query(AssertSqlSafe(foreign)).bind(mine.as_uuid()).execute(&mut *tx).await.unwrap_err();
        }
    }
    let mut tx = begin(&database.pool, Scope::Brand(mine)).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM journal").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(seen, 2, "the brand itself sees its rows, moved or not");
    let open = count(
        &database,
        "pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'journal'::regclass \
         AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
    );
    assert_eq!(open.await, 0);
}

#[tokio::test]
async fn secure_s14_the_application_role_can_neither_make_nor_drop_partitions() {
    let database = fresh().await;
    for forbidden in [
        "SELECT ottery_make_partition('outbox', 'appended_at', now() + interval '1 year')",
        "SELECT ottery_drop_spent_partitions('outbox', now() + interval '9 years', 'sent_at', interval '1 day')",
    ] {
        let error = sqlx::query(forbidden).execute(&database.pool).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"), "{error}");
    }
    let forged = sqlx::query("SELECT count(*) FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace");
    assert_eq!(sqlx::Row::get::<i64, _>(&forged.fetch_one(&database.pool).await.unwrap(), 0), 0);
}

#[tokio::test]
async fn a_partition_goes_only_when_nothing_in_it_is_to_be_kept() {
    let (database, start) = (fresh().await, now());
    let mine = brand();
    live(&database, mine, start).await;
    // Handled late: dated this month, done with next year.
    let handled = (start + TimeDelta::days(350)).to_rfc3339();
    admin(&database, &format!("UPDATE inbox SET handled_at = '{handled}'")).await;

    let kept = keep(&database, start + TimeDelta::days(400)).await;
    assert!(kept.dropped.contains(&part("outbox", start)), "{kept:?}");
    assert!(kept.dropped.contains(&part("journal", start - Months::new(1))), "empty: {kept:?}");
    assert_eq!(count(&database, &part("inbox", start)).await, 1);
    let kept = keep(&database, start + TimeDelta::days(450)).await;
    assert!(kept.dropped.contains(&part("inbox", start)), "{kept:?}");
    keep(&database, start + TimeDelta::days(9 * 365)).await;
    assert_eq!(count(&database, &part("journal", start)).await, 1, "without a rule rows stay for ever");
}

#[tokio::test]
async fn work_under_way_is_not_waited_for_and_keepers_do_not_disturb_each_other() {
    let (database, at) = (fresh().await, now());
    let ahead = part("outbox", at + Months::new(2));
    admin(&database, &format!("DROP TABLE {ahead}")).await;
    let mut under_way = begin(&database.pool, Scope::Platform).await.unwrap();
    sqlx::query("INSERT INTO inbox (consumer, event_id, occurred_at) VALUES ('c', gen_random_uuid(), now())")
        .execute(&mut *under_way)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO outbox (event_id, shard, kind, aggregate_id, aggregate_version, occurred_at, payload) \
         VALUES (gen_random_uuid(), 0, 'a.b.v1', 'a', 0, now(), '')",
    )
    .execute(&mut *under_way)
    .await
    .unwrap();
    let (one, two, three) = tokio::join!(keep(&database, at), keep(&database, at), keep(&database, at));
    assert_eq!(one.made + two.made + three.made, 1);
    assert!(parts(&database, "outbox").await.contains(&ahead));
    under_way.commit().await.unwrap();

    let later = at + Months::new(5);
    let (one, two) = tokio::join!(keep(&database, later), keep(&database, later));
    assert_eq!(one.made + two.made, 3 * 5, "the month before, the month itself and three ahead, of three tables");
    assert_eq!(keep(&database, later).await, Kept::default());
}

#[tokio::test]
async fn the_doctor_and_the_metrics_say_that_partitions_run_out() {
    let (database, metrics, stop) = (fresh().await, Metrics::new("kit"), tokio_util::sync::CancellationToken::new());
    assert_eq!(doctor::invariants(&database.pool).await.unwrap(), []);
    for months in 0..4 {
        admin(&database, &format!("DROP TABLE {}", part("outbox", now() + Months::new(months)))).await;
    }
    live(&database, brand(), now()).await;

    let found = doctor::invariants(&database.pool).await.unwrap();
    let names: Vec<(&str, Severity)> = found.iter().map(|one| (one.invariant.as_str(), one.severity)).collect();
    assert_eq!(
        names,
        [("partitions.ahead", Severity::Warning), ("partitions.default", Severity::Warning)],
        "{found:?}"
    );
    assert!(
        found.iter().all(|one| one.detail.contains("`outbox`") && one.detail.contains("ottery migrate --partitions"))
    );

    let watching = tokio::spawn(upkeep::run(database.pool.clone(), metrics.clone(), stop.clone()));
    let page = until(|| async {
        Some(metrics.encode())
            .filter(|page| page.contains(r#"ottery_partition_stray_rows{service="kit",table="outbox"} 1.0"#))
    })
    .await;
    let ahead = r#"ottery_partition_days_ahead{service="kit",table="inbox"} "#;
    let days: f64 = page.lines().find_map(|line| line.strip_prefix(ahead)).unwrap().parse().unwrap();
    assert!(days > DAYS_AHEAD_MIN as f64, "{page}");
    stop.cancel();
    watching.await.unwrap();

    // What the next run of the keeper does about it.
    let kept = keep_partitions(&database.settings, "kit", None).await.unwrap();
    assert_eq!((kept.made, kept.moved), (4, 1));
    assert_eq!(doctor::invariants(&database.pool).await.unwrap(), []);
}

#[tokio::test]
async fn a_database_that_was_not_migrated_yet_says_so() {
    let database = fresh().await;
    let elsewhere = database.settings.clone().with_database("kit", "no_such_database");
    let error = keep_partitions(&elsewhere, "kit", None).await.unwrap_err();
    assert!(matches!(error, db::DatabaseError::Missing { .. }), "{error}");
}
