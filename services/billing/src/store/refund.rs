//! Refunds.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, CreditNoteId, InvoiceId, Money, PaymentId, RefundId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::{money, unreadable};
use crate::domain::refund::{Policy, State};

/// A refund as stored.
#[derive(Clone, Debug)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// What goes back.
    pub payment: PaymentId,
    /// What had been paid with it.
    pub invoice: InvoiceId,
    /// To whom.
    pub account: AccountId,
    /// How much.
    pub amount: Money,
    /// Where it stands.
    pub state: State,
    /// Why, for the credit note.
    pub reason: String,
    /// What becomes of the subscription.
    pub policy: Policy,
    /// It was begun at the provider's console.
    pub is_mirrored: bool,
    /// The provider's id of it.
    pub provider_ref: String,
    /// Why the provider refused.
    pub failure_code: String,
    /// The credit note it settled.
    pub credit_note: Option<CreditNoteId>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it was decided.
    pub finished_at: Option<DateTime<Utc>>,
    /// How long ago, in real time, it was sent first.
    pub sent_ago: Option<TimeDelta>,
}

struct Row {
    id: Uuid,
    payment_id: Uuid,
    invoice_id: Uuid,
    account_id: Uuid,
    amount_minor: i64,
    currency: String,
    state: String,
    reason: String,
    policy: String,
    origin: String,
    provider_ref: String,
    failure_code: String,
    credit_note_id: Option<Uuid>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    sent_seconds: Option<f64>,
}

impl TryFrom<Row> for Refund {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: RefundId::from_uuid(row.id),
            payment: PaymentId::from_uuid(row.payment_id),
            invoice: InvoiceId::from_uuid(row.invoice_id),
            account: AccountId::from_uuid(row.account_id),
            amount: money("refund", row.amount_minor, &row.currency)?,
            state: State::from_text(&row.state).ok_or_else(|| unreadable("refund", "state", &row.state))?,
            reason: row.reason,
            policy: Policy::from_text(&row.policy).ok_or_else(|| unreadable("refund", "policy", &row.policy))?,
            is_mirrored: row.origin == "provider",
            provider_ref: row.provider_ref,
            failure_code: row.failure_code,
            credit_note: row.credit_note_id.map(CreditNoteId::from_uuid),
            created_at: row.created_at,
            finished_at: row.finished_at,
            sent_ago: row.sent_seconds.map(|seconds| TimeDelta::milliseconds((seconds * 1000.0) as i64)),
        })
    }
}

/// Keeps a new refund.
pub async fn insert(tx: &mut PgTransaction<'_>, brand: BrandId, refund: &Refund) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO refund (id, brand_id, payment_id, invoice_id, account_id, amount_minor, currency, state, reason,
                             policy, origin, provider_ref, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        refund.id.as_uuid(),
        brand.as_uuid(),
        refund.payment.as_uuid(),
        refund.invoice.as_uuid(),
        refund.account.as_uuid(),
        refund.amount.minor,
        refund.amount.currency.code(),
        refund.state.as_str(),
        refund.reason,
        refund.policy.as_str(),
        if refund.is_mirrored { "provider" } else { "ours" },
        refund.provider_ref,
        refund.created_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes what may have changed; the caller holds the lock of the payment.
pub async fn save(tx: &mut PgTransaction<'_>, refund: &Refund) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE refund SET state = $2, provider_ref = $3, failure_code = $4, credit_note_id = $5, finished_at = $6,
                sent_at = CASE WHEN $2 = 'requested' THEN NULL ELSE coalesce(sent_at, now()) END
          WHERE id = $1",
        refund.id.as_uuid(),
        refund.state.as_str(),
        refund.provider_ref,
        refund.failure_code,
        refund.credit_note.map(|id| id.as_uuid()),
        refund.finished_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One refund.
pub async fn get(tx: &mut PgTransaction<'_>, id: RefundId) -> sqlx::Result<Option<Refund>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, payment_id, invoice_id, account_id, amount_minor, currency, state, reason, policy, origin, provider_ref,
                failure_code, credit_note_id, created_at, finished_at,
                extract(epoch FROM clock_timestamp() - sent_at)::float8 AS sent_seconds
           FROM refund WHERE id = $1",
        id.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Refund::try_from).transpose()
}

/// The refunds of a payment, newest first. Whoever holds the payment's lock keeps them as they are.
pub async fn of_payment(tx: &mut PgTransaction<'_>, payment: PaymentId) -> sqlx::Result<Vec<Refund>> {
    of_payments(tx, &[payment]).await
}

/// The refunds of these payments, newest first.
pub async fn of_payments(tx: &mut PgTransaction<'_>, payments: &[PaymentId]) -> sqlx::Result<Vec<Refund>> {
    let ids: Vec<Uuid> = payments.iter().map(PaymentId::as_uuid).collect();
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, payment_id, invoice_id, account_id, amount_minor, currency, state, reason, policy, origin, provider_ref,
                failure_code, credit_note_id, created_at, finished_at,
                extract(epoch FROM clock_timestamp() - sent_at)::float8 AS sent_seconds
           FROM refund WHERE brand_id = ottery_brand() AND payment_id = ANY($1) ORDER BY id DESC",
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Refund::try_from).collect()
}

/// Where the money of a payment went, in minor units of its currency, less what refunds took back from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// To the customer's wallet.
    pub wallet: i64,
    /// Booked as fitting nothing.
    pub unapplied: i64,
}

/// What is left of a payment outside its invoice; refunds of `refunds` have taken some of it.
pub async fn parts(tx: &mut PgTransaction<'_>, payment: PaymentId, refunds: &[RefundId]) -> sqlx::Result<Parts> {
    let refunds: Vec<String> = refunds.iter().map(ToString::to_string).collect();
    let row = sqlx::query!(
        r#"SELECT coalesce(sum(amount_minor) FILTER (WHERE kind = 'payment.settled' AND credit LIKE 'wallet:%'), 0)::bigint
                - coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund.settled' AND debit LIKE 'wallet:%'), 0)::bigint AS "wallet!",
                  coalesce(sum(amount_minor) FILTER (WHERE kind = 'payment.settled' AND credit LIKE 'unapplied:%'), 0)::bigint
                - coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund.settled' AND debit LIKE 'unapplied:%'), 0)::bigint AS "unapplied!"
             FROM transfer
            WHERE brand_id = ottery_brand() AND state = 'posted' AND (reference_id = $1 OR reference_id = ANY($2))"#,
        payment.to_string(),
        &refunds,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Parts { wallet: row.wallet, unapplied: row.unapplied })
}

/// Whether something of a customer in that currency is on its way back.
pub async fn is_under_way(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
    currency: ottery_kernel::Currency,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM refund WHERE brand_id = ottery_brand() AND account_id = $1 AND currency = $2
              AND state NOT IN ('succeeded', 'failed')) AS "is_under_way!""#,
        account.as_uuid(),
        currency.code()
    )
    .fetch_one(&mut **tx)
    .await
}
