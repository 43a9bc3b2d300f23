//! The folder of a server: created with the right owner, locked against a second copy, with its secrets.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::account::{self, Account};
use super::error::{LocalError, at};

/// A log above this size is set aside at the next start.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A folder that belongs to this process as long as the value lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Held, never read: the lock goes with the process, however it ends.
    _lock: File,
}

impl Folder {
    /// Creates the folder when it is missing, gives it to `account` and takes its lock.
    pub fn claim(path: &Path, program: &'static str, account: Option<&Account>) -> Result<Self, LocalError> {
        fs::create_dir_all(path).map_err(at(format!("create {}", path.display())))?;
        let path = path.canonicalize().map_err(at(format!("resolve {}", path.display())))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(at(format!("open {}", lock_path.display())))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LocalError::Locked { path }),
            Err(TryLockError::Error(source)) => return Err(at(format!("lock {}", lock_path.display()))(source)),
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
            .map_err(at(format!("restrict {}", path.display())))?;
        account::give(&path, account)?;
        let folder = Self { path, _lock: lock };
        folder.insist_on_entry(program, account)?;
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A folder inside, owned by the account and closed to others.
    pub fn subfolder(&self, name: &str, account: Option<&Account>) -> Result<PathBuf, LocalError> {
        let path = self.join(name);
        fs::create_dir_all(&path).map_err(at(format!("create {}", path.display())))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
            .map_err(at(format!("restrict {}", path.display())))?;
        account::give(&path, account)?;
        Ok(path)
    }

    /// Writes a file that only its owner may read.
    pub fn private_file(&self, name: &str, content: &str, account: Option<&Account>) -> Result<PathBuf, LocalError> {
        let path = self.join(name);
        let step = || at(format!("write {}", path.display()));
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(step()(error));
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path).map_err(step())?;
        file.write_all(content.as_bytes()).map_err(step())?;
        account::give(&path, account)?;
        Ok(path)
    }

    /// The secret kept under this name, made up at the first start.
    pub fn secret(&self, name: &str) -> Result<String, LocalError> {
        let path = self.join(name);
        match fs::read_to_string(&path) {
            Ok(secret) if !secret.trim().is_empty() => Ok(secret.trim().to_owned()),
            Ok(_) => self.new_secret(name),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.new_secret(name),
            Err(source) => Err(at(format!("read {}", path.display()))(source)),
        }
    }

    fn new_secret(&self, name: &str) -> Result<String, LocalError> {
        let secret = hex::encode(rand::random::<[u8; 24]>());
        self.private_file(name, &secret, None)?;
        Ok(secret)
    }

    /// The log file, begun anew when the old one has grown large.
    pub fn log(&self, name: &str) -> Result<PathBuf, LocalError> {
        let path = self.join(name);
        if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
            let old = self.join(&format!("{name}.1"));
            fs::rename(&path, &old).map_err(at(format!("set {} aside", path.display())))?;
        }
        Ok(path)
    }

    fn insist_on_entry(&self, program: &'static str, account: Option<&Account>) -> Result<(), LocalError> {
        let Some(account) = account else { return Ok(()) };
        let entered = Command::new("/bin/sh")
            .args(["-c", "cd \"$1\"", "sh"])
            .arg(&self.path)
            .current_dir("/")
            .uid(account.uid)
            .gid(account.gid)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(at(format!("try {} as user '{}'", self.path.display(), account.name)))?;
        if entered.success() {
            return Ok(());
        }
        Err(LocalError::CannotEnter { program, user: account.name.clone(), path: self.path.clone() })
    }
}
