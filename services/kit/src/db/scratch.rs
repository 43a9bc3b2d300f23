//! A scratch database: for trying things on a copy, under a role that can reach nothing else.
//!
//! [`provision_scratch`] makes the role and its one database, empty; `ottery migrate` calls it with the others. The role owns
//! that database, so whoever works in it builds and clears the schema without an administrator. It has no right anywhere else,
//! and no other role of ours may connect to its database.
//!
//! Whoever takes the database cuts off who had it before: their connections end, and new ones are refused because the token
//! of [`Scratch::take`] is no longer theirs. So a process that slept through its turn can write nothing into the next one's.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnection, PgPoolOptions, PgTransaction};
use sqlx::{Connection as _, PgPool};
use uuid::Uuid;

use super::connect::explain;
use super::migrate::merged;
use super::provision::{lock, login_role, make_database, open_database, run};
use super::{DatabaseError, DatabaseSettings, admin_connection, plain_name};

/// How long a statement may take: nobody waits for one, and a copy of a large table is one.
const STATEMENT_LIMIT_MS: u64 = 600_000;
/// How long those who are cut off have for it.
const CUT_OFF_MS: i64 = 5_000;

/// A scratch database in somebody's hands, with a fresh schema.
#[derive(Clone, Debug)]
pub struct Scratch {
    /// Connected as the role that owns it and nothing else.
    pub pool: PgPool,
}

/// What of a table is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied<'a> {
    /// Its name, the same on both sides.
    pub table: &'a str,
    /// Which rows, as SQL; never from outside.
    pub rows: String,
    /// Columns that hold something else in the copy, as SQL: secrets.
    pub replaced: &'a [(&'a str, &'a str)],
}

/// Creates the role and the empty database of that name, or brings them up to the settings. Safe to repeat.
pub async fn provision_scratch(settings: &DatabaseSettings, name: &str) -> Result<(), DatabaseError> {
    let database = settings.database_name(plain_name(name)?);
    let mut admin = admin_connection(settings, None).await?;
    lock(&mut admin).await?;
    let made = provisioned(&mut admin, settings, name, plain_name(&database)?).await;
    // Closing the session gives the lock back, whatever happened.
    admin
        .close()
        .await
        .map_err(|source| DatabaseError::Query { step: "closing the administrator's session", source })?;
    made
}

async fn provisioned(
    admin: &mut PgConnection,
    settings: &DatabaseSettings,
    name: &str,
    database: &str,
) -> Result<(), DatabaseError> {
    let patient = DatabaseSettings {
        statement_timeout_ms: STATEMENT_LIMIT_MS,
        idle_in_transaction_timeout_ms: STATEMENT_LIMIT_MS,
        ..settings.clone()
    };
    let role = DatabaseSettings::role_name(name);
    login_role(admin, &patient, name).await?;
    // An administrator that is no superuser has to be a member to give something to the role.
    run(admin, format!("GRANT \"{role}\" TO CURRENT_USER"), "joining the scratch role").await?;
    make_database(admin, database, &role).await?;
    open_database(admin, database, &role).await
}

