//! What has to be true of this service's data; `ottery doctor` asks.

use ottery_kit::doctor::Finding;
use sqlx::PgPool;

/// Checks the service's own tables. `pool` must see every brand (the administrator's connection); with the
/// application's own role only the platform tables are visible.
///
/// # Errors
/// The database.
pub async fn invariants(pool: &PgPool) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut expect_none = |name: &str, count: i64, what: &str| {
        if count > 0 {
            findings.push(Finding::error(format!("provisioning.{name}"), format!("{count} {what}")));
        }
    };
    let overdue = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM service s
           WHERE open_state = 'unknown' AND open_sent_at < now() - interval '11 minutes'
             AND NOT EXISTS (SELECT FROM task t WHERE t.service_id = s.id AND t.closed_at IS NULL)"#
    )
    .fetch_one(pool)
    .await?;
    expect_none(
        "unknown",
        overdue,
        "calls are unknown past their deadline and no task says so: is the reconciler running?",
    );
    let doubled = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
               SELECT panel_id, line_id FROM service WHERE line_fact = 'seen'
               GROUP BY panel_id, line_id HAVING count(*) > 1) d"#
    )
    .fetch_one(pool)
    .await?;
    expect_none("line", doubled, "lines belong to more than one service");
    let subscriptions = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
               SELECT subscription_id FROM service GROUP BY subscription_id HAVING count(*) > 1) d"#
    )
    .fetch_one(pool)
    .await?;
    expect_none("subscription", subscriptions, "subscriptions have more than one service");
    let ahead = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM service WHERE observed_version > wanted_version"#
    )
    .fetch_one(pool)
    .await?;
    expect_none("version", ahead, "services were observed at a version nobody wanted");
    let abandoned = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM reconcile_due
           WHERE due_at < now() - interval '2 minutes' AND lease_until > '-infinity' AND lease_until < now() - interval '1 minute'"#
    )
    .fetch_one(pool)
    .await?;
    expect_none("lease", abandoned, "services are due with a lease that ran out, and nobody took over: is the reconciler running?");
    let load = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM panel_load l WHERE l.lines <> (
               SELECT count(*) FROM service s WHERE s.panel_id = l.panel_id AND s.line_fact <> 'removed')"#
    )
    .fetch_one(pool)
    .await?;
    expect_none("load", load, "panels count another number of lines than services that are on them");
    Ok(findings)
}
