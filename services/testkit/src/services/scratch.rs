//! A temporary folder that goes away, if not now then at the next run.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

const PREFIX: &str = "ottery-test-";
const YOUNG: Duration = Duration::from_secs(60);

/// A folder below the system's temporary folder which every user may enter (the database server runs as another one).
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    /// Held so that nobody sweeps the folder away while it is in use.
    _lock: File,
}

impl Scratch {
    /// Makes a new one, and removes those whose processes were killed.
    pub fn new() -> anyhow::Result<Self> {
        let base = base();
        sweep(&base);
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(&base)
            .with_context(|| format!("making a folder in {}", base.display()))?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).context("opening the temporary folder")?;
        let lock = File::create(folder.path().join("lock")).context("locking the temporary folder")?;
        lock.lock().context("locking the temporary folder")?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// The system's temporary folder when all folders above it may be entered by everybody, else /var/tmp.
fn base() -> PathBuf {
    let usual = std::env::temp_dir();
    let open = usual
        .ancestors()
        .all(|folder| fs::metadata(folder).is_ok_and(|folder| folder.permissions().mode() & 0o001 != 0));
    if open { usual } else { PathBuf::from("/var/tmp") }
}

/// Removes what killed processes left behind; failing to is no reason to fail.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for folder in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let Ok(lock) = File::open(folder.path().join("lock")) else { continue };
        // A young one may not have locked it yet.
        let age = lock.metadata().and_then(|lock| lock.modified()).ok().and_then(|made| made.elapsed().ok());
        if age.is_some_and(|age| age > YOUNG) && lock.try_lock().is_ok() {
            let _best_effort = fs::remove_dir_all(folder.path());
        }
    }
}
