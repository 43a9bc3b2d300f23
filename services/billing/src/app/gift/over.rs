//! Codes nobody has redeemed come to an end: made void by staff, or expired.
//!
//! Void is what was not sold after all: whoever sells codes does not owe it any more (`gift_sales`). Expired is what was sold
//! and nobody came for: what was owed for it is the seller's (`gift_breakage`), booked when the batch expires and once. Tax was
//! never due: a code for money is taxed by what it buys, and one for a plan when it is redeemed. Either way a code for
//! a plan gives its place back.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::batch_id;
use crate::app::{Billing, broken, profile};
use crate::domain::gift::{Batch, Kind};
use crate::domain::ledger::{Account, Booking};
use crate::store;

/// Batches that expire in one transaction.
const EXPIRING_MAX: i64 = 20;

/// Why codes are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Staff made them void.
    Voided,
    /// Their time is up.
    Expired,
}

/// So many codes of a batch are over: nothing is owed for them and they hold no place any more. `reference` is the one code, or
/// the batch with all that was left of it: each is booked once.
pub(super) async fn end(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    (batch, count): (&Batch, u64),
    (why, reference): (End, String),
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    if count == 0 {
        return Ok(());
    }
    let many = i64::try_from(count).unwrap_or(i64::MAX);
    if batch.kind == Kind::Sold {
        let entity = profile(tx, brand).await?.entity.id;
        let sum = batch.value.checked_mul(many).map_err(broken)?;
        let (kind, to) = match why {
            End::Voided => ("gift.voided", Account::GiftSales),
            End::Expired => ("gift.expired", Account::GiftBreakage),
        };
        let booking = Booking::new(entity, kind, reference, now).post(Account::GiftCodes, to, sum).map_err(broken)?;
        store::ledger::book(tx, brand, booking).await?;
    }
    if let Some(plan) = batch.holds {
        store::stock::give_back_codes(tx, plan, many).await?;
    }
    Ok(())
}

/// What nobody has redeemed of a batch whose time is up is over now, unless it was before.
pub(super) async fn expire(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    batch: &Batch,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    if !batch.is_over(now) {
        return Ok(());
    }
    let count = store::gift::expire_batch(tx, batch.id, now).await?;
    end(tx, brand, (batch, count), (End::Expired, batch_id(batch.id)), now).await
}

impl Billing {
    /// Ends the batches of one brand whose time is up; returns how many were looked at.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn expire_gifts(&self, brand: BrandId) -> Result<usize, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let due = store::gift::due(&mut tx, now, EXPIRING_MAX).await?;
        for id in &due {
            if let Some(batch) = store::gift::get(&mut tx, *id).await? {
                expire(&mut tx, brand, &batch, now).await?;
            }
        }
        store::gift::done(&mut tx, &due).await?;
        tx.commit().await?;
        Ok(due.len())
    }
}
