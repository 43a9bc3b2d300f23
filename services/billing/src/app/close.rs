//! The trial balance of a legal entity, and closing months of its books.
//!
//! Everything is booked at the brand's present, so nothing is ever dated into a month that is over; what belongs to an
//! earlier month is booked in the open one and names what it corrects. Closing makes that a promise: the database refuses
//! an earlier date, and the trial balance is kept byte for byte.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use ottery_kernel::{BrandId, EntityId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;
use sqlx::postgres::PgTransaction;

use super::{Billing, profile};
use crate::domain::export::Day;
use crate::domain::trial_balance::{Month, TrialBalance};
use crate::store;
use crate::store::close::Closed;

/// How long after its end a month can be closed: whatever began before midnight is committed by then.
const SETTLING: TimeDelta = TimeDelta::minutes(10);
/// Longest reason.
const REASON_CHARS_MAX: usize = 500;

/// A trial balance, and whether its month is closed.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The balance, computed now.
    pub balance: TrialBalance,
    /// As CSV: that of the closing when the day is the last of a closed month.
    pub csv: String,
    /// Whether no transfer can change it any more.
    pub is_closed: bool,
}

impl Billing {
    /// The trial balance of the brand's legal entity at the end of a day of its zone.
    ///
    /// # Errors
    /// When the brand is unknown.
    pub async fn trial_balance_through(&self, brand: BrandId, through: Option<NaiveDate>) -> Result<Shown, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let entity = profile(&mut tx, brand).await?.entity;
        let through = through.unwrap_or_else(|| now.with_timezone(&entity.zone).date_naive());
        let month = Month::of(through, entity.zone);
        let balance = compute(&mut tx, entity.id, Day { date: through, zone: entity.zone }).await?;
        let closed_through = store::close::closed_through(&mut tx, entity.id, false).await?;
        let is_closed = closed_through.is_some_and(|end| Day { date: through, zone: entity.zone }.bounds().1 <= end);
        let kept = if is_closed && through == month.last() {
            store::close::latest(&mut tx, entity.id, month.first).await?
        } else {
            None
        };
        let csv = kept.map_or_else(|| balance.csv(), |closed| closed.trial_balance);
        Ok(Shown { balance, csv, is_closed })
    }

    /// Months that were closed, the latest first.
    ///
    /// # Errors
    /// When the brand is unknown.
    pub async fn closed_months(&self, brand: BrandId) -> Result<Vec<Closed>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let entity = profile(&mut tx, brand).await?.entity;
        Ok(store::close::list(&mut tx, entity.id).await?)
    }

    /// Closes a month; the first one that is closed closes all before it. Closing it again is answered with the closing there is.
    ///
    /// # Errors
    /// When the month is not over, an earlier one is open, or its books do not balance.
    pub async fn close_month(&self, brand: BrandId, written: &str, actor: &Actor) -> Result<Closed, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let entity = profile(&mut tx, brand).await?.entity;
        let month = month(written, entity.zone)?;
        let end = month.bounds().1;
        if end + SETTLING > now {
            let message = format!(
                "month: {month} ends at {} in {} and can be closed 10 minutes later",
                end.to_rfc3339(),
                entity.zone
            );
            return Err(Problem::refused("MONTH_NOT_OVER", message).on_field("month"));
        }
        let closed_through = store::close::closed_through(&mut tx, entity.id, true).await?;
        if closed_through.is_some_and(|closed| closed >= end) {
            let kept = store::close::latest(&mut tx, entity.id, month.first).await?;
            return kept.ok_or_else(|| {
                let message = format!("month: {month} is before the first month that was closed");
                Problem::refused("MONTH_CLOSED", message).on_field("month")
            });
        }
        if let Some(next) = closed_through.filter(|closed| *closed != month.bounds().0) {
            let next = Month::of(next.with_timezone(&entity.zone).date_naive(), entity.zone);
            let message = format!("month: months are closed one after the other; close {next} first");
            return Err(Problem::refused("MONTH_ORDER", message).on_field("month"));
        }
        let balance = compute(&mut tx, entity.id, Day { date: month.last(), zone: entity.zone }).await?;
        if let Some((currency, difference)) = balance.differences().first() {
            let message =
                format!("the books of {month} differ by {difference} in {currency}; `ottery doctor` says where");
            return Err(Problem::refused("BOOKS_UNBALANCED", message).on_field("month"));
        }
        let closed = store::close::insert(&mut tx, brand, &balance, month, &actor.subject, end, now).await?;
        let after = json!({"month": month.to_string(), "entity": entity.id.to_string(), "sha256": closed.sha256});
        audit::append(&mut tx, actor, "ledger.close", entity.id, None, Some(after)).await?;
        tx.commit().await?;
        Ok(closed)
    }

    /// Opens the latest closed month again.
    ///
    /// # Errors
    /// When it is not closed, or a later one is; when no reason is given.
    pub async fn reopen_month(
        &self,
        brand: BrandId,
        written: &str,
        reason: &str,
        actor: &Actor,
    ) -> Result<Closed, Problem> {
        let reason = reason.trim();
        if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
            let message = format!("reason: say why in 1 to {REASON_CHARS_MAX} characters; it stays in the audit chain");
            return Err(Problem::invalid("reason", "REASON_INVALID", message));
        }
        let (mut tx, now) = self.begin(brand).await?;
        let entity = profile(&mut tx, brand).await?.entity;
        let month = month(written, entity.zone)?;
        let (start, end) = month.bounds();
        let closed_through = store::close::closed_through(&mut tx, entity.id, true).await?;
        if closed_through != Some(end) {
            let message = match closed_through {
                Some(closed) if closed > end => {
                    format!("month: a later month than {month} is closed; open that one first")
                }
                Some(_) | None => format!("month: {month} is not closed"),
            };
            return Err(Problem::refused("MONTH_NOT_LAST", message).on_field("month"));
        }
        let closed = store::close::latest(&mut tx, entity.id, month.first).await?.ok_or_else(|| {
            Problem::refused("MONTH_NOT_LAST", format!("month: {month} is not closed")).on_field("month")
        })?;
        store::close::reopen(&mut tx, brand, &closed, reason, &actor.subject, start, now).await?;
        let before = json!({"month": month.to_string(), "sha256": closed.sha256});
        audit::append(&mut tx, actor, "ledger.reopen", entity.id, Some(before), Some(json!({ "reason": reason })))
            .await?;
        tx.commit().await?;
        Ok(Closed { reopened_at: Some(now), reopen_reason: reason.to_owned(), ..closed })
    }
}

fn month(written: &str, zone: chrono_tz::Tz) -> Result<Month, Problem> {
    Month::parse(written, zone).map_err(|error| Problem::invalid("month", "MONTH_INVALID", format!("month: {error}")))
}

async fn compute(tx: &mut PgTransaction<'_>, entity: EntityId, day: Day) -> Result<TrialBalance, Problem> {
    let before: DateTime<Utc> = day.bounds().1;
    let rows = store::close::trial_balance(tx, entity, before).await?;
    Ok(TrialBalance { entity, through: day.date, zone: day.zone, rows })
}
