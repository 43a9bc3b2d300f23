//! Invoices that will not be paid: taken back, or given up.

use ottery_kernel::{AccountId, BrandId, InvoiceId, OrderId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;
use sqlx::postgres::PgTransaction;

use super::settlement::Owed;
use super::subscription::{Entry, open};
use super::unit::Unit;
use super::{Billing, broken, profile, settlement, subscription};
use crate::domain::invoice::{Command, Invoice, Outcome, Purpose, Refused};
use crate::domain::order;
use crate::domain::subscription::{EndCause, State};
use crate::store;
use crate::store::order::Order;

/// Longest reason.
const REASON_CHARS_MAX: usize = 500;

/// Why staff does it, for the audit.
///
/// # Errors
/// When nothing was said, or too much.
pub(super) fn reason(text: &str) -> Result<&str, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > REASON_CHARS_MAX {
        let message = format!("reason: say why in 1 to {REASON_CHARS_MAX} characters");
        return Err(Problem::invalid("reason", "REASON_INVALID", message));
    }
    Ok(text)
}

/// A move the invoice's state or money forbids, as the caller sees it.
fn refused(invoice: &Invoice, why: &Refused) -> Problem {
    let reason = match why {
        Refused::Move { .. } | Refused::Unpaid { .. } => "INVOICE_STATE",
        Refused::Paid { .. } => "INVOICE_PAID",
    };
    Problem::refused(reason, format!("{why} (invoice {})", invoice.number_text())).on_field("invoice_id")
}

/// A charge without a known outcome locks the invoice: whatever is decided meanwhile could be about money that came.
pub(super) async fn not_charging(tx: &mut PgTransaction<'_>, invoice: InvoiceId) -> Result<(), Problem> {
    if store::payment::is_charging(tx, invoice).await? {
        let message = "a payment of this invoice is being processed; its outcome is known in a moment";
        return Err(Problem::refused("PAYMENT_IN_PROGRESS", message).on_field("invoice_id"));
    }
    Ok(())
}

/// Nothing of a pro forma was sold, so nothing of it is lost or credited.
pub(super) fn not_proforma(invoice: &Invoice) -> Result<(), Problem> {
    if invoice.is_proforma() {
        let message = format!("{} is a pro forma and in no books; make it void instead", invoice.number_text());
        return Err(Problem::refused("INVOICE_PROFORMA", message).on_field("invoice_id"));
    }
    Ok(())
}

/// What a top-up brought is in the wallet: only a refund of its payment takes it from there.
pub(super) fn not_top_up(invoice: &Invoice) -> Result<(), Problem> {
    if invoice.purpose == Purpose::TopUp {
        let message = format!(
            "{} is a top-up: unpaid it expires by itself, and what was paid goes back by a refund of its payment",
            invoice.number_text()
        );
        return Err(Problem::refused("INVOICE_TOP_UP", message).on_field("invoice_id"));
    }
    Ok(())
}

impl Billing {
    /// Takes an issued invoice back before anything was paid on it: its number stays used, its booking is undone. The period
    /// of a running subscription is billed anew.
    ///
    /// # Errors
    /// When something was paid, a charge is under way, or it belongs to an order that waits for it.
    pub async fn void_invoice(
        &self,
        actor: &Actor,
        brand: BrandId,
        id: InvoiceId,
        why: &str,
    ) -> Result<Invoice, Problem> {
        let why = reason(why)?;
        let (mut tx, now) = self.begin(brand).await?;
        let Owed { subscription, mut invoice } = Owed::lock(&mut tx, id).await?;
        match invoice.state.on(Command::Void, invoice.paid, invoice.totals.total) {
            Err(why) => return Err(refused(&invoice, &why)),
            Ok(Outcome::AlreadyThere) => return Ok(invoice),
            Ok(Outcome::Moved(_)) => {}
        }
        if subscription.as_ref().is_some_and(|subscription| subscription.state == State::Pending) {
            let message = "an order waits for this invoice; cancel the order, and the invoice goes with it";
            return Err(Problem::refused("ORDER_UNPAID", message).on_field("invoice_id"));
        }
        not_charging(&mut tx, id).await?;
        let mut unit = Unit::new(brand, profile(&mut tx, brand).await?, now);
        unit.lock_customers(&mut tx, &[invoice.account]).await?;
        unit.withdraw(&mut invoice).map_err(broken)?;
        unit.keep_invoice(invoice.clone());
        settlement::finish(&mut tx, self, unit, subscription).await?;
        audited(&mut tx, actor, "invoice.void", &invoice, why).await?;
        tx.commit().await?;
        Ok(invoice)
    }

