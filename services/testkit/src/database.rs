//! A fresh database for every test.
//!
//! The schema is built once per service and state of its migrations, as a template; a test gets a copy, which takes some
//! tens of milliseconds. Processes that want the same template at the same time wait for one of them to build it.

use std::thread;

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

/// A database that only one test uses; dropped with the value.
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
    let admin_url = postgres_admin_url().await;
    match create(&admin_url, service, migrations).await {
        Ok(database) => database,
        Err(error) => panic!("a database for '{service}': {error:#}"),
    }
}

async fn create(admin_url: &str, service: &'static str, migrations: &Migrator) -> anyhow::Result<TestDatabase> {
    let settings = settings(admin_url);
    let template = ensure_template(&settings, service, migrations).await?;
    let name = unique(&format!("test_{service}"));
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
async fn ensure_template(settings: &DatabaseSettings, service: &str, migrations: &Migrator) -> anyhow::Result<String> {
    let checksum = checksum(migrations);
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
            db::migrate(&own, service, migrations).await?;
            let finish = format!("ALTER DATABASE \"{template}\" IS_TEMPLATE true ALLOW_CONNECTIONS false");
            admin.execute(AssertSqlSafe(finish)).await.context("closing the template")?;
        }
    }
    // Closing the session gives the lock back.
    admin.close().await?;
    Ok(template)
}

async fn is_ready(admin: &mut PgConnection, template: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)")
        .bind(template)
        .fetch_one(admin)
        .await
}

fn checksum(migrations: &Migrator) -> [u8; 32] {
    let mut digest = Sha256::new();
    for migration in db::BASE.iter().chain(migrations.iter()) {
        digest.update(migration.version.to_be_bytes());
        digest.update(&migration.checksum);
    }
    digest.finalize().into()
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if std::env::var_os(KEEP_VARIABLE).is_some() {
            eprintln!("kept database {}", self.name);
            return;
        }
        let (settings, name) = (self.settings.clone(), self.name.clone());
        // The test's runtime may be ending or unwinding; a thread with one of its own does not care.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { db::drop_database(&settings, &name).await })?;
            anyhow::Ok(())
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("database {} stays behind: {error:#}", self.name);
        }
    }
}
