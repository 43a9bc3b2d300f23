//! Changing the plan: what it costs, and doing it.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, InvoiceId, Money, PaymentId, Period, PlanId, PriceId, SubscriptionId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::order::{Idempotency, draft, issue_now, key_problem, purse_of};
use super::schedule::Case;
use super::stock::{Sale, Sold};
use super::subscription::{not_found, open, pass_ends};
use super::unit::{Unit, UnitError};
use super::{Billing, broken, coupon, credit, settlement, stock, vat};
use crate::domain::addon::Product;
use crate::domain::calendar::Stretch;
use crate::domain::change_lines::Changing;
use crate::domain::coupon::{Applied, Coupon, CouponRefused, Discounted, Occasion, Redeemed};
use crate::domain::dunning::Standing;
use crate::domain::invoice::{self, Invoice, Purpose};
use crate::domain::line::{Line, Totals};
use crate::domain::minimum::Instead;
use crate::domain::offer::Offer;
use crate::domain::option::{OptionRefused, Quantity};
use crate::domain::proration::{self, Change, Effect, Paid, Warning};
use crate::domain::quote::Limit;
use crate::domain::subscription::{State, Subscription};
use crate::domain::tax::{Decision, Tax};
use crate::store;
use crate::store::payment::{AttemptKind, AttemptRequest};
use ottery_kit::idempotency::{self, Begin};

/// A change as it is offered.
#[derive(Clone, Debug)]
pub struct Offered {
    /// What it costs.
    pub change: Change,
    /// The lines its invoice would have; none when nothing is due.
    pub lines: Vec<Line>,
    /// How they are taxed.
    taxed: Decision,
    /// What a coupon does to it.
    pub(super) applied: Applied,
    /// A renewal that waits for its money and makes room, to be billed again at the new price.
    pub(super) repriced: Option<InvoiceId>,
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
    /// What tax does to the price of its next renewal.
    pub tax: Tax,
}

/// What somebody wants to change to.
#[derive(Clone, Debug)]
pub struct ChangeTo {
    /// The price of the other plan or term; none keeps the one there is.
    pub price: Option<PriceId>,
    /// Options that shall differ; the others stay, or come along to another plan as far as it has them.
    pub options: Vec<Quantity>,
    /// Add-ons to add, at once.
    pub add: Vec<PlanId>,
    /// Add-ons to take away, with the renewal.
    pub drop: Vec<PlanId>,
    /// Code of a coupon for upgrades, as it was typed; empty for none.
    pub coupon: String,
    /// Where to pay it.
    pub urls: Urls,
}

/// Where the customer is sent to pay and back.
#[derive(Clone, Debug, Default)]
pub struct Urls {
    /// After paying.
    pub return_url: String,
    /// After giving up.
    pub cancel_url: String,
}

impl Billing {
    /// What changing to a price would cost now.
    ///
    /// # Errors
    /// When the subscription cannot be changed now, the price is not sold, or the coupon cannot be used for it.
    pub async fn quote_change(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        owner: Option<AccountId>,
        to: &ChangeTo,
    ) -> Result<Offered, Problem> {
        let sought = self.asked(brand, id, to).await?;
        let coupon = self.coupon(brand, &to.coupon).await?;
        let (mut tx, now) = self.begin(brand).await?;
        // The transaction is rolled back: a quote changes nothing.
        let (mut unit, mut case) = open(&mut tx, brand, id, owner, now).await?;
        let offer = wanted(&mut tx, &case.subscription, sought, to, now).await?;
        let offered = offer_of(&mut tx, &case, &unit, &offer, coupon.as_ref()).await?;
        make_room(&mut unit, &mut case)?;
        if let Some(coupon) = &coupon {
            unit.give_back(&mut tx).await?;
            coupon::look(&mut tx, coupon, Some(case.subscription.account)).await?;
        }
        Ok(offered)
    }

