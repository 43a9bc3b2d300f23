use ottery_testkit::database;
use sqlx::migrate::Migrator;
use uuid::Uuid;

static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");
/// Other tests of a run leave hundreds of databases behind.
const LATER_TESTS_MAX: usize = 100;

#[tokio::test]
async fn every_test_gets_an_empty_copy() {
    let (one, two) = tokio::join!(database("sample", &MIGRATIONS), database("sample", &MIGRATIONS));
    assert_ne!(one.name, two.name);
    sqlx::query("INSERT INTO thing VALUES ($1, $1)").bind(Uuid::now_v7()).execute(&one.admin_pool).await.unwrap();
    let in_two: i64 = sqlx::query_scalar("SELECT count(*) FROM thing").fetch_one(&two.admin_pool).await.unwrap();
    assert_eq!(in_two, 0);
}

#[tokio::test]
async fn the_pool_is_the_application_role_behind_row_level_security() {
    let database = database("sample", &MIGRATIONS).await;
    sqlx::query("INSERT INTO thing VALUES ($1, $1)").bind(Uuid::now_v7()).execute(&database.admin_pool).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM thing").fetch_one(&database.pool).await.unwrap();
    assert_eq!(seen, 0);
    let (role, powers): (String, bool) = sqlx::query_as(
        "SELECT rolname::text, rolsuper OR rolbypassrls OR rolcreatedb FROM pg_roles WHERE rolname = current_user",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap();
    assert_eq!((role.as_str(), powers), ("ottery_sample", false));
}

#[tokio::test]
async fn the_database_of_an_ended_process_is_dropped_by_a_later_test() {
    let database = database("sample", &MIGRATIONS).await;
    let mut ended = std::process::Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let left = format!("test_sample_{}_0123456789ab", ended.id());
    ottery_kit::db::create_database(&database.settings, "sample", &left, None).await.unwrap();

    // Another test may have the turn to sweep, and each drops only a few: some later test drops it, not always the next.
    let mut names: Vec<String> = Vec::new();
    for _ in 0..LATER_TESTS_MAX {
        let later = ottery_testkit::database("sample", &MIGRATIONS).await;
        names = sqlx::query_scalar("SELECT datname::text FROM pg_database").fetch_all(&later.admin_pool).await.unwrap();
        if !names.contains(&left) {
            break;
        }
    }
    assert!(!names.contains(&left) && names.contains(&database.name), "{names:?}");
}
