//! The books' side of a comparison with a provider's report.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use ottery_kernel::{DisputeId, Money, PaymentId, RefundId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::{money, unreadable};
use crate::domain::ledger::Account;
use crate::domain::payment::State;
use crate::domain::provider::ProviderAccountId;
use crate::domain::reconcile::{Kind, Ours, Standing};
use crate::domain::{dispute, refund};

/// What is looked for in the books.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// At which account.
    pub account: ProviderAccountId,
    /// The provider's name.
    pub provider: &'a str,
    /// From when on, in real time.
    pub from: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
    /// The provider's ids the report names.
    pub references: &'a [String],
    /// Ids of ours it names.
    pub ids: &'a [String],
}

/// What the ledger says about one thing, in minor units: what lies at the provider for it, and what the provider keeps.
type Booked = HashMap<(String, String), (i64, i64)>;

async fn booked(tx: &mut PgTransaction<'_>, provider: &str, ids: &[String]) -> sqlx::Result<Booked> {
    let (at, fees) = (Account::Provider(provider.to_owned()), Account::ProviderFees(provider.to_owned()));
    let rows = sqlx::query!(
        r#"SELECT reference_id, currency,
                  sum(CASE WHEN debit = $2 AND credit <> $3 THEN amount_minor WHEN credit = $2 AND debit <> $3 THEN -amount_minor
                           ELSE 0 END)::bigint AS "held!",
                  sum(CASE WHEN debit = $3 THEN amount_minor WHEN credit = $3 THEN -amount_minor ELSE 0 END)::bigint AS "fee!"
             FROM transfer
            WHERE brand_id = ottery_brand() AND state = 'posted' AND reference_id = ANY($1) AND (debit IN ($2, $3) OR credit IN ($2, $3))
            GROUP BY reference_id, currency"#,
        ids,
        at.to_string(),
        fees.to_string()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.reference_id, row.currency), (row.held, row.fee))).collect())
}

fn uuids<I: std::str::FromStr>(ids: &[String], uuid: impl Fn(I) -> Uuid) -> Vec<Uuid> {
    ids.iter().filter_map(|id| id.parse().ok()).map(uuid).collect()
}

/// Payments the report names, and those that came of what was sent meanwhile.
pub async fn payments(tx: &mut PgTransaction<'_>, asked: &Asked<'_>) -> sqlx::Result<Vec<Ours>> {
    const TABLE: &str = "payment";
    let rows = sqlx::query!(
        r#"SELECT id, provider_ref, state, amount_minor, currency, received_minor, received_currency,
                  (provider_account_id = $1 AND state = 'succeeded' AND sent_at >= $2 AND sent_at < $3) AS is_expected
             FROM payment
            WHERE brand_id = ottery_brand()
              AND (provider_account_id = $1 AND provider_ref = ANY($4) AND provider_ref <> '' OR id = ANY($5)
                   OR provider_account_id = $1 AND state = 'succeeded' AND sent_at >= $2 AND sent_at < $3
                   OR provider_account_id = $1 AND split_part(provider_ref, '~', 1) = ANY($4) AND provider_ref LIKE '%~%')
            ORDER BY id"#,
        asked.account.as_uuid(),
        asked.from,
        asked.until,
        asked.references,
        &uuids(asked.ids, |id: PaymentId| id.as_uuid()),
    )
    .fetch_all(&mut **tx)
    .await?;
    let ids: Vec<String> = rows.iter().map(|row| PaymentId::from_uuid(row.id).to_string()).collect();
    let booked = booked(tx, asked.provider, &ids).await?;
    rows.into_iter()
        .zip(ids)
        .map(|(row, id)| {
            let state = State::from_text(&row.state).ok_or_else(|| unreadable(TABLE, "state", &row.state))?;
            let amount = match (row.received_minor, &row.received_currency) {
                (Some(minor), Some(currency)) => money(TABLE, minor, currency)?,
                _ => money(TABLE, row.amount_minor, &row.currency)?,
            };
            let (held, fee) = booked.get(&(id.clone(), amount.currency.code().to_owned())).copied().unwrap_or_default();
            Ok(Ours {
                kind: Kind::Payment,
                id,
                reference: row.provider_ref,
                standing: match state {
                    State::Succeeded => Standing::Moved,
                    State::Failed | State::Cancelled => Standing::Void,
                    State::Requested | State::Sent | State::Pending | State::ActionRequired | State::Unknown => {
                        Standing::Pending
                    }
                },
                amount,
                booked: held,
                fee,
                is_expected: row.is_expected.unwrap_or(false),
            })
        })
        .collect()
}

