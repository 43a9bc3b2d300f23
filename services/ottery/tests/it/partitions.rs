//! A database nobody looked after: the doctor says so, one command puts it right.

use std::process::Output;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::process::Command;

use crate::copy::{Copy, Folder, OTTERY, free_port};

async fn ottery(arguments: &[&str]) -> (Output, String) {
    let told = Command::new(OTTERY).args(arguments).output().await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    (told, said)
}

#[tokio::test]
async fn missing_partitions_are_found_and_made() {
    let folder = Folder::new("partitions");
    let copy = Copy::start(&folder.path(), free_port()).await;
    let (path, url) = (folder.path(), std::fs::read_to_string(folder.path().join("database-url")).unwrap());
    let (data, url) = (path.to_str().unwrap(), url.trim());
    let options = url.parse::<PgConnectOptions>().unwrap().database("ottery_billing");
    let mut billing = PgConnection::connect_with(&options).await.unwrap();
    for months in 0..2 {
        let name = format!("SELECT 'provider_event_' || to_char(now() + interval '{months} months', 'YYYYMM')");
        let name: String = sqlx::query_scalar(AssertSqlSafe(name)).fetch_one(&mut billing).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("DROP TABLE {name}"))).execute(&mut billing).await.unwrap();
    }
    // No service writes here while nobody buys, so this row is alone.
    sqlx::query(
        "INSERT INTO provider_event (id, brand_id, account_id, event_id, kind, body) \
         VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'evt_1', 'paid', '')",
    )
    .execute(&mut billing)
    .await
    .unwrap();

    let (told, said) = ottery(&["doctor", "--data-dir", data]).await;
    assert!(told.status.success(), "{said}");
    for finding in
        ["billing: partitions.ahead: `provider_event`", "billing: partitions.default: 1 rows of `provider_event`"]
    {
        assert!(said.contains(finding), "{said}");
    }
    let (told, said) = ottery(&["migrate", "--partitions", "--database-url", url]).await;
    assert!(told.status.success(), "{said}");
    assert!(said.contains("partitions: 2 made, 1 rows moved"), "{said}");
    let (told, said) = ottery(&["doctor", "--data-dir", data]).await;
    assert!(told.status.success() && !said.contains("partitions."), "{said}");
    let (status, _) = copy.end("-TERM").await;
    assert!(status.success(), "{status}");
}
