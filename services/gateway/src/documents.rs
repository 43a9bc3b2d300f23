//! Drawing a document: `<this program> render` takes it as JSON on standard input and answers with the PDF. A child process,
//! so that the memory and fonts of the typesetter never burden the gateway.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::problem::Refusal;

/// How long one document may take.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// How long a document waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes a PDF may have.
const OUTPUT_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Bytes of the child's explanation that are kept.
const REASON_BYTES_MAX: u64 = 4 * 1024;

/// Draws documents, a few at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Documents {
    program: PathBuf,
    places: Arc<Semaphore>,
}

impl Documents {
    /// Draws with `program render`, at most `at_once` at the same time.
    #[must_use]
    pub fn new(program: PathBuf, at_once: usize) -> Self {
        Self { program, places: Arc::new(Semaphore::new(at_once.max(1))) }
    }

    /// The PDF of this document.
    ///
    /// # Errors
    /// 503 when too many wait, 500 (logged) when drawing fails.
    pub async fn draw(&self, document_json: &str) -> Result<Bytes, Refusal> {
        let busy = || {
            Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "documents_busy",
                "many documents are being drawn; try again in a moment",
            )
        };
        let _place = tokio::time::timeout(PATIENCE, self.places.acquire()).await.map_err(|_| busy())?;
        match tokio::time::timeout(TIME_LIMIT, self.converse(document_json.as_bytes())).await {
            Ok(Ok(pdf)) => Ok(pdf),
            Ok(Err(error)) => Err(Refusal::internal(&error)),
            Err(_) => Err(Refusal::internal(&std::io::Error::other("drawing a document took too long"))),
        }
    }

    async fn converse(&self, json: &[u8]) -> std::io::Result<Bytes> {
        let mut child = Command::new(&self.program)
            .arg("render")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let feed = async move {
            // A child that stops reading has a reason, and its exit status tells it.
            let _ = stdin.write_all(json).await;
            drop(stdin);
        };
        let read = async {
            let mut pdf = Vec::new();
            stdout.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut pdf).await.map(|_| pdf)
        };
        let explain = async {
            let mut reason = Vec::new();
            (&mut stderr).take(REASON_BYTES_MAX).read_to_end(&mut reason).await?;
            // Keep the pipe empty so that a talkative child does not hang on it.
            tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
            std::io::Result::Ok(String::from_utf8_lossy(&reason).trim().to_owned())
        };
        let ((), pdf, reason) = tokio::join!(feed, read, explain);
        let (pdf, reason) = (pdf?, reason?);
        if pdf.len() as u64 > OUTPUT_BYTES_MAX {
            return Err(std::io::Error::other("the PDF is larger than accepted"));
        }
        let status = child.wait().await?;
        if !status.success() {
            return Err(std::io::Error::other(format!("the renderer failed ({status}): {reason}")));
        }
        if !pdf.starts_with(b"%PDF-") {
            return Err(std::io::Error::other(format!("what the renderer wrote is no PDF: {reason}")));
        }
        if !reason.is_empty() {
            tracing::warn!(reason, "a document was drawn, but not everything in it could be printed as it is written");
        }
        Ok(pdf.into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    /// A renderer that runs a script.
    fn renderer(folder: &Path, script: &str) -> Documents {
        let path = folder.join("renderer");
        std::fs::write(&path, format!("#!/bin/sh\ncat >/dev/null\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Documents::new(path, 1)
    }

    #[tokio::test]
    async fn case_042_a_drawing_that_fails_is_a_fault_of_ours_and_the_next_try_draws() {
        let folder = tempfile::tempdir().unwrap();
        for failure in ["echo 'out of memory' >&2; exit 70", "kill -9 $$", "echo running 0 tests"] {
            let refused = renderer(folder.path(), failure).draw("{}").await.unwrap_err();
            assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR, "{failure}");
        }
        let pdf = renderer(folder.path(), "printf %s %PDF-1.7").draw("{}").await.unwrap();
        assert_eq!(pdf, "%PDF-1.7");
    }

    #[tokio::test]
    async fn a_document_with_characters_without_a_font_is_drawn_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let drawn =
            renderer(folder.path(), "echo '2 characters (Han) have no font' >&2; printf %s %PDF-1.7").draw("{}").await;
        assert_eq!(drawn.unwrap(), "%PDF-1.7");
    }
}
