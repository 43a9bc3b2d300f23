//! Refunds of payments that people record: somebody sends the money, and says so.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, RefundId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::PAYOUT_TASK;
use super::record::target;
use crate::app::Billing;
use crate::domain::refund::{State, Truth};
use crate::provider::ByHand;
use crate::store;
use crate::store::by_hand::Record;
use crate::store::payment::Payment;
use crate::store::refund::Refund;

impl Billing {
    /// Tells staff what to send, and where to. The refund waits for them.
    pub(crate) async fn ask_for_payout(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        kind: ByHand,
        payment: &Payment,
        refund: &Refund,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let from = self.came_from(tx, payment).await?;
        let to = match kind {
            ByHand::BankTransfer if from.is_empty() => "to the account it came from, which the bank knows".to_owned(),
            ByHand::BankTransfer => format!("to where it came from: {from}"),
            ByHand::Cash => "to the customer, against a receipt".to_owned(),
        };
        let summary =
            format!("give {} of {} back by {}, {to}; then record it", refund.amount, payment.id, kind.label());
        Ok(store::task::open(tx, brand, PAYOUT_TASK, refund.id, &summary, now).await?)
    }

    /// From whom the money of a payment came, as it was recorded; empty when nobody wrote it down.
    pub(super) async fn came_from(&self, tx: &mut PgTransaction<'_>, payment: &Payment) -> Result<String, Problem> {
        let record = store::by_hand::record_of_payment(tx, payment.id).await?;
        Ok(record.map(|record| record.sender).unwrap_or_default())
    }

    /// The money has left: the refund is settled.
    pub(super) async fn book_payout(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        refund: RefundId,
        record: &Record,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        Box::pin(self.apply_refund_truth(tx, brand, refund, &truth(record, State::Succeeded), 0, now)).await?;
        Ok(store::task::resolve(tx, brand, PAYOUT_TASK, refund, now).await?)
    }

    /// It was not sent after all, or came back: it is ours to give again, and a person decides how.
    pub(super) async fn payout_came_back(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        refund: RefundId,
        record: &Record,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        Box::pin(self.apply_refund_truth(tx, brand, refund, &truth(record, State::Failed), 0, now)).await
    }
}

/// What a record says of its refund.
fn truth(record: &Record, state: State) -> Truth {
    Truth { provider_ref: target(record), state }
}