/// Refunds the report names, and those that were sent meanwhile and paid out.
pub async fn refunds(tx: &mut PgTransaction<'_>, asked: &Asked<'_>) -> sqlx::Result<Vec<Ours>> {
    const TABLE: &str = "refund";
    let rows = sqlx::query!(
        r#"SELECT r.id, r.provider_ref, r.state, r.amount_minor, r.currency,
                  (p.provider_account_id = $1 AND r.state = 'succeeded' AND r.sent_at >= $2 AND r.sent_at < $3) AS is_expected
             FROM refund r JOIN payment p ON p.brand_id = r.brand_id AND p.id = r.payment_id
            WHERE r.brand_id = ottery_brand()
              AND (p.provider_account_id = $1 AND r.provider_ref = ANY($4) AND r.provider_ref <> '' OR r.id = ANY($5)
                   OR p.provider_account_id = $1 AND r.state = 'succeeded' AND r.sent_at >= $2 AND r.sent_at < $3)
            ORDER BY r.id"#,
        asked.account.as_uuid(),
        asked.from,
        asked.until,
        asked.references,
        &uuids(asked.ids, |id: RefundId| id.as_uuid()),
    )
    .fetch_all(&mut **tx)
    .await?;
    let ids: Vec<String> = rows.iter().map(|row| RefundId::from_uuid(row.id).to_string()).collect();
    let booked = booked(tx, asked.provider, &ids).await?;
    rows.into_iter()
        .zip(ids)
        .map(|(row, id)| {
            let state = refund::State::from_text(&row.state).ok_or_else(|| unreadable(TABLE, "state", &row.state))?;
            let amount: Money = money(TABLE, row.amount_minor, &row.currency)?;
            let (held, fee) = booked.get(&(id.clone(), amount.currency.code().to_owned())).copied().unwrap_or_default();
            Ok(Ours {
                kind: Kind::Refund,
                id,
                reference: row.provider_ref,
                standing: match state {
                    // What was paid out and came back lies at the provider as if it had never left.
                    refund::State::Succeeded if held != 0 => Standing::Moved,
                    refund::State::Succeeded | refund::State::Failed => Standing::Void,
                    refund::State::Requested
                    | refund::State::Sent
                    | refund::State::Pending
                    | refund::State::Unknown => Standing::Pending,
                },
                amount,
                booked: -held,
                fee,
                is_expected: row.is_expected.unwrap_or(false),
            })
        })
        .collect()
}

/// Objections the report names, and those that are not decided.
pub async fn disputes(tx: &mut PgTransaction<'_>, asked: &Asked<'_>) -> sqlx::Result<Vec<Ours>> {
    const TABLE: &str = "dispute";
    let rows = sqlx::query!(
        r#"SELECT id, provider_ref, state, amount_minor, currency, finished_at IS NULL AS "is_open!" FROM dispute
            WHERE brand_id = ottery_brand() AND provider_account_id = $1 AND (provider_ref = ANY($2) OR finished_at IS NULL)
            ORDER BY id"#,
        asked.account.as_uuid(),
        asked.references,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let state = dispute::State::from_text(&row.state).ok_or_else(|| unreadable(TABLE, "state", &row.state))?;
            Ok(Ours {
                kind: Kind::Dispute,
                id: DisputeId::from_uuid(row.id).to_string(),
                reference: row.provider_ref,
                standing: Standing::of_dispute(state),
                amount: money(TABLE, row.amount_minor, &row.currency)?,
                booked: row.amount_minor,
                fee: 0,
                is_expected: row.is_open,
            })
        })
        .collect()
}

/// Of these refunds of the provider's, those an objection holds: they are in the books as what that took.
pub async fn held_by_disputes(tx: &mut PgTransaction<'_>, references: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT provider_ref FROM dispute_refund
          WHERE brand_id = ottery_brand() AND refund_id IS NULL AND provider_ref = ANY($1)",
        references
    )
    .fetch_all(&mut **tx)
    .await
}

/// A payment that is asked for by itself, where the provider lists none.
#[derive(Clone, Debug)]
pub struct Alone {
    /// Its id.
    pub id: PaymentId,
    /// The provider's id of it; empty when nobody told us.
    pub provider_ref: String,
    /// The provider's id of its page.
    pub checkout_ref: String,
}

/// Payments an account was told of in that span of time, or that money went back from meanwhile; those after `after`, in order.
pub async fn alone(
    tx: &mut PgTransaction<'_>,
    account: ProviderAccountId,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
    after: Option<PaymentId>,
    limit: i64,
) -> sqlx::Result<Vec<Alone>> {
    let rows = sqlx::query!(
        "SELECT id, provider_ref, checkout_ref FROM payment
          WHERE brand_id = ottery_brand() AND provider_account_id = $1 AND (provider_ref <> '' OR checkout_ref <> '')
            AND ($2::uuid IS NULL OR id > $2)
            AND (sent_at >= $3 AND sent_at < $4
                 OR id IN (SELECT r.payment_id FROM refund r
                            WHERE r.brand_id = ottery_brand() AND r.sent_at >= $3 AND r.sent_at < $4))
          ORDER BY id LIMIT $5",
        account.as_uuid(),
        after.map(|id| id.as_uuid()),
        from,
        until,
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    let row = |id, provider_ref, checkout_ref| Alone { id: PaymentId::from_uuid(id), provider_ref, checkout_ref };
    Ok(rows.into_iter().map(|one| row(one.id, one.provider_ref, one.checkout_ref)).collect())
}
