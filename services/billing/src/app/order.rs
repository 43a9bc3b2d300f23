//! Placing an order: order, subscription, finalised invoice and payment attempt, all or nothing.

use chrono::{DateTime, Utc};
use ottery_kernel::{
    AccountId, BillingAnchor, BrandId, InvoiceId, Money, MoneyError, OrderId, PaymentId, Period, SubscriptionId,
};
use ottery_kit::grpc::Problem;
use ottery_kit::idempotency::{self, Begin, IdempotencyError, KeyScope};
use ottery_kit::telemetry::current_trace_id;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::gift::redeem::Gift;
use super::merge::refuse_merged;
use super::screen::Visit;
use super::trial::Person;
use super::unit::{Unit, UnitError};
use super::{Billing, broken, coupon, profile, schedule, stock, vat};
use crate::domain::address::{Address, Source};
use crate::domain::calendar::Calendar;
use crate::domain::coupon::{Applied, Discounts, Redeemed};
use crate::domain::invoice::{self, Buyer, Invoice, Proforma, Purpose, Snapshot, number_year};
use crate::domain::minimum::Instead;
use crate::domain::order;
use crate::domain::profile::Profile;
use crate::domain::provider::{ProviderAccountId, Route};
use crate::domain::quote::trial_end;
use crate::domain::screen::Verdict;
use crate::domain::subscription::{Command, State, Subscription};
use crate::domain::wallet::Purse;
use crate::events::publish;
use crate::store;
use crate::store::customer::Customer;
use crate::store::order::Order;
use crate::store::payment::{AttemptKind, AttemptRequest};
use crate::store::quote::Stored;
use crate::store::screen::Screening;

/// What an order says.
#[derive(Clone, Debug)]
pub struct Place {
    /// The accepted quote.
    pub quote: Uuid,
    /// Who orders.
    pub account: AccountId,
    /// As the invoice will show them.
    pub buyer: Buyer,
    /// Who sent them; empty for nobody.
    pub referral_code: String,
    /// Where the provider's page returns to; `{order}` is replaced by the order's id.
    pub return_url: String,
    /// Where it returns to when the customer gives up.
    pub cancel_url: String,
    /// Ask the provider to save the method for renewals.
    pub save_method: bool,
    /// The account at a provider the customer chose to pay by; none: whichever serves.
    pub chosen: Option<ProviderAccountId>,
    /// The coupon the customer believes in; empty: whatever the quote has.
    pub coupon: String,
    /// Where it comes from; none when staff or a program places it, which nobody screens.
    pub visit: Option<Visit>,
}

/// A placed order and the attempt that pays it.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The order.
    pub order: Order,
    /// Its payment attempt; none when nothing is due now.
    pub payment: Option<PaymentId>,
}

/// A call that is safe to repeat.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// Within what the key is unique.
    pub scope: KeyScope,
    /// The caller's key.
    pub key: String,
    /// Hash of the request.
    pub hash: [u8; 32],
}

/// A key that cannot be used, as the caller sees it.
#[must_use]
pub fn key_problem(error: IdempotencyError) -> Problem {
    let message = error.to_string();
    match error {
        IdempotencyError::Invalid => Problem::invalid("idempotency_key", error.reason(), message),
        IdempotencyError::Reused | IdempotencyError::InProgress => Problem::conflict(error.reason(), message),
        IdempotencyError::Database(error) => error.into(),
    }
}

