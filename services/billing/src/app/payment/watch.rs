//! Where customers pay as they like: money that comes after what a payment asked for was decided, or that is taken back then.
//!
//! A payment of such a provider is looked at for a while, however it stands. What comes beyond what is booked is a payment of its own, so
//! that it is booked, shown and given back like any other.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{BrandId, Money};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::settle;
use crate::app::{Billing, broken};
use crate::domain::payment::{Capture, LATER, REVERSED, State};
use crate::domain::refund::{State as RefundState, Truth as RefundTruth};
use crate::provider::RefundFact;
use crate::store;
use crate::store::errand;
use crate::store::payment::{AttemptKind, AttemptRequest, Payment};
use crate::store::share::Share;

/// Looks at what is decided: hourly for a day, then every six hours.
const GAPS: [TimeDelta; 2] = [TimeDelta::hours(1), TimeDelta::hours(6)];
/// Looks with the first gap.
const CLOSE_LOOKS: u32 = 24;
/// Task of money that came after its page was over.
const LATE_TASK: &str = "payment_late";
/// Task of a part that came of what was asked for.
const SHORT_TASK: &str = "payment_short";
/// Task of money that was taken back.
const REVERSED_TASK: &str = "payment_reversed";

/// Whether its customers pay as they like.
pub(super) fn takes_any_amount(billing: &Billing, payment: &Payment) -> bool {
    billing.providers.get(&payment.provider).is_some_and(|provider| provider.takes_any_amount())
}

/// Whether a payment is looked at however it stands.
pub(super) fn is_watched(billing: &Billing, payment: &Payment) -> bool {
    let span = billing.providers.get(&payment.provider).and_then(|provider| provider.watched_for());
    let is_young = |span: TimeDelta| payment.sent_ago.is_none_or(|ago| ago < span);
    !payment.checkout_ref.is_empty() && span.is_some_and(is_young)
}

/// Plans the next look at a payment that is decided; nothing where what is decided is decided.
pub(super) async fn rest(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    payment: &Payment,
    tries: Option<u32>,
) -> Result<(), Problem> {
    let id = payment.id.as_uuid();
    if !is_watched(billing, payment) {
        return Ok(errand::done(tx, id).await?);
    }
    match tries {
        None => errand::plan(tx, brand, errand::Kind::Payment, &[id], GAPS[0]).await?,
        Some(tries) => errand::again(tx, id, if tries < CLOSE_LOOKS { GAPS[0] } else { GAPS[1] }).await?,
    }
    Ok(())
}

/// Payments of the same invoice at the provider that came: the first one, and what came later.
async fn came(tx: &mut PgTransaction<'_>, brand: BrandId, payment: &Payment) -> Result<Vec<Payment>, Problem> {
    let mut came = store::payment::list_by_invoice(tx, brand, payment.invoice).await?;
    let later = format!("{}{LATER}", payment.provider_ref);
    came.retain(|one| {
        let is_same = one.provider_ref == payment.provider_ref || one.provider_ref.starts_with(&later);
        is_same && one.provider_account == payment.provider_account && one.state == State::Succeeded
    });
    came.sort_unstable_by_key(|one| one.id);
    Ok(came)
}

