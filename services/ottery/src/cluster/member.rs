//! One process of the cluster.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use ottery_kit::local::{Leash, LeashedCommand, Signal};

/// Twelve processes start at once, on two cores, against empty databases.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// A service's own grace period and a little.
const STOP_GRACE: Duration = Duration::from_secs(30);
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Who ran this long is not in a loop of crashes.
const STEADY_AFTER: Duration = Duration::from_secs(60);

/// Services no customer waits for: what they do may come a little later than what is paid and provisioned.
const BEHIND: [&str; 4] = ["notification", "support", "affiliate", "analytics"];

/// What a member is and where it is found.
#[derive(Clone, Debug)]
pub struct Role {
    /// What `ottery serve` is told.
    pub what: &'static str,
    /// Counted from 1 where there are several.
    pub replica: Option<u32>,
    /// Its gRPC server.
    pub grpc: Option<SocketAddr>,
    /// Its health pages and metrics.
    pub health: Option<SocketAddr>,
    /// Its public HTTP.
    pub http: Option<SocketAddr>,
}

/// A process and how to start it again.
pub struct Member {
    role: Role,
    config: PathBuf,
    log: PathBuf,
    leash: Option<Leash>,
    started: Instant,
    pause: Duration,
    again_at: Option<Instant>,
}

impl Member {
    /// Not started yet; logs into `logs`.
    pub fn new(role: Role, config: PathBuf, logs: &std::path::Path) -> Self {
        let mut member = Self {
            role,
            config,
            log: PathBuf::new(),
            leash: None,
            started: Instant::now(),
            pause: PAUSE_MIN,
            again_at: None,
        };
        member.log = logs.join(format!("{}.log", member.name()));
        member
    }

    /// `billing-2`
    pub fn name(&self) -> String {
        match self.role.replica {
            Some(replica) => format!("{}-{replica}", self.role.what),
            None => self.role.what.to_owned(),
        }
    }

    /// Where it is found, and its process number.
    pub fn addresses(&self) -> String {
        let known = [("http", self.role.http), ("grpc", self.role.grpc), ("health", self.role.health)];
        let mut words: Vec<String> =
            known.iter().filter_map(|(what, address)| Some(format!("{what} {}", (*address)?))).collect();
        if let Some(pid) = self.leash.as_ref().and_then(Leash::pid) {
            words.push(format!("pid {pid}"));
        }
        words.join("   ")
    }

    /// Whether visitors talk to it.
    pub fn is_front(&self) -> bool {
        self.role.http.is_some() && self.role.grpc.is_none()
    }

    /// Starts the process.
    ///
    /// # Errors
    /// The program cannot be run.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("where is this program?")?;
        let mut command = LeashedCommand::new(program)
            .args(["serve", self.role.what, "--config"])
            .arg(&self.config)
            .log(&self.log)
            .behind(BEHIND.contains(&self.role.what))
            .stops_on(Signal::Terminate, STOP_GRACE);
        if let Some(grpc) = self.role.grpc {
            command = command.env("OTTERY_PROCESS__LISTEN", grpc.to_string());
        }
        if let Some(health) = self.role.health {
            command = command.env("OTTERY_PROCESS__HEALTH", health.to_string());
        }
        self.leash = Some(command.spawn().with_context(|| format!("starting {}", self.name()))?);
        self.started = Instant::now();
        self.again_at = None;
        Ok(())
    }

    /// Waits until its health page says ready.
    ///
    /// # Errors
    /// It ended, or takes too long; the message names its log.
    pub async fn until_ready(&mut self) -> anyhow::Result<()> {
        let Some(health) = self.role.health else { return Ok(()) };
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(3)).build()?;
        let url = format!("http://{health}/readyz");
        loop {
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if let Some(leash) = &mut self.leash
                && let Some(status) = leash.ended()?
            {
                anyhow::bail!(
                    "{} ended before it was ready ({status}); its log is {}",
                    self.name(),
                    self.log.display()
                );
            }
            anyhow::ensure!(
                self.started.elapsed() < READY_WITHIN,
                "{} is not ready after {} s; its log is {}",
                self.name(),
                READY_WITHIN.as_secs(),
                self.log.display()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts it again when it has ended, later each time.
    ///
    /// # Errors
    /// The program cannot be run any more.
    pub fn keep_running(&mut self) -> anyhow::Result<()> {
        if let Some(leash) = &mut self.leash
            && let Some(status) = leash.ended()?
        {
            if self.started.elapsed() > STEADY_AFTER {
                self.pause = PAUSE_MIN;
            }
            eprintln!("ottery: {} ended ({status}), starting it again in {:?}", self.name(), self.pause);
            self.leash = None;
            self.again_at = Some(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
        match self.again_at {
            Some(at) if at <= Instant::now() => self.start(),
            _ => Ok(()),
        }
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn stop(self) -> anyhow::Result<()> {
        if let Some(leash) = self.leash {
            leash.stop().await?;
        }
        Ok(())
    }
}
