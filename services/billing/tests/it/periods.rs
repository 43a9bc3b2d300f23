//! When subscriptions renew, and what changes of plan, day, zone and owner cost, through the use cases and the scheduler.

use billing::app::calendar::AnchorAsk;
use billing::app::change::{ChangeTo, Changed, Offered, Urls};
use billing::app::price_change::{Ask, Outcome};
use billing::domain::coupon::{Coupon, Lasting};
use billing::domain::invoice::{self, Buyer};
use billing::domain::offer::Offer;
use billing::domain::proration::{Effect, Warning};
use billing::domain::subscription::{State, Subscription};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use ottery_kernel::{AnchorDay, AnchorRule, ChangePolicy, ChangeTiming, Currency, LateRenewal, Money, PriceId, Term};
use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1 as proto;
use ottery_testkit::actor;
use ottery_testkit::recorder::{outbox, payload};

use crate::calls::{Served, served};
use crate::coupons::percent;
use crate::world::{World, eur, offer, placing, week, world};

pub fn by_calendar(minor: i64, day: u32) -> Offer {
    Offer { anchor: AnchorRule::Day(AnchorDay::try_new(day).unwrap()), ..offer(minor, Term::MONTH) }
}

pub fn day(day: u32) -> AnchorAsk {
    AnchorAsk { day: Some(AnchorDay::try_new(day).unwrap()), zone: None }
}

/// A local time in Berlin, where the brand is.
pub fn berlin(text: &str) -> DateTime<Utc> {
    let local = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
    ottery_kernel::period::instant_of(Tz::Europe__Berlin, local).unwrap()
}

/// A customer who bought and paid that offer at that time.
async fn subscriber(world: &World, offer: Offer, at: DateTime<Utc>) -> Subscription {
    subscriber_with(world, offer, at, None).await
}

/// As above, with a coupon.
pub async fn subscriber_with(world: &World, offer: Offer, at: DateTime<Utc>, coupon: Option<&Coupon>) -> Subscription {
    world.host.clock.set(at);
    let account = world.account();
    let quote = world.quote_with(Some(account), offer, false, coupon).await;
    let placed = world.billing.place_order(world.brand, placing(quote, account), None).await.unwrap();
    world.pay(&world.invoice_of(&placed).await).await;
    world.subscription(placed.order.subscription).await
}

/// The next renewal, paid in time.
pub async fn renew(world: &World, subscription: &Subscription) -> invoice::Invoice {
    let end = world.subscription(subscription.id).await.paid_through.unwrap();
    world.advance_to((end - TimeDelta::hours(72)).max(world.now())).await;
    let invoice = world.open_invoice(subscription.id).await.expect("the renewal is issued");
    world.pay(&invoice).await;
    world.advance_to(end).await;
    world.invoice(invoice.id).await
}

#[tokio::test]
async fn a_plan_by_calendar_is_billed_in_part_first_and_on_its_day_ever_after() {
    let world = world().await;
    let bought = subscriber(&world, by_calendar(3100, 1), berlin("2027-01-17 00:00")).await;
    let february = berlin("2027-02-01 00:00");
    assert_eq!((bought.state, bought.paid_through), (State::Active, Some(february)));
    let invoices = world.billing.invoices(world.brand, None, Some(bought.id), page()).await.unwrap().0;
    assert_eq!((invoices[0].totals.total, invoices[0].period.unwrap().end()), (eur(1500), february));
    let renewal = renew(&world, &bought).await;
    assert_eq!((renewal.totals.total, renewal.period.unwrap().start()), (eur(3100), february));
    assert_eq!(renewal.period.unwrap().end(), berlin("2027-03-01 00:00"));
    assert_eq!(world.subscription(bought.id).await.period, renewal.period);
    world.assert_sound().await;
}

pub fn page() -> billing::store::Page {
    billing::store::Page { before: None, limit: 50 }
}

