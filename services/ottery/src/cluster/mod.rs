//! `ottery cluster`: the distributed topology on one machine with local processes. PostgreSQL, RabbitMQ, Redis and the
//! sandbox, and every service as a process of its own that knows the others only by address; billing and provisioning
//! run twice. Kubernetes runs the same commands; here this process starts them, and starts again what dies.

mod layout;
mod member;
mod servers;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use ottery_kit::config::Sources;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::layout::Layout;
use self::member::Member;
use self::servers::Servers;
use crate::cli::ClusterOptions;
use crate::up::entrance::Entrance;
use crate::up::state::{DataFolder, State, Topology};
use crate::up::{announce, first_run};
use crate::{assemble, migrate, services, settings};

/// How often processes are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Starts everything, tells where it is, keeps it running, and stops everything at a signal.
///
/// # Errors
/// A folder or port in use, a server that does not start, a service that does not get ready: with the way out.
pub async fn run(config: Option<&Path>, options: ClusterOptions) -> anyhow::Result<()> {
    let mut signals =
        Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
    let began = Instant::now();
    let mut cluster = tokio::select! {
        cluster = Cluster::start(config, &options) => cluster?,
        () = signals.any() => return Ok(()),
    };
    cluster.announce(&options, began.elapsed());
    let outcome = tokio::select! {
        () = signals.any() => Ok(()),
        error = cluster.look_after() => Err(error),
    };
    eprintln!("ottery: stopping");
    tokio::select! {
        stopped = cluster.stop() => stopped?,
        () = signals.any() => anyhow::bail!("second signal: stopped at once"),
    }
    outcome
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Everything that runs. Fields are dropped (and thereby ended) in this order.
struct Cluster {
    members: Vec<Member>,
    servers: Servers,
    state: State,
    shutdown: CancellationToken,
    entrance: Entrance,
    folder: DataFolder,
}

impl Cluster {
    async fn start(config: Option<&Path>, options: &ClusterOptions) -> anyhow::Result<Self> {
        let sources = Sources::of_process(config)?;
        settings::load(&sources)?;
        let entrance = Entrance::of(options.http, &sources)?;
        let own = settings::file(config)?;
        drop(
            std::net::TcpListener::bind(options.http)
                .with_context(|| format!("cannot listen on {}: choose another address with --http", options.http))?,
        );
        let folder = DataFolder::claim(&options.data_dir)?;
        let mut state = folder.state(options.http.port(), true, Topology::Distributed)?;
        let servers = Servers::start(&folder, &state).await?;
        folder.remember_database(&servers.admin_url())?;

        let layout = Layout::plan(options.http)?;
        let file = layout.write_settings(&folder, entrance, own, &state, &servers)?;
        let sources = Sources::none().with_file(&file)?;
        let process = settings::load(&sources)?;
        if !process.keyring_file.exists() {
            ottery_kit::keyring::Keyring::create_file(&process.keyring_file)?;
        }
        migrate::everything(&servers.admin_settings(&process), false).await?;
        // All keys are made here, so that no service meets a neighbour whose key is not there yet.
        let names: Vec<&str> = services::ALL.iter().copied().chain([services::OPERATOR]).collect();
        let host = assemble::host(&process, &names).await?;

        tokio::spawn(migrate::keep_partitions(servers.admin_settings(&process), host.shutdown.clone()));

        let mut members = layout.members(&folder, &file)?;
        for member in &mut members {
            member.start()?;
        }
        let mut cluster =
            Self { members, servers, state: state.clone(), shutdown: host.shutdown.clone(), entrance, folder };
        if let Err(error) = cluster.get_ready(&host, &mut state).await {
            cluster.stop().await?;
            return Err(error);
        }
        Ok(cluster)
    }

    async fn get_ready(&mut self, host: &ottery_kit::Host, state: &mut State) -> anyhow::Result<()> {
        for member in &mut self.members {
            member.until_ready().await?;
        }
        first_run::run(host, &self.folder, state, true, self.entrance)
            .await
            .context("the first start did not get through; the next start tries again")?;
        self.state = state.clone();
        Ok(())
    }

    /// Starts members that died again; returns when a server they all need has ended.
    async fn look_after(&mut self) -> anyhow::Error {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        loop {
            tick.tick().await;
            if let Some(error) = self.servers.ended() {
                return error;
            }
            for member in &mut self.members {
                if let Err(error) = member.keep_running() {
                    return error;
                }
            }
        }
    }

    fn announce(&self, options: &ClusterOptions, took: Duration) {
        announce::print(&options.data_dir, self.entrance, &self.state, took);
        self.servers.print();
        for member in &self.members {
            println!("  {:<15} {}", member.name(), member.addresses());
        }
        println!("\n  Logs are in {}.\n", options.data_dir.join("logs").display());
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        // The gateway first, so that nobody is accepted whom nobody serves any more; then all others at once.
        while let Some(last) = self.members.pop_if(|member| member.is_front()) {
            last.stop().await?;
        }
        futures::future::try_join_all(self.members.drain(..).map(Member::stop)).await?;
        self.servers.stop().await
    }
}
