//! What trials were begun with, who may have one more, and what customers paid with. Signs are keyed hashes when they get here.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, SubscriptionId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::unreadable;
use crate::domain::trial::{ReusedCard, Sign, TrialRules};

/// A sign that a trial holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// By what somebody is known again.
    pub sign: Sign,
    /// Which trial.
    pub subscription: SubscriptionId,
    /// Since when.
    pub taken_at: DateTime<Utc>,
}

/// One more trial that was allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// By whom.
    pub granted_by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub granted_at: DateTime<Utc>,
}

/// Gives back what these subscriptions took: none of them began.
pub async fn give_back(tx: &mut PgTransaction<'_>, subscriptions: &[SubscriptionId]) -> sqlx::Result<()> {
    if subscriptions.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = subscriptions.iter().map(SubscriptionId::as_uuid).collect();
    sqlx::query!("DELETE FROM trial_claim WHERE brand_id = ottery_brand() AND subscription_id = ANY($1)", &ids)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Whether a trial was begun with the sign.
pub async fn is_taken(tx: &mut PgTransaction<'_>, sign: Sign, hash: &[u8]) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM trial_claim
             WHERE brand_id = ottery_brand() AND sign = $1 AND hash = $2) AS "taken!""#,
        sign.as_str(),
        hash
    )
    .fetch_one(&mut **tx)
    .await
}

/// Takes a sign for a trial when it is free, and says whose trial holds it then. Waits for whoever takes it at this moment.
pub async fn take(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    (sign, hash): (Sign, &[u8]),
    account: AccountId,
    subscription: SubscriptionId,
    now: DateTime<Utc>,
) -> sqlx::Result<(AccountId, SubscriptionId)> {
    let holder = sqlx::query!(
        "INSERT INTO trial_claim AS known (brand_id, sign, hash, account_id, subscription_id, taken_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (brand_id, sign, hash) DO UPDATE SET taken_at = known.taken_at
         RETURNING account_id, subscription_id",
        brand.as_uuid(),
        sign.as_str(),
        hash,
        account.as_uuid(),
        subscription.as_uuid(),
        now,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok((AccountId::from_uuid(holder.account_id), SubscriptionId::from_uuid(holder.subscription_id)))
}

/// What a customer's trials hold, oldest first.
pub async fn claims(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<Vec<Claim>> {
    let rows = sqlx::query!(
        "SELECT sign, subscription_id, taken_at FROM trial_claim
          WHERE brand_id = ottery_brand() AND account_id = $1 ORDER BY taken_at, sign, hash",
        account.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Claim {
                sign: Sign::from_text(&row.sign).ok_or_else(|| unreadable("trial_claim", "sign", &row.sign))?,
                subscription: SubscriptionId::from_uuid(row.subscription_id),
                taken_at: row.taken_at,
            })
        })
        .collect()
}

/// The trials of a customer that run, and all they ever had.
pub async fn trials(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<Vec<(SubscriptionId, bool)>> {
    let rows = sqlx::query!(
        r#"SELECT id, state = 'trialing' AS "runs!" FROM subscription
            WHERE brand_id = ottery_brand() AND account_id = $1 AND trial ORDER BY id"#,
        account.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (SubscriptionId::from_uuid(row.id), row.runs)).collect())
}

/// The pass of a customer.
pub async fn pass(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<Option<Pass>> {
    let row = sqlx::query!(
        "SELECT granted_by, reason, granted_at FROM trial_pass WHERE brand_id = ottery_brand() AND account_id = $1",
        account.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Pass { granted_by: row.granted_by, reason: row.reason, granted_at: row.granted_at }))
}

/// Allows a customer one more; a pass that is there stays one, with the newer reason.
pub async fn grant(tx: &mut PgTransaction<'_>, brand: BrandId, account: AccountId, pass: &Pass) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO trial_pass (brand_id, account_id, granted_by, reason, granted_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (brand_id, account_id) DO UPDATE
            SET granted_by = EXCLUDED.granted_by, reason = EXCLUDED.reason, granted_at = EXCLUDED.granted_at",
        brand.as_uuid(),
        account.as_uuid(),
        pass.granted_by,
        pass.reason,
        pass.granted_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Uses the pass of a customer up; false when there is none.
pub async fn use_pass(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<bool> {
    let used =
        sqlx::query!("DELETE FROM trial_pass WHERE brand_id = ottery_brand() AND account_id = $1", account.as_uuid())
            .execute(&mut **tx)
            .await?;
    Ok(used.rows_affected() == 1)
}

/// Remembers that a customer paid with it.
pub async fn note_card(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    account: AccountId,
    hash: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO account_card (brand_id, account_id, hash, seen_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (brand_id, account_id, hash) DO UPDATE SET seen_at = EXCLUDED.seen_at",
        brand.as_uuid(),
        account.as_uuid(),
        hash,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What a customer paid with, in an order everybody takes it in.
pub async fn cards(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<Vec<Vec<u8>>> {
    sqlx::query_scalar!(
        "SELECT hash FROM account_card WHERE brand_id = ottery_brand() AND account_id = $1 ORDER BY hash",
        account.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await
}

/// Gives claims, pass and cards of a customer who is merged away to the other one.
pub async fn give(tx: &mut PgTransaction<'_>, brand: BrandId, from: AccountId, to: AccountId) -> sqlx::Result<()> {
    let (brand, from, to) = (brand.as_uuid(), from.as_uuid(), to.as_uuid());
    sqlx::query!("UPDATE trial_claim SET account_id = $3 WHERE brand_id = $1 AND account_id = $2", brand, from, to)
        .execute(&mut **tx)
        .await?;
    sqlx::query!(
        "WITH gone AS (DELETE FROM account_card WHERE brand_id = $1 AND account_id = $2 RETURNING hash, seen_at)
         INSERT INTO account_card (brand_id, account_id, hash, seen_at) SELECT $1, $3, hash, seen_at FROM gone
         ON CONFLICT (brand_id, account_id, hash) DO NOTHING",
        brand,
        from,
        to
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("DELETE FROM trial_pass WHERE brand_id = $1 AND account_id = $2", brand, from)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What the brand chose; the defaults when it never did.
pub async fn rules(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<TrialRules> {
    let row = sqlx::query!(
        "SELECT by_email, by_device, by_card, reused_card, version FROM trial_rules WHERE brand_id = $1",
        brand.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(TrialRules::default()) };
    let reused_card = ReusedCard::from_text(&row.reused_card)
        .ok_or_else(|| unreadable("trial_rules", "reused_card", &row.reused_card))?;
    Ok(TrialRules {
        by_email: row.by_email,
        by_device: row.by_device,
        by_card: row.by_card,
        reused_card,
        version: row.version,
    })
}

/// Keeps them, when the stored version is still the one before; false when somebody else was faster.
pub async fn put_rules(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    rules: &TrialRules,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let put = sqlx::query!(
        "INSERT INTO trial_rules AS known (brand_id, by_email, by_device, by_card, reused_card, version, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (brand_id) DO UPDATE
            SET by_email = EXCLUDED.by_email, by_device = EXCLUDED.by_device, by_card = EXCLUDED.by_card,
                reused_card = EXCLUDED.reused_card, version = EXCLUDED.version, updated_at = EXCLUDED.updated_at
          WHERE known.version = EXCLUDED.version - 1",
        brand.as_uuid(),
        rules.by_email,
        rules.by_device,
        rules.by_card,
        rules.reused_card.as_str(),
        rules.version,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(put.rows_affected() == 1)
}
