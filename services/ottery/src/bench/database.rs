//! A private PostgreSQL with databases of billing alone, for benches of what billing does by itself.

use std::path::PathBuf;

use anyhow::Context;
use ottery_kit::db::{self, DatabaseSettings};
use ottery_kit::local::postgres::Postgres;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

use crate::up;
use crate::up::state::random_hex;

/// The server of one bench; it ends with the value.
pub struct Server {
    postgres: Postgres,
    folder: PathBuf,
    settings: DatabaseSettings,
}

impl Server {
    /// Starts one with every promise of durability on, as `ottery up` does. Counting statements takes a little of its time.
    ///
    /// # Errors
    /// It does not start; the sentence says where its log is.
    pub async fn start(bench: &str, counts_statements: bool) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("ottery-bench-{bench}-{}", random_hex(6)));
        std::fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        eprintln!("ottery: starting a private PostgreSQL in {}", folder.display());
        // As servers come: a batch is measured, not what is done for a young installation.
        let mut options = up::postgres_options(folder.join("postgres")).setting("autovacuum_naptime", "1min");
        if counts_statements {
            options = options
                .setting("shared_preload_libraries", "pg_stat_statements")
                .setting("pg_stat_statements.track_planning", "on");
        }
        let postgres = Postgres::start(options).await.context("cannot start the private PostgreSQL")?;
        let url = postgres.local_url();
        let settings = DatabaseSettings::for_server(url, random_hex(16));
        Ok(Self { postgres, folder, settings })
    }

    /// Its process number.
    ///
    /// # Errors
    /// It has ended.
    pub fn pid(&mut self) -> anyhow::Result<u32> {
        self.postgres.leash().pid().context("the private PostgreSQL has ended")
    }

    /// Its major version.
    pub fn version(&self) -> u32 {
        self.postgres.version()
    }

    /// How billing finds the database of that name.
    pub fn of(&self, database: &str) -> DatabaseSettings {
        self.settings.clone().with_database(billing::NAME, database)
    }

    /// Makes an empty database of billing.
    ///
    /// # Errors
    /// The schema cannot be made.
    pub async fn create(&self, database: &str) -> anyhow::Result<DatabaseSettings> {
        let settings = self.of(database);
        db::provision(&settings, billing::NAME).await?;
        db::migrate(&settings, billing::NAME, &billing::MIGRATIONS).await?;
        Ok(settings)
    }

    /// Makes a copy of a database nobody is connected to.
    ///
    /// # Errors
    /// Somebody is.
    pub async fn copy(&self, from: &str, to: &str) -> anyhow::Result<DatabaseSettings> {
        db::create_database(&self.settings, billing::NAME, to, Some(from)).await?;
        Ok(self.of(to))
    }

    /// Removes a database that is not needed any more.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn drop(&self, database: &str) -> anyhow::Result<()> {
        Ok(db::drop_database(&self.settings, database).await?)
    }

    /// Connects the administrator, whom no wall between brands stops.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn admin(&self, database: &str) -> anyhow::Result<PgConnection> {
        Ok(db::admin_connection(&self.settings, Some(database)).await?)
    }

    /// Writes everything to disk, so that what is measured next does not pay for what came before.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn settle(&self, database: &str) -> anyhow::Result<()> {
        let mut admin = self.admin(database).await?;
        admin.execute("CHECKPOINT").await?;
        Ok(admin.close().await?)
    }

    /// Ends it. After a failure its folder stays, for whoever looks into it.
    ///
    /// # Errors
    /// It does not end.
    pub async fn leave(self, is_well: bool) -> anyhow::Result<()> {
        self.postgres.stop().await.context("the private PostgreSQL did not stop")?;
        if is_well {
            std::fs::remove_dir_all(&self.folder)
                .with_context(|| format!("cannot remove {}", self.folder.display()))?;
        } else {
            eprintln!("ottery: the private PostgreSQL's data and log are in {}", self.folder.display());
        }
        Ok(())
    }
}