    /// Changes the plan: at once when nothing is due, when its invoice is paid, or with the next renewal.
    ///
    /// # Errors
    /// When the subscription cannot be changed now, the price is not sold, or the coupon cannot be used for it.
    pub async fn change_plan(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        owner: Option<AccountId>,
        to: ChangeTo,
        idempotency: Option<Idempotency>,
    ) -> Result<Changed, Problem> {
        let sought = self.asked(brand, id, &to).await?;
        let coupon = self.coupon(brand, &to.coupon).await?;
        let (mut tx, now) = self.begin(brand).await?;
        if let Some(call) = &idempotency
            && let Begin::Replay(bytes) =
                idempotency::begin(&mut tx, &call.scope, &call.key, &call.hash).await.map_err(key_problem)?
        {
            let (unit, case) = open(&mut tx, brand, id, owner, now).await?;
            let text = String::from_utf8_lossy(&bytes);
            let (invoice, payment) = text.split_once(' ').unwrap_or((&text, ""));
            return Ok(Changed {
                tax: renewal_tax(&unit, &case.subscription),
                subscription: case.subscription,
                invoice: invoice.parse().ok(),
                payment: payment.parse().ok(),
            });
        }
        let (mut unit, mut case) = open(&mut tx, brand, id, owner, now).await?;
        let offer = wanted(&mut tx, &case.subscription, sought, &to, now).await?;
        let Offered { change, lines, taxed, applied, repriced } =
            offer_of(&mut tx, &case, &unit, &offer, coupon.as_ref()).await?;
        make_room(&mut unit, &mut case)?;
        if let Some(renewal) = repriced.and_then(|id| case.invoice(id)) {
            unit.withdraw(renewal).map_err(broken)?;
        }
        let new_coupon = applied.redeemed.clone().filter(|_| applied.is_new);
        let before = case.subscription.clone();
        let mut billed = None;
        credit::to_wallet(&mut tx, &mut unit, &before, change.credit, "Change of plan").await?;
        match change.effect {
            Effect::AtRenewal => {
                case.subscription.next_offer = (!offer.buys_the_same(&before.offer)).then_some(offer);
                unit.touch(&before, &mut case.subscription, "change_scheduled").map_err(broken)?;
            }
            Effect::Now if lines.is_empty() => {
                // In a trial nothing was charged yet, not even once.
                case.subscription.is_setup_due |= before.state == State::Trialing && offer.has_setup();
                case.subscription.take_offer(offer);
                case.subscription.end_with_pass();
                let running = case.subscription.period.map(Period::start);
                let replaced = case.subscription.discounts.settle(&applied, None, running);
                unit.keep_for_others(replaced);
                unit.touch(&before, &mut case.subscription, "changed").map_err(broken)?;
            }
            Effect::Now | Effect::NowRestarting => {
                let offered = Offered { change, lines, taxed, applied, repriced };
                let invoice = self.bill(&mut tx, &mut unit, &mut case, offer, offered, &to.urls).await?;
                billed = Some(invoice);
            }
        }
        if let Some(redeemed) = new_coupon {
            take(&mut tx, &mut unit, &redeemed, &case.subscription).await?;
        }
        let invoice = billed.as_ref().map(|invoice| invoice.id);
        for open in case.open {
            unit.keep_invoice(open);
        }
        unit.keep_new_all(billed);
        let subscription = case.subscription;
        let tax = renewal_tax(&unit, &subscription);
        let payment = settlement::finish(&mut tx, self, unit, Some(subscription.clone())).await?.pop();
        if let Some(call) = &idempotency {
            let text = |id: Option<String>| id.unwrap_or_default();
            let answer =
                format!("{} {}", text(invoice.map(|id| id.to_string())), text(payment.map(|id| id.to_string())));
            idempotency::finish(&mut tx, &call.scope, &call.key, answer.as_bytes()).await?;
        }
        tx.commit().await?;
        Ok(Changed { subscription, invoice, payment, tax })
    }