impl Scratch {
    /// Takes the database away from whoever has it, empties it and builds the schema of `sources`.
    ///
    /// # Errors
    /// When it does not exist, or a migration fails.
    pub async fn take(settings: &DatabaseSettings, name: &str, sources: &[&Migrator]) -> Result<Self, DatabaseError> {
        let options = settings.options(name)?;
        let mut connection = PgConnection::connect_with(&options).await.map_err(|error| explain(error, &options))?;
        let token = Uuid::new_v4();
        hold(&mut connection, token)
            .await
            .map_err(|source| DatabaseError::Query { step: "taking the scratch database", source })?;
        empty(&mut connection).await?;
        merged(sources)
            .run_direct(None, &mut connection, false)
            .await
            .map_err(|source| DatabaseError::Migration { database: settings.database_name(name), source })?;
        connection.close().await.map_err(|source| DatabaseError::Query { step: "closing the session", source })?;
        let pool = PgPoolOptions::new()
            .max_connections(settings.pool_size)
            .acquire_timeout(settings.acquire_timeout())
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    let held: Option<Uuid> =
                        sqlx::query_scalar("SELECT token FROM scratch.holder").fetch_optional(connection).await?;
                    if held == Some(token) {
                        return Ok(());
                    }
                    Err(sqlx::Error::Configuration("the scratch database was taken by somebody else".into()))
                })
            })
            .connect_with(options.clone())
            .await
            .map_err(|error| explain(error, &options))?;
        Ok(Self { pool })
    }

    /// Copies rows as `from` sees them; parents before children. What a table's own triggers forbid was allowed when the rows
    /// were written, so they rest meanwhile. Returns how many rows came.
    ///
    /// # Errors
    /// When a table or column is missing on either side, or the databases fail.
    pub async fn fill(&self, from: &mut PgTransaction<'_>, tables: &[Copied<'_>]) -> Result<u64, DatabaseError> {
        let failed = |source| DatabaseError::Query { step: "copying into the scratch database", source };
        let mut tx = self.pool.begin().await.map_err(failed)?;
        let walls = walls(&mut tx).await.map_err(failed)?;
        let mut rows = 0;
        for copied in in_order(tables, &parents(&mut tx).await.map_err(failed)?) {
            let table = plain_name(copied.table)?;
            let is_walled = walls.contains(table);
            // COPY refuses tables with row-level security; their owner may lay it down for the length of a transaction.
            let opened =
                if is_walled { format!("ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;") } else { String::new() };
            run(&mut tx, format!("{opened} ALTER TABLE {table} DISABLE TRIGGER USER"), "opening the copy").await?;
            rows += copy(from, &mut tx, copied).await.map_err(failed)?;
            let closed =
                if is_walled { format!("ALTER TABLE {table} FORCE ROW LEVEL SECURITY;") } else { String::new() };
            run(&mut tx, format!("{closed} ALTER TABLE {table} ENABLE TRIGGER USER"), "closing the copy").await?;
        }
        tx.commit().await.map_err(failed)?;
        // Plans for empty tables would be followed for millions of rows.
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        let counted: Result<Vec<_>, _> = tables.iter().map(|copied| plain_name(copied.table)).collect();
        run(&mut connection, format!("ANALYZE {}", counted?.join(", ")), "counting what was copied").await?;
        Ok(rows)
    }

    /// Throws everything away; the empty database stays.
    ///
    /// # Errors
    /// When somebody else has it, or it is away.
    pub async fn clear(self) -> Result<(), DatabaseError> {
        let mut connection = self
            .pool
            .acquire()
            .await
            .map_err(|source| DatabaseError::Query { step: "clearing the scratch database", source })?
            .detach();
        self.pool.close().await;
        empty(&mut connection).await?;
        connection.close().await.map_err(|source| DatabaseError::Query { step: "closing the session", source })
    }
}

/// Whether anything is left in the database of that name, by a process that could not clear it.
///
/// # Errors
/// When it does not exist or is away.
pub async fn is_scratch_empty(settings: &DatabaseSettings, name: &str) -> Result<bool, DatabaseError> {
    let options = settings.options(name)?;
    let mut connection = PgConnection::connect_with(&options).await.map_err(|error| explain(error, &options))?;
    let is_empty = sqlx::query_scalar("SELECT to_regclass('public._sqlx_migrations') IS NULL")
        .fetch_one(&mut connection)
        .await
        .map_err(|source| DatabaseError::Query { step: "looking into the scratch database", source })?;
    connection.close().await.map_err(|source| DatabaseError::Query { step: "closing the session", source })?;
    Ok(is_empty)
}

/// Empties what a process left that could not clear it itself.
///
/// # Errors
/// When it does not exist or is away.
pub async fn sweep_scratch(settings: &DatabaseSettings, name: &str) -> Result<(), DatabaseError> {
    let options = settings.options(name)?;
    let mut connection = PgConnection::connect_with(&options).await.map_err(|error| explain(error, &options))?;
    hold(&mut connection, Uuid::new_v4())
        .await
        .map_err(|source| DatabaseError::Query { step: "taking the scratch database", source })?;
    empty(&mut connection).await?;
    connection.close().await.map_err(|source| DatabaseError::Query { step: "closing the session", source })
}

/// First the token, then the connections: who connects in between finds the new token.
async fn hold(connection: &mut PgConnection, token: Uuid) -> sqlx::Result<()> {
    sqlx::raw_sql(
        "CREATE SCHEMA IF NOT EXISTS scratch;
         CREATE TABLE IF NOT EXISTS scratch.holder (
             only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
             token    uuid NOT NULL)",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT INTO scratch.holder (token) VALUES ($1) ON CONFLICT (only_row) DO UPDATE SET token = $1")
        .bind(token)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "SELECT pg_terminate_backend(pid, $1) FROM pg_stat_activity
          WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()",
    )
    .bind(CUT_OFF_MS)
    .execute(connection)
    .await?;
    Ok(())
}

async fn empty(connection: &mut PgConnection) -> Result<(), DatabaseError> {
    let statement = "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public".to_owned();
    run(connection, statement, "emptying the scratch database").await
}