/// The provider holds the money of a payment that is settled: what was taken back has come back, and what came beyond what is booked
/// is booked. The caller holds the lock.
pub(super) async fn more(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    payment: &Payment,
    capture: &Capture,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let came = came(tx, brand, payment).await?;
    for one in &came {
        if let Some(amount) = taken_back(tx, one).await? {
            let fact = reversal(one, amount, RefundState::Failed);
            Box::pin(billing.mirror_refund(tx, brand, one.id, &fact, now)).await?;
        }
    }
    let received = came.iter().filter_map(|one| one.received).filter(|one| one.currency == capture.amount.currency);
    let booked = Money::sum(capture.amount.currency, received).map_err(broken)?;
    let more = capture.amount.checked_sub(booked).map_err(broken)?;
    if !more.is_positive() {
        return Ok(());
    }
    let shares = payment.shares.iter().map(|invoice| Share { invoice: *invoice, amount: more }).collect();
    let request = AttemptRequest {
        invoice: payment.invoice,
        account: payment.account,
        subscription: payment.subscription,
        amount: more,
        kind: AttemptKind::Hosted {
            return_url: String::new(),
            cancel_url: String::new(),
            save_method: false,
            chosen: payment.provider_account,
        },
        shares,
    };
    let id = store::payment::request(tx, brand, &[request], now).await?.pop().expect("one id per request");
    let (owed, mut later) = settle::lock(tx, id).await?;
    later.provider.clone_from(&payment.provider);
    later.provider_account = payment.provider_account;
    let provider_ref = format!("{}{LATER}{}", payment.provider_ref, came.len() + 1);
    tracing::info!(payment.id = %payment.id, later.id = %id, amount = %more, "more came than was booked");
    let capture = Capture { provider_ref, amount: more, fee: None, ..capture.clone() };
    Box::pin(settle::captured(tx, billing, brand, owed, later, capture, 0, now)).await?;
    Ok(())
}

/// What was booked as taken back of a payment, unless it came back.
async fn taken_back(tx: &mut PgTransaction<'_>, payment: &Payment) -> Result<Option<Money>, Problem> {
    let reference = format!("{}{REVERSED}", payment.provider_ref);
    let refunds = store::refund::of_payment(tx, payment.id).await?;
    Ok(refunds.into_iter().find(|refund| refund.provider_ref == reference).map(|refund| refund.amount))
}

fn reversal(payment: &Payment, amount: Money, state: RefundState) -> RefundFact {
    RefundFact {
        payment_ref: payment.provider_ref.clone(),
        amount,
        truth: RefundTruth { provider_ref: format!("{}{REVERSED}", payment.provider_ref), state },
        ours: None,
    }
}

/// What came is not there any more: it is booked as given back, once, and staff decides whether the customer is served on. The caller
/// holds the lock.
pub(super) async fn reversed(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    payment: &Payment,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    for one in came(tx, brand, payment).await? {
        if taken_back(tx, &one).await?.is_some() {
            continue;
        }
        let refunds = store::refund::of_payment(tx, one.id).await?;
        let gone = refunds.iter().filter(|refund| refund.state != RefundState::Failed).map(|refund| refund.amount);
        let received = one.received.unwrap_or(one.amount);
        let left = received.checked_sub(Money::sum(received.currency, gone).map_err(broken)?).map_err(broken)?;
        let summary = format!(
            "{} says that {received} of {} did not come to stay: it is booked as given back ({left}); look there why, and decide \
             whether the customer is served on",
            one.provider, one.id
        );
        store::task::open(tx, brand, REVERSED_TASK, one.id, &summary, now).await?;
        if left.is_positive() {
            let fact = reversal(&one, left, RefundState::Succeeded);
            Box::pin(billing.mirror_refund(tx, brand, one.id, &fact, now)).await?;
        }
    }
    Ok(())
}

/// Tells staff of money that is not what was waited for, where that is ordinary.
pub(super) async fn tell(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    payment: &Payment,
    number: &str,
    was_over: bool,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let received = payment.received.unwrap_or(payment.amount);
    if was_over {
        let summary = format!(
            "{received} came for invoice {number} after its page was over; it is booked, and what the invoice did not need is in the wallet"
        );
        store::task::open(tx, brand, LATE_TASK, payment.id, &summary, now).await?;
    }
    if received.minor < payment.amount.minor {
        let summary = format!(
            "{received} of {} came for invoice {number}; the customer is asked for the rest where the invoice is paid",
            payment.amount
        );
        store::task::open(tx, brand, SHORT_TASK, payment.id, &summary, now).await?;
    }
    Ok(())
}
