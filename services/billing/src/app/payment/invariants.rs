//! What must be true of payments at any moment.

use ottery_kernel::BrandId;
use sqlx::postgres::PgTransaction;

/// Contradictions in the brand's payments and refunds: name of the rule, what breaks it.
///
/// # Errors
/// When the database fails.
pub async fn invariants(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<Vec<(String, String)>> {
    let mut findings = Vec::new();
    let unbooked = sqlx::query!(
        r#"SELECT p.id, p.received_minor AS "received!", p.state FROM payment p
            WHERE p.brand_id = $1 AND (p.state = 'succeeded') AND p.received_minor <> (
                SELECT coalesce(sum(t.amount_minor), 0) FROM transfer t
                 WHERE t.brand_id = p.brand_id AND t.kind = 'payment.settled'
                   AND t.reference_id = 'pay_' || replace(p.id::text, '-', '')) LIMIT 20"#,
        brand.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(unbooked.into_iter().map(|row| {
        (
            "payment.booked".to_owned(),
            format!("payment {} received {} and the books say otherwise", row.id, row.received),
        )
    }));
    let over = sqlx::query_scalar!(
        "SELECT p.id FROM payment p JOIN refund r ON r.brand_id = p.brand_id AND r.payment_id = p.id AND r.state <> 'failed'
          WHERE p.brand_id = $1 GROUP BY p.id, p.received_minor
         HAVING sum(r.amount_minor) > coalesce(p.received_minor, 0) LIMIT 20",
        brand.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(
        over.into_iter()
            .map(|id| ("refund.sum".to_owned(), format!("payment {id} has more refunded than was received"))),
    );
    let unpaid = sqlx::query_scalar!(
        "SELECT r.id FROM refund r WHERE r.brand_id = $1 AND r.state = 'succeeded' AND r.amount_minor <> (
             SELECT coalesce(sum(t.amount_minor), 0) FROM transfer t
              WHERE t.brand_id = r.brand_id AND t.kind = 'refund.settled'
                AND t.reference_id = 'ref_' || replace(r.id::text, '-', '')) LIMIT 20",
        brand.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(
        unpaid
            .into_iter()
            .map(|id| ("refund.booked".to_owned(), format!("refund {id} is not in the books with its amount"))),
    );
    let forgotten = sqlx::query_scalar!(
        "SELECT p.id FROM payment p WHERE p.brand_id = $1
            AND (p.state IN ('sent', 'unknown', 'pending') OR p.state = 'requested' AND p.kind = 'saved')
            AND NOT EXISTS (SELECT FROM errand e WHERE e.id = p.id) LIMIT 20",
        brand.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(
        forgotten
            .into_iter()
            .map(|id| ("payment.planned".to_owned(), format!("payment {id} is open and nobody looks after it"))),
    );
    Ok(findings)
}
