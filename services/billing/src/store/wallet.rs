//! What customers have in their wallets. Whoever spends holds the customers' locks.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, Currency, EntityId, InvoiceId, Money};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::due_brands::due_brands;
use super::{currency, ledger, money};
use crate::domain::statement::Movement;
use crate::domain::wallet::{Credit, CreditId, Granted, Pocket, Purse};

/// Keeps a credit, and when it expires.
pub async fn insert(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    entity: EntityId,
    granted: &Granted,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO wallet_credit (id, brand_id, entity_id, account_id, amount_minor, currency, reason, granted_by,
                                    granted_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        granted.id.as_uuid(),
        brand.as_uuid(),
        entity.as_uuid(),
        granted.account.as_uuid(),
        granted.amount.minor,
        granted.amount.currency.code(),
        granted.reason,
        granted.granted_by,
        granted.granted_at,
        granted.expires_at,
    )
    .execute(&mut **tx)
    .await?;
    if let Some(expires_at) = granted.expires_at {
        sqlx::query!(
            "INSERT INTO wallet_credit_due (credit_id, brand_id, due_at) VALUES ($1, $2, $3)",
            granted.id.as_uuid(),
            brand.as_uuid(),
            expires_at
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// One credit.
pub async fn get(tx: &mut PgTransaction<'_>, id: CreditId) -> sqlx::Result<Option<Granted>> {
    let row = sqlx::query!(
        "SELECT account_id, amount_minor, currency, reason, granted_by, granted_at, expires_at
           FROM wallet_credit WHERE brand_id = ottery_brand() AND id = $1",
        id.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        Ok(Granted {
            id,
            account: AccountId::from_uuid(row.account_id),
            amount: money("wallet_credit", row.amount_minor, &row.currency)?,
            reason: row.reason,
            granted_by: row.granted_by,
            granted_at: row.granted_at,
            expires_at: row.expires_at,
        })
    })
    .transpose()
}

/// A credit of a customer and what is left of it.
#[derive(Clone, Debug)]
pub struct Held {
    /// As it was granted.
    pub granted: Granted,
    /// What is left in the books, expired or not.
    pub left: Money,
}

/// The credits of these customers of which something is left, oldest first.
pub async fn held(tx: &mut PgTransaction<'_>, accounts: &[AccountId]) -> sqlx::Result<Vec<Held>> {
    let ids: Vec<Uuid> = accounts.iter().map(AccountId::as_uuid).collect();
    let rows = sqlx::query!(
        r#"SELECT c.id, c.account_id, c.amount_minor, c.currency, c.reason, c.granted_by, c.granted_at, c.expires_at,
                  booked.left AS "left!"
             FROM wallet_credit c
            CROSS JOIN LATERAL (
                SELECT (coalesce((SELECT sum(t.amount_minor) FROM transfer t
                                   WHERE t.brand_id = c.brand_id AND t.state = 'posted'
                                     AND t.credit = 'credit:wcr_' || replace(c.id::text, '-', '')), 0)
                      - coalesce((SELECT sum(t.amount_minor) FROM transfer t
                                   WHERE t.brand_id = c.brand_id AND t.state = 'posted'
                                     AND t.debit = 'credit:wcr_' || replace(c.id::text, '-', '')), 0))::bigint AS left) AS booked
            WHERE c.brand_id = ottery_brand() AND c.account_id = ANY($1) AND booked.left > 0
            ORDER BY c.id"#,
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let currency = currency("wallet_credit", &row.currency)?;
            Ok(Held {
                granted: Granted {
                    id: CreditId::from_uuid(row.id),
                    account: AccountId::from_uuid(row.account_id),
                    amount: Money::new(row.amount_minor, currency),
                    reason: row.reason,
                    granted_by: row.granted_by,
                    granted_at: row.granted_at,
                    expires_at: row.expires_at,
                },
                left: Money::new(row.left, currency),
            })
        })
        .collect()
}

/// What these customers have, by currency: paid money that is not held, and what is left of credits.
pub async fn purses(
    tx: &mut PgTransaction<'_>,
    accounts: &[AccountId],
) -> sqlx::Result<HashMap<(AccountId, Currency), Purse>> {
    let paid = ledger::wallets(tx, accounts).await?;
    let mut purses: HashMap<_, _> =
        paid.into_iter().map(|(key, paid)| (key, Purse { paid, credits: Vec::new() })).collect();
    for Held { granted, left } in held(tx, accounts).await? {
        let purse = purses.entry((granted.account, left.currency)).or_insert_with(|| Purse::empty(left.currency));
        purse.credits.push(Credit { id: granted.id, left, expires_at: granted.expires_at });
    }
    Ok(purses)
}

/// What an open invoice took out of a wallet.
#[derive(Clone, Copy, Debug)]
pub struct TakenBy {
    /// The invoice.
    pub invoice: InvoiceId,
    /// Whose wallet.
    pub account: AccountId,
    /// In whose books.
    pub entity: EntityId,
    /// Out of which pocket.
    pub pocket: Pocket,
    /// How much.
    pub amount: Money,
}

/// What these invoices took out of wallets.
pub async fn taken_by(tx: &mut PgTransaction<'_>, invoices: &[InvoiceId]) -> sqlx::Result<Vec<TakenBy>> {
    let ids: Vec<Uuid> = invoices.iter().map(InvoiceId::as_uuid).collect();
    let rows = sqlx::query!(
        r#"SELECT a.invoice_id, i.account_id, i.entity_id, a.amount_minor, a.currency, c.id AS "credit_id?", c.expires_at AS "expires_at?"
             FROM allocation a
             JOIN invoice i ON i.brand_id = a.brand_id AND i.id = a.invoice_id
             LEFT JOIN wallet_credit c ON c.brand_id = a.brand_id AND 'wcr_' || replace(c.id::text, '-', '') = a.source_id
                  AND c.account_id = i.account_id
            WHERE a.brand_id = ottery_brand() AND a.invoice_id = ANY($1) AND a.source = 'wallet' ORDER BY a.id"#,
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let credit = row.credit_id.map(CreditId::from_uuid);
            Ok(TakenBy {
                invoice: InvoiceId::from_uuid(row.invoice_id),
                account: AccountId::from_uuid(row.account_id),
                entity: EntityId::from_uuid(row.entity_id),
                pocket: credit.map_or(Pocket::Paid, |id| Pocket::Credit { id, expires_at: row.expires_at }),
                amount: money("allocation", row.amount_minor, &row.currency)?,
            })
        })
        .collect()
}

