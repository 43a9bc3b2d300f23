//! Objections of cardholders.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, DisputeId, InvoiceId, Money, PaymentId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::{Page, money, unreadable};
use crate::domain::dispute::{Books, State};
use crate::domain::provider::ProviderAccountId;

/// An objection as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// Its id.
    pub id: DisputeId,
    /// What is objected to.
    pub payment: PaymentId,
    /// Whose payment it is.
    pub account: AccountId,
    /// Where it was paid.
    pub provider_account: ProviderAccountId,
    /// The provider's id of it.
    pub provider_ref: String,
    /// Where it stands.
    pub state: State,
    /// The cardholder's reason, a stable word.
    pub reason: String,
    /// How much of the payment.
    pub amount: Money,
    /// What the books hold.
    pub books: Books,
    /// Until when the provider takes evidence, in real time.
    pub evidence_until: Option<DateTime<Utc>>,
    /// Evidence was handed in.
    pub is_answered: bool,
    /// The subscription was suspended because of it.
    pub has_suspended: bool,
    /// When we heard of it, by the brand's clock.
    pub created_at: DateTime<Utc>,
    /// When it was decided.
    pub finished_at: Option<DateTime<Utc>>,
    /// Counts what was told of it.
    pub version: i64,
}

/// What an objection is about of one invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which.
    pub invoice: InvoiceId,
    /// How much of the payment went to it.
    pub paid: Money,
    /// What it came to.
    pub total: Money,
}

struct Row {
    id: Uuid,
    payment_id: Uuid,
    account_id: Uuid,
    provider_account_id: Uuid,
    provider_ref: String,
    state: String,
    reason: String,
    amount_minor: i64,
    currency: String,
    taken_minor: i64,
    lost_minor: i64,
    fee_minor: i64,
    evidence_until: Option<DateTime<Utc>>,
    is_answered: bool,
    has_suspended: bool,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    version: i64,
}

impl TryFrom<Row> for Dispute {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: DisputeId::from_uuid(row.id),
            payment: PaymentId::from_uuid(row.payment_id),
            account: AccountId::from_uuid(row.account_id),
            provider_account: ProviderAccountId::from_uuid(row.provider_account_id),
            provider_ref: row.provider_ref,
            state: State::from_text(&row.state).ok_or_else(|| unreadable("dispute", "state", &row.state))?,
            reason: row.reason,
            amount: money("dispute", row.amount_minor, &row.currency)?,
            books: Books { taken: row.taken_minor, lost: row.lost_minor, fee: row.fee_minor },
            evidence_until: row.evidence_until,
            is_answered: row.is_answered,
            has_suspended: row.has_suspended,
            created_at: row.created_at,
            finished_at: row.finished_at,
            version: row.version,
        })
    }
}

/// Writes an objection; the caller holds the lock of its payment.
pub async fn put(tx: &mut PgTransaction<'_>, brand: BrandId, dispute: &Dispute) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO dispute (id, brand_id, payment_id, account_id, provider_account_id, provider_ref, state, reason, amount_minor,
                              currency, taken_minor, lost_minor, fee_minor, evidence_until, is_answered, has_suspended, created_at,
                              finished_at, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
         ON CONFLICT (id) DO UPDATE
            SET state = EXCLUDED.state, reason = EXCLUDED.reason, amount_minor = EXCLUDED.amount_minor,
                taken_minor = EXCLUDED.taken_minor, lost_minor = EXCLUDED.lost_minor, fee_minor = EXCLUDED.fee_minor,
                evidence_until = EXCLUDED.evidence_until, is_answered = EXCLUDED.is_answered,
                has_suspended = EXCLUDED.has_suspended, finished_at = EXCLUDED.finished_at,
                version = EXCLUDED.version",
        dispute.id.as_uuid(),
        brand.as_uuid(),
        dispute.payment.as_uuid(),
        dispute.account.as_uuid(),
        dispute.provider_account.as_uuid(),
        dispute.provider_ref,
        dispute.state.as_str(),
        dispute.reason,
        dispute.amount.minor,
        dispute.amount.currency.code(),
        dispute.books.taken,
        dispute.books.lost,
        dispute.books.fee,
        dispute.evidence_until,
        dispute.is_answered,
        dispute.has_suspended,
        dispute.created_at,
        dispute.finished_at,
        dispute.version
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The objection a provider's id belongs to.
pub async fn find(
    tx: &mut PgTransaction<'_>,
    account: ProviderAccountId,
    reference: &str,
) -> sqlx::Result<Option<Dispute>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, payment_id, account_id, provider_account_id, provider_ref, state, reason, amount_minor, currency, taken_minor,
                lost_minor, fee_minor, evidence_until, is_answered, has_suspended, created_at, finished_at, version
           FROM dispute WHERE brand_id = ottery_brand() AND provider_account_id = $1 AND provider_ref = $2",
        account.as_uuid(),
        reference
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// One objection.
pub async fn get(tx: &mut PgTransaction<'_>, id: DisputeId) -> sqlx::Result<Option<Dispute>> {
    Ok(select(tx, Some(id), None, Page { before: None, limit: 1 }).await?.pop())
}

/// Objections, newest first; to one payment when given.
pub async fn list(tx: &mut PgTransaction<'_>, payment: Option<PaymentId>, page: Page) -> sqlx::Result<Vec<Dispute>> {
    select(tx, None, payment, page).await
}

async fn select(
    tx: &mut PgTransaction<'_>,
    id: Option<DisputeId>,
    payment: Option<PaymentId>,
    page: Page,
) -> sqlx::Result<Vec<Dispute>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, payment_id, account_id, provider_account_id, provider_ref, state, reason, amount_minor, currency, taken_minor,
                lost_minor, fee_minor, evidence_until, is_answered, has_suspended, created_at, finished_at, version
           FROM dispute
          WHERE brand_id = ottery_brand() AND ($1::uuid IS NULL OR id = $1) AND ($2::uuid IS NULL OR payment_id = $2)
            AND ($3::uuid IS NULL OR id < $3)
          ORDER BY id DESC LIMIT $4",
        id.map(|id| id.as_uuid()),
        payment.map(|id| id.as_uuid()),
        page.before,
        page.limit
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// What a payment has paid of each invoice, the first one first.
pub async fn shares(tx: &mut PgTransaction<'_>, payment: PaymentId) -> sqlx::Result<Vec<Share>> {
    let rows = sqlx::query!(
        "SELECT a.invoice_id, a.amount_minor, i.total_minor, i.currency
           FROM allocation a JOIN invoice i ON i.brand_id = a.brand_id AND i.id = a.invoice_id
          WHERE a.brand_id = ottery_brand() AND a.source = 'payment' AND a.source_id = $1 ORDER BY a.id",
        payment.to_string()
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Share {
                invoice: InvoiceId::from_uuid(row.invoice_id),
                paid: money("allocation", row.amount_minor, &row.currency)?,
                total: money("invoice", row.total_minor, &row.currency)?,
            })
        })
        .collect()
}
