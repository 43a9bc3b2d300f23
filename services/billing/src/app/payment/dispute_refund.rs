//! Refunds beside an objection: a provider that gives money back for one tells of that money twice. It is booked once, and what
//! stands for what is kept, so that the other booking follows when the first one is taken back.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{BrandId, Money};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::Reached;
use crate::app::Billing;
use crate::app::refund::mirror;
use crate::domain::dispute::{Returned, Truth};
use crate::domain::refund::State as RefundState;
use crate::provider::RefundFact;
use crate::store;
use crate::store::dispute::Dispute;
use crate::store::dispute_refund::Tied;
use crate::store::payment::Payment;

/// What is tied to an objection from now on, and what is not any more.
#[derive(Debug, Default)]
pub(super) struct Changes {
    tie: Vec<Tied>,
    untie: Vec<Tied>,
}

/// What the provider has taken that lies in the books as no refund yet, and which refunds stand for what it took.
pub(super) async fn beside(
    tx: &mut PgTransaction<'_>,
    payment: &Payment,
    dispute: &Dispute,
    truth: &Truth,
    reached: &Reached,
) -> Result<(Truth, Changes), Problem> {
    let received = payment.received.unwrap_or(payment.amount);
    let mut changes = Changes::default();
    if !reached.provider.capabilities().refunds_disputes || received.currency != truth.taken.currency {
        return Ok((truth.clone(), changes));
    }
    let taken = truth.taken.minor;
    let mut refunds = store::refund::of_payment(tx, payment.id).await?;
    refunds.retain(|refund| refund.state != RefundState::Failed);
    let tied = store::dispute_refund::of_payment(tx, payment.id).await?;
    let is_live = |tied: &Tied| tied.refund.is_none_or(|id| refunds.iter().any(|refund| refund.id == id));
    let mut kept: Vec<Tied> = tied.iter().filter(|tied| tied.dispute == dispute.id && is_live(tied)).cloned().collect();
    let sum = |kept: &[Tied]| kept.iter().map(|tied| tied.minor).fold(0_i64, i64::saturating_add);
    // It gave back what it had taken: what went to the customer beside that was a refund after all, the newest first.
    while sum(&kept) > taken {
        changes.untie.extend(kept.pop());
    }
    // Two events may overtake each other: the refund is then heard of before its objection, or before what that took.
    for refund in refunds.iter().rev() {
        let is_known = tied.iter().any(|tied| tied.provider_ref == refund.provider_ref);
        if is_known || refund.provider_ref.is_empty() || !refund.amount.is_positive() {
            continue;
        }
        let left = taken.saturating_sub(sum(&kept));
        let fits = match (refund.is_mirrored, refund.created_at >= dispute.created_at) {
            (true, true) => refund.amount.minor <= left,
            (true, false) | (false, true) => refund.amount.minor == left,
            (false, false) => false,
        };
        if fits {
            let tied = Tied {
                dispute: dispute.id,
                provider_ref: refund.provider_ref.clone(),
                minor: refund.amount.minor,
                refund: Some(refund.id),
            };
            kept.push(tied.clone());
            changes.tie.push(tied);
        }
    }
    let booked: Vec<Tied> = kept.into_iter().filter(|tied| tied.refund.is_some()).collect();
    let freed: Vec<Tied> = changes.untie.iter().filter(|tied| tied.refund.is_none()).cloned().collect();
    let all = refunds.iter().map(|refund| refund.amount.minor).fold(sum(&freed), i64::saturating_add);
    let returned = Returned { all, because: sum(&booked) };
    Ok((truth.clone().beside(returned, received), changes))
}

/// Writes down what [`beside`] found, and has refunds booked that nothing stands for any more. The objection is written before.
pub(super) async fn keep(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    payment: &Payment,
    changes: Changes,
    currency: ottery_kernel::Currency,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    for tied in changes.untie {
        store::dispute_refund::untie(tx, payment.id, &tied.provider_ref).await?;
        if tied.refund.is_none() {
            tracing::info!(payment.id = %payment.id, refund.reference = %tied.provider_ref, "refund no dispute holds any more, booked");
            let amount = Money::new(tied.minor, currency);
            mirror(tx, brand, payment, amount, &tied.provider_ref, TimeDelta::zero(), now).await?;
        }
    }
    for tied in &changes.tie {
        store::dispute_refund::tie(tx, brand, payment.id, tied, now).await?;
    }
    Ok(())
}

impl Billing {
    /// The objection that holds a refund nobody here asked for: the books have it as taken already. None when none does.
    pub(crate) async fn dispute_behind(
        &self,
        tx: &mut PgTransaction<'_>,
        payment: &Payment,
        fact: &RefundFact,
    ) -> Result<Option<Tied>, Problem> {
        let provider = self.providers.get(&payment.provider);
        if !provider.is_some_and(|provider| provider.capabilities().refunds_disputes) {
            return Ok(None);
        }
        let tied = store::dispute_refund::of_payment(tx, payment.id).await?;
        if let Some(known) = tied.iter().find(|tied| tied.provider_ref == fact.truth.provider_ref) {
            return Ok(Some(known.clone()));
        }
        let disputes = store::dispute::list(tx, Some(payment.id), store::Page { before: None, limit: 20 }).await?;
        let held = |dispute: &Dispute| {
            let held = tied.iter().filter(|tied| tied.dispute == dispute.id && tied.refund.is_none());
            held.map(|tied| tied.minor).fold(0_i64, i64::saturating_add)
        };
        let behind = disputes.iter().find(|dispute| {
            let left = dispute.books.taken.saturating_sub(held(dispute));
            dispute.amount.currency == fact.amount.currency && (1..=left).contains(&fact.amount.minor)
        });
        Ok(behind.filter(|_| !fact.truth.provider_ref.is_empty()).map(|dispute| Tied {
            dispute: dispute.id,
            provider_ref: fact.truth.provider_ref.clone(),
            minor: fact.amount.minor,
            refund: None,
        }))
    }

    /// Keeps a refund with the objection that holds it; whether one does. The caller holds the lock of the payment.
    pub(crate) async fn keep_with_dispute(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        payment: &Payment,
        fact: &RefundFact,
        now: DateTime<Utc>,
    ) -> Result<bool, Problem> {
        let Some(behind) = self.dispute_behind(tx, payment, fact).await? else { return Ok(false) };
        let tied = store::dispute_refund::of_payment(tx, payment.id).await?;
        let is_known = tied.contains(&behind);
        match (is_known, fact.truth.state == RefundState::Failed) {
            (true, true) => store::dispute_refund::untie(tx, payment.id, &behind.provider_ref).await?,
            (true, false) => {}
            // What was never paid out is no word about what was taken.
            (false, true) => return Ok(false),
            (false, false) => {
                tracing::info!(payment.id = %payment.id, refund.reference = %behind.provider_ref, "refund of a dispute, booked with it");
                store::dispute_refund::tie(tx, brand, payment.id, &behind, now).await?;
            }
        }
        Ok(true)
    }
}
