//! What became of an objection; the newest version is how it stands.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, Money, MoneyError, Rounding};
use ottery_kit::outbox::Event;
use ottery_proto::billing::v1 as proto;

use crate::contract;
use crate::store::dispute::{Dispute, Share};

/// Type of `billing.dispute.changed.v1`.
pub const DISPUTE_CHANGED: &str = "billing.dispute.changed.v1";

/// An objection to a payment of `paid` changed; its version was raised for this.
///
/// # Errors
/// When an amount is too large to compute with.
pub fn changed(
    brand: BrandId,
    dispute: &Dispute,
    shares: &[Share],
    paid: Money,
    now: DateTime<Utc>,
) -> Result<Event, MoneyError> {
    let taken = Money::new(dispute.books.taken, dispute.amount.currency);
    // What is taken of a payment for several invoices is taken of each in proportion.
    let of = |whole: Money, share: &Share| whole.mul_ratio(share.paid.minor, paid.minor, Rounding::HalfUp);
    let shares = shares
        .iter()
        .map(|share| {
            Ok(proto::dispute_changed::Share {
                invoice_id: share.invoice.to_string(),
                disputed: Some(contract::money(of(dispute.amount, share)?)),
                taken: Some(contract::money(of(taken, share)?)),
                invoice_total: Some(contract::money(share.total)),
            })
        })
        .collect::<Result<Vec<_>, MoneyError>>()?;
    let payload = proto::DisputeChanged {
        dispute: Some(contract::payment::dispute(dispute)),
        version: dispute.version.unsigned_abs(),
        shares,
    };
    Ok(Event::new(DISPUTE_CHANGED, dispute.id, dispute.version, brand, now, &payload))
}
