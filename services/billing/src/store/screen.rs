//! What the fraud screen goes by, and what it said of each order.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, OrderId};
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Page, money, unreadable};
use crate::domain::screen::rules::ScreenRules;
use crate::domain::screen::{By, Facts, Hit, Verdict};
use crate::domain::trial::Sign;

/// What staff decided about an order they had to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is accepted.
    Approved,
    /// It is not.
    Declined,
}

impl Decision {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Declined => "declined",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        [Self::Approved, Self::Declined].into_iter().find(|decision| decision.as_str() == text)
    }
}

/// A decision with who made it and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// What.
    pub decision: Decision,
    /// By whom.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Why, in their words; may be empty.
    pub note: String,
}

/// An order as the screen saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screening {
    /// Its id.
    pub id: Uuid,
    /// Which order; none when it was denied.
    pub order: Option<OrderId>,
    /// Who asked.
    pub account: AccountId,
    /// For what.
    pub plan_name: String,
    /// What was known; the counts are not kept.
    pub facts: Facts,
    /// Keyed hash of the browser's id.
    pub device: Option<Vec<u8>>,
    /// What all hits together ask for.
    pub verdict: Verdict,
    /// Every rule that had something to say.
    pub hits: Vec<Hit>,
    /// Of the rules.
    pub rules_version: i64,
    /// When.
    pub screened_at: DateTime<Utc>,
    /// What staff decided.
    pub decided: Option<Decided>,
}

struct Row {
    id: Uuid,
    order_id: Option<Uuid>,
    account_id: Uuid,
    plan_name: String,
    mail_domain: String,
    billing_country: String,
    network_country: String,
    network: String,
    device_hash: Option<Vec<u8>>,
    amount_minor: i64,
    currency: String,
    is_new: bool,
    reused: Option<String>,
    verdict: String,
    hits: Json<Vec<Hit>>,
    rules_version: i64,
    screened_at: DateTime<Utc>,
    decision: Option<String>,
    decided_by: String,
    decided_at: Option<DateTime<Utc>>,
    note: String,
}

impl TryFrom<Row> for Screening {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let decision = row
            .decision
            .as_deref()
            .map(|text| Decision::from_text(text).ok_or_else(|| unreadable("screening", "decision", text)));
        let decided = decision.transpose()?.zip(row.decided_at);
        let reused = row
            .reused
            .as_deref()
            .map(|text| Sign::from_text(text).ok_or_else(|| unreadable("screening", "reused", text)));
        Ok(Self {
            id: row.id,
            order: row.order_id.map(OrderId::from_uuid),
            account: AccountId::from_uuid(row.account_id),
            plan_name: row.plan_name,
            facts: Facts {
                mail_domain: row.mail_domain,
                billing_country: row.billing_country,
                network_country: row.network_country,
                network: row.network,
                amount: money("screening", row.amount_minor, &row.currency)?,
                is_new: row.is_new,
                reused: reused.transpose()?,
                counts: Vec::new(),
            },
            device: row.device_hash,
            verdict: Verdict::from_text(&row.verdict)
                .ok_or_else(|| unreadable("screening", "verdict", &row.verdict))?,
            hits: row.hits.0,
            rules_version: row.rules_version,
            screened_at: row.screened_at,
            decided: decided.map(|(decision, at)| Decided { decision, by: row.decided_by, at, note: row.note }),
        })
    }
}

