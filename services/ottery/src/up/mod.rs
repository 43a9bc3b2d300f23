//! `ottery up`: every service in this process, a private PostgreSQL, no other dependency.

pub mod announce;
pub mod entrance;
pub mod first_run;
pub mod sandbox;
pub mod state;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use ottery_kit::config::Sources;
use ottery_kit::db::DatabaseSettings;
use ottery_kit::local::postgres::{Postgres, PostgresOptions};
use ottery_kit::{RunSettings, Running};
use tokio::signal::unix::{SignalKind, signal};
use toml::Value;

use crate::cli::UpOptions;
use crate::{assemble, migrate, services, settings};
use entrance::Entrance;
use state::{DataFolder, State, Topology};

/// Starts everything, tells where it is, and stops everything at a signal.
///
/// # Errors
/// A folder in use, a port in use, a database that does not start: whatever came first, with the way out.
pub async fn run(config: Option<&Path>, options: UpOptions) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let began = Instant::now();
    let mut up = tokio::select! {
        up = Up::start(config, &options) => up?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    announce::print(&options.data_dir, up.entrance, &up.state, began.elapsed());
    let outcome = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        error = broken(&mut up.running, &mut up.postgres, &options.data_dir) => Err(error),
    };
    eprintln!("ottery: stopping");
    tokio::select! {
        stopped = up.stop() => stopped?,
        _ = terminate.recv() => anyhow::bail!("second signal: stopped at once"),
        _ = interrupt.recv() => anyhow::bail!("second signal: stopped at once"),
    }
    outcome
}

/// A running installation in one process. Fields are dropped (and thereby ended) in this order.
struct Up {
    running: Running,
    sandbox: Option<ottery_sandbox::Running>,
    postgres: Option<Postgres>,
    state: State,
    entrance: Entrance,
    _telemetry: ottery_kit::telemetry::TelemetryGuard,
    folder: DataFolder,
}

impl Up {
    async fn start(config: Option<&Path>, options: &UpOptions) -> anyhow::Result<Self> {
        // Before anything is started: the most common mistakes should cost no time.
        let sources = Sources::of_process(config)?;
        settings::load(&sources)?;
        let entrance = Entrance::of(options.http, &sources)?;
        drop(
            std::net::TcpListener::bind(options.http)
                .with_context(|| format!("cannot listen on {}: choose another address with --http", options.http))?,
        );
        let folder = DataFolder::claim(&options.data_dir)?;
        let mut state = folder.state(options.http.port(), !options.no_demo, Topology::Embedded)?;

        let postgres = match &options.database_url {
            Some(_) => None,
            None => Some(
                Postgres::start(postgres_options(folder.join("postgres")))
                    .await
                    .context("cannot start the private PostgreSQL")?,
            ),
        };
        let admin_url = match (&options.database_url, &postgres) {
            (Some(url), _) => url.clone(),
            (None, Some(postgres)) => postgres.local_url(),
            (None, None) => anyhow::bail!("no database was named and none was started"),
        };
        folder.remember_database(&admin_url)?;
        let sandbox = match &state.sandbox {
            Some(wanted) if !options.no_demo => {
                Some(sandbox::start(wanted, &folder, settings::sandbox(config)?).await?)
            }
            _ => None,
        };

        let sources = embedded(sources, options, entrance, &folder, &state, &admin_url)?;
        let process = settings::load(&sources)?;
        let telemetry = ottery_kit::telemetry::init("ottery", &process.telemetry)?;
        if !process.keyring_file.exists() {
            ottery_kit::keyring::Keyring::create_file(&process.keyring_file)?;
        }
        migrate::everything(&process.database.to_kit(), true).await?;

        let names: Vec<&str> = services::ALL.iter().copied().chain([services::OPERATOR]).collect();
        let host = assemble::host(&process, &names).await?;
        let mut built = Vec::with_capacity(services::ALL.len());
        for name in services::ALL {
            built.push(services::build(name, &sources, &host).await?);
        }
        let running = ottery_kit::start(built, RunSettings::local()).await?;
        tokio::spawn(migrate::keep_partitions(process.database.to_kit(), host.shutdown.clone()));
        let mut up = Self { running, sandbox, postgres, state: state.clone(), entrance, _telemetry: telemetry, folder };
        let first = first_run::run(&host, &up.folder, &mut state, !options.no_demo, entrance).await;
        up.state = state;
        if let Err(error) = first {
            up.stop().await?;
            return Err(error.context("the first start did not get through; the next start tries again"));
        }
        Ok(up)
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        self.running.stop().await;
        if let Some(sandbox) = self.sandbox.take() {
            sandbox.stop().await;
        }
        if let Some(postgres) = self.postgres.take() {
            postgres.stop().await.context("the private PostgreSQL did not stop in time")?;
        }
        Ok(())
    }
}

