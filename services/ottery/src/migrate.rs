//! `ottery migrate`: roles, databases, schemas.

use std::path::Path;

use anyhow::Context;
use ottery_kit::broker;
use ottery_kit::config::Sources;
use ottery_kit::db::{self, DatabaseSettings};

use crate::settings::BrokerKind;
use crate::{assemble, services, settings};

/// Migrates what the configuration names.
///
/// # Errors
/// No administrator's URL, a server that does not answer, a migration that fails.
pub async fn run(config: Option<&Path>, database_url: Option<String>) -> anyhow::Result<()> {
    let mut sources = Sources::of_process(config)?;
    if let Some(url) = database_url {
        sources = sources.with_override("process.database.admin_url", url);
    }
    let process = settings::load(&sources)?;
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
