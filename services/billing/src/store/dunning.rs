//! Campaigns, and what dunning remembers of a case.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, InvoiceId, PaymentMethodId, SubscriptionId};
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::dunning::OtherMethod;
use crate::domain::dunning::campaign::Campaign;

/// A version of a brand's campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Which; the first is 1.
    pub version: u32,
    /// What it says.
    pub campaign: Campaign,
    /// Who saved it.
    pub saved_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Keeps a new version; false when somebody else was faster.
pub async fn insert(tx: &mut PgTransaction<'_>, brand: BrandId, saved: &Saved) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO dunning_campaign (brand_id, version, content, saved_by, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT DO NOTHING",
        brand.as_uuid(),
        i32::try_from(saved.version).unwrap_or(i32::MAX),
        Json(&saved.campaign) as _,
        saved.saved_by,
        saved.created_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The newest versions, newest first.
pub async fn newest(tx: &mut PgTransaction<'_>, limit: i64) -> sqlx::Result<Vec<Saved>> {
    let rows = sqlx::query!(
        r#"SELECT version, content AS "content: Json<Campaign>", saved_by, created_at FROM dunning_campaign
            WHERE brand_id = ottery_brand() ORDER BY version DESC LIMIT $1"#,
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Saved {
            version: row.version.unsigned_abs(),
            campaign: row.content.0,
            saved_by: row.saved_by,
            created_at: row.created_at,
        })
        .collect())
}

/// What dunning remembers of an invoice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// The campaign it goes by: the newest when it was issued; 0 for the brand's settings.
    pub campaign_version: u32,
    /// By how much it is set back.
    pub paused: TimeDelta,
    /// When a saved method was charged for it last.
    pub charged_at: Option<DateTime<Utc>>,
}

/// What is remembered of these invoices, each with the instant of its issue.
pub async fn notes(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    invoices: &[(InvoiceId, DateTime<Utc>)],
) -> sqlx::Result<HashMap<InvoiceId, Note>> {
    let (ids, issued): (Vec<Uuid>, Vec<DateTime<Utc>>) =
        invoices.iter().map(|(id, issued_at)| (id.as_uuid(), *issued_at)).unzip();
    let rows = sqlx::query!(
        r#"SELECT i.id AS "id!", p.paused_seconds AS "paused_seconds?",
                  greatest((SELECT max(a.created_at) FROM payment a
                             WHERE a.brand_id = $1 AND a.invoice_id = i.id AND a.kind = 'saved'),
                           (SELECT max(a.created_at) FROM payment_share h
                              JOIN payment a ON a.brand_id = h.brand_id AND a.id = h.payment_id
                             WHERE h.brand_id = $1 AND h.invoice_id = i.id AND a.kind = 'saved')) AS charged_at,
                  (SELECT coalesce(max(c.version), 0) FROM dunning_campaign c
                    WHERE c.brand_id = $1 AND c.created_at <= i.issued_at) AS "campaign_version!"
             FROM UNNEST($2::uuid[], $3::timestamptz[]) AS i (id, issued_at)
             LEFT JOIN dunning_pause p ON p.brand_id = $1 AND p.invoice_id = i.id"#,
        brand.as_uuid(),
        &ids,
        &issued,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let note = Note {
                campaign_version: row.campaign_version.unsigned_abs(),
                paused: TimeDelta::try_seconds(row.paused_seconds.unwrap_or(0)).unwrap_or_default(),
                charged_at: row.charged_at,
            };
            (InvoiceId::from_uuid(row.id), note)
        })
        .collect())
}

/// The newest campaign, for what is issued now, and these older versions.
pub async fn campaigns(tx: &mut PgTransaction<'_>, versions: &[u32]) -> sqlx::Result<BTreeMap<u32, Campaign>> {
    let versions: Vec<i32> = versions.iter().filter_map(|version| i32::try_from(*version).ok()).collect();
    let rows = sqlx::query!(
        r#"SELECT version, content AS "content: Json<Campaign>" FROM dunning_campaign
            WHERE brand_id = ottery_brand() AND (version = ANY($1)
                  OR version = (SELECT max(version) FROM dunning_campaign WHERE brand_id = ottery_brand()))"#,
        &versions
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.version.unsigned_abs(), row.content.0)).collect())
}

