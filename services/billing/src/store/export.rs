//! Pages of one day, in an order that never changes.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use ottery_kernel::{AccountId, Currency, InvoiceId, Money, Period, TransferId};
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;
use uuid::Uuid;

use super::{currency, money, unreadable};
use crate::domain::deferred_sheet::{Moved, Movement};
use crate::domain::export::{Day, Issued, Posted};
use crate::domain::invoice::{Number, Snapshot};
use crate::domain::line::Line;
use crate::domain::rates::{by_rate, credited, shared_out};

/// Where the numbers of a page begin: after this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct After {
    /// Series of the last number of the page before; empty for the first page.
    pub series: String,
    /// Its year.
    pub year: i32,
    /// Its place in the year.
    pub sequence: i64,
    /// The part of a consolidated invoice; 1 of any other.
    pub part: i32,
}

fn period(start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>) -> sqlx::Result<Option<Period>> {
    match (start, end) {
        (Some(start), Some(end)) => {
            Period::try_new(start, end).map(Some).map_err(|error| unreadable("invoice", "period", error))
        }
        _ => Ok(None),
    }
}

/// Invoices issued from `from` until before `to`, by number; a consolidated one part by part.
pub async fn invoices(
    tx: &mut PgTransaction<'_>,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    after: &After,
    limit: i64,
) -> sqlx::Result<Vec<Issued>> {
    let rows = sqlx::query!(
        r#"SELECT id, account_id, series AS "series!", number_year AS "year!", number_seq AS "sequence!", currency,
                  lines AS "lines: Json<Vec<Line>>", snapshot AS "snapshot: Json<Snapshot>", period_start, period_end,
                  issued_at AS "issued_at!", coalesce(part, 1) AS "part!"
             FROM invoice
            WHERE brand_id = ottery_brand() AND issued_at >= $1 AND issued_at < $2
              AND (series, number_year, number_seq, coalesce(part, 1)) > ($3, $4, $5, $7)
            ORDER BY series, number_year, number_seq, coalesce(part, 1) LIMIT $6"#,
        from,
        to,
        after.series,
        after.year,
        after.sequence,
        limit,
        after.part,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let sums = by_rate(currency("invoice", &row.currency)?, &row.lines.0);
            Ok(Issued {
                is_credit: false,
                number: Number { series: row.series, year: row.year, sequence: row.sequence },
                part: row.part,
                credited: None,
                invoice: InvoiceId::from_uuid(row.id),
                account: AccountId::from_uuid(row.account_id),
                snapshot: row.snapshot.0,
                period: period(row.period_start, row.period_end)?,
                issued_at: row.issued_at,
                sums: sums.map_err(|error| unreadable("invoice", "lines", error))?,
            })
        })
        .collect()
}

/// Credit notes issued from `from` until before `to`, by number.
pub async fn credit_notes(
    tx: &mut PgTransaction<'_>,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    after: &After,
    limit: i64,
) -> sqlx::Result<Vec<Issued>> {
    let rows = sqlx::query!(
        r#"SELECT n.invoice_id, n.account_id, n.series, n.number_year, n.number_seq, n.amount_minor, n.tax_minor, n.currency,
                  n.issued_at, n.lines AS numbers, i.series AS "invoice_series!", i.number_year AS "invoice_year!",
                  i.number_seq AS "invoice_sequence!", i.lines AS "lines: Json<Vec<Line>>",
                  i.snapshot AS "snapshot: Json<Snapshot>", i.period_start, i.period_end
             FROM credit_note n JOIN invoice i ON i.brand_id = n.brand_id AND i.id = n.invoice_id
            WHERE n.brand_id = ottery_brand() AND n.issued_at >= $1 AND n.issued_at < $2
              AND (n.series, n.number_year, n.number_seq) > ($3, $4, $5)
            ORDER BY n.series, n.number_year, n.number_seq LIMIT $6"#,
        from,
        to,
        after.series,
        after.year,
        after.sequence,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let amount = money("credit_note", row.amount_minor, &row.currency)?;
            let numbers: Vec<u32> = row.numbers.into_iter().map(i32::unsigned_abs).collect();
            let lines = credited(&row.lines.0, &numbers);
            let sums = shared_out(amount, Money::new(row.tax_minor, amount.currency), &lines);
            let credited =
                Number { series: row.invoice_series, year: row.invoice_year, sequence: row.invoice_sequence };
            Ok(Issued {
                is_credit: true,
                number: Number { series: row.series, year: row.number_year, sequence: row.number_seq },
                part: 1,
                credited: Some(credited),
                invoice: InvoiceId::from_uuid(row.invoice_id),
                account: AccountId::from_uuid(row.account_id),
                snapshot: row.snapshot.0,
                period: period(row.period_start, row.period_end)?,
                issued_at: row.issued_at,
                sums: sums.map_err(|error| unreadable("invoice", "lines", error))?,
            })
        })
        .collect()
}

