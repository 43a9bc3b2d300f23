//! `ottery migrate`: roles, databases, schemas, and the partitions that come due with time.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use ottery_kit::broker;
use ottery_kit::config::Sources;
use ottery_kit::db::{self, DatabaseSettings, Kept};
use tokio_util::sync::CancellationToken;

use crate::settings::BrokerKind;
use crate::{assemble, services, settings};

/// How often a process that runs for years looks after its partitions, and when it tries again after a failure. They
/// are made months ahead, so a missed day does no harm.
const EVERY: Duration = Duration::from_secs(86_400);
const AGAIN: Duration = Duration::from_secs(600);

/// Migrates what the configuration names, or only looks after its partitions.
///
/// # Errors
/// No administrator's URL, a server that does not answer, a migration that fails.
pub async fn run(config: Option<&Path>, database_url: Option<String>, only_partitions: bool) -> anyhow::Result<()> {
    let mut sources = Sources::of_process(config)?;
    if let Some(url) = database_url {
        sources = sources.with_override("process.database.admin_url", url);
    }
    let process = settings::load(&sources)?;
    if only_partitions {
        let Kept { made, moved, dropped } = partitions(&process.database.to_kit()).await?;
        println!("partitions: {made} made, {moved} rows moved into theirs, {} spent ones dropped", dropped.len());
        return Ok(());
    }
    everything(&process.database.to_kit(), process.broker.kind == BrokerKind::Table).await?;
    println!("migrated {}", services::WITH_DATABASE.join(", "));
    Ok(())
}

/// Brings the databases of all services up to date, and the embedded broker's when it is used.
///
/// # Errors
/// The first step that failed, with its service.
pub async fn everything(database: &DatabaseSettings, with_broker: bool) -> anyhow::Result<()> {
    // Roles belong to the server and are made one after the other; schemas do not touch each other.
    for name in services::WITH_DATABASE {
        db::provision(database, name).await.with_context(|| format!("database of {name}"))?;
    }
    db::provision_scratch(database, billing::SCRATCH).await.context("scratch database of the time machine")?;
    let schemas = services::WITH_DATABASE.iter().map(|name| async move {
        let own = services::migrations(name).context("every service with a database has a schema")?;
        db::migrate(database, name, own).await.with_context(|| format!("schema of {name}"))
    });
    futures::future::try_join_all(schemas).await?;
    if with_broker {
        db::provision(database, assemble::BROKER).await.context("database of the broker")?;
        db::migrate_plain(database, assemble::BROKER, &broker::in_process::MIGRATIONS)
            .await
            .context("schema of the broker")?;
    }
    Ok(())
}

/// Makes, fills and drops partitions of all services. One that fails does not keep the others from theirs.
///
/// # Errors
/// What failed, with its service.
async fn partitions(database: &DatabaseSettings) -> anyhow::Result<Kept> {
    let (mut all, mut failed) = (Kept::default(), None);
    for name in services::WITH_DATABASE {
        match db::keep_partitions(database, name, None).await {
            Ok(kept) => {
                all.made += kept.made;
                all.moved += kept.moved;
                all.dropped.extend(kept.dropped);
            }
            Err(error) => {
                failed.get_or_insert_with(|| anyhow::Error::new(error).context(format!("partitions of {name}")));
            }
        }
    }
    failed.map_or(Ok(all), Err)
}

/// Looks after partitions every day until `shutdown`: for a process that holds the administrator's URL and runs for
/// years. It has just migrated, so the first day is free.
pub async fn keep_partitions(database: DatabaseSettings, shutdown: CancellationToken) {
    let mut pause = EVERY;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = match partitions(&database).await {
            Ok(_) => EVERY,
            Err(error) => {
                tracing::error!(error = %format!("{error:#}"), "partitions were not looked after; trying again soon");
                AGAIN
            }
        };
    }
}
