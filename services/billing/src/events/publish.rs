//! Billing's events.
//!
//! `billing.subscription.changed.v1` and `billing.entitlement.changed.v1` carry the subscription's id and each its own
//! version, growing by one: a consumer that keeps order listens to one of the two in a group. The others have no order.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, Money, MoneyError, PaymentId};
use ottery_kit::outbox::Event;
use ottery_proto::billing::v1 as proto;

use crate::contract;
use crate::domain::consolidated::plan_names;
use crate::domain::entitlement::{Entitlement, Wanted};
use crate::domain::invoice::{Buyer, Invoice, Purpose};
use crate::domain::subscription::{State, Subscription};
use crate::domain::tax::Tax;
use crate::store::customer::Customer;
use crate::store::order::Order;

/// Type of `billing.order.placed.v1`.
pub const ORDER_PLACED: &str = "billing.order.placed.v1";
/// Type of `billing.order.declined.v1`.
pub const ORDER_DECLINED: &str = "billing.order.declined.v1";
/// Type of `billing.invoice.finalised.v1`.
pub const INVOICE_FINALISED: &str = "billing.invoice.finalised.v1";
/// Type of `billing.invoice.sent.v1`.
pub const INVOICE_SENT: &str = "billing.invoice.sent.v1";
/// Type of `billing.invoice.settled.v1`.
pub const INVOICE_SETTLED: &str = "billing.invoice.settled.v1";
/// Type of `billing.consolidated.settled.v1`.
pub const CONSOLIDATED_SETTLED: &str = "billing.consolidated.settled.v1";
/// Type of `billing.subscription.changed.v1`.
pub const SUBSCRIPTION_CHANGED: &str = "billing.subscription.changed.v1";
/// Type of `billing.entitlement.changed.v1`.
pub const ENTITLEMENT_CHANGED: &str = "billing.entitlement.changed.v1";
/// Type of `billing.reminder.due.v1`.
pub const REMINDER_DUE: &str = "billing.reminder.due.v1";

/// Type of `billing.price.announced.v1`.
pub const PRICE_ANNOUNCED: &str = "billing.price.announced.v1";
pub const VAT_DECIDED: &str = "billing.vat.decided.v1";

/// An order was placed.
#[must_use]
pub fn order_placed(brand: BrandId, order: &Order) -> Event {
    let payload = proto::OrderPlaced { order: Some(contract::order(order)) };
    Event::new(ORDER_PLACED, order.id, 0, brand, order.placed_at, &payload).optional()
}

/// An order that staff had to look at is not accepted.
#[must_use]
pub fn order_declined(brand: BrandId, order: &Order, buyer: Option<&Buyer>, now: DateTime<Utc>) -> Event {
    let payload = proto::OrderDeclined {
        order: Some(contract::order(order)),
        display_name: buyer.map(|buyer| buyer.name.clone()).unwrap_or_default(),
        locale: buyer.map(|buyer| buyer.locale.clone()).unwrap_or_default(),
    };
    Event::new(ORDER_DECLINED, order.id, 0, brand, now, &payload).optional()
}

/// An invoice got its number.
#[must_use]
pub fn invoice_finalised(brand: BrandId, invoice: &Invoice, now: DateTime<Utc>) -> Event {
    let payload = proto::InvoiceFinalised { invoice: Some(contract::invoice(invoice, &[])) };
    Event::new(INVOICE_FINALISED, invoice.id, 0, brand, now, &payload).optional()
}

/// Staff sends an invoice to its customer.
#[must_use]
pub fn invoice_sent(brand: BrandId, invoice: &Invoice, now: DateTime<Utc>) -> Event {
    let payload = proto::InvoiceSent { invoice: Some(contract::invoice(invoice, &[])) };
    Event::new(INVOICE_SENT, invoice.id, 0, brand, now, &payload).optional()
}

