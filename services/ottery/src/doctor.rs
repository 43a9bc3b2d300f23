//! `ottery doctor`: what must always hold, checked on the real data.

use std::path::Path;

use anyhow::Context;
use ottery_kit::config::Sources;
use ottery_kit::db::DatabaseSettings;
use ottery_kit::doctor::{Finding, Severity};
use sqlx::PgPool;

use crate::cli::DoctorOptions;
use crate::{services, settings, up};

/// Checks every service's invariants and prints what does not hold.
///
/// # Errors
/// A database that cannot be read, or at least one finding that is an error.
pub async fn run(config: Option<&Path>, options: DoctorOptions) -> anyhow::Result<()> {
    let findings = all_findings(&database(config, &options)?).await?;
    let errors = findings.iter().filter(|(_, finding)| finding.severity == Severity::Error).count();
    if options.json {
        let rows: Vec<_> = findings
            .iter()
            .map(|(service, finding)| {
                serde_json::json!({
                    "service": service,
                    "invariant": finding.invariant,
                    "severity": format!("{:?}", finding.severity).to_lowercase(),
                    "detail": finding.detail,
                })
            })
            .collect();
        println!("{}", serde_json::json!({ "ok": errors == 0, "findings": rows }));
    } else {
        for (service, finding) in &findings {
            println!("{:?}: {service}: {}: {}", finding.severity, finding.invariant, finding.detail);
        }
        println!(
            "checked {} services, {errors} errors, {} warnings",
            services::WITH_DATABASE.len(),
            findings.len() - errors
        );
    }
    anyhow::ensure!(errors == 0, "{errors} invariants do not hold");
    Ok(())
}

/// What does not hold in these databases, as sentences.
///
/// # Errors
/// A database that cannot be read.
pub async fn broken(database: &DatabaseSettings) -> anyhow::Result<Vec<String>> {
    let mut broken = all_findings(database).await?;
    broken.retain(|(_, finding)| finding.severity == Severity::Error);
    let sentence =
        |(service, finding): (&str, Finding)| format!("{service}: {}: {}", finding.invariant, finding.detail);
    Ok(broken.into_iter().map(sentence).collect())
}

async fn all_findings(database: &DatabaseSettings) -> anyhow::Result<Vec<(&'static str, Finding)>> {
    let mut findings = Vec::new();
    for name in services::WITH_DATABASE {
        let found = check(database, name).await.with_context(|| format!("checking {name}"))?;
        findings.extend(found.into_iter().map(|finding| (*name, finding)));
    }
    Ok(findings)
}

fn database(config: Option<&Path>, options: &DoctorOptions) -> anyhow::Result<DatabaseSettings> {
    if let Some(folder) = &options.data_dir {
        return up::database_of(folder);
    }
    if let Some(url) = &options.database_url {
        return Ok(DatabaseSettings::for_server(url, ""));
    }
    let sources = Sources::of_process(config)?;
    Ok(settings::load(&sources)?.database.to_kit())
}

/// Reads with the administrator's eyes: row-level security would hide other brands' rows.
async fn check(database: &DatabaseSettings, name: &str) -> anyhow::Result<Vec<Finding>> {
    let options = database.admin_options()?.database(&database.database_name(name));
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(2).connect_with(options).await?;
    let findings = findings(&pool, name).await;
    pool.close().await;
    findings
}

/// What kit says of every database, then what the service says of its own. Some services ask kit by themselves.
async fn findings(pool: &PgPool, name: &str) -> anyhow::Result<Vec<Finding>> {
    let mut found = ottery_kit::doctor::invariants(pool).await?;
    let own = services::invariants(name, pool).await?;
    let new: Vec<Finding> =
        own.into_iter().filter(|one| found.iter().all(|known| known.invariant != one.invariant)).collect();
    found.extend(new);
    Ok(found)
}
