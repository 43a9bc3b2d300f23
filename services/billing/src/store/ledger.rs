//! The books: rows are added, never changed.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, Currency, Money};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::{Page, column, money};
use crate::domain::ledger::{Account, Booking, Transfer};

/// Adds transfers, in one statement.
pub async fn append(tx: &mut PgTransaction<'_>, brand: BrandId, transfers: &[Transfer]) -> sqlx::Result<()> {
    if transfers.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO transfer (id, brand_id, entity_id, debit, credit, amount_minor, currency, state, kind, reference_id,
                               resolves, deadline, booked_at)
         SELECT id, $1, entity_id, debit, credit, amount_minor, currency, state, kind, reference_id, resolves, deadline, booked_at
           FROM UNNEST($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[],
                       $10::text[], $11::uuid[], $12::timestamptz[], $13::timestamptz[])
                AS r (id, entity_id, debit, credit, amount_minor, currency, state, kind, reference_id, resolves, deadline, booked_at)",
        brand.as_uuid(),
        &column(transfers, |transfer| transfer.id.as_uuid()),
        &column(transfers, |transfer| transfer.entity.as_uuid()),
        &column(transfers, |transfer| transfer.debit.to_string()),
        &column(transfers, |transfer| transfer.credit.to_string()),
        &column(transfers, |transfer| transfer.amount.minor),
        &column(transfers, |transfer| transfer.amount.currency.to_string()),
        &column(transfers, |transfer| transfer.state.as_str()) as _,
        &column(transfers, |transfer| transfer.kind) as _,
        &column(transfers, |transfer| transfer.reference.as_str()) as _,
        &column(transfers, |transfer| transfer.state.resolves().map(|id| id.as_uuid())) as _,
        &column(transfers, |transfer| transfer.state.deadline()) as _,
        &column(transfers, |transfer| transfer.booked_at),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Adds the transfers of one booking.
pub async fn book(tx: &mut PgTransaction<'_>, brand: BrandId, booking: Booking) -> sqlx::Result<()> {
    append(tx, brand, &booking.into_transfers()).await
}

/// Whether something of that kind was booked for `reference`.
pub async fn is_booked(tx: &mut PgTransaction<'_>, kind: &str, reference: impl ToString) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM transfer WHERE brand_id = ottery_brand() AND reference_id = $1 AND kind = $2) AS "found!""#,
        reference.to_string(),
        kind
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(found)
}

/// What these customers have in their wallets and is not held: posted credits less posted debits and open holds.
/// The caller holds the customers' locks.
pub async fn wallets(
    tx: &mut PgTransaction<'_>,
    accounts: &[AccountId],
) -> sqlx::Result<HashMap<(AccountId, Currency), Money>> {
    let codes: Vec<String> = accounts.iter().map(|account| Account::Wallet(*account).to_string()).collect();
    let rows = sqlx::query!(
        r#"SELECT code AS "code!", currency AS "currency!", sum(amount)::bigint AS "balance!" FROM (
               SELECT credit AS code, currency, amount_minor AS amount
                 FROM transfer WHERE brand_id = ottery_brand() AND credit = ANY($1) AND state = 'posted'
               UNION ALL
               SELECT debit, currency, -amount_minor
                 FROM transfer t WHERE brand_id = ottery_brand() AND debit = ANY($1)
                  AND (state = 'posted' OR state = 'pending'
                       AND NOT EXISTS (SELECT FROM transfer r WHERE r.resolves = t.id))
           ) AS moves GROUP BY code, currency"#,
        &codes
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut balances = HashMap::with_capacity(rows.len());
    for row in rows {
        let balance = money("transfer", row.balance, &row.currency)?;
        if let Ok(Account::Wallet(account)) = row.code.parse() {
            balances.insert((account, balance.currency), balance);
        }
    }
    Ok(balances)
}

/// A row of the books as it is shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its id.
    pub id: Uuid,
    /// Code of the account that receives.
    pub debit: String,
    /// Code of the account that gives.
    pub credit: String,
    /// How much.
    pub amount: Money,
    /// `posted`, `pending`, `voided`
    pub state: String,
    /// What happened.
    pub kind: String,
    /// To what.
    pub reference: String,
    /// When.
    pub booked_at: DateTime<Utc>,
}

/// Transfers, newest first; of one reference when it is not empty.
pub async fn list(tx: &mut PgTransaction<'_>, reference: &str, page: Page) -> sqlx::Result<Vec<Shown>> {
    let rows = sqlx::query!(
        "SELECT id, debit, credit, amount_minor, currency, state, kind, reference_id, booked_at FROM transfer
          WHERE ($1 = '' OR reference_id = $1) AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        reference,
        page.before,
        page.limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Shown {
                id: row.id,
                debit: row.debit,
                credit: row.credit,
                amount: money("transfer", row.amount_minor, &row.currency)?,
                state: row.state,
                kind: row.kind,
                reference: row.reference_id,
                booked_at: row.booked_at,
            })
        })
        .collect()
}

/// Sums of one account in one currency.
#[derive(Clone, Debug)]
pub struct Balance {
    /// Code of the account.
    pub account: String,
    /// Everything it received.
    pub debits: Money,
    /// Everything it gave.
    pub credits: Money,
}

/// The trial balance: posted transfers by account and currency.
pub async fn balances(tx: &mut PgTransaction<'_>) -> sqlx::Result<Vec<Balance>> {
    let rows = sqlx::query!(
        r#"SELECT account AS "account!", currency AS "currency!", sum(debit)::bigint AS "debits!", sum(credit)::bigint AS "credits!"
             FROM (SELECT debit AS account, currency, amount_minor AS debit, 0 AS credit FROM transfer WHERE state = 'posted'
                   UNION ALL
                   SELECT credit, currency, 0, amount_minor FROM transfer WHERE state = 'posted') AS sides
            GROUP BY account, currency ORDER BY account, currency"#
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Balance {
                account: row.account,
                debits: money("transfer", row.debits, &row.currency)?,
                credits: money("transfer", row.credits, &row.currency)?,
            })
        })
        .collect()
}
