//! A fresh database for every test.
//!
//! The schema is built once per service and state of its migrations, as a template; a test gets a copy, which takes some
//! tens of milliseconds. Processes that want the same template at the same time wait for one of them to build it.

use anyhow::Context as _;
use ottery_kit::db::{self, DatabaseSettings};
use sha2::{Digest as _, Sha256};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnection, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgPool};

use crate::services::{postgres_admin_url, unique};

/// Set to keep the databases of finished tests.
const KEEP_VARIABLE: &str = "OTTERY_TEST_KEEP";
const ADMIN_CONNECTIONS_MAX: u32 = 3;
/// How many databases of ended processes one test drops before it begins.
const SWEPT_MAX: usize = 4;
const SWEEP_LOCK: i64 = 0x6f74_7465_7274;

/// A database that only one test uses; a later test drops it once this process has ended.
#[derive(Debug)]
pub struct TestDatabase {
    /// Connected as the application role, as the service is in production: row-level security applies.
    pub pool: PgPool,
    /// Connected as the administrator, who sees and may do everything: for arranging and inspecting.
    pub admin_pool: PgPool,
    /// Leads to this database, for code that connects by itself.
    pub settings: DatabaseSettings,
    /// The service it belongs to.
    pub service: &'static str,
    /// Its name on the server.
    pub name: String,
}

/// A fresh database with the kit's tables and those of `migrations`.
///
/// # Panics
/// When PostgreSQL or the migrations fail; a test cannot go on without.
pub async fn database(service: &'static str, migrations: &Migrator) -> TestDatabase {
    fresh(service, migrations, Base::Kit).await
}

/// A fresh database with the tables of `migrations` alone, for what is no service (the in-process broker).
///
/// # Panics
/// When PostgreSQL or the migrations fail; a test cannot go on without.
pub async fn database_without_base(service: &'static str, migrations: &Migrator) -> TestDatabase {
    fresh(service, migrations, Base::None).await
}

/// An empty scratch database, owned by the role of that name: [`ottery_kit::db::Scratch`] finds it by the settings.
///
/// # Panics
/// When PostgreSQL fails; a test cannot go on without.
pub async fn scratch_database(name: &'static str) -> TestDatabase {
    let admin_url = postgres_admin_url().await;
    match create_scratch(&admin_url, name).await {
        Ok(database) => database,
        Err(error) => panic!("a scratch database '{name}': {error:#}"),
    }
}

async fn create_scratch(admin_url: &str, service: &'static str) -> anyhow::Result<TestDatabase> {
    let name = name_for(service);
    let settings = settings(admin_url).with_database(service, &name);
    db::provision_scratch(&settings, service).await?;
    let admin_options = settings.admin_options()?.database(&name);
    let admin_pool = PgPoolOptions::new().max_connections(ADMIN_CONNECTIONS_MAX).connect_lazy_with(admin_options);
    let pool = settings.pool(service).await?;
    Ok(TestDatabase { pool, admin_pool, settings, service, name })
}

/// Which tables a database has besides its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Kit,
    None,
}

async fn fresh(service: &'static str, migrations: &Migrator, base: Base) -> TestDatabase {
    let admin_url = postgres_admin_url().await;
    match create(&admin_url, service, migrations, base).await {
        Ok(database) => database,
        Err(error) => panic!("a database for '{service}': {error:#}"),
    }
}

async fn create(
    admin_url: &str,
    service: &'static str,
    migrations: &Migrator,
    base: Base,
) -> anyhow::Result<TestDatabase> {
    let settings = settings(admin_url);
    let template = ensure_template(&settings, service, migrations, base).await?;
    let name = name_for(service);
    db::create_database(&settings, service, &name, Some(&template)).await?;

    let settings = settings.with_database(service, &name);
    let admin_options = settings.admin_options()?.database(&name);
    let admin_pool = PgPoolOptions::new().max_connections(ADMIN_CONNECTIONS_MAX).connect_with(admin_options).await?;
    let role = DatabaseSettings::role_name(service);
    // A copy starts with the default rights of a database.
    let rights = format!(
        "REVOKE CONNECT ON DATABASE \"{name}\" FROM PUBLIC; GRANT CONNECT ON DATABASE \"{name}\" TO \"{role}\""
    );
    admin_pool.execute(AssertSqlSafe(rights)).await.context("closing the database to others")?;
    let pool = settings.pool(service).await?;
    Ok(TestDatabase { pool, admin_pool, settings, service, name })
}