/// Posted transfers booked from `from` until before `to`, in the order they were booked, after the given one. Their ids
/// begin with the milliseconds of the booking, so the order of ids, which has an index, is that of time.
pub async fn transfers(
    tx: &mut PgTransaction<'_>,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Posted>> {
    let rows = sqlx::query!(
        "SELECT id, debit, credit, amount_minor, currency, kind, reference_id, booked_at FROM transfer
          WHERE brand_id = ottery_brand() AND id >= $1 AND id < $2 AND ($3::uuid IS NULL OR id > $3) AND state = 'posted'
          ORDER BY id LIMIT $4",
        first_id(from),
        first_id(to),
        after,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Posted {
                id: TransferId::from_uuid(row.id),
                kind: row.kind,
                reference: row.reference_id,
                debit: row.debit,
                credit: row.credit,
                amount: money("transfer", row.amount_minor, &row.currency)?,
                booked_at: row.booked_at,
            })
        })
        .collect()
}

/// What was deferred before an instant, by currency, in minor units.
pub async fn deferred_before(
    tx: &mut PgTransaction<'_>,
    before: DateTime<Utc>,
) -> sqlx::Result<BTreeMap<Currency, i64>> {
    let rows = sqlx::query!(
        r#"SELECT currency, sum(CASE credit WHEN 'deferred' THEN amount_minor ELSE -amount_minor END)::bigint AS "minor!"
             FROM transfer
            WHERE brand_id = ottery_brand() AND state = 'posted' AND id < $1 AND (debit = 'deferred' OR credit = 'deferred')
            GROUP BY currency"#,
        first_id(before)
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(|row| Ok((currency("transfer", &row.currency)?, row.minor))).collect()
}

/// What moved deferred revenue on these days.
pub async fn deferred_moves(tx: &mut PgTransaction<'_>, days: &[Day]) -> sqlx::Result<Moved> {
    let dates: Vec<NaiveDate> = days.iter().map(|day| day.date).collect();
    let (first, next): (Vec<Uuid>, Vec<Uuid>) =
        days.iter().map(|day| day.bounds()).map(|(from, to)| (first_id(from), first_id(to))).unzip();
    let rows = sqlx::query!(
        r#"SELECT d.day AS "day!", t.currency, t.kind,
                  sum(CASE t.credit WHEN 'deferred' THEN t.amount_minor ELSE -t.amount_minor END)::bigint AS "minor!"
             FROM UNNEST($1::date[], $2::uuid[], $3::uuid[]) AS d (day, first, next)
             JOIN transfer t ON t.brand_id = ottery_brand() AND t.id >= d.first AND t.id < d.next
            WHERE t.state = 'posted' AND (t.debit = 'deferred' OR t.credit = 'deferred')
            GROUP BY d.day, t.currency, t.kind"#,
        &dates,
        &first,
        &next,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut moved = Moved::new();
    for row in rows {
        let movement = Movement::of_kind(&row.kind)
            .ok_or_else(|| unreadable("transfer", "kind of deferred revenue", &row.kind))?;
        let of_day = moved.entry(row.day).or_default().entry(currency("transfer", &row.currency)?).or_default();
        *of_day.entry(movement).or_default() += row.minor;
    }
    Ok(moved)
}

/// Smaller than every id made at that instant or later, larger than every one before.
fn first_id(at: DateTime<Utc>) -> Uuid {
    Uuid::from_u128(u128::from(at.timestamp_millis().unsigned_abs()) << 80)
}