impl Billing {
    /// Places an order. Sent twice with the same key, or for the same quote, it is placed once.
    ///
    /// # Errors
    /// When the quote is unknown, expired or somebody else's, or has another coupon than the customer believes; when the
    /// person had a trial before, or the coupon's last use was taken meanwhile.
    pub async fn place_order(
        &self,
        brand: BrandId,
        place: Place,
        idempotency: Option<Idempotency>,
    ) -> Result<Placed, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        if let Some(call) = &idempotency
            && let Begin::Replay(bytes) =
                idempotency::begin(&mut tx, &call.scope, &call.key, &call.hash).await.map_err(key_problem)?
        {
            return replay(&mut tx, &bytes).await;
        }
        let unknown =
            || Problem::not_found("QUOTE_NOT_FOUND", "there is no such quote; ask for a new one").on_field("quote_id");
        let quote = store::quote::lock(&mut tx, place.quote).await?.ok_or_else(unknown)?;
        if quote.account.is_some_and(|account| account != place.account) {
            return Err(unknown());
        }
        if let Some(order) = store::order::of_quote(&mut tx, place.quote).await? {
            return if order.account == place.account { Ok(Placed { order, payment: None }) } else { Err(unknown()) };
        }
        if quote.quote.expires_at <= now {
            return Err(
                Problem::refused("QUOTE_EXPIRED", "the quote has expired; ask for a new one").on_field("quote_id")
            );
        }
        coupon::check_believed(&place.coupon, quote.quote.coupon.as_ref())?;
        let placed = match place_in(&mut tx, self, brand, place, quote, now, None).await? {
            Outcome::Placed(placed) => *placed,
            Outcome::Denied(seen) => {
                // Nothing of the order is kept but that it was asked for.
                drop(tx);
                return Err(self.denied(brand, seen.as_deref()).await?);
            }
        };
        if let Some(call) = &idempotency {
            let answer = format!("{} {}", placed.order.id, placed.payment.map(|id| id.to_string()).unwrap_or_default());
            idempotency::finish(&mut tx, &call.scope, &call.key, answer.as_bytes()).await?;
        }
        tx.commit().await?;
        Ok(placed)
    }
}

/// The answer of the first call: the order as it is now, and the same payment attempt.
async fn replay(tx: &mut PgTransaction<'_>, bytes: &[u8]) -> Result<Placed, Problem> {
    let text = String::from_utf8_lossy(bytes);
    let (order, payment) = text.split_once(' ').unwrap_or((&text, ""));
    let id: OrderId = order.parse().map_err(broken)?;
    let order =
        store::order::get(tx, id).await?.ok_or_else(|| Problem::not_found("ORDER_NOT_FOUND", "the order is gone"))?;
    Ok(Placed { order, payment: payment.parse().ok() })
}

/// What becomes of an order that is asked for.
pub(super) enum Outcome {
    Placed(Box<Placed>),
    /// The fraud screen denies it; the transaction is to be given up.
    Denied(Option<Box<Screening>>),
}

