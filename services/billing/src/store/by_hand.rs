//! References that wait for money people record, what they recorded, and the files customers sent.

use chrono::{DateTime, NaiveDate, Utc};
use ottery_kernel::{BrandId, Currency, InvoiceId, Money, PaymentId, RefundId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::{money, unreadable};
use crate::domain::by_hand::{Person, ProofKind, RecordState, Reference};
use crate::domain::provider::ProviderAccountId;

/// A reference that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Its id.
    pub id: Uuid,
    /// The payment it pays now.
    pub payment: PaymentId,
    /// The only invoice of that payment; none where it pays several.
    pub invoice: Option<InvoiceId>,
    /// Into which account.
    pub provider_account: ProviderAccountId,
    /// What the payer writes.
    pub reference: Reference,
    /// Names its page.
    pub token: String,
    /// What is paid for.
    pub title: String,
    /// Where the page leads back to.
    pub return_url: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

struct WaitRow {
    id: Uuid,
    payment_id: Uuid,
    invoice_id: Option<Uuid>,
    provider_account_id: Uuid,
    reference: String,
    token: String,
    title: String,
    return_url: String,
    created_at: DateTime<Utc>,
}

impl TryFrom<WaitRow> for Wait {
    type Error = sqlx::Error;

    fn try_from(row: WaitRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.id,
            payment: PaymentId::from_uuid(row.payment_id),
            invoice: row.invoice_id.map(InvoiceId::from_uuid),
            provider_account: ProviderAccountId::from_uuid(row.provider_account_id),
            reference: row.reference.parse().map_err(|_| unreadable("by_hand_wait", "reference", &row.reference))?,
            token: row.token,
            title: row.title,
            return_url: row.return_url,
            created_at: row.created_at,
        })
    }
}