/// Brands with credits that expire by their clock; `now` is the time of brands without a test clock.
pub async fn due_brands(pool: &PgPool, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<BrandId>> {
    let brands = due_brands!("wallet_credit_due", pool, now, limit).await?;
    Ok(brands.into_iter().map(BrandId::from_uuid).collect())
}

/// How many credits of the brand are due.
pub async fn due_count(pool: &PgPool, brand: BrandId, now: DateTime<Utc>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM wallet_credit_due WHERE brand_id = $1 AND due_at <= $2"#,
        brand.as_uuid(),
        now
    )
    .fetch_one(pool)
    .await
}

/// Credits that are due, the longest waiting first, with their owners; locks nothing.
pub async fn due(
    tx: &mut PgTransaction<'_>,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<(CreditId, AccountId)>> {
    let rows = sqlx::query!(
        "SELECT due.credit_id, credit.account_id FROM wallet_credit_due due
           JOIN wallet_credit credit ON credit.brand_id = due.brand_id AND credit.id = due.credit_id
          WHERE due.brand_id = ottery_brand() AND due.due_at <= $1 ORDER BY due.due_at, due.credit_id LIMIT $2",
        now,
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (CreditId::from_uuid(row.credit_id), AccountId::from_uuid(row.account_id))).collect())
}

/// Takes these due rows; what somebody else took meanwhile is not answered.
pub async fn take_due(tx: &mut PgTransaction<'_>, credits: &[CreditId]) -> sqlx::Result<Vec<CreditId>> {
    let ids: Vec<Uuid> = credits.iter().map(|credit| credit.as_uuid()).collect();
    let taken =
        sqlx::query_scalar!("DELETE FROM wallet_credit_due WHERE credit_id = ANY($1) RETURNING credit_id", &ids)
            .fetch_all(&mut **tx)
            .await?;
    Ok(taken.into_iter().map(CreditId::from_uuid).collect())
}

/// What a customer had in all pockets of a currency before `before`.
pub async fn balance_before(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
    currency: Currency,
    before: DateTime<Utc>,
) -> sqlx::Result<Money> {
    let sum = sqlx::query_scalar!(
        r#"WITH pocket AS (SELECT 'wallet:' || $1::text AS code
                            UNION ALL SELECT 'credit:wcr_' || replace(id::text, '-', '') FROM wallet_credit
                                       WHERE brand_id = ottery_brand() AND account_id = $2)
           SELECT (coalesce((SELECT sum(t.amount_minor) FROM transfer t JOIN pocket ON t.credit = pocket.code
                              WHERE t.brand_id = ottery_brand() AND t.currency = $3 AND t.state = 'posted' AND t.booked_at < $4), 0)
                 - coalesce((SELECT sum(t.amount_minor) FROM transfer t JOIN pocket ON t.debit = pocket.code
                              WHERE t.brand_id = ottery_brand() AND t.currency = $3 AND t.state = 'posted' AND t.booked_at < $4), 0)
                  )::bigint AS "sum!""#,
        account.to_string(),
        account.as_uuid(),
        currency.code(),
        before
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Money::new(sum, currency))
}

/// What moved in a wallet from `from` until before `to`, oldest first.
pub async fn movements(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
    currency: Currency,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    limit: i64,
) -> sqlx::Result<Vec<Movement>> {
    let rows = sqlx::query!(
        r#"WITH pocket AS (SELECT 'wallet:' || $1::text AS code, NULL::uuid AS credit_id
                            UNION ALL SELECT 'credit:wcr_' || replace(id::text, '-', ''), id FROM wallet_credit
                                       WHERE brand_id = ottery_brand() AND account_id = $2)
           SELECT id AS "id!", booked_at AS "booked_at!", kind AS "kind!", reference_id AS "reference_id!", credit_id,
                  amount AS "amount!"
             FROM (SELECT t.id, t.booked_at, t.kind, t.reference_id, pocket.credit_id, t.amount_minor AS amount
                     FROM transfer t JOIN pocket ON t.credit = pocket.code
                    WHERE t.brand_id = ottery_brand() AND t.currency = $3 AND t.state = 'posted'
                      AND t.booked_at >= $4 AND t.booked_at < $5
                   UNION ALL
                   SELECT t.id, t.booked_at, t.kind, t.reference_id, pocket.credit_id, -t.amount_minor
                     FROM transfer t JOIN pocket ON t.debit = pocket.code
                    WHERE t.brand_id = ottery_brand() AND t.currency = $3 AND t.state = 'posted'
                      AND t.booked_at >= $4 AND t.booked_at < $5) AS moves
            ORDER BY booked_at, id LIMIT $6"#,
        account.to_string(),
        account.as_uuid(),
        currency.code(),
        from,
        to,
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Movement {
            id: row.id,
            at: row.booked_at,
            kind: row.kind,
            reference: row.reference_id,
            credit: row.credit_id.map(CreditId::from_uuid),
            amount: Money::new(row.amount, currency),
        })
        .collect())
}
