use ottery_kernel::BrandId;
use ottery_kit::db::{DatabaseError, DatabaseSettings, Scope, begin, begin_by_key, is_unique_violation, provision};
use sqlx::PgPool;

use crate::stage::{MIGRATIONS, brand, now};

async fn insert(pool: &PgPool, scope: Scope, brand: BrandId) -> sqlx::Result<()> {
    let mut tx = begin(pool, scope).await?;
    sqlx::query(
        "INSERT INTO effect (brand_id, consumer, aggregate_id, version, event_id) VALUES ($1, 'c', 'a', 1, gen_random_uuid())",
    )
    .bind(brand.as_uuid())
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

async fn visible(pool: &PgPool, scope: Scope) -> i64 {
    let mut tx = begin(pool, scope).await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM effect").fetch_one(&mut *tx).await.unwrap()
}

#[tokio::test]
async fn secure_s14_a_reused_connection_leaks_no_brand() {
    let database = ottery_testkit::database("kit", &MIGRATIONS).await;
    let mut settings = database.settings.clone();
    settings.pool_size = 1;
    let pool = settings.pool("kit").await.unwrap();
    let (mine, other) = (brand(), brand());

    insert(&pool, Scope::Brand(mine), mine).await.unwrap();

    assert_eq!(visible(&pool, Scope::Brand(mine)).await, 1);
    assert_eq!(visible(&pool, Scope::Platform).await, 0, "the brand ended with its transaction");
    assert_eq!(visible(&pool, Scope::Brand(other)).await, 0);
    let outside: i64 = sqlx::query_scalar("SELECT count(*) FROM effect").fetch_one(&pool).await.unwrap();
    assert_eq!(outside, 0, "outside any transaction nothing is seen");

    // A transaction that fails half-way gives its connection back as well.
    let mut tx = begin(&pool, Scope::Brand(mine)).await.unwrap();
    sqlx::query("SELECT 1 / 0").execute(&mut *tx).await.unwrap_err();
    drop(tx);
    assert_eq!(visible(&pool, Scope::Platform).await, 0);
}

#[tokio::test]
async fn plans_are_kept_within_a_transaction_by_key_alone_and_its_brand_ends_with_it() {
    let database = ottery_testkit::database("kit", &MIGRATIONS).await;
    let mut settings = database.settings.clone();
    settings.pool_size = 1;
    let pool = settings.pool("kit").await.unwrap();
    let mine = brand();
    insert(&pool, Scope::Brand(mine), mine).await.unwrap();
    for (scope, seen) in [(Scope::Brand(mine), 1), (Scope::Platform, 0)] {
        let mut tx = begin_by_key(&pool, scope).await.unwrap();
        let mode: String = sqlx::query_scalar("SHOW plan_cache_mode").fetch_one(&mut *tx).await.unwrap();
        assert_eq!(mode, "force_generic_plan", "{scope:?}");
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM effect").fetch_one(&mut *tx).await.unwrap();
        assert_eq!(count, seen, "{scope:?}");
        tx.commit().await.unwrap();
        let mode: String = sqlx::query_scalar("SHOW plan_cache_mode").fetch_one(&pool).await.unwrap();
        assert_eq!(mode, "auto", "{scope:?}");
        assert_eq!(visible(&pool, Scope::Platform).await, 0, "{scope:?}");
    }
}

#[tokio::test]
async fn secure_s14_rows_of_another_brand_cannot_be_written() {
    let database = ottery_testkit::database("kit", &MIGRATIONS).await;
    let (mine, other) = (brand(), brand());
    for scope in [Scope::Brand(mine), Scope::Platform] {
        let error = insert(&database.pool, scope, other).await.unwrap_err();
        assert!(error.to_string().contains("row-level security"), "{scope:?}: {error}");
    }
}

#[tokio::test]
async fn secure_s14_the_application_role_owns_nothing_and_bypasses_nothing() {
    let database = ottery_testkit::database("kit", &MIGRATIONS).await;
    let (is_super, bypasses): (bool, bool) =
        sqlx::query_as("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
            .fetch_one(&database.pool)
            .await
            .unwrap();
    assert!(!is_super && !bypasses);
    let owned: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_class WHERE relowner = current_user::regrole")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(owned, 0);
    for forbidden in
        ["CREATE TABLE mine (id int)", "ALTER TABLE outbox DISABLE ROW LEVEL SECURITY", "DELETE FROM _sqlx_migrations"]
    {
        sqlx::query(forbidden).execute(&database.pool).await.unwrap_err();
    }
}

#[tokio::test]
async fn limits_of_the_role_are_in_force() {
    let database = ottery_testkit::database("kit", &MIGRATIONS).await;
    for (name, expected) in
        [("statement_timeout", "5s"), ("lock_timeout", "2s"), ("idle_in_transaction_session_timeout", "15s")]
    {
        let value: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(&database.pool).await.unwrap();
        assert_eq!(value, expected, "{name}");
    }
}

#[tokio::test]
async fn provisioning_twice_at_the_same_time_is_harmless() {
    let database = ottery_testkit::database("kit", &MIGRATIONS).await;
    let settings = database.settings.clone();
    let (first, second, third) =
        tokio::join!(provision(&settings, "kit"), provision(&settings, "kit"), provision(&settings, "kit"));
    first.unwrap();
    second.unwrap();
    third.unwrap();
}

#[tokio::test]
async fn errors_say_what_to_do() {
    let admin = ottery_testkit::postgres_admin_url().await;
    let database = ottery_testkit::database("kit", &MIGRATIONS).await;

    let missing = database.settings.clone().with_database("kit", "no_such_database").pool("kit").await.unwrap_err();
    assert!(
        missing.to_string().contains("`no_such_database` does not exist")
            && missing.to_string().contains("ottery migrate"),
        "{missing}"
    );

    let refused = DatabaseSettings::for_server(admin, "wrong").with_database("kit", &*database.name);
    // A server that trusts everybody (some developers' do) cannot refuse a password.
    if let Err(error) = refused.pool("kit").await {
        assert!(matches!(error, DatabaseError::Refused { .. }), "{error}");
    }

    let nobody = DatabaseSettings { url: "postgres://127.0.0.1:1".to_owned(), ..DatabaseSettings::default() };
    let unreachable = nobody.pool("kit").await.unwrap_err();
    assert!(unreachable.to_string().contains("127.0.0.1:1 does not answer"), "{unreachable}");

    let odd = DatabaseSettings::default().options("billing; DROP").unwrap_err();
    assert!(odd.to_string().contains("not usable as a database or role name"), "{odd}");
}

#[tokio::test]
async fn a_unique_violation_is_known_by_its_constraint() {
    let database = ottery_testkit::database("kit", &MIGRATIONS).await;
    let insert = "INSERT INTO brand_clock (brand_id, now) VALUES ($1, $2)";
    let brand = brand().as_uuid();
    sqlx::query(insert).bind(brand).bind(now()).execute(&database.pool).await.unwrap();
    let error = sqlx::query(insert).bind(brand).bind(now()).execute(&database.pool).await.unwrap_err();
    assert!(is_unique_violation(&error, "brand_clock_pkey"));
    assert!(!is_unique_violation(&error, "something_else"));
}

#[tokio::test]
async fn rows_outside_the_prepared_months_are_kept_too() {
    let database = ottery_testkit::database("kit", &MIGRATIONS).await;
    for year in ["1999", "2150"] {
        sqlx::query("INSERT INTO inbox (consumer, event_id, occurred_at) VALUES ('c', gen_random_uuid(), ($1 || '-01-01')::timestamptz)")
            .bind(year)
            .execute(&database.pool)
            .await
            .unwrap();
    }
    let strays: i64 = sqlx::query_scalar("SELECT count(*) FROM inbox_default").fetch_one(&database.pool).await.unwrap();
    assert_eq!(strays, 2);
}