/// Sets an invoice's dunning back.
pub async fn pause(tx: &mut PgTransaction<'_>, brand: BrandId, invoice: InvoiceId, by: TimeDelta) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO dunning_pause AS known (brand_id, invoice_id, paused_seconds) VALUES ($1, $2, $3)
         ON CONFLICT (brand_id, invoice_id) DO UPDATE SET paused_seconds = known.paused_seconds + EXCLUDED.paused_seconds",
        brand.as_uuid(),
        invoice.as_uuid(),
        by.num_seconds(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Another saved method of each invoice's customer than the one renewals are charged to: one that was not refused for good
/// for this invoice, the default before older ones.
pub async fn other_methods(
    tx: &mut PgTransaction<'_>,
    invoices: &[InvoiceId],
) -> sqlx::Result<HashMap<InvoiceId, OtherMethod>> {
    if invoices.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = invoices.iter().map(InvoiceId::as_uuid).collect();
    let rows = sqlx::query!(
        r#"SELECT DISTINCT ON (i.id) i.id AS invoice_id, m.id AS method_id,
                  EXISTS (SELECT FROM payment p WHERE p.brand_id = i.brand_id AND p.method_id = m.id AND p.id IN (
                             SELECT o.id FROM payment o WHERE o.brand_id = i.brand_id AND o.invoice_id = i.id
                             UNION ALL SELECT h.payment_id FROM payment_share h
                              WHERE h.brand_id = i.brand_id AND h.invoice_id = i.id)) AS "is_tried!"
             FROM invoice i
             JOIN subscription s ON s.brand_id = i.brand_id AND s.id = i.subscription_id
             JOIN payment_method m ON m.brand_id = i.brand_id AND m.account_id = s.account_id AND m.removed_at IS NULL
                                  AND m.id IS DISTINCT FROM s.payment_method_id
            WHERE i.brand_id = ottery_brand() AND i.id = ANY($1)
              AND NOT EXISTS (SELECT FROM payment p WHERE p.brand_id = i.brand_id AND p.method_id = m.id AND p.id IN (
                                     SELECT o.id FROM payment o WHERE o.brand_id = i.brand_id AND o.invoice_id = i.id
                                     UNION ALL SELECT h.payment_id FROM payment_share h
                                      WHERE h.brand_id = i.brand_id AND h.invoice_id = i.id)
                                 AND (p.state = 'action_required' OR p.state = 'failed' AND p.failure_class <> 'soft'))
            ORDER BY i.id, m.is_default DESC, m.id DESC"#,
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    let other = |method: Uuid, is_tried| OtherMethod { id: PaymentMethodId::from_uuid(method), is_tried };
    Ok(rows.into_iter().map(|row| (InvoiceId::from_uuid(row.invoice_id), other(row.method_id, row.is_tried))).collect())
}

/// When these customers heard of any debt last; those who never did are left out.
pub async fn contacts(
    tx: &mut PgTransaction<'_>,
    accounts: &[AccountId],
) -> sqlx::Result<HashMap<AccountId, DateTime<Utc>>> {
    let ids: Vec<Uuid> = accounts.iter().map(AccountId::as_uuid).collect();
    let rows = sqlx::query!(
        r#"SELECT account_id, contacted_at AS "contacted_at!" FROM customer
            WHERE brand_id = ottery_brand() AND account_id = ANY($1) AND contacted_at IS NOT NULL"#,
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (AccountId::from_uuid(row.account_id), row.contacted_at)).collect())
}

/// Notes a contact at `now` with each customer who was not contacted after the instant beside them; those it is theirs to
/// make are returned. Two schedulers that want the same customer get one contact. Lock the customers first, in the order of
/// their ids.
pub async fn claim_contacts(
    tx: &mut PgTransaction<'_>,
    wanted: &[(AccountId, DateTime<Utc>)],
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<AccountId>> {
    let (ids, since): (Vec<Uuid>, Vec<DateTime<Utc>>) =
        wanted.iter().map(|(account, since)| (account.as_uuid(), *since)).unzip();
    let claimed = sqlx::query_scalar!(
        "UPDATE customer SET contacted_at = $3 FROM UNNEST($1::uuid[], $2::timestamptz[]) AS r (account_id, since)
          WHERE customer.brand_id = ottery_brand() AND customer.account_id = r.account_id
            AND (contacted_at IS NULL OR contacted_at <= r.since)
         RETURNING customer.account_id",
        &ids,
        &since,
        now,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(claimed.into_iter().map(AccountId::from_uuid).collect())
}

/// Until when these subscriptions are neither suspended nor ended for not paying; those nobody holds are left out.
pub async fn holds(
    tx: &mut PgTransaction<'_>,
    subscriptions: &[SubscriptionId],
) -> sqlx::Result<HashMap<SubscriptionId, DateTime<Utc>>> {
    let ids: Vec<Uuid> = subscriptions.iter().map(SubscriptionId::as_uuid).collect();
    let rows = sqlx::query!(
        r#"SELECT subscription_id, max(until) AS "until!" FROM suspension_hold
            WHERE brand_id = ottery_brand() AND subscription_id = ANY($1) AND released_at IS NULL GROUP BY subscription_id"#,
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (SubscriptionId::from_uuid(row.subscription_id), row.until)).collect())
}
