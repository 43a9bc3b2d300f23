use std::process::Command;

use ottery_testkit::services::{self, Running, Wanted};

#[tokio::test]
async fn rabbitmq_speaks_and_stops_with_its_name_server() {
    let (url, running) = services::amqp_alone().await;
    assert!(url.starts_with("amqp://ottery:"));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn redis_of_a_test_is_its_own() {
    let (one, running) = services::redis_alone().await;
    let other = services::redis().await;
    assert_ne!(one, other);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_is_started_that_nobody_wants() {
    let running = Running::start(Wanted::default()).await.unwrap();
    assert_eq!((running.postgres_url(), running.amqp_url(), running.redis_url()), (None, None, None));
}

#[test]
fn a_command_runs_with_its_servers_and_its_status_comes_back() {
    let status = Command::new(env!("CARGO_BIN_EXE_ottery-test-services"))
        .args(["--with", "redis", "--", "sh", "-c", "test -n \"$OTTERY_TEST_REDIS\" && exit 9"])
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(9));
}
