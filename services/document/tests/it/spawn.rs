//! The service's side of the child process.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ottery_document::{Drawn, Renderer, SpawnError, render, spawn_render, spawn_within};

use crate::documents::invoice;

/// The example beside this test: the child process and nothing else.
fn child() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let child = test.parent().and_then(Path::parent).unwrap().join("examples/render");
    assert!(
        child.exists(),
        "{} is missing; `cargo build -p ottery-document --example render` makes it",
        child.display()
    );
    child
}

/// A child that runs a script instead of drawing.
fn impostor(folder: &tempfile::TempDir, script: &str) -> PathBuf {
    let path = folder.path().join("impostor");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn from_impostor(script: &str) -> Result<Drawn, SpawnError> {
    let folder = tempfile::tempdir().unwrap();
    spawn_within(&impostor(&folder, script), &invoice(), Duration::from_secs(2)).await
}

#[tokio::test]
async fn the_child_draws_the_same_bytes_as_the_library() {
    let drawn = spawn_render(&child(), &invoice()).await.unwrap();
    assert_eq!(drawn, Drawn { pdf: render(&invoice()).unwrap().bytes, warning: None });
}

#[tokio::test]
async fn several_at_once_wait_for_a_free_place() {
    let renderer = Renderer::new(child(), 1);
    let document = invoice();
    let (one, two) = tokio::join!(renderer.render(&document), renderer.render(&document));
    assert_eq!(one.unwrap(), two.unwrap());
}

#[tokio::test]
async fn a_contradictory_document_starts_no_child() {
    let mut document = invoice();
    document.total_minor += 1;
    let error = spawn_render(Path::new("/nowhere"), &document).await.unwrap_err();
    assert!(matches!(error, SpawnError::Invalid(_)) && !error.is_transient());
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let error = spawn_render(Path::new("/nowhere/renderer"), &invoice()).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/renderer") && error.is_transient());
}

#[tokio::test]
async fn a_child_that_hangs_is_ended() {
    assert!(matches!(from_impostor("cat >/dev/null; exec sleep 60").await, Err(SpawnError::Late(_))));
}

#[tokio::test]
async fn a_child_that_never_stops_writing_is_ended() {
    assert!(matches!(from_impostor("exec cat /dev/zero").await, Err(SpawnError::TooLarge { .. })));
}

#[tokio::test]
async fn the_reason_of_a_refusal_and_of_a_failure_comes_back() {
    let refused = from_impostor("echo 'number is empty' >&2; exit 65").await.unwrap_err();
    assert_eq!((refused.to_string().as_str(), refused.is_transient()), ("number is empty", false));
    let failed = from_impostor("echo 'out of memory' >&2; exit 70").await.unwrap_err();
    assert!(failed.to_string().contains("out of memory") && failed.is_transient());
}

#[tokio::test]
async fn the_child_sees_no_secret_of_the_service() {
    let seen = from_impostor("cat >/dev/null; /usr/bin/env").await.unwrap().pdf;
    assert!(!String::from_utf8_lossy(&seen).contains("CARGO"), "{}", String::from_utf8_lossy(&seen));
}