    /// Gives up what is still owed: a loss in the books, until it is paid after all.
    ///
    /// # Errors
    /// When nothing is owed, a charge is under way, or the subscription it is for still runs.
    pub async fn write_off_invoice(
        &self,
        actor: &Actor,
        brand: BrandId,
        id: InvoiceId,
        why: &str,
    ) -> Result<Invoice, Problem> {
        let why = reason(why)?;
        let (mut tx, now) = self.begin(brand).await?;
        let Owed { subscription, mut invoice } = Owed::lock(&mut tx, id).await?;
        match invoice.state.on(Command::WriteOff, invoice.paid, invoice.totals.total) {
            Err(why) => return Err(refused(&invoice, &why)),
            Ok(Outcome::AlreadyThere) => return Ok(invoice),
            Ok(Outcome::Moved(_)) => {}
        }
        not_top_up(&invoice)?;
        not_proforma(&invoice)?;
        if let Some(running) = subscription.as_ref().filter(|subscription| !subscription.state.has_ended()) {
            let message =
                format!("the subscription it is for is {}; terminate it before its claim is given up", running.state);
            return Err(Problem::refused("SUBSCRIPTION_LIVE", message).with("subscription_id", running.id));
        }
        not_charging(&mut tx, id).await?;
        let mut unit = Unit::new(brand, profile(&mut tx, brand).await?, now);
        unit.write_off(&mut invoice).map_err(broken)?;
        unit.keep_invoice(invoice.clone());
        settlement::finish(&mut tx, self, unit, subscription).await?;
        audited(&mut tx, actor, "invoice.write_off", &invoice, why).await?;
        tx.commit().await?;
        Ok(invoice)
    }

    /// Gives an order up that nobody has paid: its invoice is void, its subscription ends, its coupon and pages are free.
    /// `owner` limits it to that customer's own. Cancelled before: nothing happens.
    ///
    /// # Errors
    /// When it is paid, or a charge for it is under way.
    pub async fn cancel_order(
        &self,
        actor: &Actor,
        brand: BrandId,
        id: OrderId,
        owner: Option<AccountId>,
    ) -> Result<Order, Problem> {
        let unknown = || Problem::not_found("ORDER_NOT_FOUND", format!("there is no order {id}")).on_field("order_id");
        let (mut tx, now) = self.begin(brand).await?;
        let found = store::order::get(&mut tx, id).await?.ok_or_else(unknown)?;
        if owner.is_some_and(|owner| owner != found.account) {
            return Err(unknown());
        }
        let (mut unit, mut case) = open(&mut tx, brand, found.subscription, None, now).await?;
        unit.lock_orders(&mut tx, &[id]).await?;
        // Read again: it may have been paid while the lock was waited for.
        let order = store::order::get(&mut tx, id).await?.ok_or_else(unknown)?;
        match order.state.on(order::Command::Cancel) {
            Ok(order::Outcome::AlreadyThere) => return Ok(order),
            Ok(order::Outcome::Moved(_)) => {}
            Err(why) => {
                let message = format!("{why}; cancel its subscription instead");
                return Err(Problem::refused("ORDER_STATE", message).on_field("order_id"));
            }
        }
        if let Some(invoice) = order.invoice {
            not_charging(&mut tx, invoice).await?;
        }
        let before = case.subscription.clone();
        unit.end(&mut case.subscription, EndCause::Cancelled, &mut case.open).map_err(broken)?;
        let entry = Entry { actor, action: "order.cancel", reason: "" };
        entry.append(&mut tx, &before, &case.subscription).await?;
        subscription::close(&mut tx, self, unit, case).await?;
        let order = store::order::get(&mut tx, id).await?.ok_or_else(unknown)?;
        tx.commit().await?;
        Ok(order)
    }
}

async fn audited(
    tx: &mut PgTransaction<'_>,
    actor: &Actor,
    action: &str,
    invoice: &Invoice,
    reason: &str,
) -> Result<(), Problem> {
    let after = json!({ "number": invoice.number_text(), "state": invoice.state.as_str(), "reason": reason });
    audit::append(tx, actor, action, invoice.id, None, Some(after)).await?;
    Ok(())
}