/// Nothing is left to pay.
#[must_use]
pub fn invoice_settled(
    brand: BrandId,
    invoice: &Invoice,
    customer: Option<&Customer>,
    first_of_account: bool,
    payment: Option<PaymentId>,
    now: DateTime<Utc>,
) -> Event {
    let payload = proto::InvoiceSettled {
        invoice: Some(contract::invoice(invoice, &[])),
        order_id: invoice.order.map(|id| id.to_string()).unwrap_or_default(),
        // Whoever sent the customer earns by what they buy, also from the wallet, and not by the money in it as well.
        referral_code: customer
            .filter(|_| invoice.purpose != Purpose::TopUp)
            .map(|customer| customer.referral_code.clone())
            .unwrap_or_default(),
        first_of_account,
        payment_id: payment.map(|id| id.to_string()).unwrap_or_default(),
    };
    Event::new(INVOICE_SETTLED, invoice.id, 0, brand, now, &payload)
}

/// Nothing is left to pay on a consolidated invoice; each of its parts was told to be settled before.
#[must_use]
pub fn consolidated_settled(brand: BrandId, whole: &Invoice, now: DateTime<Utc>) -> Event {
    let payload = proto::ConsolidatedSettled { invoice: Some(contract::invoice(whole, &[])) };
    Event::new(CONSOLIDATED_SETTLED, whole.id, 0, brand, now, &payload).optional()
}

/// A renewal invoice waits.
#[must_use]
pub fn reminder_due(brand: BrandId, invoice: &Invoice, step: u32, is_mailed: bool, now: DateTime<Utc>) -> Event {
    let buyer = &invoice.snapshot.buyer;
    let payload = proto::ReminderDue {
        invoice: Some(contract::invoice(invoice, &[])),
        step,
        subscription_id: invoice.subscription.map(|id| id.to_string()).unwrap_or_default(),
        email: buyer.email.clone(),
        locale: buyer.locale.clone(),
        plan_name: match &invoice.snapshot.offer {
            Some(offer) => offer.plan_name.clone(),
            None => plan_names(&invoice.parts),
        },
        quiet: !is_mailed,
    };
    Event::new(REMINDER_DUE, invoice.id, 0, brand, now, &payload)
}

/// Another price was announced to a customer.
#[must_use]
pub fn price_announced(
    brand: BrandId,
    subscription: &Subscription,
    (old, new): (Money, Money),
    at: DateTime<Utc>,
    buyer: &Buyer,
    now: DateTime<Utc>,
) -> Event {
    let payload = proto::PriceAnnounced {
        subscription_id: subscription.id.to_string(),
        plan_name: subscription.offer.plan_name.clone(),
        old_price: Some(contract::money(old)),
        new_price: Some(contract::money(new)),
        term: Some(contract::term(subscription.offer.term)),
        effective_at: Some(contract::timestamp(at)),
        email: buyer.email.clone(),
        display_name: buyer.name.clone(),
        locale: buyer.locale.clone(),
    };
    Event::new(PRICE_ANNOUNCED, subscription.id, 0, brand, now, &payload)
}

/// What became of a VAT number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It is a business's.
    Valid,
    /// It is nobody's: tax is charged.
    Invalid,
    /// Nobody answered in time: tax is charged.
    Unanswered,
}

/// Something became of a customer's VAT number.
#[must_use]
pub fn vat_decided(
    brand: BrandId,
    account: AccountId,
    number: &str,
    decided: Decided,
    buyer: &Buyer,
    now: DateTime<Utc>,
) -> Event {
    use proto::vat_number_decided::Outcome as P;
    let outcome = match decided {
        Decided::Valid => P::Valid,
        Decided::Invalid => P::Invalid,
        Decided::Unanswered => P::Unanswered,
    };
    let payload = proto::VatNumberDecided {
        account_id: account.to_string(),
        vat_number: number.to_owned(),
        outcome: outcome.into(),
        email: buyer.email.clone(),
        display_name: buyer.name.clone(),
        locale: buyer.locale.clone(),
    };
    Event::new(VAT_DECIDED, account, 0, brand, now, &payload)
}

