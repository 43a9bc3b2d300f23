//! Billing addresses, and what is known of the VAT numbers in them.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId};
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;
use uuid::Uuid;

use super::unreadable;
use crate::domain::address::{Address, Kept, Source};
use crate::domain::vat::Standing;

struct Row {
    account_id: Uuid,
    content: Json<Address>,
    source: String,
    standing: Option<Json<Standing>>,
    version: i64,
}

impl TryFrom<Row> for (AccountId, Kept) {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let kept = Kept {
            address: row.content.0,
            source: Source::from_text(&row.source)
                .ok_or_else(|| unreadable("billing_address", "source", &row.source))?,
            standing: row.standing.map(|standing| standing.0),
            version: row.version,
        };
        Ok((AccountId::from_uuid(row.account_id), kept))
    }
}

/// The address of a customer, when they have one.
pub async fn get(tx: &mut PgTransaction<'_>, brand: BrandId, account: AccountId) -> sqlx::Result<Option<Kept>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT account_id, content AS "content: Json<Address>", source, standing AS "standing: Json<Standing>", version
             FROM billing_address WHERE brand_id = $1 AND account_id = $2"#,
        brand.as_uuid(),
        account.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(<(AccountId, Kept)>::try_from).transpose()?.map(|(_, kept)| kept))
}

/// As [`get`], locked.
pub async fn lock(tx: &mut PgTransaction<'_>, brand: BrandId, account: AccountId) -> sqlx::Result<Option<Kept>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT account_id, content AS "content: Json<Address>", source, standing AS "standing: Json<Standing>", version
             FROM billing_address WHERE brand_id = $1 AND account_id = $2 FOR UPDATE"#,
        brand.as_uuid(),
        account.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(<(AccountId, Kept)>::try_from).transpose()?.map(|(_, kept)| kept))
}

/// The addresses with a VAT number of these customers, locked in the order of their accounts.
pub async fn lock_numbered(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    accounts: &[AccountId],
) -> sqlx::Result<Vec<(AccountId, Kept)>> {
    let ids: Vec<Uuid> = accounts.iter().map(AccountId::as_uuid).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT account_id, content AS "content: Json<Address>", source, standing AS "standing: Json<Standing>", version
             FROM billing_address WHERE brand_id = $1 AND account_id = ANY ($2) AND standing IS NOT NULL
            ORDER BY account_id FOR UPDATE"#,
        brand.as_uuid(),
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Keeps an address.
pub async fn put(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    account: AccountId,
    kept: &Kept,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO billing_address (brand_id, account_id, content, source, standing, version, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (brand_id, account_id) DO UPDATE
            SET content = EXCLUDED.content, source = EXCLUDED.source, standing = EXCLUDED.standing,
                version = EXCLUDED.version, updated_at = EXCLUDED.updated_at",
        brand.as_uuid(),
        account.as_uuid(),
        Json(&kept.address) as _,
        kept.source.as_str(),
        kept.standing.as_ref().map(Json) as _,
        kept.version,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps where an order said its customer is, unless they have an address.
pub async fn note(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    account: AccountId,
    address: &Address,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO billing_address (brand_id, account_id, content, source, version, updated_at)
         VALUES ($1, $2, $3, $4, 1, $5) ON CONFLICT (brand_id, account_id) DO NOTHING",
        brand.as_uuid(),
        account.as_uuid(),
        Json(address) as _,
        Source::Order.as_str(),
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes what is known of the number now; the address stays.
pub async fn set_standing(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    account: AccountId,
    standing: &Standing,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE billing_address SET standing = $3 WHERE brand_id = $1 AND account_id = $2",
        brand.as_uuid(),
        account.as_uuid(),
        Json(standing) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
