//! What must hold in identity's database besides what its constraints say.

use ottery_kernel::BrandId;
use ottery_kit::db::{Scope, begin};
use ottery_kit::doctor::Finding;
use sqlx::{PgConnection, PgPool};

use crate::app::verify_chain;
use crate::store::audit;

/// Checks every chain of the audit trail, and that no session lives where none may.
///
/// # Errors
/// The database cannot be read.
pub async fn invariants(pool: &PgPool) -> anyhow::Result<Vec<Finding>> {
    let mut findings = ottery_kit::doctor::invariants(pool).await?;
    let mut connection = pool.acquire().await?;
    let mut chains = audit::chains(&mut connection).await?;
    drop(connection);
    if !chains.contains(&None) {
        chains.push(None);
    }
    for brand in chains {
        let mut tx = begin(pool, Scope::from(brand)).await?;
        let whose = brand.map_or_else(|| "the platform".to_owned(), |brand| format!("brand {brand}"));
        let verdict = verify_chain(&mut tx, brand).await?;
        if let Some(sequence) = verdict.first_broken {
            findings.push(Finding::error(
                "audit chain intact",
                format!(
                    "the audit chain of {whose} is broken at entry {sequence}: compare it with the tail in the logs"
                ),
            ));
        }
        findings.extend(sessions(&mut tx, brand, &whose).await?);
    }
    Ok(findings)
}

async fn sessions(tx: &mut PgConnection, brand: Option<BrandId>, whose: &str) -> anyhow::Result<Vec<Finding>> {
    let counts = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE s.idle_deadline > s.absolute_deadline) AS "immortal!",
                  count(*) FILTER (WHERE s.created_at < a.password_changed_at) AS "survivors!",
                  count(*) FILTER (WHERE s.kind = 'full' AND a.brand_id IS NULL
                                   AND NOT EXISTS (SELECT FROM second_factor f
                                                   WHERE f.account_id = a.id AND f.confirmed_at IS NOT NULL)) AS "unproven!"
           FROM session s JOIN account a ON a.id = s.account_id
           WHERE s.revoked_at IS NULL AND (s.brand_id = $1 OR ($1::uuid IS NULL AND s.brand_id IS NULL))"#,
        brand.map(|brand| brand.as_uuid()),
    )
    .fetch_one(tx)
    .await?;
    let wrong = [
        ("session ends", counts.immortal, "sessions outlive their absolute deadline"),
        (
            "password change ends sessions",
            counts.survivors,
            "sessions are older than the password they were opened with",
        ),
        ("staff have a second factor", counts.unproven, "full sessions of staff without a second factor"),
    ];
    Ok(wrong
        .into_iter()
        .filter(|(_, count, _)| *count > 0)
        .map(|(name, count, what)| Finding::error(name, format!("{whose}: {count} {what}; revoke them")))
        .collect())
}
