//! Payment attempts.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, InvoiceId, Money, PaymentId, PaymentMethodId, SubscriptionId};
use serde::Serialize;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::share::{self, Share};
use super::{Page, errand, json_rows, money, unreadable};
use crate::domain::decline::Refusals;
use crate::domain::dunning::Standing;
use crate::domain::payment::{Decline, DeclineClass, State};
use crate::domain::provider::ProviderAccountId;

/// A payment attempt somebody asks for.
#[derive(Clone, Debug)]
pub struct AttemptRequest {
    /// What is to be paid.
    pub invoice: InvoiceId,
    /// By whom.
    pub account: AccountId,
    /// For what.
    pub subscription: Option<SubscriptionId>,
    /// How much.
    pub amount: Money,
    /// How.
    pub kind: AttemptKind,
    /// What it pays of each invoice, in that order, when it pays several; `invoice` is one of them.
    pub shares: Vec<Share>,
}

/// How an attempt gets its money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptKind {
    /// The customer pays on the provider's page.
    Hosted {
        /// Where the page returns to.
        return_url: String,
        /// Where it returns to when the customer gives up.
        cancel_url: String,
        /// Save the instrument for renewals.
        save_method: bool,
        /// The account the customer chose; none: whichever serves.
        chosen: Option<ProviderAccountId>,
    },
    /// A saved instrument is charged without the customer.
    OffSession {
        /// Which.
        method: PaymentMethodId,
    },
}

/// An attempt as stored.
#[derive(Clone, Debug)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// What it pays; the first of them when it pays several.
    pub invoice: InvoiceId,
    /// All it pays, in that order, when it pays several.
    pub shares: Vec<InvoiceId>,
    /// Who pays.
    pub account: AccountId,
    /// For what.
    pub subscription: Option<SubscriptionId>,
    /// How.
    pub kind: AttemptKind,
    /// Where it stands.
    pub state: State,
    /// What was asked for.
    pub amount: Money,
    /// Nobody waits for it any more.
    pub is_withdrawn: bool,
    /// The provider is deciding.
    pub is_processing: bool,
    /// The provider's name; empty until it was sent.
    pub provider: String,
    /// The account at the provider.
    pub provider_account: Option<ProviderAccountId>,
    /// The provider's id of the hosted page.
    pub checkout_ref: String,
    /// The hosted page.
    pub checkout_url: String,
    /// The provider's id of the payment.
    pub provider_ref: String,
    /// What came.
    pub received: Option<Money>,
    /// Why it was refused the last time.
    pub failure: Option<Decline>,
    /// The instrument for people.
    pub method_label: String,
    /// When it was asked for, by the brand's clock.
    pub created_at: DateTime<Utc>,
    /// When it was decided.
    pub finished_at: Option<DateTime<Utc>>,
    /// How long ago, in real time, it was sent first.
    pub sent_ago: Option<TimeDelta>,
    /// What went back.
    pub refunded: Money,
    /// The customer was sent to their bank to confirm it.
    pub is_resumed: bool,
    /// What the provider calls the last call that moved it; empty when it names none.
    pub provider_request: String,
}

impl Payment {
    /// Everything it pays.
    #[must_use]
    pub fn invoices(&self) -> Vec<InvoiceId> {
        if self.shares.is_empty() { vec![self.invoice] } else { self.shares.clone() }
    }

    /// Whether what was agreed to on its page is being taken by us, and nobody knows what came of it.
    #[must_use]
    pub fn is_taking(&self) -> bool {
        let is_undecided = self.is_processing && self.state == State::Pending;
        is_undecided && !self.checkout_ref.is_empty() && self.provider_ref.is_empty()
    }
}

