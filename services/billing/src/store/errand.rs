//! Calls to providers and validators that wait, and who makes them now.
//!
//! They live in real time, so due instants and leases are both the database's time. A claim raises the fence.

use std::time::Duration;

use chrono::TimeDelta;
use ottery_kernel::BrandId;
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::unreadable;

/// Notifications about new errands and events travel on this channel.
pub const CHANNEL: &str = "ottery_billing_payments";

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A payment attempt.
    Payment,
    /// A refund.
    Refund,
    /// A VAT number.
    VatCheck,
    /// A page on which a method is saved.
    Setup,
    /// An address that waits for coins.
    Deposit,
    /// A file that was kept for long enough.
    Proof,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::VatCheck => "vat_check",
            Self::Setup => "setup",
            Self::Deposit => "deposit",
            Self::Proof => "proof",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        [Self::Payment, Self::Refund, Self::VatCheck, Self::Setup, Self::Deposit, Self::Proof]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// A claimed errand.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The payment, refund, question or page.
    pub id: Uuid,
    /// Which of them.
    pub kind: Kind,
    /// Whose it is.
    pub brand: BrandId,
    /// Looks since the last change.
    pub tries: u32,
}

/// Plans a call `after` some time and tells the workers; the look counter starts anew.
pub async fn plan(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    kind: Kind,
    ids: &[Uuid],
    after: TimeDelta,
) -> sqlx::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO errand (id, brand_id, kind, due_at)
         SELECT id, $1, $2, now() + make_interval(secs => $4) FROM UNNEST($3::uuid[]) AS r (id) ORDER BY id
         ON CONFLICT (id) DO UPDATE
            SET due_at = EXCLUDED.due_at, lease_until = '-infinity', fence = errand.fence + 1, tries = 0",
        brand.as_uuid(),
        kind.as_str(),
        ids,
        seconds(after),
    )
    .execute(&mut **tx)
    .await?;
    if after <= TimeDelta::zero() {
        wake(tx).await?;
    }
    Ok(())
}

/// Plans the next look at something nothing has changed about.
pub async fn again(tx: &mut PgTransaction<'_>, id: Uuid, after: TimeDelta) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE errand SET due_at = now() + make_interval(secs => $2), lease_until = '-infinity', fence = fence + 1,
                           tries = tries + 1 WHERE id = $1",
        id,
        seconds(after),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Nothing waits any more.
pub async fn done(tx: &mut PgTransaction<'_>, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM errand WHERE id = $1", id).execute(&mut **tx).await?;
    Ok(())
}

/// Tells the workers of every replica, when the transaction commits.
pub async fn wake(tx: &mut PgTransaction<'_>) -> sqlx::Result<()> {
    sqlx::query!(r#"SELECT pg_notify($1, '') AS "sent!: ()""#, CHANNEL).fetch_one(&mut **tx).await?;
    Ok(())
}

/// Claims errands across brands, the longest waiting first; what others hold is skipped.
pub async fn claim(pool: &PgPool, limit: i64, lease: Duration) -> sqlx::Result<Vec<Claim>> {
    let rows = sqlx::query!(
        "UPDATE errand SET lease_until = now() + make_interval(secs => $2), fence = fence + 1
          WHERE id = ANY (ARRAY(SELECT id FROM errand WHERE due_at <= now() AND lease_until < now()
                        ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED))
         RETURNING id, kind, brand_id, tries",
        limit,
        lease.as_secs_f64(),
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Claim {
                id: row.id,
                kind: Kind::from_text(&row.kind).ok_or_else(|| unreadable("errand", "kind", &row.kind))?,
                brand: BrandId::from_uuid(row.brand_id),
                tries: row.tries.unsigned_abs(),
            })
        })
        .collect()
}

/// How many calls and events of the brand wait to be worked on at this moment, or are being made: a charge under way is due again
/// only when nobody comes back from it.
pub async fn waiting(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT (SELECT count(*) FROM errand WHERE brand_id = $1 AND due_at <= now())
                + (SELECT count(*) FROM provider_event_due WHERE brand_id = $1 AND due_at <= now())
                + (SELECT count(*) FROM payment WHERE brand_id = $1 AND kind = 'saved' AND state = 'sent') AS "count!""#,
        brand.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await
}

fn seconds(span: TimeDelta) -> f64 {
    span.as_seconds_f64().max(0.0)
}
