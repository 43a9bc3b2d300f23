//! What billing's events mean for commissions. Each runs in the consumer's transaction.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, InvoiceId, RefundId};
use sqlx::postgres::PgTransaction;

use crate::domain::{CommissionState, Referral, Verdict, judge};
use crate::events::publish;
use crate::store::{affiliate, commission};

/// An invoice with a referral code was settled: a commission, a flag, or nothing. A refund that was heard of before takes
/// its share at once.
pub async fn settled(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    code: &str,
    referral: &Referral,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let terms = affiliate::terms(tx, brand).await?;
    let referrer = affiliate::by_code(tx, code).await?;
    match judge(referral, referrer.as_ref(), terms.rate_bp, terms.hold_days, now) {
        Verdict::Nothing => Ok(()),
        Verdict::Flagged(reason) => commission::flag(tx, brand, referral.invoice, code, reason, now).await,
        Verdict::Earned(earned) => {
            if commission::insert(tx, brand, &earned).await? {
                publish::changed(tx, brand, &earned, None, now).await?;
                take_back(tx, brand, referral.invoice, now).await?;
            }
            Ok(())
        }
    }
}

/// A refund of an invoice succeeded.
pub async fn refund_succeeded(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    refund: RefundId,
    invoice: InvoiceId,
    amount_minor: i64,
    invoice_total_minor: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if commission::remember_refund(tx, brand, refund, invoice, amount_minor, invoice_total_minor).await? {
        take_back(tx, brand, invoice, now).await?;
    }
    Ok(())
}

async fn take_back(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    invoice: InvoiceId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let Some((refunded, total)) = commission::refunded(tx, invoice).await? else { return Ok(()) };
    let Some(before) = commission::lock_of_invoice(tx, invoice).await? else { return Ok(()) };
    let Some(after) = before.refunded(refunded, total) else { return Ok(()) };
    // What was paid out already is staff's to settle; it stays visible as reversed part of a paid commission.
    let after = if before.state == CommissionState::Paid {
        crate::domain::Commission { state: before.state, ..after }
    } else {
        after
    };
    commission::update(tx, &after).await?;
    publish::changed(tx, brand, &after, Some(before.state), now).await
}
