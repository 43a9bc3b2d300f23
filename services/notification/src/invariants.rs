//! What must hold in the database besides what its constraints say.

use ottery_kit::doctor::Finding;
use sqlx::PgPool;

/// Checks the database as its owner sees it: over all brands.
///
/// # Errors
/// The database cannot be read.
pub async fn invariants(pool: &PgPool) -> anyhow::Result<Vec<Finding>> {
    let mut findings = ottery_kit::doctor::invariants(pool).await?;
    let forgotten = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM delivery d WHERE state IN ('planned', 'sending')
           AND NOT EXISTS (SELECT FROM delivery_due q WHERE q.delivery_id = d.id AND q.brand_id = d.brand_id)"#
    )
    .fetch_one(pool)
    .await?;
    if forgotten > 0 {
        findings
            .push(Finding::error("delivery.forgotten", format!("{forgotten} mails wait but nobody will send them")));
    }
    let again = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM delivery d JOIN delivery_due q ON q.delivery_id = d.id
           WHERE d.state IN ('sent', 'unknown', 'failed')"#
    )
    .fetch_one(pool)
    .await?;
    if again > 0 {
        findings.push(Finding::error("delivery.twice", format!("{again} mails are done and still queued")));
    }
    let unknown = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM delivery WHERE state = 'unknown'"#)
        .fetch_one(pool)
        .await?;
    if unknown > 0 {
        findings.push(Finding::warning(
            "delivery.unknown",
            format!("{unknown} mails may or may not have arrived: look at them in the console and resend where needed"),
        ));
    }
    Ok(findings)
}
