//! Domain to contract.

use chrono::{DateTime, Utc};
use ottery_proto::affiliate::v1::{Affiliate, Commission, commission::State};
use ottery_proto::common::v1::Money;

use crate::app::AffiliateDetail;
use crate::domain::{self, CommissionState};

fn instant(at: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}

fn money(money: ottery_kernel::Money) -> Money {
    Money { currency: money.currency.code().to_owned(), minor: money.minor }
}

pub(crate) fn state(state: CommissionState) -> State {
    match state {
        CommissionState::Pending => State::Pending,
        CommissionState::Approved => State::Approved,
        CommissionState::Reversed => State::Reversed,
        CommissionState::Paid => State::Paid,
    }
}

pub(crate) fn commission(commission: &domain::Commission) -> Commission {
    Commission {
        id: commission.id.to_string(),
        affiliate_id: commission.affiliate.to_string(),
        order_id: commission.order_id.clone(),
        invoice_id: commission.invoice.to_string(),
        base: Some(money(commission.base)),
        amount: Some(money(commission.amount)),
        state: state(commission.state).into(),
        created_at: Some(instant(commission.created_at)),
        approve_after: Some(instant(commission.approve_after)),
        reversed: Some(money(commission.reversed)),
        held: commission.is_held,
    }
}

pub(crate) fn affiliate(detail: &AffiliateDetail) -> Affiliate {
    let affiliate = &detail.affiliate;
    Affiliate {
        id: affiliate.id.to_string(),
        account_id: affiliate.account.to_string(),
        code: affiliate.code.clone(),
        clicks: affiliate.clicks.unsigned_abs(),
        referrals: affiliate.referrals.unsigned_abs(),
        pending: detail.pending.iter().copied().map(money).collect(),
        approved: detail.approved.iter().copied().map(money).collect(),
        joined_at: Some(instant(affiliate.joined_at)),
    }
}
