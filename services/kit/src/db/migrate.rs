//! Schema changes: the kit's own tables first (versions 1 to 99), then the service's.

use std::borrow::Cow;

use sqlx::Connection;
use sqlx::migrate::Migrator;

use super::provision::run;
use super::{DatabaseError, DatabaseSettings, admin_connection, partitions, plain_name};

/// Tables every service has: outbox, inbox, retries, idempotency, brand clock, leases. None of them is behind
/// row-level security: relay, consumers and key look-ups work for all brands at once (each table says why).
pub static BASE: Migrator = sqlx::migrate!("./migrations");

/// Brings the database of `service` to the newest schema: [`BASE`], then `own`, as the owner role.
///
/// The application role gets its rights through default privileges set before the first table is made, so a
/// migration may take some back (`REVOKE UPDATE, DELETE ON …` for append-only tables).
pub async fn migrate(settings: &DatabaseSettings, service: &str, own: &Migrator) -> Result<(), DatabaseError> {
    migrate_with(settings, service, &[&BASE, own], true).await
}

/// Like [`migrate`] without the kit's tables; for databases that are no service's (the in-process broker's).
pub async fn migrate_plain(settings: &DatabaseSettings, service: &str, own: &Migrator) -> Result<(), DatabaseError> {
    migrate_with(settings, service, &[own], false).await
}

async fn migrate_with(
    settings: &DatabaseSettings,
    service: &str,
    sources: &[&Migrator],
    has_base: bool,
) -> Result<(), DatabaseError> {
    let database = settings.database_name(plain_name(service)?);
    let mut connection = admin_connection(settings, Some(&database)).await?;
    let role = DatabaseSettings::role_name(service);
    let owner = DatabaseSettings::owner_name(service);

    let become_owner = format!("SET ROLE \"{owner}\"");
    run(&mut connection, become_owner, "acting as the owner role").await?;
    let grants = [
        format!("GRANT USAGE ON SCHEMA public TO \"{role}\""),
        format!(
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO \"{role}\""
        ),
        format!("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO \"{role}\""),
        format!("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO \"{role}\""),
    ];
    // Tables get their grants when they are made, so the lock only keeps two first migrations from tripping over
    // each other's catalogue rows; sqlx takes its own lock for the migrations.
    run(
        &mut connection,
        format!("BEGIN; SELECT pg_advisory_xact_lock(1); {}; COMMIT", grants.join("; ")),
        "granting rights to the application role",
    )
    .await?;

    merged(sources)
        .run(&mut connection)
        .await
        .map_err(|source| DatabaseError::Migration { database: database.clone(), source })?;

    if has_base {
        sqlx::query!(
            "INSERT INTO kit_service (name) VALUES ($1) ON CONFLICT (only_row) DO UPDATE SET name = $1",
            service
        )
        .execute(&mut connection)
        .await
        .map_err(|source| DatabaseError::Query { step: "writing down whose database it is", source })?;
        partitions::keep(&mut connection, None).await?;
    }
    run(
        &mut connection,
        format!("REVOKE INSERT, UPDATE, DELETE ON _sqlx_migrations FROM \"{role}\""),
        "guarding the list of migrations",
    )
    .await?;
    connection.close().await.map_err(|source| DatabaseError::Query { step: "closing the owner's session", source })
}

/// All of them as one, in this order.
pub(super) fn merged(sources: &[&Migrator]) -> Migrator {
    Migrator {
        migrations: Cow::Owned(sources.iter().flat_map(|source| source.iter().cloned()).collect()),
        ..Migrator::DEFAULT
    }
}
