//! Refunds that are what an objection gave back.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, DisputeId, PaymentId, RefundId};
use sqlx::postgres::PgTransaction;

/// A refund the provider tells of, tied to an objection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tied {
    /// To which.
    pub dispute: DisputeId,
    /// The provider's id of the refund.
    pub provider_ref: String,
    /// How much, in minor units of the payment's currency.
    pub minor: i64,
    /// What it is booked as; none: what the objection took holds it.
    pub refund: Option<RefundId>,
}

/// The refunds of a payment that are tied, the oldest first. Whoever holds the payment's lock keeps them as they are.
pub async fn of_payment(tx: &mut PgTransaction<'_>, payment: PaymentId) -> sqlx::Result<Vec<Tied>> {
    let rows = sqlx::query!(
        "SELECT dispute_id, provider_ref, amount_minor, refund_id FROM dispute_refund
          WHERE brand_id = ottery_brand() AND payment_id = $1 ORDER BY created_at, provider_ref",
        payment.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    let tied = rows.into_iter().map(|row| Tied {
        dispute: DisputeId::from_uuid(row.dispute_id),
        provider_ref: row.provider_ref,
        minor: row.amount_minor,
        refund: row.refund_id.map(RefundId::from_uuid),
    });
    Ok(tied.collect())
}

/// Ties a refund; the caller holds the lock of its payment.
pub async fn tie(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    payment: PaymentId,
    tied: &Tied,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO dispute_refund (brand_id, payment_id, provider_ref, dispute_id, refund_id, amount_minor, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        brand.as_uuid(),
        payment.as_uuid(),
        tied.provider_ref,
        tied.dispute.as_uuid(),
        tied.refund.map(|id| id.as_uuid()),
        tied.minor,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// It was not what the objection gave back; the caller holds the lock of its payment.
pub async fn untie(tx: &mut PgTransaction<'_>, payment: PaymentId, reference: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM dispute_refund WHERE brand_id = ottery_brand() AND payment_id = $1 AND provider_ref = $2",
        payment.as_uuid(),
        reference
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
