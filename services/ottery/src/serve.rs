//! `ottery serve`: one service, or all, against external PostgreSQL, RabbitMQ and Redis.

use std::path::Path;
use std::time::Duration;

use ottery_kit::RunSettings;
use ottery_kit::config::Sources;
use ottery_sandbox::Sandbox;
use tokio::signal::unix::{SignalKind, signal};

use crate::settings::Process;
use crate::{assemble, services, settings};

/// Runs until a signal.
///
/// # Errors
/// Settings, databases or addresses that do not work; a server that broke.
pub async fn run(config: Option<&Path>, what: &str) -> anyhow::Result<()> {
    let sources = Sources::of_process(config)?;
    let process = settings::load(&sources)?;
    if what == settings::SANDBOX.name {
        return sandbox(config, &process).await;
    }
    let names: Vec<&str> = match what {
        "all" => services::ALL.to_vec(),
        one => {
            let known = services::ALL.iter().find(|name| **name == one);
            let Some(name) = known else {
                anyhow::bail!(
                    "there is no service `{one}`; choose `all`, `sandbox` or one of {}",
                    services::ALL.join(", ")
                );
            };
            vec![*name]
        }
    };
    let _telemetry = ottery_kit::telemetry::init(what, &process.telemetry)?;
    let host = assemble::host(&process, &names).await?;
    let mut built = Vec::with_capacity(names.len());
    for name in &names {
        built.push(services::build(name, &sources, &host).await?);
    }
    ottery_kit::run(built, run_settings(&process), host.shutdown.clone()).await
}

/// The simulated surroundings alone, as the table `sandbox` of the configuration file describes them.
async fn sandbox(config: Option<&Path>, process: &Process) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let _telemetry = ottery_kit::telemetry::init(settings::SANDBOX.name, &process.telemetry)?;
    let sandbox = Sandbox::start(settings::sandbox(config)?.unwrap_or_default()).await?;
    println!("SANDBOX {:#?}", sandbox.addresses());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    sandbox.stop().await;
    Ok(())
}

fn run_settings(process: &Process) -> RunSettings {
    RunSettings {
        health: Some(process.health.clone()).filter(|address| !address.is_empty()),
        pre_stop: Duration::from_millis(process.pre_stop_ms),
        finish: Duration::from_secs(process.finish_s),
    }
}
