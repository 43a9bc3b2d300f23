//! `ottery`: every service of the platform from one binary.

mod apply;
mod assemble;
mod bench;
mod chaos;
mod cli;
mod cluster;
mod config;
mod demo;
mod doctor;
mod healthcheck;
mod migrate;
mod private;
mod serve;
mod services;
mod settings;
mod time_machine;
mod up;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

/// Requests are short and made of many small pieces, which the system's allocator is slow at (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The renderer is a child process of its own: no runtime, no configuration, no network.
    if let Command::Render = cli.command {
        return ottery_document::run();
    }
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ottery: {}", sentence(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    // Two providers in the tree would make rustls refuse to choose; ring is the only one and is named here once.
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider was installed before ours"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(2 << 20).build()?;
    let outcome = runtime.block_on(dispatch(cli));
    // Whatever still runs then was told to stop and did not.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    outcome
}

async fn dispatch(cli: Cli) -> anyhow::Result<()> {
    let config = cli.config.as_deref();
    match cli.command {
        Command::Up(options) => up::run(config, options).await,
        Command::Cluster(options) => cluster::run(config, options).await,
        Command::Serve { what } => serve::run(config, &what).await,
        Command::Migrate { database_url, partitions } => migrate::run(config, database_url, partitions).await,
        Command::Config { service } => config::run(config, service.as_deref()),
        Command::Demo(options) => demo::run(options).await,
        Command::Bench(options) => bench::run(options).await,
        Command::Chaos(options) => chaos::run(options).await,
        Command::Doctor(options) => doctor::run(config, options).await,
        Command::Apply(options) => apply::run(options).await,
        Command::TimeMachine(options) => time_machine::run(options).await,
        Command::Fire => bench::fire().await,
        Command::Renew => bench::renew().await,
        Command::Crd => {
            print!("{}", operator::crds_yaml()?);
            Ok(())
        }
        Command::Healthcheck { url } => healthcheck::run(&url).await,
        Command::Generate(options) => bench::generate(options).await,
        Command::Bare(options) => bench::bare(options).await,
        Command::Render => Ok(()),
    }
}

/// The error with its causes, as one sentence for a terminal.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
