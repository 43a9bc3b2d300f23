//! Payments and refunds as others read them.

use ottery_kernel::Money;
use ottery_proto::billing::v1 as proto;

use super::{money, timestamp};
use crate::domain::decline::public_code;
use crate::domain::{dispute, payment, refund};
use crate::store::dispute::Dispute;
use crate::store::payment::Payment;
use crate::store::refund::Refund;

/// A payment attempt.
#[must_use]
pub fn payment(payment: &Payment) -> proto::Payment {
    use proto::payment::State as P;
    let state = match payment.state {
        payment::State::Requested | payment::State::Sent | payment::State::Pending => P::Pending,
        payment::State::ActionRequired => P::ActionRequired,
        payment::State::Unknown => P::Unknown,
        payment::State::Succeeded => P::Succeeded,
        payment::State::Failed => P::Failed,
        payment::State::Cancelled => P::Cancelled,
    };
    proto::Payment {
        id: payment.id.to_string(),
        invoice_id: payment.invoice.to_string(),
        account_id: payment.account.to_string(),
        state: state.into(),
        amount: Some(money(payment.received.unwrap_or(payment.amount))),
        provider: payment.provider.clone(),
        provider_reference: payment.provider_ref.clone(),
        provider_request: payment.provider_request.clone(),
        failure_code: payment.failure.as_ref().map(|failure| failure.code.clone()).unwrap_or_default(),
        method_label: payment.method_label.clone(),
        created_at: Some(timestamp(payment.created_at)),
        finished_at: payment.finished_at.map(timestamp),
        refunded: Some(money(payment.refunded)),
        invoice_ids: payment.shares.iter().map(ToString::to_string).collect(),
    }
}

/// A payment attempt as whoever made it reads it: what a bank knows of a stolen card is not for its thief.
#[must_use]
pub fn payment_for_customer(of: &Payment) -> proto::Payment {
    let told = payment(of);
    proto::Payment { failure_code: public_code(&told.failure_code).to_owned(), ..told }
}

/// A refund.
#[must_use]
pub fn refund(refund: &Refund) -> proto::Refund {
    use proto::refund::State as P;
    let state = match refund.state {
        refund::State::Requested | refund::State::Sent | refund::State::Pending => P::Pending,
        refund::State::Unknown => P::Unknown,
        refund::State::Succeeded => P::Succeeded,
        refund::State::Failed => P::Failed,
    };
    proto::Refund {
        id: refund.id.to_string(),
        payment_id: refund.payment.to_string(),
        invoice_id: refund.invoice.to_string(),
        amount: Some(money(refund.amount)),
        state: state.into(),
        reason: refund.reason.clone(),
        credit_note_id: refund.credit_note.map(|id| id.to_string()).unwrap_or_default(),
        created_at: Some(timestamp(refund.created_at)),
    }
}

/// An objection of a cardholder.
#[must_use]
pub fn dispute(of: &Dispute) -> proto::Dispute {
    use proto::dispute::State as P;
    let state = match of.state {
        dispute::State::Warning => P::Warning,
        dispute::State::NeedsResponse => P::NeedsResponse,
        dispute::State::UnderReview => P::UnderReview,
        dispute::State::Appealed => P::Appealed,
        dispute::State::Won => P::Won,
        dispute::State::Lost => P::Lost,
        dispute::State::Closed => P::Closed,
    };
    let part = |minor| Some(money(Money::new(minor, of.amount.currency)));
    proto::Dispute {
        id: of.id.to_string(),
        payment_id: of.payment.to_string(),
        account_id: of.account.to_string(),
        provider_account_id: of.provider_account.to_string(),
        provider_reference: of.provider_ref.clone(),
        state: state.into(),
        reason: of.reason.clone(),
        amount: Some(money(of.amount)),
        taken: part(of.books.taken),
        fee: part(of.books.fee),
        evidence_until: of.evidence_until.map(timestamp),
        answered: of.is_answered,
        created_at: Some(timestamp(of.created_at)),
        finished_at: of.finished_at.map(timestamp),
    }
}