/// Places an order in the transaction of whoever calls. `gift` pays it instead of the customer; what it bought then ends by
/// itself unless its customer goes on. A gift was paid or given away before, so nobody screens who redeems it.
///
/// # Errors
/// As [`Billing::place_order`].
pub(super) async fn place_in(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    place: Place,
    quote: Stored,
    now: DateTime<Utc>,
    gift: Option<Gift<'_>>,
) -> Result<Outcome, Problem> {
    let profile = profile(tx, brand).await?;
    let settings = billing.config.dunning(&profile);
    let mut buyer = place.buyer.clone();
    if buyer.country.is_empty() {
        buyer.country.clone_from(&quote.country);
    }
    let customer = Customer {
        account: place.account,
        buyer,
        source: Source::Order,
        standing: None,
        referral_code: place.referral_code.clone(),
        first_settled_at: None,
        consolidated: None,
    };
    store::customer::put(tx, brand, &customer).await?;
    refuse_merged(tx, place.account, "account_id").await?;
    // A country is known of every customer; what is nearer decides on the renewals, too.
    let nearer = quote.quote.tax.as_ref().map(|taxed| &taxed.place);
    if let Some(nearer) = nearer.filter(|place| !place.region.is_empty() || !place.postal_code.is_empty()) {
        store::address::note(tx, brand, place.account, &Address::of(nearer), now).await?;
    }
    let mut unit = Unit::new(brand, profile, now);
    unit.lock_customers(tx, &[place.account]).await?;
    vat::check_order(unit.customer(place.account).and_then(|known| known.standing.as_ref()), now)?;
    let taxed = unit.tax(place.account, &quote.offer).tax;
    if quote.quote.tax.as_ref().is_some_and(|quoted| quoted.tax != taxed) {
        let message = "the tax at the customer's address is another than the quote's; ask for a new one";
        return Err(Problem::refused("QUOTE_TAX_CHANGED", message).on_field("quote_id"));
    }
    let referral_code = unit.customer(place.account).map(|known| known.referral_code.clone()).unwrap_or_default();

    let redeemed =
        quote.quote.coupon.clone().map(|coupon| Redeemed { redemption: Uuid::now_v7(), coupon, periods_used: 0 });
    if let Some(redeemed) = &redeemed {
        coupon::check_customer(tx, &redeemed.coupon, place.account).await?;
    }

    let order_id = OrderId::new(now);
    let mut subscription = new_subscription(&place, &quote, order_id, redeemed, now);
    let is_trial = quote.quote.is_trial;
    let reused = if is_trial {
        let device = place.visit.as_ref().map_or("", |visit| visit.device.as_str());
        let person = Person { account: Some(place.account), email: &place.buyer.email, device };
        billing.take_trial(tx, brand, place.account, person, subscription.id, now).await?
    } else {
        None
    };
    let customer = unit.customer(place.account);
    let seen = match gift {
        None => billing.screened(tx, brand, (&place, &quote, order_id), customer, reused, now).await?,
        Some(_) => None,
    };
    let verdict = seen.as_ref().map(|seen| seen.verdict).unwrap_or_default();
    if verdict == Verdict::Deny {
        return Ok(Outcome::Denied(seen.map(Box::new)));
    }
    let is_reviewed = verdict == Verdict::Review;
    let mut order = Order {
        id: order_id,
        account: place.account,
        quote: quote.id,
        subscription: subscription.id,
        invoice: None,
        state: match (is_reviewed, is_trial) {
            (true, _) => order::State::UnderReview,
            (false, true) => order::State::Paid,
            (false, false) => order::State::AwaitingPayment,
        },
        plan_name: quote.offer.plan_name.clone(),
        total: quote.quote.due_now,
        email: place.buyer.email.clone(),
        referral_code,
        trace_id: current_trace_id().unwrap_or_default(),
        placed_at: now,
        paid_at: (is_trial && !is_reviewed).then_some(now),
    };
    let mut draft = if is_trial || is_reviewed {
        None
    } else {
        let buyer = unit.customer(place.account).map(|known| known.buyer.clone()).unwrap_or(place.buyer);
        Some(draft_of(&unit.profile, buyer, &quote, &subscription, now).map_err(broken)?)
    };
    order.invoice = draft.as_ref().map(|draft| draft.id);
    store::subscription::insert(tx, brand, &subscription).await?;
    store::order::insert(tx, brand, &order).await?;
    if let Some(seen) = &seen {
        billing.keep_screening(tx, brand, seen).await?;
    }
    unit.tell(publish::order_placed(brand, &order));

    if let Some(invoice) = &mut draft {
        unit.lock_orders(tx, &[order_id]).await?;
        let purse = match gift {
            Some(gift) => gift.purse(tx, &mut unit, invoice).await?,
            None => purse_of(tx, invoice).await?,
        };
        issue_now(tx, &mut unit, invoice, &purse).await?;
        if !unit.settle_if_paid(invoice, Some(&mut subscription), None).map_err(broken)? {
            let with_order = |url: &str| url.replace("{order}", &order_id.to_string());
            let amount = invoice.remaining().map_err(broken)?;
            billing.check_minimum(tx, brand, amount, Instead::WalletOnly).await?;
            let route = Route::of(amount, &invoice.snapshot.buyer.country);
            billing.check_chosen(tx, brand, route, place.chosen).await?;
            unit.attempts.push(AttemptRequest {
                invoice: invoice.id,
                account: place.account,
                subscription: Some(subscription.id),
                amount,
                kind: AttemptKind::Hosted {
                    return_url: with_order(&place.return_url),
                    cancel_url: with_order(&place.cancel_url),
                    save_method: place.save_method,
                    chosen: place.chosen,
                },
                shares: Vec::new(),
            });
        }
        unit.keep_new(invoice.clone());
        if gift.is_some() {
            let before = subscription.clone();
            subscription.cancel_at = subscription.cancel_at.or(subscription.paid_through);
            unit.touch(&before, &mut subscription, "gift_redeemed").map_err(broken)?;
        }
    } else if !is_reviewed {
        start_trial(&mut unit, &mut subscription, quote.quote.trial_days).map_err(broken)?;
    }
    unit.keep(subscription.clone());
    // After the number, as everybody locks.
    if let Some(redeemed) = &subscription.discounts.coupon {
        coupon::take(tx, brand, redeemed, &subscription, now).await?;
    }
    stock::take(tx, brand, &quote.quote.limits, subscription.id, now).await?;
    let payment = unit.flush(tx).await?.pop();
    schedule::replan(tx, brand, subscription, &settings, now).await?;
    // A zero total was settled on the spot, which moved the order.
    let order = store::order::get(tx, order_id).await?.unwrap_or(order);
    Ok(Outcome::Placed(Box::new(Placed { order, payment })))
}

