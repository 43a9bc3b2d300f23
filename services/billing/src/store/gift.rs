//! Batches of codes and their codes. Whoever redeems or voids one holds its lock, which comes before the customer's.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, EntityId, OrderId, PlanId};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;
use uuid::Uuid;

use super::due_brands::due_brands;
use super::{Page, column, money, unreadable};
use crate::domain::gift::{Batch, Code, Gives, Kind, Stored};
use crate::domain::wallet::CreditId;

struct BatchRow {
    id: Uuid,
    name: String,
    kind: String,
    gives: Json<Gives>,
    value_minor: i64,
    currency: String,
    count: i32,
    prefix: String,
    per_person_max: i32,
    expires_at: Option<DateTime<Utc>>,
    created_by: String,
    created_at: DateTime<Utc>,
    stock_plan_id: Option<Uuid>,
    voided_at: Option<DateTime<Utc>>,
    expired_at: Option<DateTime<Utc>>,
    is_downloaded: bool,
}

impl TryFrom<BatchRow> for Batch {
    type Error = sqlx::Error;

    fn try_from(row: BatchRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.id,
            name: row.name,
            kind: Kind::from_text(&row.kind).ok_or_else(|| unreadable("gift_batch", "kind", &row.kind))?,
            gives: row.gives.0,
            value: money("gift_batch", row.value_minor, &row.currency)?,
            count: row.count.unsigned_abs(),
            prefix: row.prefix,
            per_person_max: row.per_person_max.unsigned_abs(),
            expires_at: row.expires_at,
            created_by: row.created_by,
            created_at: row.created_at,
            holds: row.stock_plan_id.map(PlanId::from_uuid),
            voided_at: row.voided_at,
            expired_at: row.expired_at,
            is_downloaded: row.is_downloaded,
        })
    }
}

fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Keeps a batch and what its codes are derived from, sealed.
pub async fn insert(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    entity: EntityId,
    batch: &Batch,
    seed_sealed: &[u8],
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO gift_batch (id, brand_id, entity_id, name, kind, gives, value_minor, currency, count, prefix,
                                 per_person_max, expires_at, created_by, created_at, seed_sealed, stock_plan_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        batch.id,
        brand.as_uuid(),
        entity.as_uuid(),
        batch.name,
        batch.kind.as_str(),
        Json(&batch.gives) as _,
        batch.value.minor,
        batch.value.currency.code(),
        signed(batch.count),
        batch.prefix,
        signed(batch.per_person_max),
        batch.expires_at,
        batch.created_by,
        batch.created_at,
        seed_sealed,
        batch.holds.map(|plan| plan.as_uuid()),
    )
    .execute(&mut **tx)
    .await?;
    if let Some(due_at) = batch.expires_at {
        sqlx::query!(
            "INSERT INTO gift_due (batch_id, brand_id, due_at) VALUES ($1, $2, $3)",
            batch.id,
            brand.as_uuid(),
            due_at
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Keeps the hashes of a batch's codes, in their order, in one statement.
pub async fn insert_codes(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    batch: Uuid,
    codes: &[(Code, [u8; 32])],
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = codes.iter().map(|_| Uuid::now_v7()).collect();
    sqlx::query!(
        "INSERT INTO gift_code (id, brand_id, batch_id, code_hash, last_four)
         SELECT id, $1, $2, code_hash, last_four FROM UNNEST($3::uuid[], $4::bytea[], $5::text[]) AS r (id, code_hash, last_four)",
        brand.as_uuid(),
        batch,
        &ids,
        &column(codes, |(_, hash)| hash.to_vec()),
        &column(codes, |(code, _)| code.last_four().to_owned()),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One batch.
pub async fn get(tx: &mut PgTransaction<'_>, id: Uuid) -> sqlx::Result<Option<Batch>> {
    let row = sqlx::query_as!(
        BatchRow,
        r#"SELECT id, name, kind, gives AS "gives: Json<Gives>", value_minor, currency, count, prefix, per_person_max, expires_at,
                  created_by, created_at, stock_plan_id, voided_at, expired_at, seed_sealed IS NULL AS "is_downloaded!"
             FROM gift_batch WHERE brand_id = ottery_brand() AND id = $1"#,
        id
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Batch::try_from).transpose()
}

/// Batches, newest first.
pub async fn list(tx: &mut PgTransaction<'_>, page: Page) -> sqlx::Result<Vec<Batch>> {
    let rows = sqlx::query_as!(
        BatchRow,
        r#"SELECT id, name, kind, gives AS "gives: Json<Gives>", value_minor, currency, count, prefix, per_person_max, expires_at,
                  created_by, created_at, stock_plan_id, voided_at, expired_at, seed_sealed IS NULL AS "is_downloaded!"
             FROM gift_batch WHERE brand_id = ottery_brand() AND ($1::uuid IS NULL OR id < $1) ORDER BY id DESC LIMIT $2"#,
        page.before,
        page.limit
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Batch::try_from).collect()
}

/// Takes what a batch's codes are derived from; nobody gets it a second time.
pub async fn take_seed(tx: &mut PgTransaction<'_>, id: Uuid) -> sqlx::Result<Option<Vec<u8>>> {
    let taken = sqlx::query_scalar!(
        r#"WITH found AS (SELECT id, seed_sealed FROM gift_batch WHERE brand_id = ottery_brand() AND id = $1 FOR UPDATE)
           UPDATE gift_batch b SET seed_sealed = NULL FROM found
            WHERE b.id = found.id AND found.seed_sealed IS NOT NULL RETURNING found.seed_sealed AS "seed!""#,
        id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(taken)
}

/// The code with this hash and its batch, locked.
pub async fn lock(tx: &mut PgTransaction<'_>, hash: &[u8]) -> sqlx::Result<Option<(Stored, Batch)>> {
    let found = sqlx::query!(
        "SELECT id, batch_id, last_four, redeemed_by, redeemed_at, voided_at, expired_at FROM gift_code
          WHERE brand_id = ottery_brand() AND code_hash = $1 FOR UPDATE",
        hash
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = found else { return Ok(None) };
    let stored = Stored {
        id: row.id,
        batch: row.batch_id,
        last_four: row.last_four,
        redeemed_by: row.redeemed_by.map(AccountId::from_uuid),
        redeemed_at: row.redeemed_at,
        voided_at: row.voided_at,
        expired_at: row.expired_at,
    };
    Ok(get(tx, stored.batch).await?.map(|batch| (stored, batch)))
}

/// How many of a batch somebody has redeemed. The caller holds the customer's lock.
pub async fn redeemed_by(tx: &mut PgTransaction<'_>, batch: Uuid, account: AccountId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM gift_code
            WHERE brand_id = ottery_brand() AND batch_id = $1 AND redeemed_by = $2"#,
        batch,
        account.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await
}

/// A code was redeemed. The caller holds its lock.
pub async fn redeem(
    tx: &mut PgTransaction<'_>,
    code: Uuid,
    account: AccountId,
    (credit, order): (CreditId, Option<OrderId>),
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE gift_code SET redeemed_by = $2, redeemed_at = $3, credit_id = $4, order_id = $5 WHERE id = $1",
        code,
        account.as_uuid(),
        now,
        credit.as_uuid(),
        order.map(|order| order.as_uuid()),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A batch is over; returns how many of its codes nobody had redeemed.
pub async fn void_batch(tx: &mut PgTransaction<'_>, id: Uuid, now: DateTime<Utc>) -> sqlx::Result<u64> {
    sqlx::query!(
        "UPDATE gift_batch SET voided_at = $2
          WHERE brand_id = ottery_brand() AND id = $1 AND voided_at IS NULL AND expired_at IS NULL",
        id,
        now
    )
    .execute(&mut **tx)
    .await?;
    done(tx, &[id]).await?;
    let voided = sqlx::query!(
        "UPDATE gift_code SET voided_at = $2
          WHERE brand_id = ottery_brand() AND batch_id = $1
            AND redeemed_at IS NULL AND voided_at IS NULL AND expired_at IS NULL",
        id,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(voided.rows_affected())
}

/// The batch of a code, without locking anything.
pub async fn batch_of(tx: &mut PgTransaction<'_>, code: Uuid) -> sqlx::Result<Option<Batch>> {
    let batch = sqlx::query_scalar!("SELECT batch_id FROM gift_code WHERE brand_id = ottery_brand() AND id = $1", code)
        .fetch_optional(&mut **tx)
        .await?;
    match batch {
        Some(batch) => get(tx, batch).await,
        None => Ok(None),
    }
}

/// The time of a batch is up; returns how many of its codes nobody had redeemed or made void.
pub async fn expire_batch(tx: &mut PgTransaction<'_>, id: Uuid, now: DateTime<Utc>) -> sqlx::Result<u64> {
    sqlx::query!(
        "UPDATE gift_batch SET expired_at = $2
          WHERE brand_id = ottery_brand() AND id = $1 AND voided_at IS NULL AND expired_at IS NULL",
        id,
        now
    )
    .execute(&mut **tx)
    .await?;
    let expired = sqlx::query!(
        "UPDATE gift_code SET expired_at = $2
          WHERE brand_id = ottery_brand() AND batch_id = $1
            AND redeemed_at IS NULL AND voided_at IS NULL AND expired_at IS NULL",
        id,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(expired.rows_affected())
}

/// Brands with batches that expire by their clock; `now` is the time of brands without a test clock.
pub async fn due_brands(pool: &PgPool, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<BrandId>> {
    let brands = due_brands!("gift_due", pool, now, limit).await?;
    Ok(brands.into_iter().map(BrandId::from_uuid).collect())
}

/// How many batches of the brand are due.
pub async fn due_count(pool: &PgPool, brand: BrandId, now: DateTime<Utc>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM gift_due WHERE brand_id = $1 AND due_at <= $2"#,
        brand.as_uuid(),
        now
    )
    .fetch_one(pool)
    .await
}

/// Batches that are due, in the order of their ids, as everybody locks them; locks nothing.
pub async fn due(tx: &mut PgTransaction<'_>, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT batch_id FROM gift_due WHERE brand_id = ottery_brand() AND due_at <= $1 ORDER BY batch_id LIMIT $2",
        now,
        limit
    )
    .fetch_all(&mut **tx)
    .await
}

/// These will not expire any more.
pub async fn done(tx: &mut PgTransaction<'_>, batches: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM gift_due WHERE brand_id = ottery_brand() AND batch_id = ANY($1)", batches)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A code is void, unless it was redeemed, void or expired before; true when it was none of it.
pub async fn void_code(tx: &mut PgTransaction<'_>, id: Uuid, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let voided = sqlx::query!(
        "UPDATE gift_code SET voided_at = $2
          WHERE brand_id = ottery_brand() AND id = $1
            AND redeemed_at IS NULL AND voided_at IS NULL AND expired_at IS NULL",
        id,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(voided.rows_affected() == 1)
}

/// The codes of a batch, newest first.
pub async fn codes(tx: &mut PgTransaction<'_>, batch: Uuid, page: Page) -> sqlx::Result<Vec<Stored>> {
    let rows = sqlx::query!(
        "SELECT id, last_four, redeemed_by, redeemed_at, voided_at, expired_at FROM gift_code
          WHERE brand_id = ottery_brand() AND batch_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        batch,
        page.before,
        page.limit
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Stored {
            id: row.id,
            batch,
            last_four: row.last_four,
            redeemed_by: row.redeemed_by.map(AccountId::from_uuid),
            redeemed_at: row.redeemed_at,
            voided_at: row.voided_at,
            expired_at: row.expired_at,
        })
        .collect())
}