    /// What is asked for as the shop sells it now; none when the price stays.
    async fn asked(&self, brand: BrandId, id: SubscriptionId, to: &ChangeTo) -> Result<Sought, Problem> {
        let sold = match to.price {
            Some(price) => Some(self.sold(brand, price).await?),
            None => None,
        };
        if sold.is_none() && to.options.is_empty() && to.add.is_empty() && to.drop.is_empty() {
            return Err(Problem::invalid(
                "price_id",
                "MISSING",
                "price_id: name the price to change to, or the options or add-ons that shall differ",
            ));
        }
        let addons = self.addons_on_sale(brand, &to.add).await?;
        // Add-ons are for plans of certain addresses, which the catalogue knows.
        let slug = match &sold {
            Some(sold) => sold.slug.clone(),
            None if addons.is_empty() => String::new(),
            None => {
                let (mut tx, _) = self.begin(brand).await?;
                let known = store::subscription::get(&mut tx, id).await?.ok_or_else(|| not_found(id))?;
                // No transaction waits for another service.
                tx.rollback().await?;
                self.plan_slug(brand, known.offer.plan_id).await?
            }
        };
        Ok(Sought { sold, addons, slug })
    }

    async fn bill(
        &self,
        tx: &mut PgTransaction<'_>,
        unit: &mut Unit,
        case: &mut Case,
        offer: Offer,
        offered: Offered,
        urls: &Urls,
    ) -> Result<Invoice, Problem> {
        let subscription = &case.subscription;
        let buyer = unit
            .customer(subscription.account)
            .map(|customer| customer.buyer.clone())
            .ok_or_else(|| Problem::internal(&std::io::Error::other("a subscription without customer")))?;
        let mut invoice = draft(&unit.profile, buyer, subscription, Purpose::Upgrade, unit.now);
        invoice.totals = Totals::of(offer.price.currency, &offered.lines).map_err(broken)?;
        invoice.lines = offered.lines;
        invoice.snapshot.offer = Some(offer);
        invoice.snapshot.applied = offered.applied;
        invoice.snapshot.tax_as(offered.taxed);
        // Only a change that restarts pays for a period of its own.
        invoice.period = offered.change.first.map(|first| first.period);
        invoice.due_at = Some(unit.now);
        let mut purse = purse_of(tx, &invoice).await?;
        // What was just credited is not written yet.
        purse.paid = purse.paid.checked_add(offered.change.credit).map_err(broken)?;
        issue_now(tx, unit, &mut invoice, &purse).await?;
        if !unit.settle_if_paid(&mut invoice, Some(&mut case.subscription), None).map_err(broken)? {
            let amount = invoice.remaining().map_err(broken)?;
            self.check_minimum(tx, unit.brand, amount, Instead::WalletOnly).await?;
            unit.attempts.push(AttemptRequest {
                invoice: invoice.id,
                account: invoice.account,
                subscription: invoice.subscription,
                amount,
                kind: AttemptKind::Hosted {
                    return_url: urls.return_url.clone(),
                    cancel_url: urls.cancel_url.clone(),
                    save_method: false,
                    chosen: None,
                },
                shares: Vec::new(),
            });
        }
        Ok(invoice)
    }
}

fn renewal_tax(unit: &Unit, subscription: &Subscription) -> Tax {
    unit.tax(subscription.account, &subscription.renewal_offer()).tax
}

/// What the catalogue says about a change.
struct Sought {
    /// The price to change to; none when it stays.
    sold: Option<Sold>,
    /// Add-ons to add.
    addons: Vec<(Product, Sale)>,
    /// Address of the plan there will be; empty when nobody asks for it.
    slug: String,
}

/// What the subscription shall become: another price with its options, or other quantities of the plan it has.
/// A plan of which none is left cannot be changed to either, though a change takes none: it counts orders.
async fn wanted(
    tx: &mut PgTransaction<'_>,
    subscription: &Subscription,
    sought: Sought,
    to: &ChangeTo,
    now: DateTime<Utc>,
) -> Result<Offer, Problem> {
    let own = &subscription.offer;
    let mut sales: Vec<Sale> = sought.addons.iter().map(|(_, sale)| sale.clone()).collect();
    let offer = match sought.sold {
        Some(sold) if sold.offer.price_id != own.price_id => {
            if sold.offer.plan_id != own.plan_id {
                sales.push(sold.sale);
            }
            sold.offer.keeping(own)
        }
        Some(_) | None => own.clone(),
    };
    for sale in &sales {
        sale.check(now)?;
    }
    let limits: Vec<Limit> = sales.iter().filter_map(Sale::limit).collect();
    stock::look(tx, &limits).await?;
    let mut offer = offer.choose(&to.options)?;
    for plan in &to.drop {
        offer = offer.dropping(*plan)?;
    }
    for (product, _) in sought.addons {
        let addon = product.on(&offer, &sought.slug)?;
        offer = offer.adding(addon)?;
    }
    Ok(offer)
}