/// What the subscription recurs with, tax excluded; nothing unless it is paying.
fn recurring_net(subscription: &Subscription, tax: &Tax) -> Result<Money, MoneyError> {
    let price = subscription.recurring_price()?;
    match subscription.state {
        State::Active | State::PastDue { .. } if !price.is_zero() => {
            // Add-ons of other kinds are taxed at their own rates; coupons are the plan's.
            let (mut rest, mut net) = (price, Money::zero(price.currency));
            for extra in subscription.offer.extras().filter(|extra| extra.category().is_some()) {
                let cost = extra.price()?;
                rest = rest.checked_sub(cost)?;
                net = net.checked_add(extra.tax(tax).net(cost)?)?;
            }
            net.checked_add(tax.net(rest)?)
        }
        State::Active | State::PastDue { .. } => Ok(price),
        State::Pending | State::Trialing | State::Suspended { .. } | State::Paused | State::Ended { .. } => {
            Ok(Money::zero(price.currency))
        }
    }
}

/// A subscription changed; its version was raised for this.
///
/// # Errors
/// When the price is too large to compute with.
pub fn subscription_changed(
    brand: BrandId,
    subscription: &Subscription,
    previous: State,
    buyer: Option<&Buyer>,
    tax: &Tax,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<Event, MoneyError> {
    let payload = proto::SubscriptionChanged {
        subscription: Some(contract::subscription(subscription, None, tax)),
        previous_state: contract::state(previous).into(),
        recurring_net: Some(contract::money(recurring_net(subscription, tax)?)),
        effective_at: Some(contract::timestamp(now)),
        email: buyer.map(|buyer| buyer.email.clone()).unwrap_or_default(),
        locale: buyer.map(|buyer| buyer.locale.clone()).unwrap_or_default(),
        reason: reason.to_owned(),
    };
    let version = i64::try_from(subscription.version).unwrap_or(i64::MAX);
    Ok(Event::new(SUBSCRIPTION_CHANGED, subscription.id, version, brand, now, &payload))
}

/// What the customer is entitled to changed; the entitlement's version was raised for this.
#[must_use]
pub fn entitlement_changed(
    brand: BrandId,
    subscription: &Subscription,
    entitlement: Entitlement,
    buyer: Option<&Buyer>,
    now: DateTime<Utc>,
) -> Event {
    use proto::entitlement_changed::Wanted as P;
    let wanted = match entitlement.wanted {
        Wanted::Active => P::Active,
        Wanted::Suspended => P::Suspended,
        Wanted::Terminated => P::Terminated,
    };
    let offer = &subscription.offer;
    let payload = proto::EntitlementChanged {
        subscription_id: subscription.id.to_string(),
        version: subscription.entitlement_version,
        wanted: wanted.into(),
        account_id: subscription.account.to_string(),
        order_id: subscription.order.to_string(),
        plan_version_id: offer.plan_version_id.to_string(),
        mapping: Some(contract::mapping_of(offer)),
        connections: offer.connections,
        paid_through: Some(contract::timestamp(entitlement.expires_at)),
        region: offer.mapping.region.clone(),
        email: buyer.map(|buyer| buyer.email.clone()).unwrap_or_default(),
        locale: buyer.map(|buyer| buyer.locale.clone()).unwrap_or_default(),
        plan_name: offer.plan_name.clone(),
        trial: subscription.state == State::Trialing,
        options: offer.options.iter().map(contract::option::quantity).collect(),
        country: buyer.map(|buyer| buyer.place().country).unwrap_or_default(),
    };
    let version = i64::try_from(subscription.entitlement_version).unwrap_or(i64::MAX);
    Event::new(ENTITLEMENT_CHANGED, subscription.id, version, brand, now, &payload)
}
