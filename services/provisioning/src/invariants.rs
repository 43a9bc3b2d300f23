//! What has to be true of this service's data; `ottery doctor` asks.

use ottery_kernel::BrandId;
use ottery_kit::db::{self, Scope};
use ottery_kit::doctor::Finding;
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;

/// Checks the service's own tables, brand by brand, so that the application's own role sees enough.
///
/// # Errors
/// The database.
pub async fn invariants(pool: &PgPool) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let abandoned = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM reconcile_due
           WHERE due_at < now() - interval '2 minutes' AND lease_until > '-infinity'
             AND lease_until < now() - interval '1 minute'"#
    )
    .fetch_one(pool)
    .await?;
    let what = "services are due with a lease that ran out, and nobody took over: is the reconciler running?";
    expect_none(&mut findings, "lease", abandoned, what);
    let brands = sqlx::query_scalar!(
        r#"SELECT brand_id AS "brand_id!" FROM reconcile_due UNION SELECT brand_id FROM panel_due"#
    )
    .fetch_all(pool)
    .await?;
    for brand in brands {
        let brand = BrandId::from_uuid(brand);
        let mut tx = db::begin(pool, Scope::Brand(brand)).await?;
        of_brand(&mut tx, brand, &mut findings).await?;
        tx.commit().await?;
    }
    Ok(findings)
}

fn expect_none(findings: &mut Vec<Finding>, name: &str, count: i64, what: &str) {
    if count > 0 {
        findings.push(Finding::error(format!("provisioning.{name}"), format!("{count} {what}")));
    }
}

async fn of_brand(tx: &mut PgTransaction<'_>, brand: BrandId, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let overdue = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM service s
           WHERE s.brand_id = $1 AND open_state = 'unknown' AND open_sent_at < now() - interval '11 minutes'
             AND NOT EXISTS (SELECT FROM task t WHERE t.service_id = s.id AND t.closed_at IS NULL)"#,
        brand.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await?;
    let what = "calls are unknown past their deadline and no task says so: is the reconciler running?";
    expect_none(findings, "unknown", overdue, what);
    let doubled = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
               SELECT panel_id, line_id FROM service WHERE brand_id = $1 AND line_fact = 'seen'
               GROUP BY panel_id, line_id HAVING count(*) > 1) d"#,
        brand.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await?;
    expect_none(findings, "line", doubled, "lines belong to more than one service");
    let subscriptions = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
               SELECT subscription_id FROM service WHERE brand_id = $1
               GROUP BY subscription_id HAVING count(*) > 1) d"#,
        brand.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await?;
    expect_none(findings, "subscription", subscriptions, "subscriptions have more than one service");
    let ahead = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM service WHERE brand_id = $1 AND observed_version > wanted_version"#,
        brand.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await?;
    expect_none(findings, "version", ahead, "services were observed at a version nobody wanted");
    let forgotten = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM service s JOIN reconcile_due d ON d.service_id = s.id
           WHERE s.brand_id = $1 AND s.observed_version < s.wanted_version AND s.refused_version IS NULL
             AND s.step <> 'stuck' AND d.due_at IS NULL AND d.lease_until <= now()"#,
        brand.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await?;
    expect_none(findings, "forgotten", forgotten, "services differ from what is wanted and are not due");
    let load = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM panel_load l WHERE l.brand_id = $1 AND l.lines <> (
               SELECT count(*) FROM service s WHERE s.panel_id = l.panel_id AND s.line_fact <> 'removed')"#,
        brand.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await?;
    expect_none(findings, "load", load, "panels count another number of lines than services that are on them");
    Ok(())
}
