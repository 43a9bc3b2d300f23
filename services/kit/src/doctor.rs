//! Findings of `ottery doctor`, and the invariants every service's database has.

use sqlx::PgPool;

use crate::consume::parked;
use crate::db::{DAYS_AHEAD_MIN, PartitionState, partition_state};
use crate::outbox;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody should look.
    Warning,
    /// A promise is broken.
    Error,
}

/// Something that is not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Short stable name, `outbox.unsent`.
    pub invariant: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was found and what to do.
    pub detail: String,
}

impl Finding {
    /// A broken promise.
    pub fn error(invariant: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { invariant: invariant.into(), severity: Severity::Error, detail: detail.into() }
    }

    /// Something to look at.
    pub fn warning(invariant: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { invariant: invariant.into(), severity: Severity::Warning, detail: detail.into() }
    }
}

/// Age at which an unsent event is a broken promise.
const UNSENT_LIMIT_SECS: u64 = 60;

/// Checks the kit's own tables of one service's database.
pub async fn invariants(pool: &PgPool) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let behind = outbox::stats(pool).await?;
    if behind.oldest_unsent_age.as_secs() > UNSENT_LIMIT_SECS {
        findings.push(Finding::error(
            "outbox.unsent",
            format!(
                "{} events are not sent, the oldest for {} s: is the broker reachable and a consumer declared for each type?",
                behind.unsent,
                behind.oldest_unsent_age.as_secs()
            ),
        ));
    }
    for (kind, reason, count) in parked_by_kind(pool).await? {
        findings.push(Finding::warning(
            "deliveries.parked",
            format!(
                "{count} deliveries of `{kind}` are parked ({reason}): try them again or discard them in the console"
            ),
        ));
    }
    let ownerless = expired_leases(pool).await?;
    if !ownerless.is_empty() && behind.unsent > 0 {
        findings.push(Finding::error(
            "relay.lease",
            format!("outbox shards {ownerless:?} have an owner whose lease ran out, and nobody took over: is the service running?"),
        ));
    }
    let stuck = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM retry_delivery
            WHERE state = 'waiting' AND due_at < now() - interval '10 minutes'"#
    )
    .fetch_one(pool)
    .await?;
    if stuck > 0 {
        findings.push(Finding::error(
            "deliveries.overdue",
            format!("{stuck} retries are more than 10 minutes overdue: is the service running?"),
        ));
    }
    findings.extend(partition_state(pool, None).await?.iter().flat_map(partitions));
    Ok(findings)
}

/// What is wrong with the partitions of a table.
fn partitions(state: &PartitionState) -> Vec<Finding> {
    let PartitionState { table, days_ahead, strays } = state;
    let mut findings = Vec::new();
    if *days_ahead < DAYS_AHEAD_MIN {
        findings.push(Finding::warning(
            "partitions.ahead",
            format!(
                "`{table}` has partitions for {} more days: run `ottery migrate --partitions` every day (`ottery up` \
                 does it by itself)",
                days_ahead.max(&0)
            ),
        ));
    }
    if *strays > 0 {
        findings.push(Finding::warning(
            "partitions.default",
            format!(
                "{strays} rows of `{table}` are in its DEFAULT partition although their month has come: \
                 `ottery migrate --partitions` makes their partition and moves them"
            ),
        ));
    }
    findings
}

/// Numbers for metrics: parked deliveries.
pub async fn parked_count(pool: &PgPool) -> sqlx::Result<i64> {
    parked::count(pool).await
}

async fn parked_by_kind(pool: &PgPool) -> sqlx::Result<Vec<(String, String, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT kind, reason, count(*) AS "count!" FROM retry_delivery
            WHERE state = 'parked' GROUP BY kind, reason ORDER BY kind, reason"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.kind, row.reason, row.count)).collect())
}

async fn expired_leases(pool: &PgPool) -> sqlx::Result<Vec<i16>> {
    sqlx::query_scalar!(
        "SELECT shard FROM relay_lease
          WHERE owner IS NOT NULL AND lease_until < now() - interval '1 minute' ORDER BY shard"
    )
    .fetch_all(pool)
    .await
}