/// The offer, with a credit that never exceeds what was really paid.
async fn offer_of(
    tx: &mut PgTransaction<'_>,
    case: &Case,
    unit: &Unit,
    offer: &Offer,
    coupon: Option<&Coupon>,
) -> Result<Offered, Problem> {
    let subscription = &case.subscription;
    if offer.price.currency != subscription.offer.price.currency {
        currency_is_free(tx, subscription, unit.now).await?;
    }
    vat::check_order(unit.customer(subscription.account).and_then(|known| known.standing.as_ref()), unit.now)?;
    let paid_as = credit::tax_paid(tx, subscription).await?;
    let mut offered = offered(case, unit, offer, coupon, paid_as)?;
    let change = &mut offered.change;
    if change.credit.is_positive() {
        let creditable = credit::creditable(tx, subscription, change.credit.currency).await?;
        change.credit.minor = change.credit.minor.min(creditable.minor);
        change.due_now.minor = (change.due_now.minor - change.credit.minor).max(0);
    }
    Ok(offered)
}

/// Another currency begins with nothing left in the old one: no open invoice, no money in the wallet. Staff may convert that.
async fn currency_is_free(
    tx: &mut PgTransaction<'_>,
    subscription: &Subscription,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let currency = subscription.offer.price.currency;
    let refused = |what: String| {
        let message = format!("the currency can change only when nothing is left in {currency}: {what}");
        Problem::refused("CURRENCY_IN_USE", message).on_field("price_id")
    };
    if let Some(open) = store::invoice::any_open(tx, subscription.account, currency).await? {
        return Err(refused(format!("pay invoice {} first", open.number_text())).with("invoice_id", open.id));
    }
    let purses = store::wallet::purses(tx, &[subscription.account]).await?;
    match purses.get(&(subscription.account, currency)).map(|purse| purse.available(now).map_err(broken)) {
        None => Ok(()),
        Some(wallet) if wallet.as_ref().is_ok_and(|wallet| wallet.is_zero()) => Ok(()),
        Some(wallet) => {
            Err(refused(format!("{} is in the wallet; use it up, or have staff pay it out or convert it", wallet?)))
        }
    }
}

/// An older offer to change that nobody paid makes room, and gives its coupon back.
fn make_room(unit: &mut Unit, case: &mut Case) -> Result<(), Problem> {
    for invoice in case.open.iter_mut().filter(|invoice| invoice.purpose == Purpose::Upgrade) {
        unit.withdraw(invoice).map_err(broken)?;
    }
    Ok(())
}

/// Takes a use of the coupon that comes with a change. The number was taken before, as everybody locks.
async fn take(
    tx: &mut PgTransaction<'_>,
    unit: &mut Unit,
    redeemed: &Redeemed,
    subscription: &Subscription,
) -> Result<(), Problem> {
    // What made room may be the very use that is wanted again.
    unit.give_back(tx).await?;
    coupon::check_customer(tx, &redeemed.coupon, subscription.account).await?;
    coupon::take(tx, unit.brand, redeemed, subscription, unit.now).await
}