pub(super) fn new_subscription(
    place: &Place,
    quote: &Stored,
    order: OrderId,
    coupon: Option<Redeemed>,
    now: DateTime<Utc>,
) -> Subscription {
    Subscription {
        id: SubscriptionId::new(now),
        account: place.account,
        order,
        state: State::Pending,
        since: now,
        offer: quote.offer.clone(),
        next_offer: None,
        discounts: Discounts::with(coupon),
        is_trial: quote.quote.is_trial,
        is_setup_due: quote.quote.is_trial && quote.offer.has_setup(),
        anchor: None,
        periods_paid: 0,
        calendar: Calendar::default(),
        period: None,
        paid_through: None,
        cancel_at: None,
        created_at: now,
        ended_at: None,
        method: None,
        version: 0,
        entitlement_version: 0,
    }
}

/// A trial is a period before the first paid one, which is counted from the trial's end.
pub(super) fn start_trial(unit: &mut Unit, subscription: &mut Subscription, days: u32) -> Result<(), UnitError> {
    let before = subscription.clone();
    let end = trial_end(unit.now, days);
    subscription.apply(Command::StartTrial, unit.now)?;
    subscription.period = Some(Period::try_new(unit.now, end)?);
    subscription.paid_through = Some(end);
    subscription.anchor = Some(BillingAnchor::at(end, unit.profile.zone));
    unit.touch(&before, subscription, "trial_started")
}

pub(super) fn draft_of(
    profile: &Profile,
    buyer: Buyer,
    quote: &Stored,
    subscription: &Subscription,
    now: DateTime<Utc>,
) -> Result<Invoice, MoneyError> {
    let mut invoice = draft(profile, buyer, subscription, Purpose::First, now);
    if let Some(redeemed) = &subscription.discounts.coupon {
        invoice.snapshot.applied = Applied::to_period(redeemed, &quote.offer, true)?;
    }
    if let Some(taxed) = &quote.quote.tax {
        invoice.snapshot.tax_as(taxed.clone());
    }
    invoice.lines.clone_from(&quote.quote.lines);
    invoice.period = invoice.lines.first().and_then(|line| line.period);
    invoice.totals = quote.quote.totals;
    invoice.due_at = Some(now);
    Ok(invoice)
}

