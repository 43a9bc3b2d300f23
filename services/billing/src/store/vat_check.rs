//! Every question that was asked about a VAT number, and its answer: the proof for the tax office.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub id: Uuid,
    /// Whose number.
    pub account: AccountId,
    /// With its prefix.
    pub number: String,
    /// When, in the brand's time.
    pub asked_at: DateTime<Utc>,
}

/// How it was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the number is a business's.
    pub is_valid: bool,
    /// The service, or the member of staff.
    pub validator: String,
    /// The service's name of its answer.
    pub reference: String,
    /// Registered name.
    pub name: String,
    /// Registered address.
    pub address: String,
}

/// Writes a question down.
pub async fn ask(tx: &mut PgTransaction<'_>, brand: BrandId, check: &Check) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO vat_check (id, brand_id, account_id, number, asked_at) VALUES ($1, $2, $3, $4, $5)",
        check.id,
        brand.as_uuid(),
        check.account.as_uuid(),
        check.number,
        check.asked_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A question nobody answered yet.
pub async fn open(tx: &mut PgTransaction<'_>, brand: BrandId, id: Uuid) -> sqlx::Result<Option<Check>> {
    let row = sqlx::query!(
        "SELECT account_id, number, asked_at FROM vat_check WHERE brand_id = $1 AND id = $2 AND decided_at IS NULL",
        brand.as_uuid(),
        id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Check {
        id,
        account: AccountId::from_uuid(row.account_id),
        number: row.number,
        asked_at: row.asked_at,
    }))
}

/// Writes its answer down; false when it was answered before.
pub async fn answer(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    id: Uuid,
    verdict: &Verdict,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE vat_check SET is_valid = $3, validator = $4, reference = $5, name = $6, address = $7, decided_at = $8
          WHERE brand_id = $1 AND id = $2 AND decided_at IS NULL",
        brand.as_uuid(),
        id,
        verdict.is_valid,
        verdict.validator,
        verdict.reference,
        verdict.name,
        verdict.address,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
