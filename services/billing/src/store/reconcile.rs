//! Comparisons of what providers report with the books: when they are due, how far they are, what they read and what they found.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{BrandId, Money};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Page, column, currency, money, unreadable};
use crate::domain::provider::ProviderAccountId;
use crate::domain::reconcile::{Difference, DifferenceId, Finding, Kind, ReconciliationId, Standing, Theirs, Total};

/// An account that is compared now.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Which.
    pub account: ProviderAccountId,
    /// Whose it is.
    pub brand: BrandId,
    /// Failures since it worked.
    pub tries: u32,
}

/// How far a comparison is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reports of that kind are read.
    Read(Kind),
    /// Everything is read.
    Compare,
}

impl Step {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Read(kind) => kind.as_str(),
            Self::Compare => "compare",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        if text == "compare" { Some(Self::Compare) } else { Kind::from_text(text).map(Self::Read) }
    }
}

/// A comparison as stored.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its id.
    pub id: ReconciliationId,
    /// Of which account.
    pub account: ProviderAccountId,
    /// The provider's name.
    pub provider: String,
    /// Who asked for it; empty: it was due.
    pub asked_by: String,
    /// From when on is read, in real time; included.
    pub from: DateTime<Utc>,
    /// Until when; not included.
    pub until: DateTime<Utc>,
    /// How far it is.
    pub step: Step,
    /// Where the page before ended.
    pub cursor: String,
    /// The provider lists no payments.
    pub is_one_sided: bool,
    /// What could not be read and was left out.
    pub left_out: Vec<Kind>,
    /// What the provider does not report.
    pub not_reported: Vec<Kind>,
    /// Why it does not go on, or what was left out.
    pub problem: String,
    /// Pages that were read.
    pub pages: i32,
    /// Objects at the provider.
    pub rows_read: i32,
    /// Objects in the books.
    pub rows_ours: i32,
    /// Differences that reading again made good.
    pub healed: i32,
    /// Differences that stayed.
    pub differences: i32,
    /// Money that moved on both sides.
    pub totals: Vec<Total>,
    /// When it began.
    pub begun_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Run {
    /// Whether that is part of the comparison.
    #[must_use]
    pub fn compares(&self, kind: Kind) -> bool {
        !self.left_out.contains(&kind) && !self.not_reported.contains(&kind)
    }
}

/// A difference as stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its id.
    pub id: DifferenceId,
    /// At which account.
    pub account: ProviderAccountId,
    /// What differs.
    pub finding: Finding,
    /// The comparison that saw it last.
    pub seen_by: ReconciliationId,
    /// Since when it is known.
    pub found_at: DateTime<Utc>,
    /// When it was seen last.
    pub seen_at: DateTime<Utc>,
    /// Who says that it is right as it is; empty: nobody.
    pub accepted_by: String,
    /// Why.
    pub accepted_reason: String,
    /// Since when it is none any more.
    pub closed_at: Option<DateTime<Utc>>,
}

#[derive(Serialize, Deserialize)]
struct TotalRow {
    kind: String,
    currency: String,
    theirs: (u32, i64),
    ours: (u32, i64),
}

struct RunRow {
    id: Uuid,
    account_id: Uuid,
    provider: String,
    asked_by: String,
    from_at: DateTime<Utc>,
    until_at: DateTime<Utc>,
    step: String,
    cursor: String,
    is_one_sided: bool,
    left_out: Vec<String>,
    not_reported: Vec<String>,
    problem: String,
    pages: i32,
    rows_read: i32,
    rows_ours: i32,
    healed: i32,
    differences: i32,
    totals: Json<Vec<TotalRow>>,
    begun_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

fn kind(table: &'static str, text: &str) -> sqlx::Result<Kind> {
    Kind::from_text(text).ok_or_else(|| unreadable(table, "kind", text))
}

impl TryFrom<RunRow> for Run {
    type Error = sqlx::Error;