pub(super) fn offered(
    case: &Case,
    unit: &Unit,
    offer: &Offer,
    coupon: Option<&Coupon>,
    paid_as: Option<Tax>,
) -> Result<Offered, Problem> {
    let subscription = &case.subscription;
    let old = &subscription.offer;
    if offer.buys_the_same(old) && subscription.next_offer.is_none() {
        return Err(Problem::refused("SAME_PRICE", "the subscription has this price already").on_field("price_id"));
    }
    if offer.price_id == old.price_id {
        let more = offer.fewer_in(old).next();
        if let (Some((more, ..)), Some((fewer, ..))) = (more, old.fewer_in(offer).next()) {
            return Err(OptionRefused::Mixed { more: more.to_owned(), fewer: fewer.to_owned() }.into());
        }
        if let Some(coupon) = coupon {
            return Err(CouponRefused::WithoutEffect(coupon.code.clone()).into());
        }
    }
    match subscription.state {
        // A trial costs nothing, so changing within it does not either.
        State::Trialing => {
            if let Some(coupon) = coupon {
                return Err(CouponRefused::WithoutEffect(coupon.code.clone()).into());
            }
            let repriced = repriced(case)?;
            let mut change = Change::free(old.price.currency);
            change.warnings.extend(repriced.map(told));
            return Ok(Offered {
                change,
                lines: Vec::new(),
                taxed: Decision::default(),
                applied: Applied::default(),
                repriced: repriced.map(|invoice| invoice.id),
            });
        }
        State::Active => {}
        State::PastDue { .. } => no_open_period(case)?,
        State::Pending | State::Suspended { .. } | State::Paused | State::Ended { .. } => {
            return Err(Problem::refused(
                "SUBSCRIPTION_STATE",
                format!("a subscription that is {} cannot change its plan", subscription.state),
            ));
        }
    }
    if subscription.cancel_at.is_some() && !old.once {
        return Err(Problem::refused("CANCEL_SCHEDULED", "the subscription is about to end; resume it first"));
    }
    if let Some(coupon) = coupon {
        coupon.check(Occasion::Upgrade, offer, unit.now)?;
    }
    let repriced = repriced(case)?;
    let prices = Prices::of(subscription, offer, coupon, unit.now).map_err(broken)?;
    let zone = subscription.anchor.map_or(unit.profile.zone, |anchor| anchor.zone);
    let mut change = proration::change(old, offer, &prices.paid, prices.off_restart, zone, unit.now).map_err(broken)?;
    if old.once && change.effect == Effect::AtRenewal {
        return Err(pass_ends());
    }
    let list = proration::list_charge((old, offer), &change, &prices.paid, unit.now).map_err(broken)?;
    let discount = list.and(change.how_charge.clone().taken());
    let off = discount.total(offer.price.currency).map_err(broken)?;
    if let (Some(coupon), false) = (coupon, off.is_positive()) {
        return Err(CouponRefused::WithoutEffect(coupon.code.clone()).into());
    }
    let taxed = unit.tax(subscription.account, offer);
    let known = unit.tax(subscription.account, old).tax;
    let mut paid_as = paid_as.unwrap_or_else(|| known.clone());
    // An invoice knows the kinds of products it was issued for; those of add-ons that came otherwise are taxed as now.
    for (category, rate) in known.others {
        paid_as.others.entry(category).or_insert(rate);
    }
    let label = prices.redeemed.as_ref().map(|redeemed| redeemed.coupon.label());
    let changing =
        Changing { old, new: offer, paid: &prices.paid, coupon: label.as_deref(), paid_as: &paid_as, tax: &taxed.tax };
    let lines = changing.bill(&mut change, unit.now).map_err(broken)?;
    change.warnings.extend(repriced.map(told));
    let applied = prices.applied(change.effect);
    Ok(Offered { change, lines, taxed, applied, repriced: repriced.map(|invoice| invoice.id) })
}

/// `off`, as far as the price is higher than the `paid` minor units.
fn up_to(off: Money, offer: &Offer, paid: i64) -> Money {
    Money::new(off.minor.min((offer.price.minor - paid).max(0)), off.currency)
}

/// What coupons do to the old and the new price of a change.
struct Prices {
    paid: Vec<Paid>,
    off_restart: Money,
    /// The new coupon, or the one the subscription has.
    redeemed: Option<Redeemed>,
    is_new: bool,
    /// How many of the paid periods a new coupon is good for.
    fresh: u32,
}

