//! What affiliate hears.

use async_trait::async_trait;
use ottery_kernel::{DisputeId, Money, RefundId};
use ottery_kit::broker::ConsumerGroup;
use ottery_kit::consume::{Delivery, HandleError, Handler};
use ottery_proto::billing::v1::invoice::Purpose;
use ottery_proto::billing::v1::{DisputeChanged, InvoiceSettled, RefundSucceeded, dispute};
use ottery_proto::catalog::v1::BrandChanged;
use ottery_proto::common::v1;
use sqlx::postgres::PgTransaction;

use crate::app;
use crate::domain::{Disputed, Referral};
use crate::store::affiliate::{self, Terms};

const BRAND_CHANGED: &str = "catalog.brand.changed.v1";
const INVOICE_SETTLED: &str = "billing.invoice.settled.v1";
const REFUND_SUCCEEDED: &str = "billing.refund.succeeded.v1";
const DISPUTE_CHANGED: &str = "billing.dispute.changed.v1";

/// Follows brands' terms.
#[derive(Clone, Copy, Debug)]
pub struct Brands;

/// The group of [`Brands`].
pub fn brands_group() -> ConsumerGroup {
    ConsumerGroup::new("affiliate.brands", &[BRAND_CHANGED])
}

#[async_trait]
impl Handler for Brands {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        let brand =
            delivery.payload::<BrandChanged>()?.brand.ok_or_else(|| HandleError::permanent("brand is missing"))?;
        let terms = Terms { rate_bp: brand.affiliate_rate_bp, hold_days: brand.affiliate_hold_days };
        affiliate::set_terms(tx, delivery.brand()?, delivery.aggregate_version(), terms).await?;
        Ok(())
    }
}

/// Turns settled invoices into commissions, and refunds and lost disputes into reversals.
#[derive(Clone, Copy, Debug)]
pub struct Referrals;

/// The group of [`Referrals`].
pub fn referrals_group() -> ConsumerGroup {
    ConsumerGroup::new("affiliate.referrals", &[INVOICE_SETTLED, REFUND_SUCCEEDED, DISPUTE_CHANGED]).gathers()
}

#[async_trait]
impl Handler for Referrals {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        match delivery.kind() {
            INVOICE_SETTLED => settled(tx, delivery).await,
            REFUND_SUCCEEDED => refunded(tx, delivery).await,
            DISPUTE_CHANGED => disputed(tx, delivery).await,
            other => Err(HandleError::permanent(format!("`{other}` is not for this consumer"))),
        }
    }
}

async fn settled(tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
    let event: InvoiceSettled = delivery.payload()?;
    if event.referral_code.is_empty() {
        return Ok(());
    }
    let invoice = event.invoice.ok_or_else(|| HandleError::permanent("invoice is missing"))?;
    // Money in a wallet is no sale; what is bought with it is, once.
    if invoice.purpose() == Purpose::TopUp {
        return Ok(());
    }
    // Net of tax: commission is paid on what the operator keeps.
    let net = money(invoice.total.as_ref())?
        .checked_sub(money(invoice.tax.as_ref())?)
        .map_err(|error| HandleError::permanent(format!("net amount: {error}")))?;
    let referral = Referral {
        order_id: event.order_id,
        invoice: parse(&invoice.id)?,
        buyer: parse(&invoice.account_id)?,
        buyer_email: invoice.buyer_email,
        net,
        is_first: event.first_of_account,
    };
    app::settled(tx, delivery.brand()?, &event.referral_code, &referral, delivery.occurred_at).await?;
    Ok(())
}

async fn refunded(tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
    let event: RefundSucceeded = delivery.payload()?;
    let refund = event.refund.ok_or_else(|| HandleError::permanent("refund is missing"))?;
    let id: RefundId = parse(&refund.id)?;
    let (amount, total) = (money(refund.amount.as_ref())?, money(event.invoice_total.as_ref())?);
    let invoice = parse(&refund.invoice_id)?;
    app::refund_succeeded(tx, delivery.brand()?, id, invoice, amount.minor, total.minor, delivery.occurred_at).await?;
    Ok(())
}

async fn disputed(tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
    use dispute::State;
    let event: DisputeChanged = delivery.payload()?;
    let dispute = event.dispute.ok_or_else(|| HandleError::permanent("dispute is missing"))?;
    let id: DisputeId = parse(&dispute.id)?;
    let (is_open, is_lost) = match dispute.state() {
        State::Warning | State::NeedsResponse | State::UnderReview | State::Appealed => (true, false),
        State::Lost => (false, true),
        State::Won | State::Closed => (false, false),
        State::Unspecified => return Err(HandleError::permanent("the dispute has no state")),
    };
    let mut shares = Vec::new();
    for share in event.shares {
        let taken = money(share.taken.as_ref())?.minor.max(0);
        shares.push(Disputed {
            invoice: parse(&share.invoice_id)?,
            is_open,
            lost_minor: if is_lost { taken } else { 0 },
            total_minor: money(share.invoice_total.as_ref())?.minor,
        });
    }
    let version = i64::try_from(event.version).map_err(HandleError::permanent)?;
    app::dispute_changed(tx, delivery.brand()?, id, version, &shares, delivery.occurred_at).await?;
    Ok(())
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, HandleError> {
    text.parse().map_err(|error: T::Err| HandleError::permanent(error))
}

fn money(money: Option<&v1::Money>) -> Result<Money, HandleError> {
    let money = money.ok_or_else(|| HandleError::permanent("an amount is missing"))?;
    Ok(Money { minor: money.minor, currency: parse(&money.currency)? })
}
