//! Waiting for a server, with a deadline and with its own words when it fails.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::error::{LocalError, at};
use super::leash::Leash;

const LOG_TAIL_BYTES: u64 = 4096;
const LOG_TAIL_LINES: usize = 25;

/// A TCP port of the loopback interface that nobody listens on right now.
pub fn free_port() -> Result<u16, LocalError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(at("find a free port"))?;
    Ok(listener.local_addr().map_err(at("find a free port"))?.port())
}

/// Tries `probe` until it says yes, the child ends or the deadline passes.
pub(super) async fn until(
    leash: &mut Leash,
    log: &Path,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> bool,
) -> Result<(), LocalError> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(25);
    loop {
        if let Some(status) = leash.ended()? {
            return Err(LocalError::Exited {
                what: leash.name().to_owned(),
                status,
                log: log.to_owned(),
                tail: tail(log),
            });
        }
        if timeout(Duration::from_secs(5), probe()).await == Ok(true) {
            return Ok(());
        }
        if begun.elapsed() >= limit {
            return Err(LocalError::NotReady {
                what: leash.name().to_owned(),
                seconds: limit.as_secs(),
                log: log.to_owned(),
                tail: tail(log),
            });
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}

/// Whether a server on this port answers `question` with something that begins with `answer`.
pub(super) async fn answers(port: u16, question: &[u8], answer: &[u8]) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return false };
    let mut begin = vec![0; answer.len()];
    stream.write_all(question).await.is_ok() && stream.read_exact(&mut begin).await.is_ok() && begin == answer
}

/// The last lines of a log.
pub(super) fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
        }
        Err(error) => format!("(no log: {error})"),
    }
}
