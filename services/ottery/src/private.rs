//! A private `ottery up` or `ottery cluster`: on a free port, in a folder of its own, gone when it is left.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use ottery_kit::local::{Leash, LeashedCommand, Signal};

use crate::up::state::{Topology, random_hex};

/// A first start sets up a database server and eight schemas, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);
/// The services' own grace period, and PostgreSQL's.
const STOP_GRACE: Duration = Duration::from_secs(40);

/// A system of our own.
pub struct Private {
    leash: Leash,
    folder: PathBuf,
    address: String,
}

impl Private {
    /// Starts one from this very program and waits until it is ready. `name` is part of its folder's name; `settings` is
    /// the text of its configuration file, empty for none.
    ///
    /// # Errors
    /// It ended or was not ready in time; the sentence says where its log is.
    pub async fn start(topology: Topology, name: &str, settings: &str) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("ottery-{name}-{}", random_hex(6)));
        std::fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        eprintln!("ottery: starting a private system on {address}");
        let mut command = LeashedCommand::new(std::env::current_exe().context("where is this program?")?);
        if !settings.is_empty() {
            let file = folder.join("settings.toml");
            std::fs::write(&file, settings).with_context(|| format!("cannot write {}", file.display()))?;
            command = command.arg("--config").arg(file);
        }
        let log = folder.join("up.log");
        let leash = command
            .args([topology.command(), "--http", &address, "--data-dir"])
            .arg(folder.join("data"))
            .folder(&folder)
            .log(&log)
            .stops_on(Signal::Terminate, STOP_GRACE)
            .spawn()?;
        let mut private = Self { leash, folder, address };
        private.wait_until_ready(&log).await?;
        Ok(private)
    }

    async fn wait_until_ready(&mut self, log: &Path) -> anyhow::Result<()> {
        let began = Instant::now();
        // The last thing a start does is to announce itself.
        while !std::fs::read_to_string(log).unwrap_or_default().contains("ottery is ready") {
            if let Some(status) = self.leash.ended()? {
                anyhow::bail!("the private system did not start ({status}); its log is {}", log.display());
            }
            anyhow::ensure!(
                began.elapsed() < START_LIMIT,
                "the private system is not ready; its log is {}",
                log.display()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Its process number; none once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.leash.pid()
    }

    /// Ends it. After a failure its folder stays, for whoever looks into it.
    ///
    /// # Errors
    /// A child that does not end.
    pub async fn leave(self, is_well: bool) -> anyhow::Result<()> {
        self.leash.stop().await?;
        if is_well {
            std::fs::remove_dir_all(&self.folder)
                .with_context(|| format!("cannot remove {}", self.folder.display()))?;
        } else {
            eprintln!("ottery: the private system's data and log (up.log) are in {}", self.folder.display());
        }
        Ok(())
    }
}
