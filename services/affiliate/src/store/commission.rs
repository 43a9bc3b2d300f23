//! Commissions, refunds, flags and the due table.

use chrono::{DateTime, Utc};
use ottery_kernel::{AffiliateId, BrandId, CommissionId, DisputeId, InvoiceId, Money, RefundId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Claims, Commission, CommissionState, Disputed};

struct Row {
    id: Uuid,
    affiliate_id: Uuid,
    order_id: String,
    invoice_id: Uuid,
    currency: String,
    base_minor: i64,
    amount_minor: i64,
    reversed_minor: i64,
    state: String,
    version: i64,
    created_at: DateTime<Utc>,
    approve_after: DateTime<Utc>,
    is_held: bool,
}

impl TryFrom<Row> for Commission {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let currency = row.currency.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let money = |minor| Money { minor, currency };
        let state = CommissionState::from_stored(&row.state)
            .ok_or_else(|| sqlx::Error::Decode(format!("unknown commission state `{}`", row.state).into()))?;
        Ok(Self {
            id: CommissionId::from_uuid(row.id),
            affiliate: AffiliateId::from_uuid(row.affiliate_id),
            order_id: row.order_id,
            invoice: InvoiceId::from_uuid(row.invoice_id),
            base: money(row.base_minor),
            amount: money(row.amount_minor),
            reversed: money(row.reversed_minor),
            state,
            version: row.version,
            created_at: row.created_at,
            approve_after: row.approve_after,
            is_held: row.is_held,
        })
    }
}

/// Adds a commission unless its invoice has one; says whether it was added.
pub async fn insert(tx: &mut PgConnection, brand: BrandId, commission: &Commission) -> sqlx::Result<bool> {
    let added = sqlx::query!(
        "INSERT INTO commission (id, brand_id, affiliate_id, order_id, invoice_id, currency, base_minor, amount_minor, \
         reversed_minor, state, version, created_at, approve_after) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (brand_id, invoice_id) DO NOTHING",
        commission.id.as_uuid(),
        brand.as_uuid(),
        commission.affiliate.as_uuid(),
        commission.order_id,
        commission.invoice.as_uuid(),
        commission.amount.currency.code(),
        commission.base.minor,
        commission.amount.minor,
        commission.reversed.minor,
        commission.state.as_str(),
        commission.version,
        commission.created_at,
        commission.approve_after,
    )
    .execute(&mut *tx)
    .await?;
    if added.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "INSERT INTO due (commission_id, brand_id, due_at) VALUES ($1, $2, $3)",
        commission.id.as_uuid(),
        brand.as_uuid(),
        commission.approve_after,
    )
    .execute(tx)
    .await?;
    Ok(true)
}

/// Writes what changed; only what waits for the end of its hold window, and for nothing else, is due.
pub async fn update(tx: &mut PgConnection, brand: BrandId, commission: &Commission) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE commission SET reversed_minor = $2, state = $3, version = $4, is_held = $5 WHERE id = $1",
        commission.id.as_uuid(),
        commission.reversed.minor,
        commission.state.as_str(),
        commission.version,
        commission.is_held,
    )
    .execute(&mut *tx)
    .await?;
    if commission.state == CommissionState::Pending && !commission.is_held {
        sqlx::query!(
            "INSERT INTO due (commission_id, brand_id, due_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            commission.id.as_uuid(),
            brand.as_uuid(),
            commission.approve_after,
        )
        .execute(tx)
        .await?;
    } else {
        sqlx::query!("DELETE FROM due WHERE commission_id = $1", commission.id.as_uuid()).execute(tx).await?;
    }
    Ok(())
}

/// Until the transaction ends nobody else judges what is said of this invoice. There may be no commission to lock yet: without this
/// a claim and the sale it is about, each heard by a transaction of its own, would miss each other.
pub async fn lock_invoice(tx: &mut PgConnection, invoice: InvoiceId) -> sqlx::Result<()> {
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock(hashtextextended('commission ' || $1::uuid::text, 0)) AS "held!: ()""#,
        invoice.as_uuid()
    )
    .fetch_one(tx)
    .await?;
    Ok(())
}