/// Resolves when a server of ours breaks, or the private PostgreSQL ends by itself.
async fn broken(running: &mut Running, postgres: &mut Option<Postgres>, folder: &Path) -> anyhow::Error {
    let database = async {
        match postgres {
            Some(postgres) => postgres.leash().wait().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        error = running.broken() => error,
        ended = database => {
            let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            anyhow::anyhow!("the private PostgreSQL ended ({how}); its log is below {}", folder.join("postgres").display())
        }
    }
}

/// Small enough for one host beside everything else, with every promise of durability on.
pub fn postgres_options(folder: impl Into<PathBuf>) -> PostgresOptions {
    PostgresOptions::new(folder)
        .setting("max_connections", "120")
        .setting("shared_buffers", "96MB")
        .setting("wal_buffers", "8MB")
        .setting("max_wal_size", "512MB")
        .setting("random_page_cost", "1.1")
        // The first customers of a new installation fill tables that nobody has statistics of yet.
        .setting("autovacuum_naptime", "15s")
}

/// The settings of one process in which everything runs; what the operator set elsewhere stays in force.
fn embedded(
    sources: Sources,
    options: &UpOptions,
    entrance: Entrance,
    folder: &DataFolder,
    state: &State,
    admin_url: &str,
) -> anyhow::Result<Sources> {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let mut sources = sources
        .with_override("process.keys_folder", path("keys"))
        .with_override("process.keyring_file", path("keyring"))
        .with_override("process.database.url", admin_url)
        .with_override("process.database.admin_url", admin_url)
        .with_override("process.database.password", state.database_password.as_str())
        // One small host starts everything at once: patience at the start is better than a wall of warnings.
        .with_override("process.database.acquire_timeout_ms", 10_000)
        .with_override("process.broker.kind", "table")
        .with_override("process.cache.kind", "memory")
        .with_override("gateway.http.listen", options.http.to_string());
    if std::env::var_os("OTTERY_PROCESS__TELEMETRY__FORMAT").is_none() {
        sources = sources.with_override("process.telemetry.format", "pretty");
    }
    if std::env::var_os("OTTERY_PROCESS__TELEMETRY__LOG").is_none() {
        sources = sources.with_override("process.telemetry.log", "warn,lapin=error,ottery=info,sqlx::pool=error");
    }
    if let Some(wanted) = &state.sandbox
        && !options.no_demo
    {
        for (key, value) in sandbox::overrides(wanted, entrance) {
            sources = sources.with_override(key, value);
        }
    }
    Ok(sources)
}

/// The databases of a data folder in use.
///
/// # Errors
/// The folder holds no running installation.
pub fn database_of(folder: &Path) -> anyhow::Result<DatabaseSettings> {
    let file = folder.join("database-url");
    let url = std::fs::read_to_string(&file).with_context(|| {
        format!("{} is not there: start `ottery up --data-dir {}` once", file.display(), folder.display())
    })?;
    Ok(DatabaseSettings::for_server(url.trim(), ""))
}

/// How long people wait for something that usually takes a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A value of a configuration key.
pub(crate) type Setting = (&'static str, Value);
