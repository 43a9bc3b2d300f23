//! A private Redis that keeps nothing: Redis is never a system of record here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::LocalError;
use super::folder::Folder;
use super::leash::{Leash, LeashedCommand, Signal};
use super::ready::{answers, free_port, until};

const READY_WITHIN: Duration = Duration::from_secs(20);
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Where it lives and listens.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// Folder for its settings and its log; nobody else's.
    pub folder: PathBuf,
    /// Loopback port; a free one is taken when none is given.
    pub port: Option<u16>,
    /// Memory in MiB above which it forgets the keys used least lately.
    pub memory_max_mb: u32,
}

impl RedisOptions {
    /// A free port and 128 MiB.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), port: None, memory_max_mb: 128 }
    }
}

/// A running Redis.
#[derive(Debug)]
pub struct Redis {
    leash: Leash,
    url: String,
    port: u16,
    _folder: Folder,
}

impl Redis {
    /// Starts it and waits until it answers.
    pub async fn start(options: RedisOptions) -> Result<Self, LocalError> {
        let program = binary()?;
        let folder = Folder::claim(&options.folder, "Redis", None)?;
        let password = folder.secret("password")?;
        let log = folder.log("server.log")?;
        let port = match options.port {
            Some(port) => port,
            None => free_port()?,
        };
        let settings = format!(
            "bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave \"\"\nappendonly no\ndaemonize no\ndir \"{}\"\n\
             maxmemory {}mb\nmaxmemory-policy allkeys-lru\nlogfile \"\"\n",
            folder.path().display(),
            options.memory_max_mb,
        );
        let settings = folder.private_file("redis.conf", &settings, None)?;
        let mut leash = LeashedCommand::new(program)
            .arg(settings)
            .folder(folder.path())
            .log(&log)
            .stops_on(Signal::Terminate, STOP_WITHIN)
            .spawn()?;
        let greeting = format!("AUTH {password}\r\n");
        until(&mut leash, &log, READY_WITHIN, async || answers(port, greeting.as_bytes(), b"+OK").await).await?;
        Ok(Self { leash, url: format!("redis://:{password}@127.0.0.1:{port}/"), port, _folder: folder })
    }

    /// `redis://:password@127.0.0.1:port/`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The loopback port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process, to look after it.
    pub fn leash(&mut self) -> &mut Leash {
        &mut self.leash
    }

    /// Stops it; what it held is forgotten.
    pub async fn stop(self) -> Result<(), LocalError> {
        self.leash.stop().await.map(drop)
    }
}

fn binary() -> Result<PathBuf, LocalError> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .chain([PathBuf::from("/usr/bin"), PathBuf::from("/usr/local/bin")])
        .map(|folder| folder.join("redis-server"))
        .find(|program: &PathBuf| Path::is_file(program))
        .ok_or(LocalError::Missing {
            program: "redis-server",
            searched: "PATH".to_owned(),
            way_out: "install the package redis-server (`make setup` does)",
        })
}