struct Row {
    id: Uuid,
    invoice_id: Uuid,
    shares: Vec<Uuid>,
    account_id: Uuid,
    subscription_id: Option<Uuid>,
    kind: String,
    state: String,
    amount_minor: i64,
    currency: String,
    method_id: Option<Uuid>,
    return_url: String,
    cancel_url: String,
    save_method: bool,
    chosen_account_id: Option<Uuid>,
    is_withdrawn: bool,
    is_processing: bool,
    provider: String,
    provider_account_id: Option<Uuid>,
    checkout_ref: String,
    checkout_url: String,
    provider_ref: String,
    received_minor: Option<i64>,
    received_currency: Option<String>,
    failure_code: String,
    failure_class: String,
    method_label: String,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    sent_seconds: Option<f64>,
    refunded_minor: i64,
    is_resumed: bool,
    provider_request: String,
}

impl TryFrom<Row> for Payment {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let kind = match (row.kind.as_str(), row.method_id) {
            ("hosted", None) => AttemptKind::Hosted {
                return_url: row.return_url,
                cancel_url: row.cancel_url,
                save_method: row.save_method,
                chosen: row.chosen_account_id.map(ProviderAccountId::from_uuid),
            },
            ("saved", Some(method)) => AttemptKind::OffSession { method: PaymentMethodId::from_uuid(method) },
            _ => return Err(unreadable("payment", "kind", row.kind)),
        };
        let received = match (row.received_minor, &row.received_currency) {
            (Some(minor), Some(currency)) => Some(money("payment", minor, currency)?),
            _ => None,
        };
        let failure = match row.failure_class.as_str() {
            "" => None,
            text => Some(Decline {
                class: DeclineClass::from_text(text).ok_or_else(|| unreadable("payment", "failure_class", text))?,
                code: row.failure_code,
            }),
        };
        Ok(Self {
            id: PaymentId::from_uuid(row.id),
            invoice: InvoiceId::from_uuid(row.invoice_id),
            shares: row.shares.into_iter().map(InvoiceId::from_uuid).collect(),
            account: AccountId::from_uuid(row.account_id),
            subscription: row.subscription_id.map(SubscriptionId::from_uuid),
            kind,
            state: State::from_text(&row.state).ok_or_else(|| unreadable("payment", "state", &row.state))?,
            amount: money("payment", row.amount_minor, &row.currency)?,
            is_withdrawn: row.is_withdrawn,
            is_processing: row.is_processing,
            provider: row.provider,
            provider_account: row.provider_account_id.map(ProviderAccountId::from_uuid),
            checkout_ref: row.checkout_ref,
            checkout_url: row.checkout_url,
            provider_ref: row.provider_ref,
            received,
            failure,
            method_label: row.method_label,
            created_at: row.created_at,
            finished_at: row.finished_at,
            sent_ago: row.sent_seconds.map(|seconds| TimeDelta::milliseconds((seconds * 1000.0) as i64)),
            refunded: money("payment", row.refunded_minor, &row.currency)?,
            is_resumed: row.is_resumed,
            provider_request: row.provider_request,
        })
    }
}

#[derive(Serialize)]
struct NewRow<'a> {
    id: Uuid,
    invoice_id: Uuid,
    account_id: Uuid,
    subscription_id: Option<Uuid>,
    kind: &'static str,
    amount_minor: i64,
    currency: &'a str,
    method_id: Option<Uuid>,
    return_url: &'a str,
    cancel_url: &'a str,
    save_method: bool,
    chosen_account_id: Option<Uuid>,
}

