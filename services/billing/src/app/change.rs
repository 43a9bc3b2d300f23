//! Changing the plan: what it costs, and doing it.

use ottery_kernel::{AccountId, BrandId, InvoiceId, Money, PaymentId, Period, PriceId, SubscriptionId};
use ottery_kit::grpc::Problem;

use super::order::{Idempotency, draft, finalise, key_problem};
use super::schedule::Case;
use super::subscription::open;
use super::unit::Unit;
use super::{Billing, broken, credit, settlement};
use crate::domain::invoice::{self, Invoice, Purpose};
use crate::domain::line::{Line, Totals};
use crate::domain::offer::Offer;
use crate::domain::proration::{self, Change, Effect};
use crate::domain::subscription::{State, Subscription};
use crate::store;
use crate::store::payment::{AttemptKind, AttemptRequest};
use ottery_kit::idempotency::{self, Begin};
use sqlx::postgres::PgTransaction;

/// A change as it is offered.
#[derive(Clone, Debug)]
pub struct Offered {
    /// What it costs.
    pub change: Change,
    /// The lines its invoice would have; none when nothing is due.
    pub lines: Vec<Line>,
}

/// A change that was asked for.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The subscription, changed already when nothing was due.
    pub subscription: Subscription,
    /// The invoice that has to be paid first.
    pub invoice: Option<InvoiceId>,
    /// Its payment attempt.
    pub payment: Option<PaymentId>,
}

/// Where the customer is sent to pay and back.
#[derive(Clone, Debug)]
pub struct Urls {
    /// After paying.
    pub return_url: String,
    /// After giving up.
    pub cancel_url: String,
}

/// What the invoice of a change says.
struct Bill {
    offer: Offer,
    lines: Vec<Line>,
    first: Option<Period>,
}

impl Billing {
    /// What changing to a price would cost now.
    ///
    /// # Errors
    /// When the subscription cannot be changed now or the price is not sold.
    pub async fn quote_change(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        owner: Option<AccountId>,
        price: PriceId,
    ) -> Result<Offered, Problem> {
        let offer = self.offer_on_sale(brand, price).await?;
        let (mut tx, now) = self.begin(brand).await?;
        // The transaction is rolled back: a quote changes nothing.
        let (unit, case) = open(&mut tx, brand, id, owner, now).await?;
        offer_of(&mut tx, &case, &unit, &offer).await
    }

    /// Changes the plan: at once when nothing is due, when its invoice is paid, or with the next renewal.
    ///
    /// # Errors
    /// When the subscription cannot be changed now or the price is not sold.
    pub async fn change_plan(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        owner: Option<AccountId>,
        price: PriceId,
        urls: Urls,
        idempotency: Option<Idempotency>,
    ) -> Result<Changed, Problem> {
        let offer = self.offer_on_sale(brand, price).await?;
        let (mut tx, now) = self.begin(brand).await?;
        if let Some(call) = &idempotency
            && let Begin::Replay(bytes) =
                idempotency::begin(&mut tx, &call.scope, &call.key, &call.hash).await.map_err(key_problem)?
        {
            let (_, case) = open(&mut tx, brand, id, owner, now).await?;
            let text = String::from_utf8_lossy(&bytes);
            let (invoice, payment) = text.split_once(' ').unwrap_or((&text, ""));
            return Ok(Changed {
                subscription: case.subscription,
                invoice: invoice.parse().ok(),
                payment: payment.parse().ok(),
            });
        }
        let (mut unit, mut case) = open(&mut tx, brand, id, owner, now).await?;
        let Offered { change, lines } = offer_of(&mut tx, &case, &unit, &offer).await?;
        // An older offer to change that nobody paid makes room.
        for invoice in case.open.iter_mut().filter(|invoice| invoice.purpose == Purpose::Upgrade) {
            unit.withdraw(invoice).map_err(broken)?;
        }
        let before = case.subscription.clone();
        let mut billed = None;
        credit::to_wallet(&mut tx, &mut unit, &before, change.credit, "Change of plan").await?;
        match change.effect {
            Effect::AtRenewal => {
                case.subscription.next_offer = (offer.price_id != before.offer.price_id).then_some(offer);
                unit.touch(&before, &mut case.subscription, "change_scheduled").map_err(broken)?;
            }
            Effect::Now if lines.is_empty() => {
                case.subscription.take_offer(offer);
                unit.touch(&before, &mut case.subscription, "changed").map_err(broken)?;
            }
            Effect::Now | Effect::NowRestarting => {
                let first = change.first.map(|first| first.period);
                let invoice = self.bill(&mut tx, &mut unit, &mut case, Bill { offer, lines, first }, &urls).await?;
                billed = Some(invoice);
            }
        }
        let invoice = billed.as_ref().map(|invoice| invoice.id);
        for open in case.open {
            unit.keep_invoice(open);
        }
        unit.keep_new_all(billed);
        let subscription = case.subscription;
        let payment = settlement::finish(&mut tx, self, unit, Some(subscription.clone())).await?.pop();
        if let Some(call) = &idempotency {
            let text = |id: Option<String>| id.unwrap_or_default();
            let answer =
                format!("{} {}", text(invoice.map(|id| id.to_string())), text(payment.map(|id| id.to_string())));
            idempotency::finish(&mut tx, &call.scope, &call.key, answer.as_bytes()).await?;
        }
        tx.commit().await?;
        Ok(Changed { subscription, invoice, payment })
    }

