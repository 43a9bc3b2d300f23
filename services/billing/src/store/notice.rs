//! What customers read about a debt in their account.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, InvoiceId, SubscriptionId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

/// One step that says it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What is owed.
    pub invoice: InvoiceId,
    /// Which of the campaign's contacts, counted from 1.
    pub step: u32,
    /// For what.
    pub subscription: SubscriptionId,
    /// As it was sold.
    pub plan_name: String,
    /// Since when.
    pub shown_from: DateTime<Utc>,
}

/// Keeps new notices; a step says it once.
pub async fn insert_all(tx: &mut PgTransaction<'_>, brand: BrandId, notices: &[Notice]) -> sqlx::Result<()> {
    if notices.is_empty() {
        return Ok(());
    }
    let invoices: Vec<Uuid> = notices.iter().map(|notice| notice.invoice.as_uuid()).collect();
    let steps: Vec<i32> = notices.iter().map(|notice| i32::try_from(notice.step).unwrap_or(i32::MAX)).collect();
    let subscriptions: Vec<Uuid> = notices.iter().map(|notice| notice.subscription.as_uuid()).collect();
    let plans: Vec<String> = notices.iter().map(|notice| notice.plan_name.clone()).collect();
    let from: Vec<DateTime<Utc>> = notices.iter().map(|notice| notice.shown_from).collect();
    sqlx::query!(
        "INSERT INTO dunning_notice (brand_id, invoice_id, step, subscription_id, plan_name, shown_from)
         SELECT $1, r.* FROM UNNEST($2::uuid[], $3::integer[], $4::uuid[], $5::text[], $6::timestamptz[]) AS r
         ON CONFLICT DO NOTHING",
        brand.as_uuid(),
        &invoices,
        &steps,
        &subscriptions,
        &plans,
        &from,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The newest notice of each open invoice of a customer, unless they do not want to see it any more; oldest first.
pub async fn current(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<Vec<Notice>> {
    let rows = sqlx::query!(
        r#"SELECT invoice_id AS "invoice_id!", step AS "step!", subscription_id AS "subscription_id!",
                  plan_name AS "plan_name!", shown_from AS "shown_from!"
             FROM (SELECT DISTINCT ON (n.invoice_id) n.invoice_id, n.step, n.subscription_id, n.plan_name, n.shown_from,
                          n.dismissed_at
                     FROM dunning_notice n JOIN invoice i ON i.brand_id = n.brand_id AND i.id = n.invoice_id
                    WHERE n.brand_id = ottery_brand() AND i.account_id = $1 AND i.state = 'open'
                    ORDER BY n.invoice_id, n.step DESC) AS newest
            WHERE dismissed_at IS NULL ORDER BY shown_from, invoice_id"#,
        account.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Notice {
            invoice: InvoiceId::from_uuid(row.invoice_id),
            step: row.step.unsigned_abs(),
            subscription: SubscriptionId::from_uuid(row.subscription_id),
            plan_name: row.plan_name,
            shown_from: row.shown_from,
        })
        .collect())
}

/// A customer does not want to see what there is about these invoices any more; the next step says it again. False when there is
/// nothing of theirs.
pub async fn dismiss(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
    invoices: &[InvoiceId],
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let ids: Vec<Uuid> = invoices.iter().map(InvoiceId::as_uuid).collect();
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM dunning_notice n JOIN invoice i ON i.brand_id = n.brand_id AND i.id = n.invoice_id
             WHERE n.brand_id = ottery_brand() AND n.invoice_id = ANY($1) AND i.account_id = $2) AS "known!""#,
        &ids,
        account.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await?;
    if known {
        sqlx::query!(
            "UPDATE dunning_notice SET dismissed_at = $2
              WHERE brand_id = ottery_brand() AND invoice_id = ANY($1) AND dismissed_at IS NULL",
            &ids,
            now
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(known)
}