/// Writes attempts down, in one statement, before any provider hears of them. An invoice's older hosted pages are
/// withdrawn; an invoice a saved method is being charged for gets no second charge. Charges are made by the workers.
///
/// The ids are those of the requests, in their order; a charge that was already under way is named instead of a new one.
pub async fn request(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    requests: &[AttemptRequest],
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<PaymentId>> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let all = |request: &AttemptRequest| -> Vec<InvoiceId> {
        let shares = request.shares.iter().map(|share| share.invoice);
        std::iter::once(request.invoice).chain(shares).collect()
    };
    let invoices: Vec<InvoiceId> = requests.iter().flat_map(all).collect();
    withdraw(tx, brand, &invoices, None, now).await?;
    let mut ids: Vec<PaymentId> = requests.iter().map(|_| PaymentId::new(now)).collect();
    let rows: Vec<_> = requests.iter().zip(&ids).map(|(request, id)| new_row(request, *id)).collect();
    let inserted = sqlx::query_scalar!(
        "INSERT INTO payment (id, brand_id, invoice_id, account_id, subscription_id, kind, state, amount_minor, currency,
                              method_id, return_url, cancel_url, save_method, chosen_account_id, created_at)
         SELECT id, $1, invoice_id, account_id, subscription_id, kind, 'requested', amount_minor, currency,
                method_id, return_url, cancel_url, save_method, chosen_account_id, $3
           FROM jsonb_populate_recordset(NULL::payment, $2)
         ON CONFLICT (brand_id, invoice_id) WHERE kind = 'saved' AND state IN ('requested', 'sent', 'pending', 'unknown')
         DO NOTHING RETURNING id",
        brand.as_uuid(),
        json_rows(&rows)?,
        now,
    )
    .fetch_all(&mut **tx)
    .await?;
    if inserted.len() < ids.len() {
        for (id, request) in ids.iter_mut().zip(requests).filter(|(id, _)| !inserted.contains(&id.as_uuid())) {
            let under_way = sqlx::query_scalar!(
                "SELECT id FROM payment WHERE brand_id = $1 AND invoice_id = $2 AND kind = 'saved'
                    AND state IN ('requested', 'sent', 'pending', 'unknown')",
                brand.as_uuid(),
                request.invoice.as_uuid()
            )
            .fetch_one(&mut **tx)
            .await?;
            *id = PaymentId::from_uuid(under_way);
        }
    }
    for (request, id) in requests.iter().zip(&ids) {
        if !request.shares.is_empty() && inserted.contains(&id.as_uuid()) {
            share::insert(tx, brand, *id, &request.shares).await?;
        }
    }
    let mut charges: Vec<Uuid> = requests
        .iter()
        .zip(&ids)
        .filter(|(request, id)| {
            matches!(request.kind, AttemptKind::OffSession { .. }) && inserted.contains(&id.as_uuid())
        })
        .map(|(_, id)| id.as_uuid())
        .collect();
    charges.sort_unstable();
    charges.dedup();
    errand::plan(tx, brand, errand::Kind::Payment, &charges, TimeDelta::zero()).await?;
    Ok(ids)
}

fn new_row(request: &AttemptRequest, id: PaymentId) -> NewRow<'_> {
    let new = NewRow {
        id: id.as_uuid(),
        invoice_id: request.invoice.as_uuid(),
        account_id: request.account.as_uuid(),
        subscription_id: request.subscription.map(|id| id.as_uuid()),
        kind: "hosted",
        amount_minor: request.amount.minor,
        currency: request.amount.currency.code(),
        method_id: None,
        return_url: "",
        cancel_url: "",
        save_method: false,
        chosen_account_id: None,
    };
    match &request.kind {
        AttemptKind::Hosted { return_url, cancel_url, save_method, chosen } => NewRow {
            return_url,
            cancel_url,
            save_method: *save_method,
            chosen_account_id: chosen.map(ProviderAccountId::as_uuid),
            ..new
        },
        AttemptKind::OffSession { method } => NewRow { kind: "saved", method_id: Some(method.as_uuid()), ..new },
    }
}

