//! The whole story, on everything in one process and on a process per service.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::copy::{Copy, Folder, OTTERY, Topology, doctor, findings, free_port};

const PURCHASES: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_story_goes_as_it_should() {
    let folder = Folder::new("story");
    let copy = Copy::start(&folder.path(), free_port()).await;
    tell(&folder.path(), copy.port).await;
    doctor(&folder.path()).await;
    let (status, _) = copy.end("-TERM").await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_story_goes_as_it_should_over_rabbitmq() {
    let folder = Folder::new("story-cluster");
    let copy = Copy::start_as(Topology::Distributed, &folder.path(), free_port()).await;
    tell(&folder.path(), copy.port).await;
    doctor(&folder.path()).await;
    let (status, _) = copy.end("-TERM").await;
    assert!(status.success(), "{status}");
}

/// Whoever only hears events may be killed at any moment of the story, and one of two replicas. (A service of one replica
/// that answers the story's own calls may not: while it is away they are answered 503.)
#[tokio::test(flavor = "multi_thread")]
async fn fault_f04_services_killed_during_the_story_change_nothing_over_rabbitmq() {
    let folder = Folder::new("story-kills");
    let mut copy = Copy::start_as(Topology::Distributed, &folder.path(), free_port()).await;
    let port = copy.port;
    let mut victims = Vec::new();
    for name in ["provisioning-2", "notification"] {
        victims.push((name, copy.pid_of(name).await));
    }
    let (path, killed) = (folder.path(), async {
        for (name, pid) in victims {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let sent = Command::new("kill").args(["-KILL", &pid.to_string()]).status().await.unwrap();
            assert!(sent.success(), "{name} was gone already");
        }
    });
    tokio::join!(tell(&path, port), killed);
    // Mails that were on their way to the server at that moment may or may not have arrived: a person is told, and nobody is
    // mailed twice. Nothing else is left.
    let left: Vec<_> =
        findings(&path).await.into_iter().filter(|finding| finding["invariant"] != "delivery.unknown").collect();
    assert_eq!(left, [] as [Value; 0]);
    let (status, _) = copy.end("-TERM").await;
    assert!(status.success(), "{status}");
}

/// Tells the story to the end and looks at what it says.
async fn tell(folder: &Path, port: u16) {
    let url = format!("http://127.0.0.1:{port}");
    let told = Command::new(OTTERY)
        .args(["demo", "--json", "--purchases", &PURCHASES.to_string(), "--url", &url, "--data-dir"])
        .arg(folder)
        .output()
        .await
        .unwrap();
    let (said, errors) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success(), "{said}\n{errors}");
    let result: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(result["ok"], true);
    assert_eq!(result["ledger_balanced"], true);
    let steps: Vec<&str> =
        result["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(steps.iter().filter(|name| name.starts_with("purchase ")).count(), PURCHASES);
    for name in
        ["renewal", "renewal declined", "suspension", "late payment", "upgrade", "partial refund", "termination"]
    {
        assert!(steps.contains(&name), "{name} is missing in {steps:?}");
    }
    assert!(result["activation_ms"]["p99"].as_u64().unwrap() >= result["activation_ms"]["p50"].as_u64().unwrap());
}

#[tokio::test]
async fn a_system_that_is_not_there_is_named() {
    let folder = Folder::new("nothing");
    let told = Command::new(OTTERY)
        .args(["demo", "--url", "http://127.0.0.1:9", "--data-dir"])
        .arg(folder.path())
        .output()
        .await
        .unwrap();
    assert_eq!(told.status.code(), Some(1));
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(said.contains("state.toml") && said.contains("--data-dir"), "{said}");
}