/// Settings for the test server. All processes of a run must arrive at the same password of the application roles, so it
/// is derived from the one thing they share.
pub fn settings(admin_url: &str) -> DatabaseSettings {
    let password = hex::encode(&Sha256::digest(admin_url)[..16]);
    DatabaseSettings::for_server(admin_url, password)
}

/// Builds the template unless somebody did, and gives its name.
async fn ensure_template(
    settings: &DatabaseSettings,
    service: &str,
    migrations: &Migrator,
    base: Base,
) -> anyhow::Result<String> {
    let checksum = checksum(migrations, base);
    let template = format!("template_{service}_{}", &hex::encode(checksum)[..12]);
    let mut admin = db::admin_connection(settings, None).await?;
    if !is_ready(&mut admin, &template).await? {
        let lock = i64::from_be_bytes(checksum[..8].try_into().expect("a digest has 32 bytes"));
        sqlx::query("SELECT pg_advisory_lock($1)").bind(lock).execute(&mut admin).await?;
        if !is_ready(&mut admin, &template).await? {
            // What another process left unfinished.
            db::drop_database(settings, &template).await?;
            let own = settings.clone().with_database(service, &template);
            db::provision(&own, service).await?;
            match base {
                Base::Kit => db::migrate(&own, service, migrations).await?,
                Base::None => db::migrate_plain(&own, service, migrations).await?,
            }
            let finish = format!("ALTER DATABASE \"{template}\" IS_TEMPLATE true ALLOW_CONNECTIONS false");
            admin.execute(AssertSqlSafe(finish)).await.context("closing the template")?;
        }
    }
    sweep(settings, &mut admin).await?;
    // Closing the session gives the locks back.
    admin.close().await?;
    Ok(template)
}

async fn is_ready(admin: &mut PgConnection, template: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)")
        .bind(template)
        .fetch_one(admin)
        .await
}

fn checksum(migrations: &Migrator, base: Base) -> [u8; 32] {
    let mut digest = Sha256::new();
    let kit = (base == Base::Kit).then(|| db::BASE.iter()).into_iter().flatten();
    for migration in kit.chain(migrations.iter()) {
        digest.update(migration.version.to_be_bytes());
        digest.update(&migration.checksum);
    }
    digest.finalize().into()
}

/// Drops databases whose processes have ended. A test does not drop its own: nothing may block the runtime on which its
/// services still run, and a process that is killed could not.
async fn sweep(settings: &DatabaseSettings, admin: &mut PgConnection) -> anyhow::Result<()> {
    // One process at a time is enough, and nobody waits for the turn.
    let mine: bool =
        sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(SWEEP_LOCK).fetch_one(&mut *admin).await?;
    if !mine {
        return Ok(());
    }
    let names: Vec<String> = sqlx::query_scalar(r"SELECT datname::text FROM pg_database WHERE datname LIKE 'test\_%'")
        .fetch_all(&mut *admin)
        .await?;
    for name in names.iter().filter(|name| process_of(name).is_some_and(has_ended)).take(SWEPT_MAX) {
        db::drop_database(settings, name).await?;
    }
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(SWEEP_LOCK).execute(admin).await?;
    Ok(())
}

/// `test_<service>_<process>_<random>`
fn name_for(service: &str) -> String {
    let kind = if std::env::var_os(KEEP_VARIABLE).is_some() { "kept" } else { "test" };
    unique(&format!("{kind}_{service}_{}", std::process::id()))
}

fn process_of(name: &str) -> Option<u32> {
    name.rsplit('_').nth(1)?.parse().ok()
}

fn has_ended(process: u32) -> bool {
    !std::path::Path::new("/proc").join(process.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_it_is() {
        let name = name_for("some_service");
        assert_eq!(process_of(&name), Some(std::process::id()));
        assert!(!has_ended(std::process::id()));
        assert_eq!(process_of("test_something_else"), None);
    }
}
