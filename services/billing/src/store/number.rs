//! Gap-free numbers: the counter's row stays locked until the transaction that uses the number commits, and a
//! transaction that fails gives its numbers back.

use ottery_kernel::EntityId;
use sqlx::postgres::PgTransaction;

use crate::domain::invoice::Number;

/// The next `count` numbers of a series, in order.
pub async fn take(
    tx: &mut PgTransaction<'_>,
    entity: EntityId,
    series: &str,
    year: i32,
    count: usize,
) -> sqlx::Result<Vec<Number>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let wanted = i64::try_from(count).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let next = sqlx::query_scalar!(
        "INSERT INTO invoice_number AS counter (entity_id, series, year, next) VALUES ($1, $2, $3, 1 + $4::bigint)
         ON CONFLICT (entity_id, series, year) DO UPDATE SET next = counter.next + $4
         RETURNING next",
        entity.as_uuid(),
        series,
        year,
        wanted,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok((next - wanted..next).map(|sequence| Number { series: series.to_owned(), year, sequence }).collect())
}