/// The account the customer chose for the newest page of an invoice; none when they chose none.
pub async fn chosen_for(tx: &mut PgTransaction<'_>, invoice: InvoiceId) -> sqlx::Result<Option<ProviderAccountId>> {
    let chosen = sqlx::query_scalar!(
        "SELECT chosen_account_id FROM payment
          WHERE brand_id = ottery_brand() AND invoice_id = $1 AND kind = 'hosted' ORDER BY id DESC LIMIT 1",
        invoice.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(chosen.flatten().map(ProviderAccountId::from_uuid))
}

/// Nobody waits for the money of these invoices any more: attempts no provider has heard of are cancelled, hosted pages
/// will be closed. A charge that is under way is left to its end; if it succeeds, the money counts.
pub async fn cancel_open(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    invoices: &[InvoiceId],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = invoices.iter().map(InvoiceId::as_uuid).collect();
    sqlx::query!(
        "UPDATE payment SET state = 'cancelled', finished_at = $3, is_withdrawn = true
          WHERE state = 'requested' AND kind = 'saved'
            AND id = ANY (ARRAY(SELECT p.id FROM payment p WHERE p.brand_id = $1 AND p.invoice_id = ANY($2)
                                UNION ALL
                                SELECT s.payment_id FROM payment_share s WHERE s.brand_id = $1 AND s.invoice_id = ANY($2)))",
        brand.as_uuid(),
        &ids,
        now
    )
    .execute(&mut **tx)
    .await?;
    withdraw(tx, brand, invoices, None, now).await
}

/// Withdraws the hosted pages of these invoices, also those that are for others besides, and charges the customer was sent to
/// confirm, except one.
pub async fn withdraw(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    invoices: &[InvoiceId],
    except: Option<PaymentId>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = invoices.iter().map(InvoiceId::as_uuid).collect();
    let withdrawn = sqlx::query!(
        "UPDATE payment SET is_withdrawn = true,
                state = CASE state WHEN 'requested' THEN 'cancelled' ELSE state END,
                finished_at = CASE state WHEN 'requested' THEN $4 ELSE finished_at END
          WHERE id IS DISTINCT FROM $3 AND NOT is_withdrawn
            AND id = ANY (ARRAY(SELECT p.id FROM payment p WHERE p.brand_id = $1 AND p.invoice_id = ANY($2)
                                UNION ALL
                                SELECT s.payment_id FROM payment_share s WHERE s.brand_id = $1 AND s.invoice_id = ANY($2)))
            AND (kind = 'hosted' AND state IN ('requested', 'sent', 'pending', 'unknown')
                 OR resumed_at IS NOT NULL AND state = 'action_required')
         RETURNING id, state",
        brand.as_uuid(),
        &ids,
        except.map(|id| id.as_uuid()),
        now
    )
    .fetch_all(&mut **tx)
    .await?;
    let open: Vec<Uuid> =
        withdrawn.into_iter().filter(|row| row.state != State::Cancelled.as_str()).map(|row| row.id).collect();
    errand::plan(tx, brand, errand::Kind::Payment, &open, TimeDelta::zero()).await
}

/// An attempt as far as it says how an invoice stands.
struct Stand {
    invoice_id: Uuid,
    id: Uuid,
    kind: String,
    state: String,
    is_processing: bool,
    failure_class: String,
    is_awaited: bool,
}

impl Stand {
    fn standing(&self) -> sqlx::Result<Option<Standing>> {
        let state = State::from_text(&self.state).ok_or_else(|| unreadable("payment", "state", &self.state))?;
        Ok(match (self.kind.as_str(), state) {
            ("hosted", State::Pending) if self.is_processing || self.is_awaited => Some(Standing::InFlight),
            ("hosted", _) => None,
            (_, State::Requested | State::Sent | State::Pending | State::Unknown) => Some(Standing::InFlight),
            // Without the customer it will be refused again; they have been told.
            (_, State::ActionRequired) => Some(Standing::FailedHard),
            (_, State::Failed) if self.failure_class == DeclineClass::Soft.as_str() => Some(Standing::Failed),
            (_, State::Failed) => Some(Standing::FailedHard),
            (_, State::Succeeded | State::Cancelled) => None,
        })
    }
}

/// How the payments of these invoices stand, as far as dunning cares, alone or with others. An open page says nothing: the
/// customer may never pay there. But an order that is to be paid by bank or in cash is given days: the money cannot be there at once. A method that was refused says something only while it is the one renewals are charged to.
pub async fn standings(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    invoices: &[InvoiceId],
) -> sqlx::Result<HashMap<InvoiceId, Standing>> {
    let ids: Vec<Uuid> = invoices.iter().map(InvoiceId::as_uuid).collect();
    let mut rows = sqlx::query_as!(
        Stand,
        r#"SELECT p.invoice_id, p.id, p.kind, p.state, p.is_processing, p.failure_class,
                (p.provider IN ('bank_transfer', 'cash') AND s.state = 'pending') IS TRUE AS "is_awaited!" FROM payment p
           LEFT JOIN subscription s ON s.id = p.subscription_id
          WHERE p.brand_id = $1 AND p.invoice_id = ANY($2)
            AND (p.kind = 'hosted' OR p.state IN ('requested', 'sent', 'pending', 'unknown') OR p.method_id = s.payment_method_id)"#,
        brand.as_uuid(),
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    let shared = sqlx::query_as!(
        Stand,
        r#"SELECT h.invoice_id, p.id, p.kind, p.state, p.is_processing, p.failure_class,
                (p.provider IN ('bank_transfer', 'cash') AND s.state = 'pending') IS TRUE AS "is_awaited!" FROM payment_share h
           JOIN payment p ON p.brand_id = h.brand_id AND p.id = h.payment_id
           LEFT JOIN subscription s ON s.id = p.subscription_id
          WHERE h.brand_id = $1 AND h.invoice_id = ANY($2) AND h.invoice_id <> p.invoice_id
            AND (p.kind = 'hosted' OR p.state IN ('requested', 'sent', 'pending', 'unknown') OR p.method_id = s.payment_method_id)"#,
        brand.as_uuid(),
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.extend(shared);
    rows.sort_unstable_by_key(|row| (row.invoice_id, row.id));
    let mut standings = HashMap::new();
    for row in rows {
        let Some(standing) = row.standing()? else { continue };
        let known = standings.entry(InvoiceId::from_uuid(row.invoice_id)).or_insert(standing);
        if *known != Standing::InFlight {
            *known = standing;
        }
    }
    Ok(standings)
}

macro_rules! payments {
    ($which:literal, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT id, invoice_id, account_id, subscription_id, kind, state, amount_minor, currency, method_id, return_url,
                      ARRAY(SELECT s.invoice_id FROM payment_share s
                             WHERE s.brand_id = p.brand_id AND s.payment_id = p.id ORDER BY s.position) AS "shares!",
                      cancel_url, save_method, chosen_account_id, is_withdrawn, is_processing, provider, provider_account_id,
                      checkout_ref, checkout_url, provider_ref, received_minor, received_currency, failure_code, failure_class,
                      method_label, created_at, finished_at,
                      extract(epoch FROM clock_timestamp() - sent_at)::float8 AS sent_seconds,
                      resumed_at IS NOT NULL AS "is_resumed!", provider_request,
                      (SELECT coalesce(sum(r.amount_minor), 0)::bigint FROM refund r
                        WHERE r.brand_id = p.brand_id AND r.payment_id = p.id AND r.state = 'succeeded') AS "refunded_minor!"
                 FROM payment p "# + $which,
            $($argument),+
        )
    };
}

/// One attempt.
pub async fn get(tx: &mut PgTransaction<'_>, id: PaymentId) -> sqlx::Result<Option<Payment>> {
    payments!("WHERE id = $1", id.as_uuid()).fetch_optional(&mut **tx).await?.map(Payment::try_from).transpose()
}

/// The invoice an attempt is for, without locking anything.
pub async fn invoice_of(tx: &mut PgTransaction<'_>, id: PaymentId) -> sqlx::Result<Option<InvoiceId>> {
    let found = sqlx::query_scalar!("SELECT invoice_id FROM payment WHERE id = $1", id.as_uuid())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(found.map(InvoiceId::from_uuid))
}

/// One attempt, locked. Lock its subscription and invoice first.
pub async fn lock(tx: &mut PgTransaction<'_>, id: PaymentId) -> sqlx::Result<Option<Payment>> {
    // Locked first, read afterwards: what was committed while waiting for the lock must count.
    sqlx::query!("SELECT id FROM payment WHERE id = $1 FOR UPDATE", id.as_uuid()).fetch_optional(&mut **tx).await?;
    get(tx, id).await
}

/// The attempts to pay an invoice, newest first.
pub async fn list_by_invoice(
    tx: &mut PgTransaction<'_>,
    _brand: BrandId,
    invoice: InvoiceId,
) -> sqlx::Result<Vec<Payment>> {
    of_invoices(tx, &[invoice], None, Page { before: None, limit: 100 }).await
}

/// Attempts, newest first; of one account or invoice when given. A consolidated invoice is asked for by its id or a part's.
pub async fn list(
    tx: &mut PgTransaction<'_>,
    account: Option<AccountId>,
    invoice: Option<InvoiceId>,
    page: Page,
) -> sqlx::Result<Vec<Payment>> {
    if let Some(invoice) = invoice {
        let mut invoices = super::invoice::part_ids(tx, invoice).await?;
        if invoices.is_empty() {
            invoices.push(invoice);
        }
        return of_invoices(tx, &invoices, account, page).await;
    }
    let rows = payments!(
        "WHERE brand_id = ottery_brand() AND ($1::uuid IS NULL OR account_id = $1)
              AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        account.map(|id| id.as_uuid()),
        page.before,
        page.limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Payment::try_from).collect()
}

/// The attempts to pay any of these invoices, alone or with others, newest first. Two lookups that an index answers each; asked
/// for with `OR`, all of the brand would be read.
async fn of_invoices(
    tx: &mut PgTransaction<'_>,
    invoices: &[InvoiceId],
    account: Option<AccountId>,
    page: Page,
) -> sqlx::Result<Vec<Payment>> {
    let rows = payments!(
        "WHERE id = ANY (ARRAY(SELECT a.id FROM payment a WHERE a.brand_id = ottery_brand() AND a.invoice_id = ANY($1)
                                UNION ALL
                                SELECT s.payment_id FROM payment_share s WHERE s.brand_id = ottery_brand() AND s.invoice_id = ANY($1)))
              AND ($2::uuid IS NULL OR account_id = $2) AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
        &invoices.iter().map(InvoiceId::as_uuid).collect::<Vec<_>>(),
        account.map(|id| id.as_uuid()),
        page.before,
        page.limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Payment::try_from).collect()
}