/// The commission of an invoice, locked until the transaction ends.
pub async fn lock_of_invoice(tx: &mut PgConnection, invoice: InvoiceId) -> sqlx::Result<Option<Commission>> {
    sqlx::query_as!(
        Row,
        "SELECT id, affiliate_id, order_id, invoice_id, currency, base_minor, amount_minor, reversed_minor, state, \
         version, created_at, approve_after, is_held FROM commission WHERE invoice_id = $1 FOR UPDATE",
        invoice.as_uuid()
    )
    .fetch_optional(tx)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

/// Pending commissions of the transaction's brand whose hold window is over, locked; those locked by others are left to them.
pub async fn lock_due(tx: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<Commission>> {
    sqlx::query_as!(
        Row,
        "SELECT id, affiliate_id, order_id, invoice_id, currency, base_minor, amount_minor, reversed_minor, state, \
         version, created_at, approve_after, is_held FROM commission WHERE state = 'pending' AND NOT is_held AND approve_after <= $1 \
         ORDER BY approve_after LIMIT $2 FOR UPDATE SKIP LOCKED",
        now,
        limit
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// Commissions of an affiliate, or of all, newest first.
pub async fn list(
    tx: &mut PgConnection,
    affiliate: Option<AffiliateId>,
    before: Option<CommissionId>,
    limit: i64,
) -> sqlx::Result<Vec<Commission>> {
    sqlx::query_as!(
        Row,
        "SELECT id, affiliate_id, order_id, invoice_id, currency, base_minor, amount_minor, reversed_minor, state, \
         version, created_at, approve_after, is_held FROM commission WHERE ($1::uuid IS NULL OR affiliate_id = $1) \
         AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        affiliate.map(|id| id.as_uuid()),
        before.map(|id| id.as_uuid()),
        limit
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// What an affiliate has in a state, per currency, less what was taken back.
pub async fn sums(tx: &mut PgConnection, affiliate: AffiliateId, state: CommissionState) -> sqlx::Result<Vec<Money>> {
    let rows = sqlx::query!(
        "SELECT currency, sum(amount_minor - reversed_minor)::bigint AS \"minor!\" FROM commission \
         WHERE affiliate_id = $1 AND state = $2 GROUP BY currency ORDER BY currency",
        affiliate.as_uuid(),
        state.as_str(),
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let currency = row.currency.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            Ok(Money { minor: row.minor, currency })
        })
        .collect()
}

/// Remembers a refund; false when it was known already.
pub async fn remember_refund(
    tx: &mut PgConnection,
    brand: BrandId,
    refund: RefundId,
    invoice: InvoiceId,
    amount_minor: i64,
    invoice_total_minor: i64,
) -> sqlx::Result<bool> {
    let added = sqlx::query!(
        "INSERT INTO refund (brand_id, refund_id, invoice_id, amount_minor, invoice_total_minor) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT DO NOTHING",
        brand.as_uuid(),
        refund.as_uuid(),
        invoice.as_uuid(),
        amount_minor,
        invoice_total_minor,
    )
    .execute(tx)
    .await?;
    Ok(added.rows_affected() == 1)
}

/// Remembers how an objection stands for one invoice; false when that, or something newer, was known already.
pub async fn remember_dispute(
    tx: &mut PgConnection,
    brand: BrandId,
    dispute: DisputeId,
    version: i64,
    share: &Disputed,
) -> sqlx::Result<bool> {
    let changed = sqlx::query!(
        "INSERT INTO dispute AS d (brand_id, dispute_id, invoice_id, version, is_open, lost_minor, invoice_total_minor) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (brand_id, dispute_id, invoice_id) DO UPDATE \
         SET version = EXCLUDED.version, is_open = EXCLUDED.is_open, lost_minor = EXCLUDED.lost_minor \
         WHERE d.version < EXCLUDED.version",
        brand.as_uuid(),
        dispute.as_uuid(),
        share.invoice.as_uuid(),
        version,
        share.is_open,
        share.lost_minor,
        share.total_minor,
    )
    .execute(tx)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// What refunds and objections say of an invoice so far; none when there are none.
pub async fn claims(tx: &mut PgConnection, invoice: InvoiceId) -> sqlx::Result<Option<Claims>> {
    let row = sqlx::query!(
        "SELECT coalesce(sum(amount_minor), 0)::bigint AS \"gone_minor!\", max(total_minor) AS total_minor, \
                coalesce(bool_or(is_open), false) AS \"is_disputed!\" \
         FROM (SELECT amount_minor, invoice_total_minor AS total_minor, false AS is_open FROM refund WHERE invoice_id = $1 \
               UNION ALL SELECT lost_minor, invoice_total_minor, is_open FROM dispute WHERE invoice_id = $1) claim",
        invoice.as_uuid(),
    )
    .fetch_one(tx)
    .await?;
    let claims = |total_minor| Claims { gone_minor: row.gone_minor, total_minor, is_disputed: row.is_disputed };
    Ok(row.total_minor.map(claims))
}

/// Remembers a referral that earned nothing.
pub async fn flag(
    tx: &mut PgConnection,
    brand: BrandId,
    invoice: InvoiceId,
    code: &str,
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO flagged_referral (brand_id, invoice_id, code, reason, flagged_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT DO NOTHING",
        brand.as_uuid(),
        invoice.as_uuid(),
        code,
        reason,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Brands that have pending commissions. Which are due is judged by each brand's own time.
pub async fn brands_with_pending(connection: &mut PgConnection) -> sqlx::Result<Vec<BrandId>> {
    let brands = sqlx::query_scalar!("SELECT DISTINCT brand_id FROM due").fetch_all(connection).await?;
    Ok(brands.into_iter().map(BrandId::from_uuid).collect())
}

/// How many commissions of a brand are due by its time.
pub async fn count_due(connection: &mut PgConnection, brand: BrandId, now: DateTime<Utc>) -> sqlx::Result<i64> {
    let count =
        sqlx::query_scalar!("SELECT count(*) FROM due WHERE brand_id = $1 AND due_at <= $2", brand.as_uuid(), now)
            .fetch_one(connection)
            .await?;
    Ok(count.unwrap_or(0))
}