/// By what a reference is found.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// Its id.
    Id(Uuid),
    /// The payment it pays now.
    Payment(PaymentId),
    /// Its page.
    Token(&'a str),
    /// Itself.
    Reference(&'a Reference),
    /// The invoice, and into which account it is paid.
    Invoice(InvoiceId, ProviderAccountId),
}

/// A reference that waits; the newest when there are several.
pub async fn find(tx: &mut PgTransaction<'_>, by: By<'_>) -> sqlx::Result<Option<Wait>> {
    let (mut id, mut payment, mut token, mut reference, mut invoice, mut account) =
        (None, None, None, None, None, None);
    match by {
        By::Id(given) => id = Some(given),
        By::Payment(given) => payment = Some(given.as_uuid()),
        By::Token(given) => token = Some(given),
        By::Reference(given) => reference = Some(given.as_str()),
        By::Invoice(given, at) => (invoice, account) = (Some(given.as_uuid()), Some(at.as_uuid())),
    }
    let row = sqlx::query_as!(
        WaitRow,
        "SELECT id, payment_id, invoice_id, provider_account_id, reference, token, title, return_url, created_at
           FROM by_hand_wait
          WHERE brand_id = ottery_brand() AND ($1::uuid IS NULL OR id = $1) AND ($2::uuid IS NULL OR payment_id = $2)
            AND ($3::text IS NULL OR token = $3) AND ($4::text IS NULL OR reference = $4)
            AND ($5::uuid IS NULL OR invoice_id = $5 AND provider_account_id = $6)
          ORDER BY id DESC LIMIT 1",
        id,
        payment,
        token,
        reference,
        invoice,
        account,
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// Writes a reference down.
pub async fn insert(tx: &mut PgTransaction<'_>, brand: BrandId, wait: &Wait) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO by_hand_wait (id, brand_id, payment_id, invoice_id, provider_account_id, reference, token, title,
                                   return_url, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        wait.id,
        brand.as_uuid(),
        wait.payment.as_uuid(),
        wait.invoice.map(|id| id.as_uuid()),
        wait.provider_account.as_uuid(),
        wait.reference.as_str(),
        wait.token,
        wait.title,
        wait.return_url,
        wait.created_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A new try of the same invoice keeps the reference. The caller holds the invoice.
pub async fn take_over(
    tx: &mut PgTransaction<'_>,
    id: Uuid,
    payment: PaymentId,
    title: &str,
    return_url: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE by_hand_wait SET payment_id = $2, title = $3, return_url = $4 WHERE id = $1",
        id,
        payment.as_uuid(),
        title,
        return_url
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Which waits staff asks for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// With this reference.
    pub reference: Option<Reference>,
    /// Of payments of this amount, in minor units.
    pub amount_minor: Option<i64>,
    /// Also those nothing is expected of any more.
    pub is_all: bool,
    /// Older than this one.
    pub before: Option<Uuid>,
    /// How many at most.
    pub limit: i64,
}

/// References of payments that wait, the newest first.
pub async fn waiting(tx: &mut PgTransaction<'_>, asked: &Asked) -> sqlx::Result<Vec<Wait>> {
    let rows = sqlx::query_as!(
        WaitRow,
        "SELECT w.id, w.payment_id, w.invoice_id, w.provider_account_id, w.reference, w.token, w.title, w.return_url, w.created_at
           FROM by_hand_wait w JOIN payment p ON p.brand_id = w.brand_id AND p.id = w.payment_id
          WHERE w.brand_id = ottery_brand() AND ($1::text IS NULL OR w.reference = $1)
            AND ($2::bigint IS NULL OR p.amount_minor = $2)
            AND ($3 OR $1::text IS NOT NULL OR p.state IN ('sent', 'pending', 'unknown') AND NOT p.is_withdrawn
                 OR EXISTS (SELECT FROM by_hand_record r WHERE r.brand_id = w.brand_id AND r.wait_id = w.id AND r.state = 'waiting'))
            AND ($4::uuid IS NULL OR w.id < $4)
          ORDER BY w.id DESC LIMIT $5",
        asked.reference.as_ref().map(Reference::as_str),
        asked.amount_minor,
        asked.is_all,
        asked.before,
        asked.limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Nobody knows yet.
    Nobody,
    /// Money that came under a reference.
    Wait(Uuid),
    /// Money that was sent back.
    Refund(RefundId),
}

/// What somebody said has come or was sent back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: Uuid,
    /// At which account.
    pub provider_account: ProviderAccountId,
    /// What it is for.
    pub of: Of,
    /// Where it stands.
    pub state: RecordState,
    /// How much.
    pub amount: Money,
    /// When the bank counted it, or it was handed over.
    pub value_on: NaiveDate,
    /// The bank's name of it, or the number of the receipt.
    pub reference: String,
    /// From whom, as the bank says it.
    pub sender: String,
    /// For colleagues.
    pub note: String,
    /// Who said so.
    pub by: Person,
    /// When.
    pub recorded_at: DateTime<Utc>,
    /// Who booked it; empty: nobody yet.
    pub confirmed_by: String,
    /// When.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// Who said that it was none; empty: nobody.
    pub taken_back_by: String,
    /// When.
    pub taken_back_at: Option<DateTime<Utc>>,
    /// Why.
    pub taken_back_reason: String,
    /// By which payment it is in the books.
    pub payment: Option<PaymentId>,
}

struct RecordRow {
    id: Uuid,
    provider_account_id: Uuid,
    wait_id: Option<Uuid>,
    refund_id: Option<Uuid>,
    state: String,
    amount_minor: i64,
    currency: String,
    value_on: NaiveDate,
    reference: String,
    sender: String,
    note: String,
    recorded_by: String,
    recorded_by_person: bool,
    recorded_at: DateTime<Utc>,
    confirmed_by: String,
    confirmed_at: Option<DateTime<Utc>>,
    taken_back_by: String,
    taken_back_at: Option<DateTime<Utc>>,
    taken_back_reason: String,
    payment_id: Option<Uuid>,
}

impl TryFrom<RecordRow> for Record {
    type Error = sqlx::Error;

    fn try_from(row: RecordRow) -> sqlx::Result<Self> {
        let of = match (row.wait_id, row.refund_id) {
            (Some(wait), _) => Of::Wait(wait),
            (None, Some(refund)) => Of::Refund(RefundId::from_uuid(refund)),
            (None, None) => Of::Nobody,
        };
        Ok(Self {
            id: row.id,
            provider_account: ProviderAccountId::from_uuid(row.provider_account_id),
            of,
            state: RecordState::from_text(&row.state)
                .ok_or_else(|| unreadable("by_hand_record", "state", &row.state))?,
            amount: money("by_hand_record", row.amount_minor, &row.currency)?,
            value_on: row.value_on,
            reference: row.reference,
            sender: row.sender,
            note: row.note,
            by: Person { subject: row.recorded_by, is_person: row.recorded_by_person },
            recorded_at: row.recorded_at,
            confirmed_by: row.confirmed_by,
            confirmed_at: row.confirmed_at,
            taken_back_by: row.taken_back_by,
            taken_back_at: row.taken_back_at,
            taken_back_reason: row.taken_back_reason,
            payment: row.payment_id.map(PaymentId::from_uuid),
        })
    }
}

macro_rules! records {
    ($which:literal, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            RecordRow,
            "SELECT id, provider_account_id, wait_id, refund_id, state, amount_minor, currency, value_on, reference, sender, note,
                    recorded_by, recorded_by_person, recorded_at, confirmed_by, confirmed_at, taken_back_by, taken_back_at,
                    taken_back_reason, payment_id
               FROM by_hand_record " + $which,
            $($argument),+
        )
    };
}

/// One record.
pub async fn record(tx: &mut PgTransaction<'_>, id: Uuid) -> sqlx::Result<Option<Record>> {
    let row = records!("WHERE brand_id = ottery_brand() AND id = $1", id).fetch_optional(&mut **tx).await?;
    row.map(TryInto::try_into).transpose()
}

/// One record, held until the transaction ends; lock its payment first.
pub async fn lock_record(tx: &mut PgTransaction<'_>, id: Uuid) -> sqlx::Result<Option<Record>> {
    sqlx::query!("SELECT id FROM by_hand_record WHERE brand_id = ottery_brand() AND id = $1 FOR UPDATE", id)
        .fetch_optional(&mut **tx)
        .await?;
    record(tx, id).await
}

/// Everything that was recorded under these references, the oldest first.
pub async fn records_of(tx: &mut PgTransaction<'_>, waits: &[Uuid]) -> sqlx::Result<Vec<Record>> {
    let rows = records!("WHERE brand_id = ottery_brand() AND wait_id = ANY($1) ORDER BY id", waits)
        .fetch_all(&mut **tx)
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The record that is in the books by this payment.
pub async fn record_of_payment(tx: &mut PgTransaction<'_>, payment: PaymentId) -> sqlx::Result<Option<Record>> {
    let row = records!("WHERE brand_id = ottery_brand() AND payment_id = $1 ORDER BY id LIMIT 1", payment.as_uuid())
        .fetch_optional(&mut **tx)
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// What was recorded of these refunds, as far as it was not taken back.
pub async fn payouts_of(tx: &mut PgTransaction<'_>, refunds: &[RefundId]) -> sqlx::Result<Vec<Record>> {
    let ids: Vec<Uuid> = refunds.iter().map(|id| id.as_uuid()).collect();
    let rows =
        records!("WHERE brand_id = ottery_brand() AND refund_id = ANY($1) AND state <> 'taken_back' ORDER BY id", &ids)
            .fetch_all(&mut **tx)
            .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Records that wait for somebody, or all of them, the newest first.
pub async fn records(
    tx: &mut PgTransaction<'_>,
    is_all: bool,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Record>> {
    let rows = records!(
        "WHERE brand_id = ottery_brand() AND ($1 OR state IN ('unassigned', 'waiting'))
           AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        is_all,
        before,
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Writes a record down; false when the same transfer (or refund) is recorded already.
pub async fn put_new(tx: &mut PgTransaction<'_>, brand: BrandId, record: &Record) -> sqlx::Result<bool> {
    let (wait, refund) = parts(record.of);
    let done = sqlx::query!(
        "INSERT INTO by_hand_record (id, brand_id, provider_account_id, wait_id, refund_id, state, amount_minor, currency, value_on,
                                     reference, sender, note, recorded_by, recorded_by_person, recorded_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT DO NOTHING",
        record.id,
        brand.as_uuid(),
        record.provider_account.as_uuid(),
        wait,
        refund,
        record.state.as_str(),
        record.amount.minor,
        record.amount.currency.code(),
        record.value_on,
        record.reference,
        record.sender,
        record.note,
        record.by.subject,
        record.by.is_person,
        record.recorded_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn parts(of: Of) -> (Option<Uuid>, Option<Uuid>) {
    match of {
        Of::Nobody => (None, None),
        Of::Wait(wait) => (Some(wait), None),
        Of::Refund(refund) => (None, Some(refund.as_uuid())),
    }
}

/// Writes what may have changed in a record; the caller holds its lock.
pub async fn save(tx: &mut PgTransaction<'_>, record: &Record) -> sqlx::Result<()> {
    let (wait, refund) = parts(record.of);
    sqlx::query!(
        "UPDATE by_hand_record SET wait_id = $2, refund_id = $3, state = $4, recorded_by = $5, recorded_by_person = $6,
                confirmed_by = $7, confirmed_at = $8, taken_back_by = $9, taken_back_at = $10, taken_back_reason = $11,
                payment_id = $12
          WHERE id = $1",
        record.id,
        wait,
        refund,
        record.state.as_str(),
        record.by.subject,
        record.by.is_person,
        record.confirmed_by,
        record.confirmed_at,
        record.taken_back_by,
        record.taken_back_at,
        record.taken_back_reason,
        record.payment.map(|id| id.as_uuid()),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Refunds somebody has to pay out, the oldest first.
pub async fn refunds_to_pay(tx: &mut PgTransaction<'_>, providers: &[String]) -> sqlx::Result<Vec<RefundId>> {
    let ids = sqlx::query_scalar!(
        "SELECT r.id FROM refund r JOIN payment p ON p.brand_id = r.brand_id AND p.id = r.payment_id
          WHERE r.brand_id = ottery_brand() AND r.state = 'pending' AND p.provider = ANY($1) ORDER BY r.id LIMIT 200",
        providers
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(RefundId::from_uuid).collect())
}

/// A file without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Its id.
    pub id: Uuid,
    /// Of which reference.
    pub wait: Uuid,
    /// A harmless name.
    pub name: String,
    /// What it is.
    pub kind: ProofKind,
    /// How large, in bytes.
    pub bytes: i64,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
}

/// The files of these references, the oldest first.
pub async fn proofs(tx: &mut PgTransaction<'_>, waits: &[Uuid]) -> sqlx::Result<Vec<Proof>> {
    let rows = sqlx::query!(
        r#"SELECT id, wait_id, name, media_type, length(content)::bigint AS "bytes!", sent_at FROM by_hand_proof
            WHERE brand_id = ottery_brand() AND wait_id = ANY($1) ORDER BY id"#,
        waits
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Proof {
                id: row.id,
                wait: row.wait_id,
                name: row.name,
                kind: ProofKind::from_text(&row.media_type)
                    .ok_or_else(|| unreadable("by_hand_proof", "media_type", &row.media_type))?,
                bytes: row.bytes,
                sent_at: row.sent_at,
            })
        })
        .collect()
}

/// A file with its content.
pub async fn content(tx: &mut PgTransaction<'_>, id: Uuid) -> sqlx::Result<Option<(Uuid, Vec<u8>)>> {
    let row =
        sqlx::query!("SELECT wait_id, content FROM by_hand_proof WHERE brand_id = ottery_brand() AND id = $1", id)
            .fetch_optional(&mut **tx)
            .await?;
    Ok(row.map(|row| (row.wait_id, row.content)))
}

/// Keeps a file; false when it is there already.
pub async fn keep(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    proof: &Proof,
    content: &[u8],
    sha256: &[u8],
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO by_hand_proof (id, brand_id, wait_id, name, media_type, content, sha256, sent_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (brand_id, wait_id, sha256) DO NOTHING",
        proof.id,
        brand.as_uuid(),
        proof.wait,
        proof.name,
        proof.kind.media_type(),
        content,
        sha256,
        proof.sent_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets a file. Doing it twice is no error.
pub async fn forget(tx: &mut PgTransaction<'_>, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM by_hand_proof WHERE brand_id = ottery_brand() AND id = $1", id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Zero of a currency plus these.
#[must_use]
pub fn sum(currency: Currency, records: &[Record], state: RecordState) -> Money {
    let minor = records
        .iter()
        .filter(|record| record.state == state && record.amount.currency == currency)
        .map(|record| record.amount.minor)
        .sum();
    Money::new(minor, currency)
}
