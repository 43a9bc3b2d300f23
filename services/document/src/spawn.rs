//! The service's side: start the child, feed it, bound it, take the PDF.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::Command,
    sync::Semaphore,
    time::timeout,
};

use crate::{
    check::Invalid,
    child::{EXIT_REFUSED, INPUT_BYTES_MAX},
    model::Document,
};

/// How long one document may take.
pub const TIME_LIMIT: Duration = Duration::from_secs(20);
/// Bytes a PDF may have.
pub const OUTPUT_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Bytes of the child's explanation that are kept.
const REASON_BYTES_MAX: u64 = 4 * 1024;

/// Why there is no PDF.
#[derive(Debug, Error)]
pub enum SpawnError {
    /// The document contradicts itself or lacks something; no child was started.
    #[error("the document is refused: {0}")]
    Invalid(#[from] Invalid),
    /// The child refused the document; the same document will be refused again.
    #[error("{0}")]
    Refused(String),
    /// The document cannot be written as JSON or is too long for the child.
    #[error("the document cannot be handed over: {0}")]
    Unsendable(String),
    /// The renderer cannot be started.
    #[error("the renderer {program} cannot be started")]
    Start {
        /// What was started.
        program: String,
        /// Why it was not.
        source: std::io::Error,
    },
    /// Reading from or waiting for the child failed.
    #[error("talking to the renderer failed")]
    Talk(#[from] std::io::Error),
    /// The child ran too long and was ended.
    #[error("the renderer did not finish within {} s", .0.as_secs())]
    Late(Duration),
    /// The PDF is larger than accepted; the child was ended.
    #[error("the PDF is larger than {limit} bytes")]
    TooLarge {
        /// Bytes accepted.
        limit: u64,
    },
    /// The child failed.
    #[error("the renderer failed ({status}): {reason}")]
    Failed {
        /// How it ended.
        status: String,
        /// What it said.
        reason: String,
    },
}

/// What a child drew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The PDF.
    pub pdf: Vec<u8>,
    /// What the child could not print as it is written, for the operator's log.
    pub warning: Option<String>,
}

impl SpawnError {
    /// Whether trying again later may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::Refused(_) | Self::Unsendable(_) | Self::TooLarge { .. } => false,
            Self::Start { .. } | Self::Talk(_) | Self::Late(_) | Self::Failed { .. } => true,
        }
    }
}

/// Draws documents in child processes, a few at a time. Cheap to clone; clones share the limit.
#[derive(Clone, Debug)]
pub struct Renderer {
    program: PathBuf,
    permits: Arc<Semaphore>,
}

impl Renderer {
    /// A renderer that starts `program render`, at most `at_once` (at least one) at the same time.
    #[must_use]
    pub fn new(program: PathBuf, at_once: usize) -> Self {
        Self { program, permits: Arc::new(Semaphore::new(at_once.max(1))) }
    }

    /// Draws a document; waits for a free place first. Dropping the future ends the child.
    pub async fn render(&self, document: &Document) -> Result<Drawn, SpawnError> {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        spawn_render(&self.program, document).await
    }
}

/// Starts `program render`, writes the document to it and returns the PDF, within [`TIME_LIMIT`] and
/// [`OUTPUT_BYTES_MAX`]. The child inherits no environment and is ended when it is late or the future is dropped.
pub async fn spawn_render(program: &Path, document: &Document) -> Result<Drawn, SpawnError> {
    spawn_within(program, document, TIME_LIMIT).await
}

/// [`spawn_render`] with a time limit of the caller's.
pub async fn spawn_within(program: &Path, document: &Document, limit: Duration) -> Result<Drawn, SpawnError> {
    document.check()?;
    let json = serde_json::to_vec(document).map_err(|error| SpawnError::Unsendable(error.to_string()))?;
    if json.len() as u64 > INPUT_BYTES_MAX {
        return Err(SpawnError::Unsendable(format!("it is larger than {INPUT_BYTES_MAX} bytes")));
    }
    timeout(limit, converse(program, &json)).await.unwrap_or(Err(SpawnError::Late(limit)))
}

async fn converse(program: &Path, json: &[u8]) -> Result<Drawn, SpawnError> {
    let mut child = Command::new(program)
        .arg("render")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| SpawnError::Start { program: program.display().to_string(), source })?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");

    let feed = async move {
        // A child that stops reading has a reason, and its exit status tells it.
        let _ = stdin.write_all(json).await;
        drop(stdin);
        Ok(())
    };
    let ((), pdf, reason) = tokio::try_join!(feed, read_pdf(stdout), read_reason(stderr))?;
    let status = child.wait().await?;
    if status.success() {
        return Ok(Drawn { pdf, warning: Some(reason).filter(|reason| !reason.is_empty()) });
    }
    if status.code() == Some(EXIT_REFUSED.into()) {
        return Err(SpawnError::Refused(reason));
    }
    Err(SpawnError::Failed { status: status.to_string(), reason })
}

async fn read_pdf(stdout: impl AsyncRead + Unpin) -> Result<Vec<u8>, SpawnError> {
    let mut pdf = Vec::new();
    stdout.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut pdf).await?;
    if pdf.len() as u64 > OUTPUT_BYTES_MAX {
        return Err(SpawnError::TooLarge { limit: OUTPUT_BYTES_MAX });
    }
    Ok(pdf)
}

async fn read_reason(mut stderr: impl AsyncRead + Unpin) -> Result<String, SpawnError> {
    let mut reason = Vec::new();
    (&mut stderr).take(REASON_BYTES_MAX).read_to_end(&mut reason).await?;
    // Keep the pipe empty so that a talkative child does not hang on it.
    tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&reason).trim().to_owned())
}
