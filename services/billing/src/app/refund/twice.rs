//! Money that could go back twice, and money that came back from going back.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::TASK;
use crate::app::broken;
use crate::app::settlement::Owed;
use crate::domain::ledger::{Account, Booking};
use crate::store;
use crate::store::errand;
use crate::store::payment::Payment;
use crate::store::refund::Refund;

/// Kind of the booking that says a refund that had left the provider came back.
pub const RETURNED: &str = "refund.returned";

/// A refund that was paid out came back days later: the money is ours to give again, and a person decides how. The refund and
/// its credit note stay as they were; once, however often the provider tells it.
pub(super) async fn returned(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    payment: &Payment,
    refund: &Refund,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    errand::done(tx, refund.id.as_uuid()).await?;
    if store::ledger::is_booked(tx, RETURNED, refund.id).await? {
        return Ok(());
    }
    let Owed { invoice, .. } = Owed::lock(tx, refund.invoice).await?;
    let provider = Account::Provider(payment.provider.clone());
    let booking = Booking::new(invoice.snapshot.seller.id, RETURNED, refund.id, now)
        .post(provider, Account::Unapplied(refund.account), refund.amount)
        .map_err(broken)?;
    store::ledger::book(tx, brand, booking).await?;
    let summary = format!(
        "the refund {} of {} was paid out and came back: the customer's bank did not take it. It is booked as unapplied; give it \
         back in another way",
        refund.id, refund.amount
    );
    Ok(store::task::open(tx, brand, TASK, refund.id, &summary, now).await?)
}

/// While a cardholder objects, a refund could give the same money back twice.
pub(super) async fn not_disputed(tx: &mut PgTransaction<'_>, payment: &Payment) -> Result<(), Problem> {
    let disputes = store::dispute::list(tx, Some(payment.id), store::Page { before: None, limit: 20 }).await?;
    match disputes.iter().find(|dispute| dispute.state.blocks_refunds()) {
        None => Ok(()),
        Some(dispute) => {
            let message = format!(
                "{} of {} is disputed ({}), so the bank gives it back or has done so; a refund would give it back twice",
                dispute.amount, payment.id, dispute.state
            );
            Err(Problem::refused("PAYMENT_DISPUTED", message).on_field("payment_id").with("dispute_id", dispute.id))
        }
    }
}
