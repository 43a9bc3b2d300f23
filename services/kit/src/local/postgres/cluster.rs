//! The data folder: creating it, and taking it over after a server that did not end in order.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::super::account::Account;
use super::super::error::{LocalError, at};
use super::super::folder::Folder;
use super::super::ready::tail;
use super::binaries::Binaries;

/// A server whose parent was killed is being stopped by its leash; after this long it is asked again.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(5);
const ORPHAN_GONE_WITHIN: Duration = Duration::from_secs(45);

/// The major version that wrote the data; none when there is no data.
pub(super) fn version(data: &Path) -> Result<Option<u32>, LocalError> {
    let path = data.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => {
            text.trim().parse().map(Some).map_err(|_| {
                LocalError::Version(format!("{} does not hold a version: '{}'", path.display(), text.trim()))
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(at(format!("read {}", path.display()))(source)),
    }
}

/// Runs initdb. What it wrote appears under its final name only when it is complete.
pub(super) async fn create(
    binaries: &Binaries,
    folder: &Folder,
    account: Option<&Account>,
    user: &str,
    password: &str,
    fsync: bool,
) -> Result<(), LocalError> {
    let data = folder.join("data");
    let fresh = folder.join("data.new");
    if data.exists() {
        // Without PG_VERSION there is no database in it; with anything else in it, it is not ours to replace.
        fs::remove_dir(&data).map_err(at(format!("{} holds no database but is not empty", data.display())))?;
    }
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(at(format!("remove the unfinished {}", fresh.display())))?;
    }
    let log = folder.log("initdb.log")?;
    let password_file = folder.private_file("initdb.password", password, account)?;
    let mut command = Command::new(&binaries.initdb);
    command
        .arg("--pgdata")
        .arg(&fresh)
        .args(["--username", user, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"])
        .arg("--data-checksums")
        .arg("--pwfile")
        .arg(&password_file)
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if !fsync {
        // Flushing thousands of files takes a minute while a compiler writes to the same disk.
        command.arg("--no-sync");
    }
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    let output = command.output().await.map_err(at(format!("start {}", binaries.initdb.display())))?;
    let words = [output.stdout, output.stderr].concat();
    fs::write(&log, words).map_err(at(format!("write {}", log.display())))?;
    fs::remove_file(&password_file).map_err(at(format!("remove {}", password_file.display())))?;
    if !output.status.success() {
        return Err(LocalError::Exited { what: "initdb".to_owned(), status: output.status, tail: tail(&log), log });
    }
    fs::rename(&fresh, &data).map_err(at(format!("rename {} to {}", fresh.display(), data.display())))
}

/// Makes sure that no server runs on the data, and says whether the last one ended without a shutdown.
///
/// We hold the folder's lock, so a server still running here lost its parent and is on its way out.
pub(super) async fn recover(data: &Path, log: &Path) -> Result<bool, LocalError> {
    let lock = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&lock) else { return Ok(false) };
    let pid = text.lines().next().unwrap_or_default().trim().to_owned();
    let begun = Instant::now();
    let mut asked = false;
    while works_in(&pid, data) {
        if begun.elapsed() > ORPHAN_GONE_WITHIN {
            return Err(LocalError::NotReady {
                what: format!("the end of an earlier PostgreSQL (process {pid})"),
                seconds: ORPHAN_GONE_WITHIN.as_secs(),
                log: log.to_owned(),
                tail: tail(log),
            });
        }
        if begun.elapsed() > ORPHAN_PATIENCE && !asked {
            asked = true;
            tracing::warn!(process.id = %pid, "asking an orphaned PostgreSQL to stop");
            Command::new("/bin/sh")
                .args(["-c", "kill -s INT \"$1\"", "sh", &pid])
                .status()
                .await
                .map_err(at(format!("ask PostgreSQL process {pid} to stop")))?;
        }
        sleep(Duration::from_millis(100)).await;
    }
    // The number may belong to an unrelated process by now, which PostgreSQL takes for a running server. When the
    // process is gone PostgreSQL decides by itself, and also looks for children of the old server.
    if lock.exists() && Path::new("/proc").join(&pid).exists() && !pid.is_empty() {
        tracing::warn!(path = %lock.display(), "removing the lock file of a PostgreSQL that was killed");
        fs::remove_file(&lock).map_err(at(format!("remove the stale {}", lock.display())))?;
    }
    Ok(true)
}

/// Whether the process runs in the data folder, as every PostgreSQL server does.
fn works_in(pid: &str, data: &Path) -> bool {
    !pid.is_empty() && fs::read_link(Path::new("/proc").join(pid).join("cwd")).is_ok_and(|folder| folder == data)
}

/// The port of the last start, when it is free now.
pub(super) fn last_port(folder: &Folder) -> Option<u16> {
    let port = fs::read_to_string(folder.join("port")).ok()?.trim().parse().ok()?;
    std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)).ok().map(|_| port)
}

/// Whether what the server wrote since `from` names a cause that passes: a port somebody else just took, or children of
/// a killed server that have not noticed yet.
pub(super) fn may_try_again(log: &Path, from: u64, any_port: bool) -> bool {
    let mut text = String::new();
    let read = fs::File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.read_to_string(&mut text)
    });
    read.is_ok()
        && (text.contains("pre-existing shared memory block") || (any_port && text.contains("Address already in use")))
}