    fn try_from(row: RunRow) -> sqlx::Result<Self> {
        const TABLE: &str = "reconciliation";
        let total = |total: TotalRow| {
            Ok(Total {
                kind: kind(TABLE, &total.kind)?,
                currency: currency(TABLE, &total.currency)?,
                theirs: total.theirs,
                ours: total.ours,
            })
        };
        Ok(Self {
            id: ReconciliationId::from_uuid(row.id),
            account: ProviderAccountId::from_uuid(row.account_id),
            provider: row.provider,
            asked_by: row.asked_by,
            from: row.from_at,
            until: row.until_at,
            step: Step::from_text(&row.step).ok_or_else(|| unreadable(TABLE, "step", &row.step))?,
            cursor: row.cursor,
            is_one_sided: row.is_one_sided,
            left_out: row.left_out.iter().map(|text| kind(TABLE, text)).collect::<sqlx::Result<_>>()?,
            not_reported: row.not_reported.iter().map(|text| kind(TABLE, text)).collect::<sqlx::Result<_>>()?,
            problem: row.problem,
            pages: row.pages,
            rows_read: row.rows_read,
            rows_ours: row.rows_ours,
            healed: row.healed,
            differences: row.differences,
            totals: row.totals.0.into_iter().map(total).collect::<sqlx::Result<_>>()?,
            begun_at: row.begun_at,
            ended_at: row.ended_at,
        })
    }
}

/// A new account is compared from now on.
pub async fn begin(tx: &mut PgTransaction<'_>, brand: BrandId, account: ProviderAccountId) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO reconciliation_due (account_id, brand_id) VALUES ($1, $2) ON CONFLICT (account_id) DO NOTHING",
        account.as_uuid(),
        brand.as_uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Claims accounts across brands, the longest waiting first.
pub async fn claim(pool: &PgPool, limit: i64, lease: Duration) -> sqlx::Result<Vec<Due>> {
    let rows = sqlx::query!(
        "UPDATE reconciliation_due SET lease_until = now() + make_interval(secs => $2)
          WHERE account_id = ANY (ARRAY(SELECT account_id FROM reconciliation_due WHERE due_at <= now() AND lease_until < now()
                        ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED))
         RETURNING account_id, brand_id, tries",
        limit,
        lease.as_secs_f64(),
    )
    .fetch_all(pool)
    .await?;
    let due = |account_id, brand_id, tries: i32| Due {
        account: ProviderAccountId::from_uuid(account_id),
        brand: BrandId::from_uuid(brand_id),
        tries: tries.unsigned_abs(),
    };
    Ok(rows.into_iter().map(|row| due(row.account_id, row.brand_id, row.tries)).collect())
}

/// Keeps the claim while it goes on: it works.
pub async fn renew(tx: &mut PgTransaction<'_>, account: ProviderAccountId, lease: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE reconciliation_due SET tries = 0, lease_until = now() + make_interval(secs => $2) WHERE account_id = $1",
        account.as_uuid(),
        lease.as_secs_f64()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Looks at an account again after that.
pub async fn put_off(
    tx: &mut PgTransaction<'_>,
    account: ProviderAccountId,
    tries: u32,
    after: TimeDelta,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE reconciliation_due SET tries = $2, due_at = now() + make_interval(secs => $3), lease_until = '-infinity'
          WHERE account_id = $1",
        account.as_uuid(),
        i32::try_from(tries).unwrap_or(i32::MAX),
        after.as_seconds_f64()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Looks at an account as soon as somebody has time.
pub async fn hurry(tx: &mut PgTransaction<'_>, account: ProviderAccountId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE reconciliation_due SET due_at = now() WHERE account_id = $1", account.as_uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Begins a comparison; false when one is under way.
pub async fn insert(tx: &mut PgTransaction<'_>, brand: BrandId, run: &Run) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO reconciliation (id, brand_id, account_id, provider, asked_by, from_at, until_at, begun_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (account_id) WHERE ended_at IS NULL DO NOTHING",
        run.id.as_uuid(),
        brand.as_uuid(),
        run.account.as_uuid(),
        run.provider,
        run.asked_by,
        run.from,
        run.until,
        run.begun_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The comparison of an account that is under way, locked.
pub async fn open(tx: &mut PgTransaction<'_>, account: ProviderAccountId) -> sqlx::Result<Option<Run>> {
    let row = sqlx::query_as!(
        RunRow,
        r#"SELECT id, account_id, provider, asked_by, from_at, until_at, step, cursor, is_one_sided, left_out, not_reported, problem,
                  pages, rows_read, rows_ours, healed, differences, totals AS "totals: _", begun_at, ended_at
             FROM reconciliation WHERE account_id = $1 AND ended_at IS NULL FOR UPDATE"#,
        account.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Run::try_from).transpose()
}

/// One comparison.
pub async fn get(tx: &mut PgTransaction<'_>, id: ReconciliationId) -> sqlx::Result<Option<Run>> {
    let row = sqlx::query_as!(
        RunRow,
        r#"SELECT id, account_id, provider, asked_by, from_at, until_at, step, cursor, is_one_sided, left_out, not_reported, problem,
                  pages, rows_read, rows_ours, healed, differences, totals AS "totals: _", begun_at, ended_at
             FROM reconciliation WHERE id = $1"#,
        id.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Run::try_from).transpose()
}

/// Comparisons, the newest first.
pub async fn list(tx: &mut PgTransaction<'_>, page: Page) -> sqlx::Result<Vec<Run>> {
    let rows = sqlx::query_as!(
        RunRow,
        r#"SELECT id, account_id, provider, asked_by, from_at, until_at, step, cursor, is_one_sided, left_out, not_reported, problem,
                  pages, rows_read, rows_ours, healed, differences, totals AS "totals: _", begun_at, ended_at
             FROM reconciliation
            WHERE brand_id = ottery_brand() AND ($1::uuid IS NULL OR id < $1) ORDER BY id DESC LIMIT $2"#,
        page.before,
        page.limit
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Run::try_from).collect()
}

/// Writes down how far a comparison is, as long as it stands where it was read; false when somebody else went on with it.
pub async fn save(tx: &mut PgTransaction<'_>, run: &Run, was: (Step, &str)) -> sqlx::Result<bool> {
    let totals = run.totals.iter().map(|total| TotalRow {
        kind: total.kind.as_str().to_owned(),
        currency: total.currency.code().to_owned(),
        theirs: total.theirs,
        ours: total.ours,
    });
    let done = sqlx::query!(
        "UPDATE reconciliation
            SET step = $2, cursor = $3, is_one_sided = $4, left_out = $5, problem = $6, pages = $7, rows_read = $8, rows_ours = $9,
                healed = $10, differences = $11, totals = $12, ended_at = $13, not_reported = $16
          WHERE id = $1 AND step = $14 AND cursor = $15 AND ended_at IS NULL",
        run.id.as_uuid(),
        run.step.as_str(),
        run.cursor,
        run.is_one_sided,
        &column(&run.left_out, |kind| kind.as_str().to_owned()),
        run.problem,
        run.pages,
        run.rows_read,
        run.rows_ours,
        run.healed,
        run.differences,
        Json(totals.collect::<Vec<_>>()) as _,
        run.ended_at,
        was.0.as_str(),
        was.1,
        &column(&run.not_reported, |kind| kind.as_str().to_owned()),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps rows of a report, in one statement; one that is named twice is kept as it was named last.
pub async fn keep_rows(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    run: ReconciliationId,
    rows: &[Theirs],
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO reconciliation_row (run_id, brand_id, kind, reference, parent, ours, standing, amount_minor, currency, fee_minor,
                                         fee_currency)
         SELECT DISTINCT ON (kind, reference) $1::uuid, $2::uuid, kind, reference, parent, ours, standing, amount_minor, currency, fee_minor,
                fee_currency
           FROM UNNEST($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::bigint[],
                       $11::text[]) WITH ORDINALITY
                AS r (kind, reference, parent, ours, standing, amount_minor, currency, fee_minor, fee_currency, place)
          ORDER BY kind, reference, place DESC
         ON CONFLICT (run_id, kind, reference) DO UPDATE
            SET parent = EXCLUDED.parent, ours = EXCLUDED.ours, standing = EXCLUDED.standing, amount_minor = EXCLUDED.amount_minor,
                currency = EXCLUDED.currency, fee_minor = EXCLUDED.fee_minor, fee_currency = EXCLUDED.fee_currency",
        run.as_uuid(),
        brand.as_uuid(),
        &column(rows, |row| row.kind.as_str()) as _,
        &column(rows, |row| row.reference.as_str()) as _,
        &column(rows, |row| row.parent.as_str()) as _,
        &column(rows, |row| row.ours.as_str()) as _,
        &column(rows, |row| row.standing.as_str()) as _,
        &column(rows, |row| row.amount.map(|amount| amount.minor)) as _,
        &column(rows, |row| row.amount.map(|amount| amount.currency.code().to_owned())) as _,
        &column(rows, |row| row.fee.map(|fee| fee.minor)) as _,
        &column(rows, |row| row.fee.map(|fee| fee.currency.code().to_owned())) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What was read of a report.
pub async fn rows(tx: &mut PgTransaction<'_>, run: ReconciliationId) -> sqlx::Result<Vec<Theirs>> {
    const TABLE: &str = "reconciliation_row";
    let rows = sqlx::query!(
        "SELECT kind, reference, parent, ours, standing, amount_minor, currency, fee_minor, fee_currency
           FROM reconciliation_row WHERE run_id = $1 ORDER BY kind, reference",
        run.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Theirs {
                kind: kind(TABLE, &row.kind)?,
                reference: row.reference,
                parent: row.parent,
                ours: row.ours,
                standing: Standing::from_text(&row.standing)
                    .ok_or_else(|| unreadable(TABLE, "standing", &row.standing))?,
                amount: amount(TABLE, row.amount_minor, row.currency.as_deref())?,
                fee: amount(TABLE, row.fee_minor, row.fee_currency.as_deref())?,
            })
        })
        .collect()
}

/// Forgets what was read: what came of it is in the differences.
pub async fn drop_rows(tx: &mut PgTransaction<'_>, run: ReconciliationId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM reconciliation_row WHERE run_id = $1", run.as_uuid()).execute(&mut **tx).await?;
    Ok(())
}

fn amount(table: &'static str, minor: Option<i64>, text: Option<&str>) -> sqlx::Result<Option<Money>> {
    match (minor, text) {
        (Some(minor), Some(text)) => money(table, minor, text).map(Some),
        _ => Ok(None),
    }
}

struct DifferenceRow {
    id: Uuid,
    account_id: Uuid,
    kind: String,
    difference: String,
    reference: String,
    parent: String,
    ours: String,
    theirs_minor: Option<i64>,
    theirs_currency: Option<String>,
    ours_minor: Option<i64>,
    ours_currency: Option<String>,
    seen_by: Uuid,
    found_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
    accepted_by: String,
    accepted_reason: String,
    closed_at: Option<DateTime<Utc>>,
}

impl TryFrom<DifferenceRow> for Stored {
    type Error = sqlx::Error;

    fn try_from(row: DifferenceRow) -> sqlx::Result<Self> {
        const TABLE: &str = "reconciliation_difference";
        Ok(Self {
            id: DifferenceId::from_uuid(row.id),
            account: ProviderAccountId::from_uuid(row.account_id),
            finding: Finding {
                kind: kind(TABLE, &row.kind)?,
                difference: Difference::from_text(&row.difference)
                    .ok_or_else(|| unreadable(TABLE, "difference", &row.difference))?,
                reference: row.reference,
                parent: row.parent,
                ours: row.ours,
                theirs_amount: amount(TABLE, row.theirs_minor, row.theirs_currency.as_deref())?,
                ours_amount: amount(TABLE, row.ours_minor, row.ours_currency.as_deref())?,
            },
            seen_by: ReconciliationId::from_uuid(row.seen_by),
            found_at: row.found_at,
            seen_at: row.seen_at,
            accepted_by: row.accepted_by,
            accepted_reason: row.accepted_reason,
            closed_at: row.closed_at,
        })
    }
}

/// The differences of an account that are there.
pub async fn open_differences(tx: &mut PgTransaction<'_>, account: ProviderAccountId) -> sqlx::Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        DifferenceRow,
        "SELECT id, account_id, kind, difference, reference, parent, ours, theirs_minor, theirs_currency, ours_minor, ours_currency,
                seen_by, found_at, seen_at, accepted_by, accepted_reason, closed_at
           FROM reconciliation_difference
          WHERE brand_id = ottery_brand() AND account_id = $1 AND closed_at IS NULL ORDER BY id",
        account.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// Differences, the newest first: those that are there, or all.
pub async fn differences(tx: &mut PgTransaction<'_>, is_open: bool, page: Page) -> sqlx::Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        DifferenceRow,
        "SELECT id, account_id, kind, difference, reference, parent, ours, theirs_minor, theirs_currency, ours_minor, ours_currency,
                seen_by, found_at, seen_at, accepted_by, accepted_reason, closed_at
           FROM reconciliation_difference
          WHERE brand_id = ottery_brand() AND (NOT $1 OR closed_at IS NULL) AND ($2::uuid IS NULL OR id < $2)
          ORDER BY id DESC LIMIT $3",
        is_open,
        page.before,
        page.limit
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// One difference, locked.
pub async fn lock_difference(tx: &mut PgTransaction<'_>, id: DifferenceId) -> sqlx::Result<Option<Stored>> {
    let row = sqlx::query_as!(
        DifferenceRow,
        "SELECT id, account_id, kind, difference, reference, parent, ours, theirs_minor, theirs_currency, ours_minor, ours_currency,
                seen_by, found_at, seen_at, accepted_by, accepted_reason, closed_at
           FROM reconciliation_difference WHERE brand_id = ottery_brand() AND id = $1 FOR UPDATE",
        id.as_uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Stored::try_from).transpose()
}

/// Writes a difference, a new one or one that is known.
pub async fn put_difference(tx: &mut PgTransaction<'_>, brand: BrandId, stored: &Stored) -> sqlx::Result<()> {
    let finding = &stored.finding;
    let code = |amount: Option<Money>| amount.map(|amount| amount.currency.code().to_owned());
    let (theirs_code, ours_code) = (code(finding.theirs_amount), code(finding.ours_amount));
    sqlx::query!(
        "INSERT INTO reconciliation_difference (id, brand_id, account_id, kind, difference, reference, parent, ours, theirs_minor,
                                                theirs_currency, ours_minor, ours_currency, found_by, seen_by, found_at, seen_at,
                                                accepted_by, accepted_reason, accepted_at, closed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14, $15, $16, $17,
                 CASE WHEN $16 = '' THEN NULL ELSE clock_timestamp() END, $18)
         ON CONFLICT (id) DO UPDATE
            SET parent = EXCLUDED.parent, theirs_minor = EXCLUDED.theirs_minor, theirs_currency = EXCLUDED.theirs_currency,
                ours_minor = EXCLUDED.ours_minor, ours_currency = EXCLUDED.ours_currency, seen_by = EXCLUDED.seen_by,
                seen_at = EXCLUDED.seen_at, accepted_by = EXCLUDED.accepted_by, accepted_reason = EXCLUDED.accepted_reason,
                accepted_at = CASE WHEN EXCLUDED.accepted_by = '' THEN NULL
                                   ELSE coalesce(reconciliation_difference.accepted_at, EXCLUDED.accepted_at) END,
                closed_at = EXCLUDED.closed_at",
        stored.id.as_uuid(),
        brand.as_uuid(),
        stored.account.as_uuid(),
        finding.kind.as_str(),
        finding.difference.as_str(),
        finding.reference,
        finding.parent,
        finding.ours,
        finding.theirs_amount.map(|amount| amount.minor),
        theirs_code.as_deref(),
        finding.ours_amount.map(|amount| amount.minor),
        ours_code.as_deref(),
        stored.seen_by.as_uuid(),
        stored.found_at,
        stored.seen_at,
        stored.accepted_by,
        stored.accepted_reason,
        stored.closed_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