/// Keeps what was seen of an order.
pub async fn insert(tx: &mut PgTransaction<'_>, brand: BrandId, screening: &Screening) -> sqlx::Result<()> {
    let facts = &screening.facts;
    sqlx::query!(
        "INSERT INTO screening (id, brand_id, order_id, account_id, plan_name, mail_domain, billing_country, network_country,
                                network, device_hash, amount_minor, currency, is_new, reused, verdict, hits, rules_version,
                                screened_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        screening.id,
        brand.as_uuid(),
        screening.order.map(|id| id.as_uuid()),
        screening.account.as_uuid(),
        screening.plan_name,
        facts.mail_domain,
        facts.billing_country,
        facts.network_country,
        facts.network,
        screening.device as _,
        facts.amount.minor,
        facts.amount.currency.code(),
        facts.is_new,
        facts.reused.map(Sign::as_str),
        screening.verdict.as_str(),
        Json(&screening.hits) as _,
        screening.rules_version,
        screening.screened_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets where orders came from that were seen before `before`.
pub async fn forget(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    before: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<u64> {
    let forgotten = sqlx::query!(
        "UPDATE screening SET network = '', network_country = '', device_hash = NULL
          WHERE id IN (SELECT id FROM screening
                        WHERE brand_id = $1 AND screened_at < $2
                          AND (network <> '' OR network_country <> '' OR device_hash IS NOT NULL)
                        LIMIT $3)",
        brand.as_uuid(),
        before,
        limit
    )
    .execute(&mut **tx)
    .await?;
    Ok(forgotten.rows_affected())
}

/// Lets one order at a time be counted by this, until the transaction ends.
pub async fn lock(tx: &mut PgTransaction<'_>, by: By, of: &str) -> sqlx::Result<()> {
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock(
               hashtextextended('screening ' || ottery_brand()::text || ' ' || $1::text || ' ' || $2::text, 0)) AS "held!: ()""#,
        by.as_str(),
        of
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(())
}

/// How many orders were asked for like this one, from `since` on and before it.
pub async fn count(tx: &mut PgTransaction<'_>, by: By, like: &Screening, since: DateTime<Utc>) -> sqlx::Result<u32> {
    let account = like.account.as_uuid();
    let (network, device) = (&like.facts.network, &like.device);
    let count = match by {
        By::Account => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM screening WHERE brand_id = ottery_brand() AND account_id = $1
                      AND screened_at >= $2 AND id < $3"#,
                account,
                since,
                like.id
            )
            .fetch_one(&mut **tx)
            .await?
        }
        By::Device => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM screening WHERE brand_id = ottery_brand() AND device_hash = $1
                      AND screened_at >= $2 AND id < $3"#,
                device as _,
                since,
                like.id
            )
            .fetch_one(&mut **tx)
            .await?
        }
        By::Network => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM screening WHERE brand_id = ottery_brand() AND network = $1 AND network <> ''
                      AND screened_at >= $2 AND id < $3"#,
                network,
                since,
                like.id
            )
            .fetch_one(&mut **tx)
            .await?
        }
        By::Card => {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "count!" FROM screening WHERE brand_id = ottery_brand() AND account_id IN (
                          SELECT theirs.account_id FROM account_card own
                            JOIN account_card theirs ON theirs.brand_id = own.brand_id AND theirs.hash = own.hash
                           WHERE own.brand_id = ottery_brand() AND own.account_id = $1)
                      AND screened_at >= $2 AND id < $3"#,
                account,
                since,
                like.id
            )
            .fetch_one(&mut **tx)
            .await?
        }
    };
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// What was seen of an order.
pub async fn of_order(tx: &mut PgTransaction<'_>, order: OrderId) -> sqlx::Result<Option<Screening>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, order_id, account_id, plan_name, mail_domain, billing_country, network_country, network, device_hash,
                  amount_minor, currency, is_new, reused, verdict, hits AS "hits: Json<Vec<Hit>>", rules_version, screened_at,
                  decision, decided_by, decided_at, note
             FROM screening WHERE brand_id = ottery_brand() AND order_id = $1"#,
        order.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Screening::try_from).transpose()
}

/// Orders that were asked for, newest first; those that wait for staff only, when asked for.
pub async fn list(tx: &mut PgTransaction<'_>, is_waiting: bool, page: Page) -> sqlx::Result<Vec<Screening>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, order_id, account_id, plan_name, mail_domain, billing_country, network_country, network, device_hash,
                  amount_minor, currency, is_new, reused, verdict, hits AS "hits: Json<Vec<Hit>>", rules_version, screened_at,
                  decision, decided_by, decided_at, note
             FROM screening s
            WHERE brand_id = ottery_brand() AND ($1::uuid IS NULL OR id < $1)
              AND (NOT $2::boolean OR EXISTS (
                      SELECT FROM orders o WHERE o.brand_id = s.brand_id AND o.id = s.order_id AND o.state = 'under_review'))
            ORDER BY id DESC LIMIT $3"#,
        page.before,
        is_waiting,
        page.limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Screening::try_from).collect()
}

/// Keeps what staff decided about an order.
pub async fn decide(tx: &mut PgTransaction<'_>, order: OrderId, decided: &Decided) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE screening SET decision = $2, decided_by = $3, decided_at = $4, note = $5
          WHERE brand_id = ottery_brand() AND order_id = $1",
        order.as_uuid(),
        decided.decision.as_str(),
        decided.by,
        decided.at,
        decided.note,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Gives what was seen of a customer who is merged away to the other one.
pub async fn give(tx: &mut PgTransaction<'_>, brand: BrandId, from: AccountId, to: AccountId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE screening SET account_id = $3 WHERE brand_id = $1 AND account_id = $2",
        brand.as_uuid(),
        from.as_uuid(),
        to.as_uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What the brand wants, with its version; nothing and 0 when it never said.
pub async fn rules(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<(ScreenRules, i64)> {
    let row = sqlx::query!(
        r#"SELECT content AS "content: Json<ScreenRules>", version FROM screen_rules WHERE brand_id = $1"#,
        brand.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map_or_else(|| (ScreenRules::default(), 0), |row| (row.content.0, row.version)))
}

/// Keeps it as that version, when the stored one is still the one before; false when somebody else was faster.
pub async fn put_rules(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    (rules, version): (&ScreenRules, i64),
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let put = sqlx::query!(
        "INSERT INTO screen_rules AS known (brand_id, content, version, updated_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (brand_id) DO UPDATE
            SET content = EXCLUDED.content, version = EXCLUDED.version, updated_at = EXCLUDED.updated_at
          WHERE known.version = EXCLUDED.version - 1",
        brand.as_uuid(),
        Json(rules) as _,
        version,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(put.rows_affected() == 1)
}