/// Tables whose owner is behind row-level security as well.
async fn walls(tx: &mut PgConnection) -> sqlx::Result<BTreeSet<String>> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relforcerowsecurity AND relnamespace = 'public'::regnamespace",
    )
    .fetch_all(tx)
    .await?;
    Ok(names.into_iter().collect())
}

/// Which tables each table refers to.
async fn parents(tx: &mut PgConnection) -> sqlx::Result<BTreeMap<String, BTreeSet<String>>> {
    let pairs: Vec<(String, String)> = sqlx::query_as(
        "SELECT child.relname::text, parent.relname::text FROM pg_constraint
           JOIN pg_class child ON child.oid = conrelid JOIN pg_class parent ON parent.oid = confrelid
          WHERE contype = 'f' AND conrelid <> confrelid AND connamespace = 'public'::regnamespace",
    )
    .fetch_all(tx)
    .await?;
    let mut of: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (child, parent) in pairs {
        of.entry(child).or_default().insert(parent);
    }
    Ok(of)
}

/// Parents before children. Tables that refer to each other in a circle come in the order given, and are refused by their keys.
fn in_order<'a, 'b>(tables: &'a [Copied<'b>], parents: &BTreeMap<String, BTreeSet<String>>) -> Vec<&'a Copied<'b>> {
    let mut waiting: Vec<&Copied<'_>> = tables.iter().collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let left: BTreeSet<&str> = waiting.iter().map(|copied| copied.table).collect();
        let is_ready = |copied: &&Copied<'_>| {
            !parents.get(copied.table).is_some_and(|of| of.iter().any(|parent| left.contains(parent.as_str())))
        };
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
        if ready.is_empty() {
            ordered.extend(rest);
            break;
        }
        ordered.extend(ready);
        waiting = rest;
    }
    ordered
}

async fn copy(from: &mut PgConnection, to: &mut PgConnection, copied: &Copied<'_>) -> sqlx::Result<u64> {
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT attname::text FROM pg_attribute
          WHERE attrelid = ('public.' || $1)::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
          ORDER BY attnum",
    )
    .bind(copied.table)
    .fetch_all(&mut *to)
    .await?;
    let (read, write) = statements(copied, &columns);
    let mut stream = from.copy_out_raw(&read).await?;
    let mut sink = to.copy_in_raw(&write).await?;
    loop {
        match stream.try_next().await {
            Ok(Some(bytes)) => {
                sink.send(bytes).await?;
            }
            Ok(None) => return sink.finish().await,
            Err(error) => {
                sink.abort("the source failed").await?;
                return Err(error);
            }
        }
    }
}

/// What is asked of the one and of the other side.
fn statements(copied: &Copied<'_>, columns: &[String]) -> (String, String) {
    let read = |column: &String| {
        let other = copied.replaced.iter().find(|(name, _)| name == column);
        other.map_or_else(|| format!("\"{column}\""), |(_, sql)| (*sql).to_owned())
    };
    let quoted: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
    let (selected, inserted) = (columns.iter().map(read).collect::<Vec<_>>().join(", "), quoted.join(", "));
    let (table, rows) = (copied.table, &copied.rows);
    (
        format!("COPY (SELECT {selected} FROM {table} WHERE {rows}) TO STDOUT (FORMAT binary)"),
        format!("COPY {table} ({inserted}) FROM STDIN (FORMAT binary)"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_secret_is_read_as_something_else() {
        let replaced = [("key", "''::bytea")];
        let copied = Copied { table: "account", rows: "id = 1".into(), replaced: &replaced };
        let (read, write) = statements(&copied, &["id".to_owned(), "key".to_owned()]);
        assert_eq!(read, r#"COPY (SELECT "id", ''::bytea FROM account WHERE id = 1) TO STDOUT (FORMAT binary)"#);
        assert_eq!(write, r#"COPY account ("id", "key") FROM STDIN (FORMAT binary)"#);
    }

    #[test]
    fn parents_are_copied_before_their_children() {
        let copied = |table| Copied { table, rows: String::new(), replaced: &[] };
        let tables = [copied("share"), copied("payment"), copied("invoice"), copied("task")];
        let of =
            |child: &str, parents: &[&str]| (child.to_owned(), parents.iter().map(|name| (*name).to_owned()).collect());
        let parents = BTreeMap::from([
            of("share", &["payment", "invoice"]),
            of("payment", &["invoice", "account"]),
            of("task", &["task_kind"]),
        ]);
        let order: Vec<&str> = in_order(&tables, &parents).iter().map(|copied| copied.table).collect();
        assert_eq!(order, ["invoice", "task", "payment", "share"]);
    }
}
