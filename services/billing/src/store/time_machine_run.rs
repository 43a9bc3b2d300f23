//! Runs of the time machine, and what they found.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, Money, SubscriptionId};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Page, column, currency, money, unreadable};
use crate::domain::time_machine::ask::Ask;
use crate::domain::time_machine::entry::{Entry, Kind};
use crate::domain::time_machine::run::{Difference, Failure, Run, RunId, Side, State, Total};

/// Entries written by one statement.
const CHUNK: usize = 5_000;

/// A run whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which.
    pub run: RunId,
    /// Of which brand.
    pub brand: BrandId,
    /// How often somebody began with it, this time included.
    pub tries: i32,
}

/// Keeps a new run, and puts it at the end of the queue.
pub async fn insert(tx: &mut PgTransaction<'_>, brand: BrandId, run: &Run) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO time_machine_run (id, brand_id, asked, requested_by, requested_at, state)
         VALUES ($1, $2, $3, $4, $5, $6)",
        run.id.as_uuid(),
        brand.as_uuid(),
        Json(&run.ask) as _,
        run.requested_by,
        run.requested_at,
        run.state.as_str(),
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("INSERT INTO time_machine_turn (run_id, brand_id) VALUES ($1, $2)", run.id.as_uuid(), brand.as_uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

struct Row {
    id: Uuid,
    asked: Json<Ask>,
    requested_by: String,
    requested_at: DateTime<Utc>,
    state: String,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    begins: Option<DateTime<Utc>>,
    side: Option<String>,
    reached: Option<DateTime<Utc>>,
    failure_code: String,
    failure: String,
}

fn side(text: &str) -> sqlx::Result<Side> {
    Side::from_text(text).ok_or_else(|| unreadable("time_machine_run", "side", text))
}

impl TryFrom<Row> for Run {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let state = match row.state.as_str() {
            "queued" => State::Queued,
            "running" => {
                State::Running { side: row.side.as_deref().map_or(Ok(Side::Base), side)?, reached: row.reached }
            }
            "done" => State::Done,
            "failed" => State::Failed(Failure { code: row.failure_code, message: row.failure }),
            _ => return Err(unreadable("time_machine_run", "state", row.state)),
        };
        Ok(Self {
            id: RunId::from_uuid(row.id),
            ask: row.asked.0,
            requested_by: row.requested_by,
            requested_at: row.requested_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            begins: row.begins,
            state,
        })
    }
}

/// One run.
pub async fn get(tx: &mut PgTransaction<'_>, id: RunId) -> sqlx::Result<Option<Run>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, asked AS "asked: Json<Ask>", requested_by, requested_at, state, started_at, finished_at, begins,
                  side, reached, failure_code, failure
             FROM time_machine_run WHERE brand_id = ottery_brand() AND id = $1"#,
        id.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// The brand's runs, newest first.
pub async fn list(tx: &mut PgTransaction<'_>, page: Page) -> sqlx::Result<Vec<Run>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, asked AS "asked: Json<Ask>", requested_by, requested_at, state, started_at, finished_at, begins,
                  side, reached, failure_code, failure
             FROM time_machine_run
            WHERE brand_id = ottery_brand() AND ($1::uuid IS NULL OR id < $1) ORDER BY id DESC LIMIT $2"#,
        page.before,
        page.limit
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// How many runs of the brand wait or are at work.
pub async fn unfinished(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM time_machine_turn WHERE brand_id = $1 AND keep_until IS NULL"#,
        brand.as_uuid()
    )
    .fetch_one(&mut **tx)
    .await
}

/// The run that waits longest, of any brand; begun once more. The caller holds the lease.
pub async fn take_turn(pool: &PgPool) -> sqlx::Result<Option<Turn>> {
    let row = sqlx::query!(
        "UPDATE time_machine_turn SET tries = tries + 1
          WHERE run_id = (SELECT run_id FROM time_machine_turn WHERE keep_until IS NULL ORDER BY asked_at, run_id LIMIT 1)
         RETURNING run_id, brand_id, tries"
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Turn {
        run: RunId::from_uuid(row.run_id),
        brand: BrandId::from_uuid(row.brand_id),
        tries: row.tries,
    }))
}

/// It was not begun after all: the process stops in order.
pub async fn put_back(tx: &mut PgTransaction<'_>, run: RunId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE time_machine_turn SET tries = greatest(tries - 1, 0) WHERE run_id = $1", run.as_uuid())
        .execute(&mut **tx)
        .await?;
    sqlx::query!(
        "UPDATE time_machine_run SET state = 'queued', side = NULL, reached = NULL, begins = NULL, started_at = NULL
          WHERE brand_id = ottery_brand() AND id = $1 AND state = 'running'",
        run.as_uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// It begins to live through one of its settings.
pub async fn begin(
    tx: &mut PgTransaction<'_>,
    run: RunId,
    side: Side,
    begins: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE time_machine_run
            SET state = 'running', side = $2, begins = $3, reached = NULL, started_at = coalesce(started_at, $4)
          WHERE brand_id = ottery_brand() AND id = $1",
        run.as_uuid(),
        side.as_str(),
        begins,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How far it is.
pub async fn reach(tx: &mut PgTransaction<'_>, run: RunId, reached: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE time_machine_run SET reached = $2 WHERE brand_id = ottery_brand() AND id = $1 AND state = 'running'",
        run.as_uuid(),
        reached
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// It is over; what it found is kept for `keep`.
pub async fn finish(
    tx: &mut PgTransaction<'_>,
    run: RunId,
    failure: Option<&Failure>,
    keep: TimeDelta,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (code, message) = failure.map_or(("", ""), |failure| (failure.code.as_str(), failure.message.as_str()));
    sqlx::query!(
        "UPDATE time_machine_run
            SET state = CASE WHEN $2 = '' THEN 'done' ELSE 'failed' END, failure_code = $2, failure = $3, finished_at = $4
          WHERE brand_id = ottery_brand() AND id = $1",
        run.as_uuid(),
        code,
        message,
        now,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE time_machine_turn SET keep_until = now() + make_interval(secs => $2) WHERE run_id = $1",
        run.as_uuid(),
        keep.as_seconds_f64(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Runs nobody needs any more.
pub async fn spent(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<(BrandId, RunId)>> {
    let rows = sqlx::query!(
        "SELECT brand_id, run_id FROM time_machine_turn WHERE keep_until <= now() ORDER BY keep_until LIMIT $1",
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (BrandId::from_uuid(row.brand_id), RunId::from_uuid(row.run_id))).collect())
}

/// Forgets a run and what it found.
pub async fn forget(tx: &mut PgTransaction<'_>, run: RunId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM time_machine_run WHERE brand_id = ottery_brand() AND id = $1", run.as_uuid())
        .execute(&mut **tx)
        .await?;
    sqlx::query!("DELETE FROM time_machine_turn WHERE run_id = $1", run.as_uuid()).execute(&mut **tx).await?;
    Ok(())
}

/// Since when the oldest run that is not over waits, if any does.
pub async fn waiting_since(pool: &PgPool) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("SELECT min(asked_at) AS at FROM time_machine_turn WHERE keep_until IS NULL")
        .fetch_one(pool)
        .await
}

/// How many runs wait although nobody is at work.
pub async fn stuck(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM time_machine_turn
            WHERE keep_until IS NULL AND asked_at < now() - interval '10 minutes'
              AND NOT EXISTS (SELECT FROM worker_lease WHERE name = 'time-machine' AND lease_until > now())"#
    )
    .fetch_one(pool)
    .await
}

/// Keeps what was found, in sets.
pub async fn keep(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    run: RunId,
    side: Side,
    entries: &[Entry],
) -> sqlx::Result<()> {
    for chunk in entries.chunks(CHUNK) {
        sqlx::query!(
            "INSERT INTO time_machine_entry
                    (brand_id, run_id, side, kind, key, at, subscription_id, account_id, amount_minor, currency, outcome, label)
             SELECT $1, $2, $3, kind, key, at, subscription_id, account_id, amount_minor, currency, outcome, label
               FROM UNNEST($4::text[], $5::text[], $6::timestamptz[], $7::uuid[], $8::uuid[], $9::bigint[], $10::text[],
                           $11::text[], $12::text[])
                    AS r (kind, key, at, subscription_id, account_id, amount_minor, currency, outcome, label)",
            brand.as_uuid(),
            run.as_uuid(),
            side.as_str(),
            &column(chunk, |entry| entry.kind.as_str().to_owned()),
            &column(chunk, |entry| entry.key.clone()),
            &column(chunk, |entry| entry.at),
            &column(chunk, |entry| entry.subscription.map(|id| id.as_uuid())) as _,
            &column(chunk, |entry| entry.account.map(|id| id.as_uuid())) as _,
            &column(chunk, |entry| entry.amount.map(|amount| amount.minor)) as _,
            &column(chunk, |entry| entry.amount.map(|amount| amount.currency.to_string())) as _,
            &column(chunk, |entry| entry.outcome.clone()),
            &column(chunk, |entry| entry.label.clone()),
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

struct EntryRow {
    kind: String,
    key: String,
    at: DateTime<Utc>,
    subscription_id: Option<Uuid>,
    account_id: Option<Uuid>,
    amount_minor: Option<i64>,
    currency: Option<String>,
    outcome: String,
    label: String,
}

fn kind(text: &str) -> sqlx::Result<Kind> {
    Kind::from_text(text).ok_or_else(|| unreadable("time_machine_entry", "kind", text))
}

fn amount(minor: Option<i64>, code: Option<&str>) -> sqlx::Result<Option<Money>> {
    minor.zip(code).map(|(minor, code)| money("time_machine_entry", minor, code)).transpose()
}

impl TryFrom<EntryRow> for Entry {
    type Error = sqlx::Error;

    fn try_from(row: EntryRow) -> sqlx::Result<Self> {
        Ok(Self {
            kind: kind(&row.kind)?,
            key: row.key,
            at: row.at,
            subscription: row.subscription_id.map(SubscriptionId::from_uuid),
            account: row.account_id.map(AccountId::from_uuid),
            amount: amount(row.amount_minor, row.currency.as_deref())?,
            outcome: row.outcome,
            label: row.label,
        })
    }
}

/// Where a list of entries goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// After this instant …
    pub at: DateTime<Utc>,
    /// … and this key.
    pub key: String,
}

/// What happens under one of the settings, in order of time; of one kind, or of all.
pub async fn entries(
    tx: &mut PgTransaction<'_>,
    run: RunId,
    side: Side,
    kind: Option<Kind>,
    after: Option<&After>,
    limit: i64,
) -> sqlx::Result<Vec<Entry>> {
    let rows = sqlx::query_as!(
        EntryRow,
        "SELECT kind, key, at, subscription_id, account_id, amount_minor, currency, outcome, label
           FROM time_machine_entry
          WHERE brand_id = ottery_brand() AND run_id = $1 AND side = $2 AND ($3::text IS NULL OR kind = $3)
            AND ($4::timestamptz IS NULL OR (at, key) > ($4, $5)) ORDER BY at, key LIMIT $6",
        run.as_uuid(),
        side.as_str(),
        kind.map(Kind::as_str),
        after.map(|after| after.at),
        after.map(|after| after.key.as_str()),
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Counts and sums under both settings.
pub async fn totals(tx: &mut PgTransaction<'_>, run: RunId) -> sqlx::Result<Vec<Total>> {
    let rows = sqlx::query!(
        r#"SELECT side, kind, outcome, currency, count(*) AS "count!", sum(amount_minor)::bigint AS amount
             FROM time_machine_entry WHERE brand_id = ottery_brand() AND run_id = $1
            GROUP BY side, kind, outcome, currency ORDER BY side, kind, outcome, currency"#,
        run.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Total {
                side: side(&row.side)?,
                kind: kind(&row.kind)?,
                outcome: row.outcome,
                currency: row.currency.as_deref().map(|code| currency("time_machine_entry", code)).transpose()?,
                count: row.count.unsigned_abs(),
                amount: amount(row.amount, row.currency.as_deref())?,
            })
        })
        .collect()
}

/// What is not the same under both settings, ordered by its key; of one kind, or of all.
pub async fn differences(
    tx: &mut PgTransaction<'_>,
    run: RunId,
    only: Option<Kind>,
    after: Option<(Kind, &str)>,
    limit: i64,
) -> sqlx::Result<Vec<Difference>> {
    let rows = sqlx::query!(
        r#"SELECT coalesce(b.kind, o.kind) AS "kind!", coalesce(b.key, o.key) AS "key!",
                  b.at AS "base_at?", b.subscription_id AS "base_subscription?", b.account_id AS "base_account?",
                  b.amount_minor AS "base_amount?", b.currency AS "base_currency?", b.outcome AS "base_outcome?",
                  b.label AS "base_label?",
                  o.at AS "other_at?", o.subscription_id AS "other_subscription?", o.account_id AS "other_account?",
                  o.amount_minor AS "other_amount?", o.currency AS "other_currency?", o.outcome AS "other_outcome?",
                  o.label AS "other_label?"
             FROM (SELECT * FROM time_machine_entry WHERE brand_id = ottery_brand() AND run_id = $1 AND side = 'base') AS b
             FULL JOIN (SELECT * FROM time_machine_entry
                         WHERE brand_id = ottery_brand() AND run_id = $1 AND side = 'other') AS o
                    ON o.kind = b.kind AND o.key = b.key
            WHERE (b.at, b.amount_minor, b.currency, b.outcome) IS DISTINCT FROM (o.at, o.amount_minor, o.currency, o.outcome)
              AND ($2::text IS NULL OR coalesce(b.kind, o.kind) = $2)
              AND ($3::text IS NULL OR (coalesce(b.kind, o.kind), coalesce(b.key, o.key)) > ($3, $4))
            ORDER BY 1, 2 LIMIT $5"#,
        run.as_uuid(),
        only.map(Kind::as_str),
        after.map(|(kind, _)| kind.as_str()),
        after.map(|(_, key)| key),
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let kind = kind(&row.kind)?;
            let base = row.base_at.map(|at| -> sqlx::Result<Entry> {
                Ok(Entry {
                    kind,
                    key: row.key.clone(),
                    at,
                    subscription: row.base_subscription.map(SubscriptionId::from_uuid),
                    account: row.base_account.map(AccountId::from_uuid),
                    amount: amount(row.base_amount, row.base_currency.as_deref())?,
                    outcome: row.base_outcome.unwrap_or_default(),
                    label: row.base_label.unwrap_or_default(),
                })
            });
            let other = row.other_at.map(|at| -> sqlx::Result<Entry> {
                Ok(Entry {
                    kind,
                    key: row.key.clone(),
                    at,
                    subscription: row.other_subscription.map(SubscriptionId::from_uuid),
                    account: row.other_account.map(AccountId::from_uuid),
                    amount: amount(row.other_amount, row.other_currency.as_deref())?,
                    outcome: row.other_outcome.unwrap_or_default(),
                    label: row.other_label.unwrap_or_default(),
                })
            });
            Ok(Difference { base: base.transpose()?, other: other.transpose()? })
        })
        .collect()
}
