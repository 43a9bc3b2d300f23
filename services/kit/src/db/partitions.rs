//! Monthly partitions of growing tables, over years without a restart.
//!
//! Only the owner of a table can make or drop its partitions. The application role owns nothing and a `SECURITY
//! DEFINER` function would be a hole in the second wall, so a running service cannot do it: whoever holds the
//! administrator's URL calls [`keep_partitions`] every day. `ottery up` does so by itself; elsewhere `ottery migrate
//! --partitions` runs on a schedule. The tables are found in the catalogue, so none can be forgotten.
//!
//! Nothing is lost when that stays away: rows of months without a partition go to the DEFAULT partition and are moved
//! when theirs is made. `ottery doctor` and the metrics of [`crate::upkeep`] tell long before ([`partition_state`]).

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, PgPool};

use super::provision::run;
use super::{DatabaseError, DatabaseSettings, admin_connection, plain_name};
use crate::upkeep::{DAY, INBOX_KEEP, OUTBOX_KEEP};

/// Fewer days than this ahead mean that nobody has made any for two months.
pub const DAYS_AHEAD_MIN: i64 = 30;

/// Months of partitions made ahead; rows of later ones go to the DEFAULT partition.
const MONTHS_AHEAD: i32 = 3;
/// The column that says when a row was done with, and how long it is kept then. Rows of other tables are kept.
const RETENTION: [(&str, &str, Duration); 2] =
    [("outbox", "sent_at", OUTBOX_KEEP), ("inbox", "handled_at", INBOX_KEEP)];
/// How long an empty partition of those stays after its month.
const EMPTY_KEEP: Duration = Duration::from_secs(90 * DAY.as_secs());
/// While we wait for a lock, others wait behind us.
const LOCK_LIMIT: &str = "SET lock_timeout = '1s'";
/// How often it is tried while others hold the locks it needs, and the pause in between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// What [`keep_partitions`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Partitions that were made in time.
    pub made: usize,
    /// Rows that moved out of DEFAULT partitions.
    pub moved: u64,
    /// Partitions that held nothing worth keeping and are gone.
    pub dropped: Vec<String>,
}

/// Where a partitioned table stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// The table.
    pub table: String,
    /// Days for which partitions are there.
    pub days_ahead: i64,
    /// Rows in the DEFAULT partition although their month has come, or comes within 30 days. For a role from which
    /// row-level security hides them it is the server's estimate.
    pub strays: i64,
}

/// Makes the partitions that are missing, moves the rows that strayed and drops what is spent, in the database of
/// `service` and as its owner. `at` is the present; none: the database's. Safe beside a running system and beside
/// itself, and cheap when there is nothing to do.
pub async fn keep_partitions(
    settings: &DatabaseSettings,
    service: &str,
    at: Option<DateTime<Utc>>,
) -> Result<Kept, DatabaseError> {
    let database = settings.database_name(plain_name(service)?);
    let mut connection = admin_connection(settings, Some(&database)).await?;
    let become_owner = format!("SET ROLE \"{}\"", DatabaseSettings::owner_name(service));
    run(&mut connection, become_owner, "acting as the owner role").await?;
    let kept = keep(&mut connection, at).await;
    let closed = connection.close().await;
    let kept = kept?;
    closed.map_err(|source| DatabaseError::Query { step: "closing the owner's session", source })?;
    Ok(kept)
}

/// The same in a session of the owner.
pub(super) async fn keep(connection: &mut PgConnection, at: Option<DateTime<Utc>>) -> Result<Kept, DatabaseError> {
    run(connection, LOCK_LIMIT.to_owned(), "limiting the wait for locks").await?;
    let mut kept = Kept::default();
    let mut tries = 1;
    loop {
        match pass(connection, at, &mut kept).await {
            Ok(()) => break,
            // What is done is done; the next pass goes on from there.
            Err(error) if is_locked(&error) && tries < TRIES => tokio::time::sleep(PAUSE).await,
            Err(source) => return Err(DatabaseError::Query { step: "keeping partitions", source }),
        }
        tries += 1;
    }
    if kept != Kept::default() {
        tracing::info!(made = kept.made, moved = kept.moved, dropped = ?kept.dropped, "partitions are kept");
    }
    Ok(kept)
}

/// Each step is a transaction of its own, so that no lock is held longer than one step takes.
async fn pass(connection: &mut PgConnection, at: Option<DateTime<Utc>>, kept: &mut Kept) -> sqlx::Result<()> {
    let missing = sqlx::query!(
        r#"SELECT parent AS "parent!", key AS "key!", month AS "month!"
             FROM ottery_missing_partitions(coalesce($1, now()), $2)"#,
        at,
        MONTHS_AHEAD
    )
    .fetch_all(&mut *connection)
    .await?;
    for part in missing {
        let moved = sqlx::query_scalar!("SELECT ottery_make_partition($1, $2, $3)", part.parent, part.key, part.month)
            .fetch_one(&mut *connection)
            .await?;
        kept.made += usize::from(moved.is_some());
        kept.moved += moved.unwrap_or(0).unsigned_abs();
    }
    let tables = sqlx::query_scalar!(r#"SELECT parent AS "parent!" FROM ottery_monthly_tables()"#)
        .fetch_all(&mut *connection)
        .await?;
    for table in tables {
        tidy(connection, &table, at, kept).await?;
    }
    Ok(())
}

async fn tidy(
    connection: &mut PgConnection,
    table: &str,
    at: Option<DateTime<Utc>>,
    kept: &mut Kept,
) -> sqlx::Result<()> {
    let moved = sqlx::query_scalar!(r#"SELECT ottery_settle_strays($1, coalesce($2, now())) AS "moved!""#, table, at)
        .fetch_one(&mut *connection)
        .await?;
    kept.moved += moved.unsigned_abs();
    sqlx::query!("SELECT ottery_wall_partitions($1)", table).fetch_one(&mut *connection).await?;
    let rule = RETENTION.iter().find(|(name, ..)| *name == table);
    let (done, keep) = rule.map_or((None, EMPTY_KEEP), |(_, done, keep)| (Some(*done), *keep));
    let dropped = sqlx::query_scalar!(
        r#"SELECT ottery_drop_spent_partitions($1, coalesce($2, now()), $3, make_interval(secs => $4))
                  AS "dropped!""#,
        table,
        at,
        done,
        keep.as_secs_f64()
    )
    .fetch_one(&mut *connection)
    .await?;
    kept.dropped.extend(dropped);
    Ok(())
}

/// The wait for a lock took too long, or was part of a deadlock.
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}

/// Where the partitioned tables of a service stand at `at`; none: the database's present.
pub async fn partition_state(pool: &PgPool, at: Option<DateTime<Utc>>) -> sqlx::Result<Vec<PartitionState>> {
    sqlx::query_as!(
        PartitionState,
        r#"SELECT parent AS "table!", strays AS "strays!",
                  floor(extract(epoch FROM prepared_until - coalesce($1, now())) / 86400)::bigint AS "days_ahead!"
             FROM ottery_partition_state(coalesce($1, now()))"#,
        at
    )
    .fetch_all(pool)
    .await
}