#[tokio::test]
async fn a_part_that_is_paid_too_late_is_still_as_long_as_it_was_paid_for() {
    let world = world().await;
    world.host.clock.set(berlin("2027-01-31 12:00"));
    let placed = world.order(world.account(), by_calendar(3100, 1)).await;
    let invoice = world.invoice_of(&placed).await;
    assert_eq!(invoice.totals.total, eur(50));
    world.advance_to(berlin("2027-02-01 06:00")).await;
    world.pay(&invoice).await;
    let paid = world.subscription(placed.order.subscription).await;
    assert_eq!(paid.paid_through, Some(world.now() + TimeDelta::hours(12)), "not a month for half a day's price");
    world.work_off().await;
    let renewal = world.open_invoice(paid.id).await.unwrap();
    // Back to the first of the month: 27 days and 6 hours of the 28 of February.
    assert_eq!((renewal.period.unwrap().end(), renewal.totals.total), (berlin("2027-03-01 00:00"), eur(3017)));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_016_a_new_day_costs_one_prorated_bridge_that_is_shown_before() {
    let world = world().await;
    let bought = subscriber(&world, offer(2800, Term::MONTH), berlin("2027-01-10 09:00")).await;
    let owner = Some(bought.account);
    let me = actor::customer(world.brand, bought.account);
    let shown = world.billing.quote_anchor(world.brand, bought.id, owner, day(1)).await.unwrap();
    assert_eq!(world.subscription(bought.id).await, bought, "a preview changes nothing");
    let (moved, confirmed) = world.billing.move_anchor(world.brand, bought.id, owner, day(1), &me).await.unwrap();
    assert_eq!((confirmed, moved.period), (shown, bought.period));
    assert!(shown.stretch.is_bridge());
    assert_eq!(shown.stretch.period.end(), berlin("2027-03-01 00:00"));
    // 18 days and 15 hours of the 28 days of February.
    assert_eq!(shown.amount, eur(1863));

    let bridge = renew(&world, &bought).await;
    assert_eq!((bridge.totals.total, bridge.period), (shown.amount, Some(shown.stretch.period)));
    let after = renew(&world, &bought).await;
    assert_eq!((after.totals.total, after.period), (eur(2800), Some(shown.then)));
    assert_eq!(after.period.unwrap().end(), berlin("2027-04-01 00:00"));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_day_can_be_moved_back_and_not_while_a_renewal_is_open_or_for_weeks() {
    let world = world().await;
    let bought = subscriber(&world, offer(2800, Term::MONTH), berlin("2027-01-10 09:00")).await;
    let me = actor::customer(world.brand, bought.account);
    let ask = async |ask| world.billing.move_anchor(world.brand, bought.id, Some(bought.account), ask, &me).await;
    ask(day(1)).await.unwrap();
    let (back, shown) = ask(day(10)).await.unwrap();
    assert_eq!((back.calendar.moved, shown.amount, shown.stretch.is_bridge()), (None, eur(2800), false));
    world.advance_to(bought.paid_through.unwrap() - TimeDelta::hours(72)).await;
    let refused = ask(day(1)).await.unwrap_err();
    assert_eq!(refused.reason, "INVOICE_OPEN");

    let weekly = subscriber(&world, offer(300, week()), world.now()).await;
    let refused = world.billing.quote_anchor(world.brand, weekly.id, None, day(1)).await.unwrap_err();
    assert_eq!((refused.reason.as_ref(), refused.message.contains("only months and years")), ("ANCHOR_TERM", true));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_007_a_new_zone_leaves_the_current_period_alone_and_rules_the_next() {
    let world = world().await;
    let bought = subscriber(&world, offer(1000, Term::MONTH), berlin("2027-01-31 09:00")).await;
    let me = actor::customer(world.brand, bought.account);
    let tokyo = AnchorAsk { day: None, zone: Some(Tz::Asia__Tokyo) };
    let (moved, shown) =
        world.billing.move_anchor(world.brand, bought.id, Some(bought.account), tokyo, &me).await.unwrap();
    assert_eq!((moved.period, moved.paid_through), (bought.period, bought.paid_through));
    assert_eq!(shown.amount, eur(1000));
    let renewal = renew(&world, &bought).await;
    let period = renewal.period.unwrap();
    assert_eq!(period.start(), berlin("2027-02-28 09:00"));
    let local = |at: DateTime<Utc>| at.with_timezone(&Tz::Asia__Tokyo).format("%Y-%m-%d %H:%M").to_string();
    assert_eq!(local(period.end()), "2027-03-31 09:00");
    let next = renew(&world, &bought).await;
    assert_eq!(
        (next.period.unwrap().start(), local(next.period.unwrap().end()).as_str()),
        (period.end(), "2027-04-30 09:00")
    );
    world.assert_sound().await;
}

#[tokio::test]
async fn a_pause_stops_time_billing_and_service_and_the_rest_is_there_afterwards() {
    let world = world().await;
    let plan = Offer { pause_days_max: 30, ..offer(1000, Term::MONTH) };
    let bought = subscriber(&world, plan, berlin("2027-01-10 09:00")).await;
    let (owner, me) = (Some(bought.account), actor::customer(world.brand, bought.account));
    // The renewal is open already: nobody will use that period now.
    world.advance_to(bought.paid_through.unwrap() - TimeDelta::hours(48)).await;
    let renewal = world.open_invoice(bought.id).await.unwrap();
    let refused = world.billing.pause(world.brand, bought.id, owner, 31, &me).await.unwrap_err();
    assert_eq!(refused.reason, "PAUSE_DAYS");
    let paused = world.billing.pause(world.brand, bought.id, owner, 10, &me).await.unwrap();
    assert_eq!((paused.state, paused.entitlement_version), (State::Paused, bought.entitlement_version + 1));
    assert_eq!(world.invoice(renewal.id).await.state, invoice::State::Void);
    let until = world.now() + TimeDelta::days(10);
    world.advance_to(until - TimeDelta::seconds(1)).await;
    assert_eq!(world.subscription(bought.id).await.state, State::Paused);
    assert_eq!(world.open_invoice(bought.id).await, None, "nothing is billed meanwhile");

    world.advance_to(until).await;
    let back = world.subscription(bought.id).await;
    assert_eq!((back.state, back.paid_through), (State::Active, Some(until + TimeDelta::hours(48))));
    assert_eq!(back.calendar.pause, None);
    let renewal = renew(&world, &bought).await;
    assert_eq!((renewal.totals.total, renewal.period.unwrap().start()), (eur(1000), until + TimeDelta::hours(48)));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_plan_by_calendar_comes_back_to_its_day_after_a_pause() {
    let world = world().await;
    let bought = subscriber(&world, by_calendar(3100, 1), berlin("2027-01-01 00:00")).await;
    let staff = actor::owner(world.brand);
    world.advance_to(berlin("2027-01-11 00:00")).await;
    world.billing.pause(world.brand, bought.id, None, 0, &staff).await.unwrap();
    world.advance_to(berlin("2027-01-16 00:00")).await;
    let back = world.billing.unpause(world.brand, bought.id, None, &staff).await.unwrap();
    assert_eq!(back.paid_through, Some(berlin("2027-02-06 00:00")));
    let bridge = renew(&world, &bought).await;
    // 23 of the 28 days of February.
    assert_eq!((bridge.totals.total, bridge.period.unwrap().end()), (eur(2546), berlin("2027-03-01 00:00")));
    assert_eq!(renew(&world, &bought).await.totals.total, eur(3100));
    world.assert_sound().await;
}

#[tokio::test]
async fn customers_pause_only_where_the_plan_says_so_and_only_what_runs() {
    let world = world().await;
    let bought = subscriber(&world, offer(1000, Term::MONTH), berlin("2027-01-10 09:00")).await;
    let (owner, me) = (Some(bought.account), actor::customer(world.brand, bought.account));
    let refused = world.billing.pause(world.brand, bought.id, owner, 5, &me).await.unwrap_err();
    assert_eq!(refused.reason, "PAUSE_NOT_OFFERED");
    let staff = actor::owner(world.brand);
    world.billing.pause(world.brand, bought.id, None, 0, &staff).await.unwrap();
    let again = world.billing.pause(world.brand, bought.id, None, 0, &staff).await.unwrap_err();
    assert_eq!(again.reason, "ALREADY_PAUSED");
    // Staff's suspension out of a pause ends the pause when it is lifted.
    world.billing.suspend(world.brand, bought.id, "abuse", &staff).await.unwrap();
    world.advance(TimeDelta::days(60)).await;
    let lifted = world.billing.unsuspend(world.brand, bought.id, &staff).await.unwrap();
    assert_eq!((lifted.state, lifted.calendar.pause), (State::Active, None));
    assert_eq!(lifted.paid_through.unwrap() - world.now(), bought.period.unwrap().duration());
    world.assert_sound().await;
}

#[tokio::test]
async fn a_transfer_moves_the_subscription_and_leaves_the_money_where_it_was() {
    let world = world().await;
    let bought = subscriber(&world, offer(1000, Term::MONTH), berlin("2027-01-10 09:00")).await;
    let (heir, staff) = (world.account(), actor::owner(world.brand));
    let buyer = Buyer {
        name: "Grace".into(),
        email: "grace@example.com".into(),
        country: "FR".into(),
        locale: "fr".into(),
        address: None,
    };
    let give = |to| world.billing.transfer(world.brand, bought.id, to, buyer.clone(), &staff);
    assert_eq!(give(bought.account).await.unwrap_err().reason, "SAME_ACCOUNT");
    let given = give(heir).await.unwrap();
    assert_eq!((given.account, given.period, given.method), (heir, bought.period, None));
    assert_eq!(given.entitlement_version, bought.entitlement_version + 1, "the service belongs to somebody else now");
    let renewal = renew(&world, &bought).await;
    assert_eq!((renewal.account, renewal.snapshot.buyer.email.as_str()), (heir, "grace@example.com"));
    let first = world.billing.invoices(world.brand, Some(bought.account), None, page()).await.unwrap().0;
    assert_eq!(first.len(), 1, "the first invoice stays with who paid it");
    world.advance_to(renewal.period.unwrap().end() - TimeDelta::hours(24)).await;
    let refused = give(bought.account).await.unwrap_err();
    assert_eq!(refused.reason, "INVOICE_OPEN");
    world.assert_sound().await;
}

/// Another price, with that coupon.
pub fn to_price(price: PriceId, coupon: &str) -> ChangeTo {
    ChangeTo {
        price: Some(price),
        options: Vec::new(),
        add: Vec::new(),
        drop: Vec::new(),
        coupon: coupon.into(),
        urls: Urls::default(),
    }
}

/// Somebody who bought `first`, and the prices to go to.
pub struct Changer {
    pub served: Served,
    pub id: ottery_kernel::SubscriptionId,
    account: ottery_kernel::AccountId,
}

impl Changer {
    pub async fn with(first: Offer) -> Self {
        Self::with_coupon(first, None).await
    }

    /// With half off for that long.
    pub async fn with_coupon(first: Offer, lasting: Option<Lasting>) -> Self {
        let served = served().await;
        let coupon = lasting.map(|lasting| percent(&served.world, 5000, lasting));
        let bought = subscriber_with(&served.world, first, berlin("2027-01-10 09:00"), coupon.as_ref()).await;
        Self { id: bought.id, account: bought.account, served }
    }

    pub fn world(&self) -> &World {
        &self.served.world
    }

    pub async fn preview(&self, price: PriceId) -> Result<Offered, Problem> {
        let world = self.world();
        world.billing.quote_change(world.brand, self.id, Some(self.account), &to_price(price, "")).await
    }

    pub async fn confirm(&self, price: PriceId) -> Result<Changed, Problem> {
        let world = self.world();
        world.billing.change_plan(world.brand, self.id, Some(self.account), to_price(price, ""), None).await
    }

    pub async fn wallet(&self) -> i64 {
        let mut tx = self.world().tx().await;
        let wallets = billing::store::ledger::wallets(&mut tx, &[self.account]).await.unwrap();
        wallets.get(&(self.account, Currency::EUR)).map_or(0, |wallet| wallet.minor)
    }

    /// Confirms what was shown and pays what is due; the charge must be what the preview said.
    pub async fn change(&self, price: PriceId) -> (Offered, i64) {
        let world = self.world();
        let shown = self.preview(price).await.unwrap();
        let before = self.wallet().await;
        let changed = self.confirm(price).await.unwrap();
        let mut paid = 0;
        if let Some(id) = changed.invoice {
            let invoice = world.invoice(id).await;
            assert_eq!(invoice.totals.total, shown.change.due_now, "the charge is what was shown");
            assert_eq!(invoice.lines, shown.lines);
            if invoice.state == invoice::State::Open {
                paid = invoice.remaining().unwrap().minor;
                world.pay(&invoice).await;
            }
            assert_eq!(
                before - self.wallet().await,
                invoice.totals.total.minor - paid,
                "the rest came from the wallet"
            );
        } else {
            assert!(shown.change.due_now.is_zero());
            assert_eq!(self.wallet().await - before, shown.change.credit.minor, "the credit is what was shown");
        }
        (shown, paid)
    }
}

pub fn policy(upgrade: ChangeTiming, downgrade: ChangeTiming, term: ChangeTiming, offer: Offer) -> Offer {
    Offer { changes: ChangePolicy { upgrade, downgrade, term }, ..offer }
}

const ALL_NOW: [ChangeTiming; 3] = [ChangeTiming::ProrateNow; 3];

pub fn prorated(minor: i64) -> Offer {
    let [upgrade, downgrade, term] = ALL_NOW;
    policy(upgrade, downgrade, term, offer(minor, Term::MONTH))
}

#[tokio::test]
async fn case_107_up_and_down_many_times_a_day_never_gives_back_more_than_was_paid() {
    let changer = Changer::with(prorated(1000)).await;
    let (small, large) = (changer.served.sell_offer(prorated(1000)), changer.served.sell_offer(prorated(2500)));
    let mut paid = 1000;
    for _ in 0..5 {
        changer.world().advance(TimeDelta::minutes(37)).await;
        let (up, money) = changer.change(large).await;
        assert_eq!(up.change.effect, Effect::Now);
        paid += money;
        changer.world().advance(TimeDelta::minutes(37)).await;
        let (down, _) = changer.change(small).await;
        assert!(down.change.credit.is_positive());
        let wallet = changer.wallet().await;
        // What is back in the wallet and what the small plan costs are covered by what really came.
        assert!(wallet + 1000 <= paid + 5, "{wallet} of {paid}");
        assert!(wallet < paid, "{wallet} of {paid}");
    }
    // Only the first upgrade cost fresh money: the others were paid with what the downgrades gave back.
    assert!(paid < 1000 + 1600, "{paid}");
    changer.world().assert_sound().await;
}

#[tokio::test]
async fn a_credit_is_never_more_than_what_its_customer_paid() {
    let changer = Changer::with(prorated(1)).await;
    let world = changer.world();
    let (small, large) = (changer.served.sell_offer(prorated(1000)), changer.served.sell_offer(prorated(2500)));
    let (_, money) = changer.change(large).await;
    assert_eq!(money, 2499);
    changer.change(small).await;
    assert_eq!(changer.wallet().await, 1500);
    let heir = world.account();
    let buyer = Buyer {
        name: "Grace".into(),
        email: "g@example.com".into(),
        country: "FR".into(),
        locale: "fr".into(),
        address: None,
    };
    world.billing.transfer(world.brand, changer.id, heir, buyer, &actor::owner(world.brand)).await.unwrap();
    let free = changer.served.sell_offer(Offer { price: eur(1), ..prorated(1) });
    let shown = world.billing.quote_change(world.brand, changer.id, Some(heir), &to_price(free, "")).await.unwrap();
    assert!(shown.change.credit.is_zero(), "the heir has paid nothing");
    world.assert_sound().await;
}

#[tokio::test]
async fn full_price_and_reset_starts_a_new_period_and_says_what_is_lost() {
    use ChangeTiming::{AtRenewal, FullPriceReset};
    let changer = Changer::with(policy(FullPriceReset, AtRenewal, FullPriceReset, offer(3100, Term::MONTH))).await;
    let world = changer.world();
    let large = changer.served.sell_offer(offer(5000, Term::MONTH));
    world.advance_to(berlin("2027-01-26 00:00")).await;
    let (shown, paid) = changer.change(large).await;
    assert_eq!((shown.change.effect, paid), (Effect::NowRestarting, 5000));
    assert!(matches!(shown.change.warnings[..], [Warning::UnusedLost(Money { minor: 1538, .. })]), "{shown:?}");
    let changed = world.subscription(changer.id).await;
    assert_eq!(
        (changed.period.unwrap().start(), changed.paid_through),
        (world.now(), Some(berlin("2027-02-26 00:00")))
    );
    world.assert_sound().await;
}

#[tokio::test]
async fn a_new_term_by_calendar_begins_with_its_part_and_the_unused_rest_counts() {
    let changer = Changer::with(prorated(3100)).await;
    let world = changer.world();
    let yearly = Offer { anchor: AnchorRule::Day(AnchorDay::try_new(1).unwrap()), ..offer(36_500, Term::YEAR) };
    let yearly = changer.served.sell_offer(yearly);
    world.advance_to(berlin("2027-01-11 00:00")).await;
    // The part of a year up to 1 February is worth less than the unused rest of the month: it waits.
    let (shown, _) = changer.change(yearly).await;
    assert_eq!((shown.change.effect, shown.change.due_now.minor), (Effect::AtRenewal, 0));
    let renewal = renew(world, &world.subscription(changer.id).await).await;
    // 10 February 9:00 to 1 March: 18 days and 15 hours of the 365 up to then.
    assert_eq!((renewal.totals.total, renewal.period.unwrap().end()), (eur(1863), berlin("2027-03-01 00:00")));
    let year = renew(world, &world.subscription(changer.id).await).await;
    assert_eq!((year.totals.total, year.period.unwrap().end()), (eur(36_500), berlin("2028-03-01 00:00")));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_108_fewer_streams_are_warned_of_and_begin_with_the_renewal() {
    let changer = Changer::with(Offer { connections: 3, ..prorated(2000) }).await;
    let world = changer.world();
    let single = changer.served.sell_offer(Offer { connections: 1, ..prorated(900) });
    let mut me = changer.served.customer(changer.account);
    let ask = proto::QuoteChangeRequest {
        subscription_id: changer.id.to_string(),
        price_id: single.to_string(),
        coupon: String::new(),
        ..proto::QuoteChangeRequest::default()
    };
    let told = me.quote_change(ask).await.unwrap().into_inner();
    assert_eq!(told.effect(), proto::quote_change_reply::Effect::AtRenewal);
    assert!(told.warnings[0].contains("from 3 to 1"), "{:?}", told.warnings);
    changer.change(single).await;
    assert_eq!(world.subscription(changer.id).await.offer.connections, 3);
    let renewal = renew(world, &world.subscription(changer.id).await).await;
    assert_eq!((renewal.totals.total, world.subscription(changer.id).await.offer.connections), (eur(900), 1));
    world.assert_sound().await;
}

/// At the plan with 10.00 a month, three days before its end: the renewal is billed and nobody has paid it.
async fn with_open_renewal() -> (Changer, invoice::Invoice) {
    let changer = Changer::with(prorated(1000)).await;
    let world = changer.world();
    let end = world.subscription(changer.id).await.paid_through.unwrap();
    world.advance_to(end - TimeDelta::hours(72)).await;
    let renewal = world.open_invoice(changer.id).await.unwrap();
    (changer, renewal)
}

#[tokio::test]
async fn case_109_an_upgrade_with_an_unpaid_renewal_open_prices_the_renewal_anew() {
    let (changer, renewal) = with_open_renewal().await;
    let world = changer.world();
    let large = changer.served.sell_offer(prorated(2500));
    let shown = changer.preview(large).await.unwrap();
    assert_eq!(shown.change.warnings, [Warning::Repriced { invoice: renewal.number_text() }]);
    assert!(shown.change.warnings[0].to_string().contains("billed at the new price"));
    assert_eq!(world.invoice(renewal.id).await, renewal, "a preview withdraws nothing");

    let changed = changer.confirm(large).await.unwrap();
    assert_eq!(world.invoice(renewal.id).await.state, invoice::State::Void, "the number stays, the claim is gone");
    world.work_off().await;
    let upgrade = world.open_invoice(changer.id).await.unwrap();
    assert_eq!(changed.invoice, Some(upgrade.id), "the renewal waits for what becomes of the change");
    world.pay(&upgrade).await;
    world.work_off().await;
    let anew = world.open_invoice(changer.id).await.unwrap();
    assert_eq!((anew.totals.total, anew.period), (eur(2500), renewal.period), "the same time at the new price");
    world.pay(&anew).await;
    let renewed = world.subscription(changer.id).await;
    assert_eq!((renewed.offer.price, renewed.paid_through), (eur(2500), Some(renewal.period.unwrap().end())));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_109_a_change_nobody_pays_leaves_the_renewal_at_the_old_price_and_in_time() {
    let (changer, renewal) = with_open_renewal().await;
    let world = changer.world();
    let large = changer.served.sell_offer(prorated(2500));
    let changed = changer.confirm(large).await.unwrap();
    let end = renewal.period.unwrap().start();
    world.advance_to(end).await;
    assert_eq!(world.invoice(changed.invoice.unwrap()).await.state, invoice::State::Void);
    let anew = world.open_invoice(changer.id).await.unwrap();
    assert_eq!((anew.totals.total, anew.period), (eur(1000), renewal.period));
    let grace = world.subscription(changer.id).await.state.grace_until();
    assert_eq!(grace, Some(end + TimeDelta::days(3)), "the change took nothing of the grace");
    world.assert_sound().await;
}

#[tokio::test]
async fn case_109_a_change_that_waits_for_the_renewal_is_in_the_renewal_that_was_open() {
    let (changer, renewal) = with_open_renewal().await;
    let world = changer.world();
    let single = changer.served.sell_offer(Offer { connections: 1, ..prorated(700) });
    changer.change(single).await;
    world.work_off().await;
    let anew = world.open_invoice(changer.id).await.unwrap();
    assert_eq!((anew.totals.total, anew.period), (eur(700), renewal.period));
    assert_eq!(world.invoice(renewal.id).await.state, invoice::State::Void);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_109_a_renewal_that_is_paid_in_part_or_due_has_to_be_paid_first() {
    let (changer, renewal) = with_open_renewal().await;
    let world = changer.world();
    let large = changer.served.sell_offer(prorated(2500));
    world.advance_to(renewal.period.unwrap().start() + TimeDelta::hours(1)).await;
    assert!(matches!(world.subscription(changer.id).await.state, State::PastDue { .. }));
    for refused in [changer.preview(large).await.unwrap_err(), changer.confirm(large).await.unwrap_err()] {
        assert_eq!(refused.reason, "INVOICE_OPEN");
        let number = renewal.number_text();
        assert_eq!(refused.message, format!("invoice {number} is open; pay it before changing the plan"));
    }
    let renewal = world.invoice(renewal.id).await;
    world.pay(&renewal).await;
    let (shown, paid) = changer.change(large).await;
    assert_eq!((shown.change.effect, paid > 1400), (Effect::Now, true), "the paid period is upgraded");
    world.assert_sound().await;
}

#[tokio::test]
async fn case_026_another_currency_waits_for_the_renewal_and_for_an_empty_wallet() {
    let changer = Changer::with(prorated(2000)).await;
    let world = changer.world();
    let dollars = changer.served.sell_offer(Offer { price: Money::new(2200, Currency::USD), ..prorated(1) });
    let small = changer.served.sell_offer(prorated(500));
    // Money in the wallet.
    changer.change(small).await;
    let wallet = changer.wallet().await;
    let refused = changer.confirm(dollars).await.unwrap_err();
    assert_eq!(refused.reason, "CURRENCY_IN_USE");
    assert!(refused.message.contains("in the wallet"), "{}", refused.message);
    // Used up by going back; then an invoice that is open.
    let large = changer.served.sell_offer(prorated(2000));
    changer.change(large).await;
    assert_eq!((wallet > 0, changer.wallet().await), (true, 0));
    let open = world.order(changer.account, offer(700, Term::MONTH)).await;
    let refused = changer.confirm(dollars).await.unwrap_err();
    let number = world.invoice_of(&open).await.number_text();
    assert!(refused.message.contains(&format!("pay invoice {number} first")), "{}", refused.message);
    world.pay(&world.invoice_of(&open).await).await;

    let (shown, paid) = changer.change(dollars).await;
    assert_eq!((shown.change.effect, paid), (Effect::AtRenewal, 0));
    assert_eq!(world.subscription(changer.id).await.offer.price, eur(2000));
    let renewal = renew(world, &world.subscription(changer.id).await).await;
    assert_eq!(renewal.totals.total, Money::new(2200, Currency::USD));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_013_renewing_early_extends_from_the_end_of_what_is_paid_however_early() {
    let world = world().await;
    let bought = subscriber(&world, offer(1000, Term::MONTH), berlin("2027-01-31 09:00")).await;
    let owner = Some(bought.account);
    world.advance(TimeDelta::days(2)).await;
    for (end, n) in [("2027-03-31 09:00", 1), ("2027-04-30 09:00", 2)] {
        world.billing.renew(world.brand, bought.id, owner).await.unwrap();
        let invoice = world.open_invoice(bought.id).await.expect("it is billed at once");
        world.billing.renew(world.brand, bought.id, owner).await.unwrap();
        assert_eq!(world.open_invoice(bought.id).await, Some(invoice.clone()), "asking twice bills once");
        world.pay(&invoice).await;
        let paid = world.subscription(bought.id).await;
        assert_eq!((paid.period, paid.paid_through), (bought.period, Some(berlin(end))));
        assert_eq!(paid.paid_left(world.now()).len(), n + 1);
    }
    world.advance_to(berlin("2027-04-15 09:00")).await;
    assert_eq!(world.subscription(bought.id).await.period.unwrap().start(), berlin("2027-03-31 09:00"));
    assert_eq!(world.open_invoice(bought.id).await, None, "nothing is billed that is paid");
    let me = actor::customer(world.brand, bought.account);
    world.billing.cancel(world.brand, bought.id, owner, "", &me).await.unwrap();
    assert_eq!(world.billing.renew(world.brand, bought.id, owner).await.unwrap_err().reason, "CANCEL_SCHEDULED");
    world.assert_sound().await;
}

#[tokio::test]
async fn case_014_the_plan_says_whether_a_late_renewal_begins_at_the_old_end_or_with_the_payment() {
    for (late_renewal, starts, ends) in [
        (LateRenewal::FromOldEnd, "2027-02-10 09:00", "2027-03-10 09:00"),
        (LateRenewal::FromPayment, "2027-02-20 09:00", "2027-03-20 09:00"),
    ] {
        let world = world().await;
        let plan = Offer { late_renewal, ..offer(1000, Term::MONTH) };
        let bought = subscriber(&world, plan, berlin("2027-01-10 09:00")).await;
        let end = bought.paid_through.unwrap();
        world.advance_to(end - TimeDelta::hours(72)).await;
        let renewal = world.open_invoice(bought.id).await.unwrap();
        world.advance_to(end).await;
        world.advance_to(end + TimeDelta::days(3)).await;
        assert!(matches!(world.subscription(bought.id).await.state, State::Suspended { .. }));
        world.advance_to(berlin("2027-02-20 09:00")).await;
        world.pay(&world.invoice(renewal.id).await).await;
        let back = world.subscription(bought.id).await;
        assert_eq!(back.state, State::Active);
        assert_eq!((back.period.unwrap().start(), back.paid_through), (berlin(starts), Some(berlin(ends))));
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn case_014_within_the_grace_the_dates_stay_whatever_the_plan_says_because_it_was_served() {
    let world = world().await;
    let plan = Offer { late_renewal: LateRenewal::FromPayment, ..offer(1000, Term::MONTH) };
    let bought = subscriber(&world, plan, berlin("2027-01-10 09:00")).await;
    let end = bought.paid_through.unwrap();
    world.advance_to(end - TimeDelta::hours(72)).await;
    world.advance_to(end + TimeDelta::days(2)).await;
    world.pay(&world.open_invoice(bought.id).await.unwrap()).await;
    assert_eq!(world.subscription(bought.id).await.paid_through, Some(berlin("2027-03-10 09:00")));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_110_a_dearer_price_is_announced_after_its_notice_and_can_be_left_or_kept() {
    let changer = Changer::with(prorated(1000)).await;
    let (world, brand) = (changer.world(), changer.world().brand);
    let first = world.subscription(changer.id).await;
    let at = berlin("2027-01-10 09:00");
    let (kept, leaving) =
        (subscriber(world, first.offer.clone(), at).await, subscriber(world, first.offer.clone(), at).await);
    let other_term = subscriber(world, Offer { plan_id: first.offer.plan_id, ..offer(9000, Term::YEAR) }, at).await;
    let dearer = Offer { plan_id: first.offer.plan_id, ..prorated(1300) };
    let dearer = changer.served.sell_offer(dearer);
    let staff = actor::owner(brand);
    let ask = |is_dry_run, notice_days| {
        let ask = Ask { keep: vec![kept.id], ..announcing(dearer, notice_days, is_dry_run) };
        world.billing.change_price(brand, ask, &staff)
    };
    assert_eq!(ask(true, 6).await.unwrap_err().reason, "NOTICE_DAYS");
    let shown = ask(true, 45).await.unwrap();
    assert_eq!(world.subscription(changer.id).await, first, "trying changes nothing");
    // The renewal of 10 February comes before the notice is over; that of 10 March does not.
    let march = berlin("2027-03-10 09:00");
    let row = |id| *shown.rows.iter().find(|row| row.subscription == id).unwrap();
    assert_eq!((row(changer.id).old, row(changer.id).new, row(changer.id).at), (eur(1000), eur(1300), Some(march)));
    assert_eq!((row(kept.id).new, row(kept.id).at), (eur(1000), None));
    assert!(shown.rows.iter().all(|row| row.subscription != other_term.id), "another term is another price");
    assert_eq!(ask(false, 45).await.unwrap(), shown, "what was shown is what happens");
    assert!(ask(false, 45).await.unwrap().rows.is_empty(), "nobody is told twice, nor asked again who keeps it");

    let told: Vec<proto::PriceAnnounced> = outbox(&world.database.pool)
        .await
        .iter()
        .filter(|event| event.r#type == "billing.price.announced.v1")
        .map(payload)
        .collect();
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|told| told.email == "ada@example.com" && told.new_price.as_ref().unwrap().minor == 1300));
    assert_eq!(told[0].effective_at.unwrap().seconds, march.timestamp());

    let me = actor::customer(brand, leaving.account);
    assert_eq!(renew(world, &first).await.totals.total, eur(1000), "within the notice");
    for other in [&kept, &leaving] {
        let invoice = world.open_invoice(other.id).await.unwrap();
        world.pay(&invoice).await;
    }
    world.billing.cancel(brand, leaving.id, Some(leaving.account), "too dear", &me).await.unwrap();
    let after = renew(world, &first).await;
    assert_eq!((after.totals.total, after.period.unwrap().start()), (eur(1300), march));
    let now = world.subscription(changer.id).await;
    assert_eq!((now.offer.price_id, now.calendar.price_change), (dearer, None));
    assert_eq!(
        world.open_invoice(kept.id).await.unwrap().totals.total,
        eur(1000),
        "who keeps the price pays the old one"
    );
    let left = world.subscription(leaving.id).await;
    assert!(matches!(left.state, State::Ended { .. }), "who cancelled is never charged the new price: {left:?}");
    world.assert_sound().await;
}

pub fn announcing(to: PriceId, notice_days: u32, is_dry_run: bool) -> Ask {
    Ask { to, notice_days, from: None, only: Vec::new(), keep: Vec::new(), ends_promises: false, is_dry_run }
}

#[tokio::test]
async fn case_110_a_promise_to_keep_a_price_is_taken_back_with_notice_for_some_or_for_a_version() {
    let changer = Changer::with(prorated(1000)).await;
    let (world, brand) = (changer.world(), changer.world().brand);
    let first = world.subscription(changer.id).await;
    let at = berlin("2027-01-10 09:00");
    let older = Offer { plan_id: first.offer.plan_id, ..prorated(900) };
    let (same, older) = (subscriber(world, first.offer.clone(), at).await, subscriber(world, older, at).await);
    let dearer = changer.served.sell_offer(Offer { plan_id: first.offer.plan_id, ..prorated(1300) });
    let staff = actor::owner(brand);
    let change = async |ask| world.billing.change_price(brand, ask, &staff).await.unwrap();
    let all = vec![changer.id, same.id, older.id];
    let kept = change(Ask { keep: all, ..announcing(dearer, 30, false) }).await;
    assert!(kept.rows.len() == 3 && kept.rows.iter().all(|row| row.at.is_none() && !row.was_promised));
    assert!(change(announcing(dearer, 30, true)).await.rows.is_empty(), "a promise is a promise");

    let ending = || Ask { ends_promises: true, ..announcing(dearer, 30, true) };
    let of = |outcome: &Outcome| outcome.rows.iter().map(|row| row.subscription).collect::<Vec<_>>();
    assert_eq!(of(&change(ending()).await).len(), 3);
    let version = Ask { from: Some(older.offer.plan_version_id), ..ending() };
    assert_eq!(of(&change(version).await), [older.id]);
    let one = Ask { only: vec![changer.id], is_dry_run: false, ..ending() };
    let told = change(one).await;
    assert_eq!((of(&told), told.rows[0].was_promised, told.rows[0].new), (vec![changer.id], true, eur(1300)));
    assert!(told.rows[0].at.unwrap() >= world.now() + TimeDelta::days(30), "never before the notice is over");
    let (mine, theirs) = (world.subscription(changer.id).await, world.subscription(same.id).await);
    assert_eq!((mine.calendar.keeps_price, theirs.calendar.keeps_price), (false, true));
    assert_eq!((mine.offer.price, theirs.calendar.price_change), (eur(1000), None));
    assert_eq!(of(&change(ending()).await).len(), 2, "who has heard of it is left alone");
    world.assert_sound().await;
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

impl Changer {
    /// Pays what waits, as a customer would.
    async fn pay_open(&self) {
        if let Some(invoice) = self.world().open_invoice(self.id).await {
            self.world().pay(&invoice).await;
        }
    }

    /// One thing that happens; what is shown before must be what is charged.
    async fn live(&self, dice: &mut Dice, prices: &[PriceId]) {
        let (world, brand) = (self.world(), self.world().brand);
        let staff = actor::owner(brand);
        let hours = TimeDelta::hours(i64::try_from(dice.below(400)).unwrap());
        match dice.below(8) {
            0 | 1 => world.advance(hours).await,
            2 | 3 => {
                let price = prices[usize::try_from(dice.below(prices.len() as u64)).unwrap()];
                match self.preview(price).await {
                    Ok(_) => {
                        self.change(price).await;
                    }
                    Err(refused) => {
                        assert_eq!(
                            self.confirm(price).await.unwrap_err().reason,
                            refused.reason,
                            "refused as was shown"
                        );
                    }
                }
            }
            4 => self.pay_open().await,
            5 => {
                if world.billing.renew(brand, self.id, Some(self.account)).await.is_ok() {
                    self.pay_open().await;
                }
            }
            6 => {
                if world.billing.pause(brand, self.id, None, 0, &staff).await.is_ok() {
                    world.advance(hours).await;
                    world.billing.unpause(brand, self.id, None, &staff).await.unwrap();
                }
            }
            _ => {
                let ask = day(u32::try_from(dice.below(31)).unwrap() + 1);
                let shown = world.billing.quote_anchor(brand, self.id, None, ask).await;
                let moved = world.billing.move_anchor(brand, self.id, None, ask, &staff).await;
                match (shown, moved) {
                    (Ok(shown), Ok((_, confirmed))) => assert_eq!(shown, confirmed),
                    (Err(shown), Err(refused)) => assert_eq!(shown.reason, refused.reason),
                    (shown, moved) => panic!("shown {shown:?}, then {moved:?}"),
                }
            }
        }
        self.pay_open().await;
        let subscription = world.subscription(self.id).await;
        let mut end = subscription.period.unwrap().start();
        for stretch in &subscription.calendar.paid {
            assert_eq!(stretch.period.start(), end, "a gap or an overlap: {subscription:?}");
            end = stretch.period.end();
        }
        assert_eq!(subscription.paid_through, Some(end));
    }
}

#[tokio::test]
async fn in_random_lives_what_is_shown_is_charged_and_paid_periods_follow_each_other() {
    for seed in 1..=4 {
        let changer = Changer::with(prorated(1000)).await;
        let prices = [
            prorated(500),
            prorated(1000),
            prorated(2500),
            policy(
                ChangeTiming::FullPriceReset,
                ChangeTiming::FullPriceReset,
                ChangeTiming::AtRenewal,
                offer(1500, Term::MONTH),
            ),
            Offer { term: Term::YEAR, ..prorated(9000) },
            Offer { term: week(), ..prorated(300) },
            Offer { changes: ChangePolicy::default(), ..by_calendar(1200, 1) },
        ]
        .map(|offer| changer.served.sell_offer(offer));
        let mut dice = Dice(seed);
        for _ in 0..40 {
            changer.live(&mut dice, &prices).await;
        }
        changer.world().assert_sound().await;
    }
}