/// An empty draft for a subscription, with seller and buyer as they are now.
pub(super) fn draft(
    profile: &Profile,
    buyer: Buyer,
    subscription: &Subscription,
    purpose: Purpose,
    now: DateTime<Utc>,
) -> Invoice {
    let nothing = Money::zero(subscription.offer.price.currency);
    Invoice {
        id: InvoiceId::new(now),
        account: subscription.account,
        subscription: Some(subscription.id),
        order: (subscription.state == State::Pending).then_some(subscription.order),
        purpose,
        state: invoice::State::Draft,
        number: None,
        proforma: None,
        lines: Vec::new(),
        totals: crate::domain::line::Totals { subtotal: nothing, tax: nothing, total: nothing },
        snapshot: Snapshot {
            seller: profile.entity.clone(),
            buyer,
            brand_name: profile.name.clone(),
            tax_name: profile.tax_name.clone(),
            offer: Some(subscription.offer.clone()),
            applied: Applied::default(),
            tax: None,
        },
        period: None,
        issued_at: None,
        due_at: None,
        closed_at: None,
        reminders_done: 0,
        charges_made: 0,
        carried_at: None,
        paid: nothing,
        from_wallet: nothing,
        refunded: nothing,
        part: None,
        parts: Vec::new(),
    }
}

/// What its customer has for an invoice. The caller holds the customer's lock.
pub(super) async fn purse_of(tx: &mut PgTransaction<'_>, invoice: &Invoice) -> Result<Purse, Problem> {
    let currency = invoice.totals.total.currency;
    let mut purses = store::wallet::purses(tx, &[invoice.account]).await?;
    Ok(purses.remove(&(invoice.account, currency)).unwrap_or(Purse::empty(currency)))
}

/// Issues a draft now, and pays it from what is in `purse` as far as that goes.
pub(super) async fn issue_now(
    tx: &mut PgTransaction<'_>,
    unit: &mut Unit,
    invoice: &mut Invoice,
    purse: &Purse,
) -> Result<(), Problem> {
    let available = purse.available(unit.now).map_err(broken)?;
    finalise(tx, &unit.profile, invoice, available, unit.now).await?;
    unit.issue(invoice).map_err(broken)?;
    unit.pay_from_wallet(invoice, purse).map_err(broken)?;
    Ok(())
}

/// Gives a draft its number; one that only asks first, as the brand chose, that of a pro forma. `available`: what the wallet
/// will pay of it. The counter stays locked until the commit, so a rollback burns none.
async fn finalise(
    tx: &mut PgTransaction<'_>,
    profile: &Profile,
    invoice: &mut Invoice,
    available: Money,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let entity = &profile.entity;
    let year = number_year(now, entity.zone);
    if profile.rules.asks_first(invoice.totals.total, available) {
        ask_first(invoice, now).map_err(broken)?;
        let number = store::number::take(tx, entity.id, &proforma_series(&entity.series), year, 1).await?.pop();
        invoice.proforma = Some(Proforma { number, at: now });
        return Ok(());
    }
    let number = store::number::take(tx, entity.id, &entity.series, year, 1).await?.pop();
    number_draft(invoice, number, now).map_err(broken)
}

/// The series of a seller's pro forma invoices.
pub(super) fn proforma_series(series: &str) -> String {
    format!("{series}-PF")
}

/// Makes a draft ask for its money; the number of the pro forma is given when it is written.
pub(super) fn ask_first(invoice: &mut Invoice, now: DateTime<Utc>) -> Result<(), invoice::Refused> {
    if let invoice::Outcome::Moved(state) =
        invoice.state.on(invoice::Command::Finalise, invoice.paid, invoice.totals.total)?
    {
        invoice.state = state;
        invoice.proforma = Some(Proforma { number: None, at: now });
    }
    Ok(())
}

/// Makes a draft an open invoice with this number.
pub(super) fn number_draft(
    invoice: &mut Invoice,
    number: Option<invoice::Number>,
    now: DateTime<Utc>,
) -> Result<(), invoice::Refused> {
    if let invoice::Outcome::Moved(state) =
        invoice.state.on(invoice::Command::Finalise, invoice.paid, invoice.totals.total)?
    {
        invoice.state = state;
        invoice.number = number;
        invoice.issued_at = Some(now);
    }
    Ok(())
}
