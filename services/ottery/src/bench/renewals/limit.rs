//! The limit: the rows of a run, written once more into a copy of the database it began with, by COPY from the server's own
//! disk, as an administrator whom no row-level security stops. Same tables, indexes, checks and foreign keys, no logic, no
//! network.

use std::time::Duration;

use anyhow::Context;
use futures::future::try_join_all;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tokio::time::Instant;

use crate::bench::database::Server;

/// The rows a run has added to one table.
#[derive(Clone, Debug)]
pub struct Added {
    /// The table.
    pub table: String,
    /// How many.
    pub rows: i64,
    /// Whether other tables refer to it.
    is_referred_to: bool,
    columns: String,
}

/// Transactions that are newer than this wrote the rows of the run.
///
/// # Errors
/// The database fails.
pub async fn mark(admin: &mut PgConnection) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT pg_current_xact_id()::text::bigint").fetch_one(admin).await?)
}

/// What the run has added, by table. Rows it changed are not counted: COPY cannot write them.
///
/// # Errors
/// The database fails.
pub async fn added(admin: &mut PgConnection, before: &mut PgConnection, mark: i64) -> anyhow::Result<Vec<Added>> {
    let tables: Vec<(String, bool, String)> = sqlx::query_as(
        "SELECT c.relname::text, EXISTS (SELECT FROM pg_constraint WHERE confrelid = c.oid),
                (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                  WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attidentity = '' AND attgenerated = '')
           FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND c.relname <> '_sqlx_migrations' ORDER BY 2 DESC, 1",
    )
    .fetch_all(&mut *admin)
    .await?;
    let mut added = Vec::new();
    for (table, is_referred_to, columns) in tables {
        let count = || AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let now: i64 = sqlx::query_scalar(count()).fetch_one(&mut *admin).await?;
        let rows = now - sqlx::query_scalar::<_, i64>(count()).fetch_one(&mut *before).await?;
        if rows == 0 {
            continue;
        }
        let new = AssertSqlSafe(format!("SELECT count(*) FROM {table} WHERE xmin::text::bigint >= {mark}"));
        let new: i64 = sqlx::query_scalar(new).fetch_one(&mut *admin).await?;
        // A table in which a run both adds and changes rows would need its added ones told apart.
        anyhow::ensure!(new == rows, "{table} has {rows} rows more, but {new} that were written");
        added.push(Added { table, rows, is_referred_to, columns });
    }
    Ok(added)
}

/// Writes the rows from one database into files of the server, in `parts` pieces per table.
///
/// # Errors
/// The database fails.
pub async fn export(admin: &mut PgConnection, added: &[Added], mark: i64, parts: u32) -> anyhow::Result<()> {
    for Added { table, columns, .. } in added {
        for part in 0..parts {
            let statement = format!(
                "COPY (SELECT {columns} FROM (SELECT *, row_number() OVER () AS place FROM {table}
                        WHERE xmin::text::bigint >= {mark}) AS added WHERE place % {parts} = {part})
                 TO '{}' (FORMAT binary)",
                file(admin, table, part).await?
            );
            admin.execute(AssertSqlSafe(statement)).await.with_context(|| format!("exporting {table}"))?;
        }
    }
    Ok(())
}

/// Writes the files into another database, by that many connections at once; how long it took.
///
/// # Errors
/// The database refuses a row.
pub async fn import(server: &Server, database: &str, added: &[Added], parts: u32) -> anyhow::Result<Duration> {
    let mut connections = Vec::new();
    for _ in 0..parts {
        connections.push(server.admin(database).await?);
    }
    server.settle(database).await?;
    let began = Instant::now();
    // What others refer to has to be there before them.
    for is_referred_to in [true, false] {
        let tables: Vec<&Added> = added.iter().filter(|added| added.is_referred_to == is_referred_to).collect();
        let copies = connections.iter_mut().zip(0..).map(async |(connection, part)| {
            for Added { table, columns, .. } in &tables {
                let from = file(connection, table, part).await?;
                let statement = format!("COPY {table} ({columns}) FROM '{from}' (FORMAT binary)");
                connection.execute(AssertSqlSafe(statement)).await.with_context(|| format!("copying into {table}"))?;
            }
            anyhow::Ok(())
        });
        try_join_all(copies).await?;
    }
    let took = began.elapsed();
    for connection in connections {
        connection.close().await?;
    }
    Ok(took)
}

/// In the server's own data folder, the one place it can write to for sure.
async fn file(connection: &mut PgConnection, table: &str, part: u32) -> anyhow::Result<String> {
    let folder: String = sqlx::query_scalar("SHOW data_directory").fetch_one(connection).await?;
    Ok(format!("{folder}/bench-{table}-{part}.copy"))
}