impl Prices {
    /// A new coupon is good for the paid periods from the running one on, and takes nothing off what was paid for them
    /// already: it makes a change free, and never gives money back. Without one, a period keeps the discount it was
    /// paid with, as far as the coupon is for the new plan as well.
    fn of(
        subscription: &Subscription,
        offer: &Offer,
        coupon: Option<&Coupon>,
        now: DateTime<Utc>,
    ) -> Result<Self, UnitError> {
        let (nothing, nothing_old) =
            (Money::zero(offer.price.currency), Money::zero(subscription.offer.price.currency));
        let discounts = &subscription.discounts;
        let new = coupon.map(|coupon| Redeemed { redemption: Uuid::now_v7(), coupon: coupon.clone(), periods_used: 0 });
        let is_new = new.is_some();
        let redeemed = new.or_else(|| discounts.coupon.clone());
        let stretches = subscription.paid_left(now);
        let count = u32::try_from(stretches.len()).unwrap_or(u32::MAX);
        let fresh = redeemed.as_ref().filter(|_| is_new).map_or(0, |redeemed| redeemed.left(count));
        let off_price = match &redeemed {
            Some(redeemed) => redeemed.coupon.off_price(offer)?,
            None => nothing,
        };
        let of_stretch = |(n, stretch): (u32, Stretch)| {
            let off_old = discounts.off(stretch.period.start()).unwrap_or(nothing_old);
            let off_new = match (is_new, off_old.is_positive()) {
                // The plan stays, and what was taken off it.
                _ if offer.price_id == subscription.offer.price_id => off_old,
                (true, _) if n < fresh => up_to(off_price, offer, subscription.offer.price.minor - off_old.minor),
                (false, true) => off_price,
                (true, _) | (false, false) => nothing,
            };
            Paid { stretch, off_old, off_new }
        };
        Ok(Self {
            paid: (0..).zip(stretches).map(of_stretch).collect(),
            off_restart: redeemed.as_ref().map_or(Ok(nothing), |redeemed| redeemed.off_next(offer))?,
            redeemed,
            is_new,
            fresh,
        })
    }

    fn applied(self, effect: Effect) -> Applied {
        let Self { paid, off_restart, redeemed, is_new, fresh } = self;
        match effect {
            Effect::AtRenewal => Applied::default(),
            Effect::Now => {
                let running =
                    paid.iter().map(|paid| Discounted { start: paid.stretch.period.start(), amount: paid.off_new });
                let running: Vec<_> = running.collect();
                let redeemed = redeemed.filter(|_| running.iter().any(|period| period.amount.is_positive()));
                Applied { is_new, counts: fresh, running, redeemed, off_period: None }
            }
            Effect::NowRestarting if off_restart.is_positive() => {
                Applied { is_new, counts: 1, redeemed, off_period: Some(off_restart), running: Vec::new() }
            }
            Effect::NowRestarting => Applied::default(),
        }
    }
}

/// A renewal that is billed and not due yet: it is withdrawn and billed again at the new price (case 109). What is paid in
/// part, or about to be paid, has to be paid first.
fn repriced(case: &Case) -> Result<Option<&Invoice>, Problem> {
    let is_open = |invoice: &&Invoice| invoice.holds_period() && invoice.state == invoice::State::Open;
    let Some(invoice) = case.open.iter().find(is_open) else { return Ok(None) };
    let is_coming = case.standings.get(&invoice.id) == Some(&Standing::InFlight);
    if invoice.paid == invoice.from_wallet && !is_coming {
        return Ok(Some(invoice));
    }
    let number = invoice.number_text();
    let message = if is_coming {
        format!("a payment of invoice {number} is on its way; change the plan when it has come")
    } else {
        format!("invoice {number} is paid in part; pay the rest before changing the plan")
    };
    Err(Problem::refused("INVOICE_OPEN", message).with("invoice_id", invoice.id))
}

fn told(renewal: &Invoice) -> Warning {
    Warning::Repriced { invoice: renewal.number_text() }
}

/// A renewal that waits for its money is priced already: it has to be paid (or lapse) first.
pub(super) fn no_open_period(case: &Case) -> Result<(), Problem> {
    let open = case.open.iter().find(|invoice| invoice.holds_period() && invoice.state == invoice::State::Open);
    match open {
        None => Ok(()),
        Some(invoice) => Err(Problem::refused(
            "INVOICE_OPEN",
            format!("invoice {} is open; pay it before changing the plan", invoice.number_text()),
        )
        .with("invoice_id", invoice.id)),
    }
}
