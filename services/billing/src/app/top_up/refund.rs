//! A top-up goes back out of the wallet: what is there still, taken the moment it is asked for, so that nobody spends it while
//! it is on its way.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, Money};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use crate::app::{broken, credit};
use crate::domain::invoice::Invoice;
use crate::domain::ledger::{Account, Booking};
use crate::domain::payment::State as PaymentState;
use crate::domain::refund::State;
use crate::store;
use crate::store::credit_note::CreditNote;
use crate::store::payment::Payment;
use crate::store::refund::Refund;

/// Kind of the booking that takes a refund out of the wallet.
const RESERVED: &str = "refund.reserved";

/// What of a payment for a top-up can go back: what came and has not gone back, as far as it is in the wallet still. The
/// caller holds the payment's lock, and the customer's afterwards.
///
/// # Errors
/// When nothing is left.
pub async fn refundable(tx: &mut PgTransaction<'_>, payment: &Payment) -> Result<Money, Problem> {
    let (PaymentState::Succeeded, Some(received)) = (payment.state, payment.received) else {
        let message = format!("{} is {}; only money that came can go back", payment.id, payment.state);
        return Err(Problem::refused("PAYMENT_NOT_SETTLED", message).on_field("payment_id"));
    };
    let refunds = store::refund::of_payment(tx, payment.id).await?;
    let live = refunds.iter().filter(|refund| refund.state != State::Failed);
    let left = received.minor - live.map(|refund| refund.amount.minor).sum::<i64>();
    let kept = in_wallet(tx, payment.account, received).await?;
    let left = Money::new(left.min(kept.minor), received.currency);
    if left.is_positive() {
        return Ok(left);
    }
    let message = format!(
        "nothing of {} is in the wallet any more; what was bought with it is refunded by its invoice",
        payment.id
    );
    Err(Problem::refused("NOTHING_TO_REFUND", message).on_field("payment_id"))
}

async fn in_wallet(
    tx: &mut PgTransaction<'_>,
    account: ottery_kernel::AccountId,
    like: Money,
) -> Result<Money, Problem> {
    store::customer::lock_all(tx, &[account]).await?;
    let wallets = store::ledger::wallets(tx, &[account]).await?;
    let found = wallets.get(&(account, like.currency)).copied().unwrap_or(Money::zero(like.currency));
    Ok(Money::new(found.minor.max(0), found.currency))
}

/// Takes a refund that was just written down out of the wallet.
///
/// # Errors
/// When the database fails.
pub async fn reserve(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    invoice: &Invoice,
    refund: &Refund,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let booking = Booking::new(invoice.snapshot.seller.id, RESERVED, refund.id, now)
        .post(Account::Wallet(refund.account), Account::TopUps, refund.amount)
        .map_err(broken)?;
    Ok(store::ledger::book(tx, brand, booking).await?)
}

/// A refund that will not be paid out gives back what it took. Nothing to do for one that took nothing.
///
/// # Errors
/// When the database fails.
pub async fn release(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    refund: &Refund,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let held = store::top_up::reserved(tx, refund.id).await?;
    let Some(invoice) = store::invoice::get(tx, refund.invoice).await? else { return Ok(()) };
    let booking = Booking::new(invoice.snapshot.seller.id, "refund.released", refund.id, now)
        .post(Account::TopUps, Account::Wallet(refund.account), Money::new(held, refund.amount.currency))
        .map_err(broken)?;
    Ok(store::ledger::book(tx, brand, booking).await?)
}

/// A refund of a top-up was paid out: it left the wallet, and the invoice is credited by as much as this payment had paid of
/// it. What somebody gave back at the provider and the customer had spent is a matter for a person.
///
/// # Errors
/// When the database fails.
pub async fn settle(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    payment: &Payment,
    invoice: &Invoice,
    refund: &Refund,
    now: DateTime<Utc>,
) -> Result<Option<CreditNote>, Problem> {
    let currency = refund.amount.currency;
    let held = store::top_up::reserved(tx, refund.id).await?;
    let missing = refund.amount.minor - held;
    let taken = missing.min(in_wallet(tx, refund.account, refund.amount).await?.minor);
    let uncovered = Money::new(missing - taken, currency);
    if uncovered.is_positive() {
        let summary = format!(
            "{uncovered} of the refund {} went back although the customer had spent it; charge the customer or accept the loss",
            refund.id
        );
        store::task::open(tx, brand, "refund_uncovered", refund.id, &summary, now).await?;
    }
    let covered = Money::new(held + taken, currency);
    let has_paid = store::share::allocated(tx, payment.id).await?.iter().any(|(id, _)| *id == invoice.id);
    let creditable = if has_paid { invoice.totals.total.minor - invoice.refunded.minor } else { 0 };
    let credited = Money::new(covered.minor.min(creditable).max(0), currency);
    let beside = covered.checked_sub(credited).map_err(broken)?;
    let note = if credited.is_positive() {
        Some(credit::issue(tx, brand, invoice, credited, &refund.reason, now).await?)
    } else {
        None
    };
    let seller = invoice.snapshot.seller.id;
    let booking = Booking::new(seller, RESERVED, refund.id, now)
        .post(Account::Wallet(refund.account), Account::TopUps, Money::new(taken, currency))
        .map_err(broken)?;
    store::ledger::book(tx, brand, booking).await?;
    let provider = || Account::Provider(payment.provider.clone());
    let booking = Booking::new(seller, crate::app::refund::SETTLED, refund.id, now)
        .post(Account::Receivable(refund.account), provider(), credited)
        .and_then(|booking| booking.post(Account::TopUps, provider(), beside))
        .and_then(|booking| booking.post(Account::Unapplied(refund.account), provider(), uncovered))
        .map_err(broken)?;
    store::ledger::book(tx, brand, booking).await?;
    Ok(note)
}
