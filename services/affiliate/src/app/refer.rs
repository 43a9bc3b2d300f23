//! What billing's events mean for commissions. Each runs in the consumer's transaction.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, DisputeId, InvoiceId, RefundId};
use sqlx::postgres::PgTransaction;

use crate::domain::{Disputed, Referral, Verdict, judge};
use crate::events::publish;
use crate::store::{affiliate, commission};

/// An invoice with a referral code was settled: a commission, a flag, or nothing. A refund or dispute that was heard
/// of before counts at once.
pub async fn settled(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    code: &str,
    referral: &Referral,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    commission::lock_invoice(tx, referral.invoice).await?;
    let terms = affiliate::terms(tx, brand).await?;
    let referrer = affiliate::by_code(tx, code).await?;
    match judge(referral, referrer.as_ref(), terms.rate_bp, terms.hold_days, now) {
        Verdict::Nothing => Ok(()),
        Verdict::Flagged(reason) => commission::flag(tx, brand, referral.invoice, code, reason, now).await,
        Verdict::Earned(earned) => {
            if commission::insert(tx, brand, &earned).await? {
                publish::changed(tx, brand, &earned, None, now).await?;
                follow(tx, brand, referral.invoice, now).await?;
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
    commission::lock_invoice(tx, invoice).await?;
    if commission::remember_refund(tx, brand, refund, invoice, amount_minor, invoice_total_minor).await? {
        follow(tx, brand, invoice, now).await?;
    }
    Ok(())
}

/// A dispute began, moved or was decided. Words that are overtaken change nothing.
pub async fn dispute_changed(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    dispute: DisputeId,
    version: i64,
    shares: &[Disputed],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let mut shares: Vec<&Disputed> = shares.iter().collect();
    // In one order, so that no two wait for each other.
    shares.sort_by_key(|share| share.invoice);
    for share in shares {
        commission::lock_invoice(tx, share.invoice).await?;
        if commission::remember_dispute(tx, brand, dispute, version, share).await? {
            follow(tx, brand, share.invoice, now).await?;
        }
    }
    Ok(())
}

async fn follow(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    invoice: InvoiceId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    // Locked first, read afterwards: what others committed meanwhile must count.
    let Some(before) = commission::lock_of_invoice(tx, invoice).await? else { return Ok(()) };
    let Some(claims) = commission::claims(tx, invoice).await? else { return Ok(()) };
    let Some(after) = before.follow(claims) else { return Ok(()) };
    commission::update(tx, brand, &after).await?;
    publish::changed(tx, brand, &after, Some(before.state), now).await
}