/// The attempt a provider's id of a payment belongs to.
pub async fn by_provider_ref(
    tx: &mut PgTransaction<'_>,
    account: ProviderAccountId,
    reference: &str,
) -> sqlx::Result<Option<PaymentId>> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM payment
          WHERE brand_id = ottery_brand() AND provider_account_id = $1 AND provider_ref = $2 AND provider_ref <> ''",
        account.as_uuid(),
        reference
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(id.map(PaymentId::from_uuid))
}

/// The charge of any of these invoices, alone or with others, that waits for the customer to confirm; the newest when there are several.
pub async fn waiting_for_action(tx: &mut PgTransaction<'_>, invoices: &[InvoiceId]) -> sqlx::Result<Option<PaymentId>> {
    let ids: Vec<Uuid> = invoices.iter().map(InvoiceId::as_uuid).collect();
    let id = sqlx::query_scalar!(
        "SELECT id FROM payment
          WHERE brand_id = ottery_brand() AND kind = 'saved' AND state = 'action_required'
            AND provider_ref <> '' AND NOT is_withdrawn
            AND id = ANY (ARRAY(SELECT p.id FROM payment p WHERE p.brand_id = ottery_brand() AND p.invoice_id = ANY($1)
                                UNION ALL
                                SELECT s.payment_id FROM payment_share s WHERE s.brand_id = ottery_brand() AND s.invoice_id = ANY($1)))
          ORDER BY id DESC LIMIT 1",
        &ids
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(id.map(PaymentId::from_uuid))
}

/// The customer is sent to their bank now.
pub async fn mark_resumed(tx: &mut PgTransaction<'_>, id: PaymentId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("UPDATE payment SET resumed_at = $2 WHERE id = $1", id.as_uuid(), now).execute(&mut **tx).await?;
    Ok(())
}

/// Keeps what the provider calls the call that was just made; nothing when it names none. The caller holds the lock.
pub async fn note_request(tx: &mut PgTransaction<'_>, id: PaymentId, request: &str) -> sqlx::Result<()> {
    if request.is_empty() {
        return Ok(());
    }
    sqlx::query!("UPDATE payment SET provider_request = $2 WHERE id = $1", id.as_uuid(), request)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// How often a method was refused before this attempt: for its invoice, and since some instant.
pub async fn refusals(
    tx: &mut PgTransaction<'_>,
    payment: &Payment,
    method: PaymentMethodId,
    since: DateTime<Utc>,
) -> sqlx::Result<Refusals> {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE invoice_id = $2) AS "of_invoice!",
                  count(*) FILTER (WHERE created_at >= $4) AS "of_method!"
             FROM payment
            WHERE brand_id = ottery_brand() AND method_id = $1 AND id <> $3 AND state IN ('failed', 'action_required')
              AND failure_class <> '' AND provider_account_id IS NOT NULL"#,
        method.as_uuid(),
        payment.invoice.as_uuid(),
        payment.id.as_uuid(),
        since
    )
    .fetch_one(&mut **tx)
    .await?;
    let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(Refusals { of_invoice: count(row.of_invoice), of_method: count(row.of_method) })
}

