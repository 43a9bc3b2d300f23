//! One more event in the log; runs in the consumer's transaction.

use ottery_kernel::BrandId;
use sqlx::postgres::PgTransaction;

use crate::domain::movements;
use crate::store::log::{self, Entry};
use crate::store::movement;

/// Adds the change and computes the customer's movements anew from all of their changes. Late and out-of-order changes
/// therefore need no case of their own.
pub async fn record(tx: &mut PgTransaction<'_>, brand: BrandId, entry: &Entry) -> sqlx::Result<()> {
    log::lock_account(tx, entry.account).await?;
    if !log::append(tx, brand, entry).await? {
        return Ok(());
    }
    let events = log::of_account(tx, entry.account).await?;
    movement::replace(tx, brand, entry.account, &movements(entry.account, &events)).await
}