    async fn bill(
        &self,
        tx: &mut PgTransaction<'_>,
        unit: &mut Unit,
        case: &mut Case,
        bill: Bill,
        urls: &Urls,
    ) -> Result<Invoice, Problem> {
        let subscription = &case.subscription;
        let buyer = unit
            .customer(subscription.account)
            .map(|customer| customer.buyer.clone())
            .ok_or_else(|| Problem::internal(&std::io::Error::other("a subscription without customer")))?;
        let mut invoice = draft(&unit.profile, buyer, subscription, Purpose::Upgrade, unit.now);
        invoice.totals = Totals::of(bill.offer.price.currency, &bill.lines).map_err(broken)?;
        invoice.lines = bill.lines;
        invoice.snapshot.offer = bill.offer;
        // Only a change that restarts pays for a period of its own.
        invoice.period = bill.first;
        invoice.due_at = Some(unit.now);
        finalise(tx, &unit.profile, &mut invoice, unit.now).await?;
        unit.issue(&invoice).map_err(broken)?;
        let wallets = store::ledger::wallets(tx, &[invoice.account]).await?;
        let currency = invoice.totals.total.currency;
        let available = wallets.get(&(invoice.account, currency)).copied().unwrap_or(Money::zero(currency));
        unit.pay_from_wallet(&mut invoice, available).map_err(broken)?;
        if !unit.settle_if_paid(&mut invoice, Some(&mut case.subscription), None).map_err(broken)? {
            unit.attempts.push(AttemptRequest {
                invoice: invoice.id,
                account: invoice.account,
                subscription: invoice.subscription,
                amount: invoice.remaining().map_err(broken)?,
                kind: AttemptKind::Hosted {
                    return_url: urls.return_url.clone(),
                    cancel_url: urls.cancel_url.clone(),
                    save_method: false,
                },
            });
        }
        Ok(invoice)
    }
}

/// The offer, with a credit that never exceeds what was really paid.
async fn offer_of(tx: &mut PgTransaction<'_>, case: &Case, unit: &Unit, offer: &Offer) -> Result<Offered, Problem> {
    let subscription = &case.subscription;
    if offer.price.currency != subscription.offer.price.currency {
        currency_is_free(tx, subscription).await?;
    }
    let mut offered = offered(case, unit, offer)?;
    if offered.change.credit.is_positive() {
        let creditable = credit::creditable(tx, subscription, offered.change.credit.currency).await?;
        offered.change.credit.minor = offered.change.credit.minor.min(creditable.minor);
    }
    Ok(offered)
}

/// Another currency begins with nothing left in the old one: no open invoice, no money in the wallet.
async fn currency_is_free(tx: &mut PgTransaction<'_>, subscription: &Subscription) -> Result<(), Problem> {
    let currency = subscription.offer.price.currency;
    let refused = |what: String| {
        let message = format!("the currency can change only when nothing is left in {currency}: {what}");
        Problem::refused("CURRENCY_IN_USE", message).on_field("price_id")
    };
    if let Some(open) = store::invoice::any_open(tx, subscription.account, currency).await? {
        return Err(refused(format!("pay invoice {} first", open.number_text())).with("invoice_id", open.id));
    }
    let wallets = store::ledger::wallets(tx, &[subscription.account]).await?;
    match wallets.get(&(subscription.account, currency)).filter(|wallet| !wallet.is_zero()) {
        Some(wallet) => Err(refused(format!("{wallet} is in the wallet; use it up or have it paid out"))),
        None => Ok(()),
    }
}

fn offered(case: &Case, unit: &Unit, offer: &Offer) -> Result<Offered, Problem> {
    let subscription = &case.subscription;
    let old = &subscription.offer;
    if offer.price_id == old.price_id && subscription.next_offer.is_none() {
        return Err(Problem::refused("SAME_PRICE", "the subscription has this price already").on_field("price_id"));
    }
    match subscription.state {
        // A trial costs nothing, so changing within it does not either.
        State::Trialing => {
            let change = Change::free(old.price.currency);
            return no_open_period(case).map(|()| Offered { change, lines: Vec::new() });
        }
        State::Active => no_open_period(case)?,
        State::PastDue { .. } => no_open_period(case)?,
        State::Pending | State::Suspended { .. } | State::Paused | State::Ended { .. } => {
            return Err(Problem::refused(
                "SUBSCRIPTION_STATE",
                format!("a subscription that is {} cannot change its plan", subscription.state),
            ));
        }
    }
    if subscription.cancel_at.is_some() {
        return Err(Problem::refused("CANCEL_SCHEDULED", "the subscription is about to end; resume it first"));
    }
    let paid = subscription.paid_left(unit.now);
    let zone = subscription.anchor.map_or(unit.profile.zone, |anchor| anchor.zone);
    let change = proration::change(old, offer, &paid, zone, unit.now).map_err(broken)?;
    let mut lines = Vec::new();
    if change.due_now.is_positive() {
        let rate = unit.profile.tax_rate_bp;
        lines.push(
            Line::gross(format!("{}, {}", offer.plan_name, offer.term), change.new_charge, rate, None)
                .map_err(broken)?,
        );
        if change.unused_credit.is_positive() {
            let credit = change.unused_credit.checked_neg().map_err(broken)?;
            lines.push(Line::gross(format!("Unused time of {}", old.plan_name), credit, rate, None).map_err(broken)?);
        }
    }
    Ok(Offered { change, lines })
}

/// A renewal that waits for its money is priced already: it has to be paid (or lapse) first.
pub(super) fn no_open_period(case: &Case) -> Result<(), Problem> {
    let open =
        case.open.iter().find(|invoice| invoice.purpose != Purpose::Upgrade && invoice.state == invoice::State::Open);
    match open {
        None => Ok(()),
        Some(invoice) => Err(Problem::refused(
            "INVOICE_OPEN",
            format!("invoice {} is open; pay it before changing the plan", invoice.number_text()),
        )
        .with("invoice_id", invoice.id)),
    }
}
