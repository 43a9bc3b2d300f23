//! Keys and passwords are nowhere but in their sealed columns and in the one answer that is asked for them.

use std::io::Write;
use std::sync::{Arc, Mutex};

use ottery_proto::billing::v1::entitlement_changed::Wanted;
use ottery_proto::provisioning::v1::service::Step;
use sqlx::Row as _;
use tracing_subscriber::fmt::MakeWriter;

use crate::world::{ADMIN_KEY, World};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secure_s17_s18_no_key_and_no_password_outside_their_sealed_columns() {
    let logs = Captured::default();
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(logs.clone()).init();
    let world = World::new().await;
    world.admin_panel().await;
    world.fault("create_line", "drop_after_apply", 1).await;
    let (mut subscription, service) = world.ready().await;
    let credentials = world.credentials(&service).await;
    world.fault("edit_line", "html_error", 1).await;
    world.fault("get_line", "truncated", 1).await;
    subscription.until += crate::world::days(10);
    world.want(&mut subscription, Wanted::Active).await;
    world.until(&subscription, Step::Ready).await;
    world.want(&mut subscription, Wanted::Suspended).await;
    world.until(&subscription, Step::Suspended).await;

    let canaries = [ADMIN_KEY.to_owned(), credentials.password.clone()];
    let mut searched = 0;
    let tables = sqlx::query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        .fetch_all(&world.db.admin_pool)
        .await
        .unwrap();
    for table in tables {
        let table: String = table.get(0);
        let statement = format!("SELECT t::text FROM \"{table}\" t");
        for row in sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&world.db.admin_pool).await.unwrap() {
            let text: String = row.get(0);
            searched += 1;
            for canary in &canaries {
                assert!(!text.contains(canary), "{table}: {text}");
                // bytea prints as hexadecimal.
                assert!(!text.contains(&hex::encode(canary)), "{table}: {text}");
            }
        }
    }
    assert!(searched > 10);
    for event in world.events.all() {
        for canary in &canaries {
            let found = event.payload.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "{}", event.r#type);
        }
    }
    let captured = String::from_utf8_lossy(&logs.0.lock().unwrap()).into_owned();
    assert!(captured.len() > 1_000, "logs were captured");
    for line in captured.lines() {
        // The test's own client and the simulator log their traffic too; only ours counts.
        let ours = line.contains("provisioning") || line.contains("ottery_kit") || line.contains("sqlx");
        for canary in &canaries {
            assert!(!(ours && line.contains(canary.as_str())), "{line}");
        }
    }

    // A sealed value opens in its own row only.
    let moved = sqlx::query("UPDATE service SET password_sealed = (SELECT api_key_sealed FROM panel LIMIT 1)")
        .execute(&world.db.admin_pool)
        .await
        .unwrap();
    assert_eq!(moved.rows_affected(), 1);
    let request = ottery_proto::provisioning::v1::RevealCredentialsRequest { service_id: service.id };
    assert!(world.staff().reveal_credentials(request).await.is_err());
}
