//! `kill -9` at the three worst instants: a child process dies at a crash point, a second one finishes the work.

use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use ottery_kit::broker::Broker;
use ottery_kit::broker::in_process::{self, InProcess};
use ottery_kit::consume::{self, Consumer, ConsumerGroup};
use ottery_kit::db::connect_url;
use ottery_kit::outbox::{Relay, RelaySettings};
use ottery_testkit::TestDatabase;
use sqlx::ConnectOptions;
use tokio_util::sync::CancellationToken;

use crate::stage::{PATIENCE, Record, Stage, brand, until};

const DATABASE: &str = "OTTERY_FAULT_DATABASE";
const BROKER: &str = "OTTERY_FAULT_BROKER";
const GROUP: &str = "OTTERY_FAULT_GROUP";
const KIND: &str = "OTTERY_FAULT_KIND";
const CONSUMES: &str = "OTTERY_FAULT_CONSUMES";

/// Not a test: what the child processes run. Without its environment it does nothing.
#[tokio::test]
#[ignore = "run by the fault tests as their child process"]
async fn child() {
    let Ok(database) = std::env::var(DATABASE) else { return };
    let setting = |name| std::env::var(name).unwrap();
    let pool = connect_url(&database).await.unwrap();
    let broker = Arc::new(InProcess::open(connect_url(&setting(BROKER)).await.unwrap()).await.unwrap());
    let group = ConsumerGroup::new(setting(GROUP), &[&setting(KIND)]);
    broker.declare(std::slice::from_ref(&group)).await.unwrap();
    let shutdown = CancellationToken::new();
    if setting(CONSUMES) == "yes" {
        let consumer = Arc::new(Consumer::new(pool.clone(), group, Record));
        tokio::spawn(consume::run(consumer, broker.clone(), shutdown.clone()));
    }
    let settings = RelaySettings { lease: Duration::from_millis(1_000), ..RelaySettings::default() };
    let relay = tokio::spawn(Relay::with_settings(pool.clone(), broker.clone(), settings).run(shutdown.clone()));
    let unsent = "SELECT count(*) FROM outbox WHERE sent_at IS NULL";
    until(|| async {
        let left: i64 = sqlx::query_scalar(unsent).fetch_one(&pool).await.unwrap();
        let depth = broker.depth(&setting(GROUP)).await.unwrap();
        (left == 0 && (setting(CONSUMES) == "no" || depth.is_empty())).then_some(())
    })
    .await;
    shutdown.cancel();
    relay.await.unwrap();
}

struct Scene {
    stage: Stage,
    broker: TestDatabase,
}

impl Scene {
    async fn new() -> Self {
        let broker = ottery_testkit::database(in_process::NAME, &in_process::MIGRATIONS).await;
        let stage = Stage::new().await;
        stage.append(brand(), "a", [1]).await;
        Self { stage, broker }
    }

    /// Runs a child to its end: by itself, or at `crash_point`.
    async fn run(&self, crash_point: &str, consumes: bool) -> ExitStatus {
        let own = self.stage.database.settings.options("kit").unwrap().to_url_lossy();
        let broker = self.broker.settings.options(in_process::NAME).unwrap().to_url_lossy();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "faults::child", "--ignored", "--nocapture"])
            .env(DATABASE, own.as_str())
            .env(BROKER, broker.as_str())
            .env(GROUP, format!("{}.effects", self.stage.owner))
            .env(KIND, self.stage.kind())
            .env(CONSUMES, if consumes { "yes" } else { "no" })
            .env("OTTERY_CRASH_POINT", crash_point)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let deadline = tokio::time::Instant::now() + PATIENCE * 2;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if tokio::time::Instant::now() > deadline {
                child.kill().unwrap();
                panic!("the child neither finished nor crashed");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn wire_copies(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM delivery").fetch_one(&self.broker.admin_pool).await.unwrap()
    }
}

#[tokio::test]
async fn fault_f01_killed_between_commit_and_publish_the_event_is_published_once_after_restart() {
    let scene = Scene::new().await;
    assert!(!scene.run("outbox.committed", true).await.success(), "it died");
    assert_eq!(scene.stage.effects().await.len(), 0);
    assert!(scene.run("", true).await.success());
    assert_eq!(scene.stage.effects().await.len(), 1);
}

#[tokio::test]
async fn fault_f02_killed_between_confirm_and_mark_two_copies_have_one_effect() {
    let scene = Scene::new().await;
    assert!(!scene.run("outbox.acked", false).await.success(), "it died");
    assert_eq!(scene.wire_copies().await, 1);
    assert!(scene.run("", false).await.success());
    assert_eq!(scene.wire_copies().await, 2, "sent twice");
    assert!(scene.run("", true).await.success());
    assert_eq!(scene.stage.effects().await.len(), 1, "effective once");
    assert_eq!(scene.wire_copies().await, 0);
}

#[tokio::test]
async fn fault_f03_killed_between_effect_and_acknowledgement_the_redelivery_is_ignored() {
    let scene = Scene::new().await;
    assert!(!scene.run("inbox.committed", true).await.success(), "it died");
    assert_eq!(scene.stage.effects().await.len(), 1);
    assert_eq!(scene.wire_copies().await, 1, "not acknowledged");
    assert!(scene.run("", true).await.success());
    assert_eq!(scene.stage.effects().await.len(), 1);
    assert_eq!(scene.stage.count("SELECT count(*) FROM inbox").await, 1);
    assert_eq!(scene.wire_copies().await, 0);
}