/// Whether a saved method is being charged for the invoice at this moment, or what was agreed to on a page is being decided.
pub async fn is_charging(tx: &mut PgTransaction<'_>, invoice: InvoiceId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM payment
            WHERE id = ANY (ARRAY(SELECT p.id FROM payment p WHERE p.brand_id = ottery_brand() AND p.invoice_id = $1
                                  UNION ALL
                                  SELECT s.payment_id FROM payment_share s WHERE s.brand_id = ottery_brand() AND s.invoice_id = $1))
              AND (kind = 'saved' AND state IN ('requested', 'sent', 'pending', 'unknown') OR is_processing AND state = 'pending')) AS "is_charging!""#,
        invoice.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await
}

/// Writes what may have changed in an attempt; the caller holds its lock.
pub async fn save(tx: &mut PgTransaction<'_>, payment: &Payment) -> sqlx::Result<()> {
    let failure = payment.failure.as_ref();
    sqlx::query!(
        "UPDATE payment SET state = $2, is_withdrawn = $3, is_processing = $4, provider = $5, provider_account_id = $6,
                checkout_ref = $7, checkout_url = $8, provider_ref = $9, received_minor = $10, received_currency = $11,
                failure_code = $12, failure_class = $13, method_label = $14, finished_at = $15,
                sent_at = CASE WHEN $2 = 'requested' THEN NULL ELSE coalesce(sent_at, now()) END
          WHERE id = $1",
        payment.id.as_uuid(),
        payment.state.as_str(),
        payment.is_withdrawn,
        payment.is_processing,
        payment.provider,
        payment.provider_account.map(ProviderAccountId::as_uuid),
        payment.checkout_ref,
        payment.checkout_url,
        payment.provider_ref,
        payment.received.map(|received| received.minor),
        payment.received.map(|received| received.currency.to_string()),
        failure.map(|failure| failure.code.as_str()).unwrap_or_default(),
        failure.map(|failure| failure.class.as_str()).unwrap_or_default(),
        payment.method_label,
        payment.finished_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
