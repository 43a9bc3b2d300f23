//! Coupons: quoted, redeemed once each, carried through renewals and changes of plan.

use std::sync::Arc;
use std::time::Duration;

use billing::app::Billing;
use billing::domain::coupon::{Benefit, Coupon, Lasting};
use billing::domain::invoice::{self, Invoice};
use billing::domain::offer::Offer;
use billing::domain::subscription::State;
use billing::store;
use chrono::TimeDelta;
use ottery_kernel::{AccountId, BrandId, CouponId, PriceId, SubscriptionId, Term};
use ottery_kit::db::{self, Scope};
use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1 as proto;
use ottery_proto::catalog::v1 as catalog;
use ottery_proto::catalog::v1::coupon::{Duration as Lasts, Kind, Occasion};
use ottery_testkit::actor;
use ottery_testkit::recorder::{outbox, payload};

use crate::calls::{Served, placing as place, quoting, served};
use crate::world::{World, config, eur, offer, placing, world};

pub fn coupon(world: &World, benefit: Benefit, lasting: Lasting) -> Coupon {
    Coupon {
        id: CouponId::new(world.now()),
        code: "SUMMER".into(),
        benefit,
        lasting,
        plans: Vec::new(),
        terms: Vec::new(),
        new_customers_only: false,
        for_orders: true,
        for_upgrades: false,
        starts_at: None,
        ends_at: None,
        uses_max: None,
        uses_per_customer_max: None,
    }
}

pub fn percent(world: &World, bp: u32, lasting: Lasting) -> Coupon {
    coupon(world, Benefit::Percent { bp }, lasting)
}

/// The same as the catalogue tells it.
pub fn told(world: &World, code: &str, percent_bp: u32, duration: Lasts) -> catalog::Coupon {
    catalog::Coupon {
        id: CouponId::new(world.now()).to_string(),
        code: code.into(),
        kind: Kind::Percent.into(),
        percent_bp,
        duration: duration.into(),
        occasion: Occasion::Both.into(),
        ..catalog::Coupon::default()
    }
}

fn with(price: PriceId, coupon: &str) -> proto::CreateQuoteRequest {
    proto::CreateQuoteRequest { coupon: coupon.into(), ..quoting(price) }
}

fn minor(amount: Option<&ottery_proto::common::v1::Money>) -> i64 {
    amount.unwrap().minor
}

async fn uses(world: &World, coupon: CouponId) -> i64 {
    let mut tx = world.tx().await;
    store::redemption::uses(&mut tx, &[coupon]).await.unwrap().pop().map_or(0, |(_, uses)| uses)
}

async fn ordered(world: &World, account: AccountId, sold: Offer, coupon: &Coupon) -> billing::app::order::Placed {
    let quote = world.quote_with(Some(account), sold, false, Some(coupon)).await;
    world.billing.place_order(world.brand, placing(quote, account), None).await.expect("the order is placed")
}

/// The next renewal, issued and not paid yet.
async fn renewal(world: &World, id: SubscriptionId) -> Invoice {
    let end = world.subscription(id).await.paid_through.unwrap();
    world.advance_to(end - TimeDelta::hours(72)).await;
    world.open_invoice(id).await.expect("the renewal is issued")
}

async fn refused(served: &Served, account: AccountId, ask: proto::CreateQuoteRequest) -> String {
    let problem = Problem::from(served.customer(account).create_quote(ask).await.unwrap_err());
    assert_eq!(problem.field.as_deref(), Some("coupon"), "{problem:?}");
    problem.reason.into_owned()
}

#[tokio::test]
async fn case_021_the_discount_comes_before_the_tax_and_asking_again_never_shrinks_the_price() {
    let served = served().await;
    let world = &served.world;
    let price = served.sell(999, Term::MONTH);
    served.promise(told(world, "SUMMER", 3333, Lasts::Once));
    let mut me = served.customer(world.account());
    let mut last = None;
    for _ in 0..3 {
        let quote = me.create_quote(with(price, " summer")).await.unwrap().into_inner();
        assert_eq!((minor(quote.total.as_ref()), minor(quote.tax.as_ref())), (666, 106));
        assert_eq!((minor(quote.discount.as_ref()), quote.coupon.as_str()), (333, "SUMMER"));
        assert_eq!((minor(quote.renewal_total.as_ref()), minor(quote.regular_total.as_ref())), (999, 999));
        assert_eq!(quote.coupon_periods, 1);
        last = Some(quote);
    }
    let quote = last.unwrap();
    // Sent again, the same order answers; nothing is taken off twice.
    let first = me.place_order(place(&quote)).await.unwrap().into_inner().order.unwrap();
    let again = me.place_order(place(&quote)).await.unwrap().into_inner().order.unwrap();
    assert_eq!(first.id, again.id);
    let invoice = world.invoice(first.invoice_id.parse().unwrap()).await;
    let lines: Vec<_> = invoice.lines.iter().map(|line| (line.description.as_str(), line.amount.minor)).collect();
    assert_eq!(lines, [("Family, 1 month", 999), ("Coupon SUMMER (33.33 %)", -333)]);
    assert_eq!(invoice.lines.iter().map(|line| line.tax.minor).sum::<i64>(), 106);
    world.pay(&invoice).await;
    assert_eq!(
        world.books().await,
        [
            "invoice.finalised receivable revenue 5.60",
            "invoice.finalised receivable tax 1.06",
            "payment.settled provider:sandbox receivable 6.66",
            "revenue.deferred revenue deferred 5.60",
        ]
    );
    // The paper lists what the invoice lists.
    let asked = proto::GetInvoiceDocumentRequest { invoice_id: first.invoice_id, credit_note_id: String::new() };
    let paper = me.get_invoice_document(asked).await.unwrap().into_inner().document_json;
    let paper: serde_json::Value = serde_json::from_str(&paper).unwrap();
    assert_eq!(paper["lines"][1]["amount_minor"].as_i64(), Some(-333));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_032_a_fixed_coupon_above_the_price_makes_it_free_once_and_its_rest_is_lost() {
    let world = world().await;
    let large = coupon(&world, Benefit::Fixed { amounts: vec![eur(2000)] }, Lasting::Once);
    let placed = ordered(&world, world.account(), offer(1190, Term::MONTH), &large).await;
    assert_eq!((placed.order.state, placed.order.total), (billing::domain::order::State::Paid, eur(0)));
    assert_eq!(placed.payment, None);
    let invoice = world.invoice_of(&placed).await;
    assert_eq!((invoice.state, invoice.totals.total), (invoice::State::Closed, eur(0)));
    let subscription = world.subscription(placed.order.subscription).await;
    assert_eq!(subscription.state, State::Active);
    assert_eq!(renewal(&world, subscription.id).await.totals.total, eur(1190));
    world.assert_sound().await;
}

/// How many transactions wait for a lock.
async fn waiting(world: &World) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    sqlx::query_scalar(sql).fetch_one(&world.database.admin_pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn case_033_of_buyers_who_race_for_the_last_use_one_gets_it_and_the_others_are_priced_anew() {
    const BUYERS: usize = 8;
    let mut world = world().await;
    let mut settings = world.database.settings.clone();
    settings.pool_size = 12;
    let pool = settings.pool(billing::NAME).await.unwrap();
    world.billing = Billing::new(config(), &world.host.of(billing::NAME), pool).unwrap();
    let world = Arc::new(world);
    let last = Coupon { uses_max: Some(1), ..percent(&world, 5000, Lasting::Once) };
    // Somebody had it and gave it up, so that the counter is there to be held.
    let early = ordered(&world, world.account(), offer(1190, Term::MONTH), &last).await;
    let me = actor::customer(world.brand, early.order.account);
    world.billing.cancel(world.brand, early.order.subscription, None, "", &me).await.unwrap();
    assert_eq!(uses(&world, last.id).await, 0);

    let mut quotes = Vec::new();
    for n in 0..BUYERS {
        let account = world.account();
        // Trials take no number, so they meet nobody before they meet at the coupon.
        let is_trial = n % 2 == 0;
        let quote = world.quote_with(Some(account), offer(1190, Term::MONTH), is_trial, Some(&last)).await;
        quotes.push((quote, account));
    }
    let mut held = world.database.admin_pool.begin().await.unwrap();
    sqlx::query("SELECT uses FROM coupon_counter FOR UPDATE").execute(&mut *held).await.unwrap();
    let racing: Vec<_> = quotes
        .iter()
        .map(|(quote, account)| {
            let (world, mut place) = (Arc::clone(&world), placing(*quote, *account));
            // A mailbox each: a trial is had once.
            place.buyer.email = format!("{account}@example.com");
            tokio::spawn(async move { world.billing.place_order(world.brand, place, None).await })
        })
        .collect();
    while waiting(&world).await < BUYERS as i64 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    held.rollback().await.unwrap();
    let mut outcomes = Vec::new();
    for race in racing {
        outcomes.push(race.await.unwrap());
    }
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!((refused.reason.as_ref(), refused.field.as_deref()), ("COUPON_USED_UP", Some("coupon")));
    }
    assert_eq!(uses(&world, last.id).await, 1);
    // Whoever was late is told before paying, and buys at the full price if they like.
    let (_, late) = quotes[outcomes.iter().position(Result::is_err).unwrap()];
    let placed = world.order(late, offer(1190, Term::MONTH)).await;
    assert_eq!(placed.order.total, eur(1190));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_034_a_coupon_that_ends_after_the_quote_is_honoured_while_the_quote_holds_and_not_after() {
    let served = served().await;
    let world = &served.world;
    let price = served.sell(1000, Term::MONTH);
    let ends_at = billing::contract::timestamp(world.now() + TimeDelta::minutes(5));
    served.promise(catalog::Coupon { ends_at: Some(ends_at), ..told(world, "SUMMER", 2000, Lasts::Once) });
    let account = world.account();
    let mut me = served.customer(account);
    let holds = me.create_quote(with(price, "SUMMER")).await.unwrap().into_inner();
    let lapses = me.create_quote(with(price, "SUMMER")).await.unwrap().into_inner();
    world.host.clock.advance(TimeDelta::minutes(20));
    let order = me.place_order(place(&holds)).await.unwrap().into_inner().order.unwrap();
    assert_eq!(minor(order.total.as_ref()), 800);
    world.host.clock.advance(TimeDelta::minutes(11));
    let expired = Problem::from(me.place_order(place(&lapses)).await.unwrap_err());
    assert_eq!(expired.reason, "QUOTE_EXPIRED");
    assert_eq!(refused(&served, account, with(price, "SUMMER")).await, "COUPON_EXPIRED");
    let anew = me.create_quote(quoting(price)).await.unwrap().into_inner();
    assert_eq!((minor(anew.total.as_ref()), anew.coupon.as_str()), (1000, ""));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_035_a_withdrawn_renewal_uses_up_no_period_of_a_coupon_for_three() {
    let world = world().await;
    let thrice = percent(&world, 2500, Lasting::Periods { count: 3 });
    let account = world.account();
    let placed = ordered(&world, account, offer(1000, Term::MONTH), &thrice).await;
    world.pay(&world.invoice_of(&placed).await).await;
    let id = placed.order.subscription;
    let used = async || world.subscription(id).await.discounts.coupon.unwrap().periods_used;
    assert_eq!(used().await, 1);

    let withdrawn = renewal(&world, id).await;
    assert_eq!(withdrawn.totals.total, eur(750));
    let me = actor::customer(world.brand, account);
    world.billing.cancel(world.brand, id, Some(account), "", &me).await.unwrap();
    assert_eq!(world.invoice(withdrawn.id).await.state, invoice::State::Void);
    assert_eq!(used().await, 1);
    world.billing.resume(world.brand, id, Some(account), &me).await.unwrap();

    for (total, after) in [(750, 2), (750, 3), (1000, 3), (1000, 3)] {
        // The next renewal's price is known before it is issued.
        assert_eq!(world.subscription(id).await.renewal_price(), Ok(eur(total)));
        let invoice = renewal(&world, id).await;
        assert_eq!(invoice.totals.total, eur(total));
        world.pay(&invoice).await;
        assert_eq!(used().await, after);
    }
    assert_eq!(uses(&world, thrice.id).await, 1);
    assert_eq!(world.billing.coupon_uses(world.brand, &[thrice.id]).await.unwrap(), [(thrice.id, 1)]);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_use_comes_back_from_orders_and_trials_nobody_paid_and_from_no_others() {
    let world = world().await;
    let scarce = Coupon { uses_max: Some(1), ..percent(&world, 1000, Lasting::Forever) };
    let lapsed = ordered(&world, world.account(), offer(1190, Term::MONTH), &scarce).await;
    assert_eq!(uses(&world, scarce.id).await, 1);
    world.advance(TimeDelta::hours(72)).await;
    assert!(world.subscription(lapsed.order.subscription).await.state.has_ended());
    assert_eq!(uses(&world, scarce.id).await, 0);

    let account = world.account();
    let quote = world.quote_with(Some(account), offer(1190, Term::MONTH), true, Some(&scarce)).await;
    let trial = world.billing.place_order(world.brand, placing(quote, account), None).await.unwrap();
    assert_eq!(uses(&world, scarce.id).await, 1);
    world.work_off().await;
    let first = world.open_invoice(trial.order.subscription).await.expect("the first invoice of a trial");
    assert_eq!(first.totals.total, eur(1071), "the first payment is the discounted one");
    world.advance(TimeDelta::days(3)).await;
    world.advance(TimeDelta::days(30)).await;
    assert!(world.subscription(trial.order.subscription).await.state.has_ended());
    assert_eq!(uses(&world, scarce.id).await, 0);

    let paid = ordered(&world, world.account(), offer(1190, Term::MONTH), &scarce).await;
    world.pay(&world.invoice_of(&paid).await).await;
    let staff = actor::owner(world.brand);
    world.billing.terminate(world.brand, paid.order.subscription, "", &staff).await.unwrap();
    assert_eq!(uses(&world, scarce.id).await, 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn what_was_redeemed_keeps_what_the_coupon_said_then() {
    let served = served().await;
    let world = &served.world;
    let price = served.sell(1000, Term::MONTH);
    let before = told(world, "SUMMER", 3000, Lasts::Forever);
    served.promise(before.clone());
    let mut me = served.customer(world.account());
    let quote = me.create_quote(with(price, "SUMMER")).await.unwrap().into_inner();
    assert_eq!((minor(quote.renewal_total.as_ref()), quote.coupon_periods), (700, 0));
    let order = me.place_order(place(&quote)).await.unwrap().into_inner().order.unwrap();
    world.pay(&world.invoice(order.invoice_id.parse().unwrap()).await).await;
    served.promise(catalog::Coupon { percent_bp: 100, ..before });
    let id: SubscriptionId = order.subscription_id.parse().unwrap();
    let invoice = renewal(world, id).await;
    assert_eq!(invoice.totals.total, eur(700));
    let asked = proto::GetSubscriptionRequest { subscription_id: order.subscription_id };
    let shown = me.get_subscription(asked).await.unwrap().into_inner();
    assert_eq!((shown.coupon.as_str(), minor(shown.renewal_total.as_ref())), ("SUMMER", 700));
    world.assert_sound().await;
}

#[tokio::test]
async fn why_a_code_is_refused_has_a_code_of_its_own() {
    let served = served().await;
    let world = &served.world;
    let price = served.sell(1000, Term::MONTH);
    let account = world.account();
    let base = |code: &str| told(world, code, 2000, Lasts::Once);
    let at = |minutes| Some(billing::contract::timestamp(world.now() + TimeDelta::minutes(minutes)));
    let plan = ottery_kernel::PlanId::new(world.now()).to_string();
    let dollars = ottery_proto::common::v1::Money { currency: "USD".into(), minor: 100 };
    for coupon in [
        catalog::Coupon { starts_at: at(1), ..base("EARLY") },
        catalog::Coupon { ends_at: at(-1), ..base("LATE") },
        catalog::Coupon { plan_ids: vec![plan], ..base("OTHER-PLAN") },
        catalog::Coupon { terms: vec![billing::contract::term(Term::YEAR)], ..base("YEARLY") },
        catalog::Coupon { kind: Kind::Fixed.into(), percent_bp: 0, amounts: vec![dollars], ..base("DOLLARS") },
        catalog::Coupon { occasion: Occasion::Upgrades.into(), ..base("UPGRADE") },
        catalog::Coupon { kind: Kind::FreeSetup.into(), percent_bp: 0, ..base("SETUP") },
        catalog::Coupon { uses_max: 1, ..base("SCARCE") },
        catalog::Coupon { uses_per_customer_max: 1, ..base("PER-HEAD") },
        catalog::Coupon { new_customers_only: true, ..base("WELCOME") },
    ] {
        served.promise(coupon);
    }
    for (code, reason) in [
        ("NOBODY", "COUPON_UNKNOWN"),
        ("not a code, and far longer than any code that is one", "COUPON_UNKNOWN"),
        ("EARLY", "COUPON_NOT_STARTED"),
        ("LATE", "COUPON_EXPIRED"),
        ("OTHER-PLAN", "COUPON_NOT_FOR_PLAN"),
        ("YEARLY", "COUPON_NOT_FOR_TERM"),
        ("DOLLARS", "COUPON_NOT_FOR_CURRENCY"),
        ("UPGRADE", "COUPON_NOT_FOR_ORDERS"),
        ("SETUP", "COUPON_WITHOUT_EFFECT"),
    ] {
        assert_eq!(refused(&served, account, with(price, code)).await, reason, "{code}");
    }
    let mut me = served.customer(account);
    for (code, reason) in
        [("WELCOME", "COUPON_NEW_CUSTOMERS_ONLY"), ("PER-HEAD", "COUPON_USED_BY_YOU"), ("SCARCE", "COUPON_USED_UP")]
    {
        // Two quotes while it still can be used; the second order finds that it cannot any more.
        let first = me.create_quote(with(price, code)).await.unwrap().into_inner();
        let second = me.create_quote(with(price, code)).await.unwrap().into_inner();
        me.place_order(place(&first)).await.unwrap();
        assert_eq!(Problem::from(me.place_order(place(&second)).await.unwrap_err()).reason, reason, "{code}");
        assert_eq!(refused(&served, account, with(price, code)).await, reason, "{code}");
    }
    // Others may: one head more for the one, nothing left of the other.
    let other = world.account();
    served.customer(other).create_quote(with(price, "PER-HEAD")).await.unwrap();
    served.customer(other).create_quote(with(price, "WELCOME")).await.unwrap();
    assert_eq!(refused(&served, other, with(price, "SCARCE")).await, "COUPON_USED_UP");
    // A visitor may be anybody, and is asked for who they are by the order.
    let mut visitor = served.client(actor::visitor(world.brand));
    let anybody = visitor.create_quote(with(price, "WELCOME")).await.unwrap().into_inner();
    assert_eq!(Problem::from(me.place_order(place(&anybody)).await.unwrap_err()).reason, "COUPON_NEW_CUSTOMERS_ONLY");
    world.assert_sound().await;
}

#[tokio::test]
async fn an_order_that_believes_in_another_coupon_than_its_quote_is_refused() {
    let served = served().await;
    let world = &served.world;
    let price = served.sell(1000, Term::MONTH);
    served.promise(told(world, "SUMMER", 2000, Lasts::Once));
    let mut me = served.customer(world.account());
    let plain = me.create_quote(quoting(price)).await.unwrap().into_inner();
    let believing =
        |quote: &proto::Quote, coupon: &str| proto::PlaceOrderRequest { coupon: coupon.into(), ..place(quote) };
    let problem = Problem::from(me.place_order(believing(&plain, "SUMMER")).await.unwrap_err());
    assert_eq!((problem.reason.as_ref(), problem.field.as_deref()), ("COUPON_NOT_IN_QUOTE", Some("coupon")));
    let quote = me.create_quote(with(price, "SUMMER")).await.unwrap().into_inner();
    assert_eq!(
        Problem::from(me.place_order(believing(&quote, "WINTER")).await.unwrap_err()).reason,
        "COUPON_NOT_IN_QUOTE"
    );
    me.place_order(believing(&quote, "summer")).await.unwrap();
}

#[tokio::test]
async fn a_free_set_up_is_free_once_and_the_price_stays() {
    let world = world().await;
    let sold = Offer { setup_fee: Some(eur(500)), ..offer(1190, Term::MONTH) };
    let free = coupon(&world, Benefit::FreeSetup, Lasting::Once);
    let placed = ordered(&world, world.account(), sold, &free).await;
    let invoice = world.invoice_of(&placed).await;
    assert_eq!(invoice.lines.iter().map(|line| line.amount.minor).collect::<Vec<_>>(), [1190, 500, -500]);
    assert_eq!((invoice.totals.total, invoice.totals.tax), (eur(1190), eur(190)));
    world.pay(&invoice).await;
    let subscription = world.subscription(placed.order.subscription).await;
    assert_eq!(subscription.discounts.coupon.as_ref().map(|own| own.periods_used), Some(1));
    assert_eq!(renewal(&world, subscription.id).await.totals.total, eur(1190));
    world.assert_sound().await;
}

/// A customer with a paid month at 10.00 less `coupon`, half of it over, and a price of 20.00 a month to change to.
async fn half_way(served: &Served, coupon: &str) -> (AccountId, SubscriptionId, PriceId) {
    let world = &served.world;
    let (small, large) = (served.sell(1000, Term::MONTH), served.sell(2000, Term::MONTH));
    let account = world.account();
    let mut me = served.customer(account);
    let quote = me.create_quote(with(small, coupon)).await.unwrap().into_inner();
    let order = me.place_order(place(&quote)).await.unwrap().into_inner().order.unwrap();
    let invoice = world.invoice(order.invoice_id.parse().unwrap()).await;
    if invoice.state == invoice::State::Open {
        world.pay(&invoice).await;
    }
    let id: SubscriptionId = order.subscription_id.parse().unwrap();
    let period = world.subscription(id).await.period.unwrap();
    world.host.clock.set(period.start() + (period.end() - period.start()) / 2);
    (account, id, large)
}

/// Asks what the change costs and does it: the invoice is what was shown, to the minor unit. Returns it.
async fn changed(
    served: &Served,
    account: AccountId,
    id: SubscriptionId,
    price: PriceId,
    coupon: &str,
) -> Option<Invoice> {
    let mut me = served.customer(account);
    let (subscription_id, price_id, coupon) = (id.to_string(), price.to_string(), coupon.to_owned());
    let ask = proto::QuoteChangeRequest {
        subscription_id: subscription_id.clone(),
        price_id: price_id.clone(),
        coupon: coupon.clone(),
        ..proto::QuoteChangeRequest::default()
    };
    let shown = me.quote_change(ask).await.unwrap().into_inner();
    let change = proto::ChangePlanRequest { subscription_id, price_id, coupon, ..proto::ChangePlanRequest::default() };
    let done = me.change_plan(change).await.unwrap().into_inner();
    let due = minor(shown.due_now.as_ref());
    assert_eq!(due, (minor(shown.new_charge.as_ref()) - minor(shown.unused_credit.as_ref())).max(0));
    if done.invoice_id.is_empty() {
        assert_eq!(due, 0);
        return None;
    }
    let invoice = served.world.invoice(done.invoice_id.parse().unwrap()).await;
    let lines: Vec<_> = invoice.lines.iter().map(billing::contract::line).collect();
    assert_eq!((invoice.totals.total.minor, &lines), (due, &shown.lines));
    Some(invoice)
}

#[tokio::test]
async fn an_upgrade_credits_what_was_paid_and_goes_on_with_the_coupon() {
    let served = served().await;
    let world = &served.world;
    served.promise(told(world, "HALF", 5000, Lasts::Forever));
    let (account, id, large) = half_way(&served, "HALF").await;
    // Paid 5.00 for the month: 2.50 of it are unused; half a month of 20.00 less the half is 5.00.
    let invoice = changed(&served, account, id, large, "").await.unwrap();
    let amounts: Vec<_> = invoice.lines.iter().map(|line| line.amount.minor).collect();
    assert_eq!((amounts, invoice.totals.total), (vec![1000, -500, -250], eur(250)));
    world.pay(&invoice).await;
    // And once more on the same day: the credit is what the larger plan cost with its coupon.
    let largest = served.sell(4000, Term::MONTH);
    let again = changed(&served, account, id, largest, "").await.unwrap();
    let amounts: Vec<_> = again.lines.iter().map(|line| line.amount.minor).collect();
    assert_eq!(amounts, [2000, -1000, -500]);
    world.pay(&again).await;
    let used = world.subscription(id).await.discounts.coupon.unwrap().periods_used;
    assert_eq!(used, 1, "one period, however often its plan changed");
    assert_eq!(renewal(world, id).await.totals.total, eur(2000));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_free_month_is_credited_with_nothing() {
    let served = served().await;
    let world = &served.world;
    served.promise(told(world, "GIFT", 10_000, Lasts::Once));
    let (account, id, _) = half_way(&served, "GIFT").await;
    let year = served.sell(10_000, Term::YEAR);
    let invoice = changed(&served, account, id, year, "").await.unwrap();
    assert_eq!(invoice.totals.total, eur(10_000));
    world.pay(&invoice).await;
    assert_eq!(world.subscription(id).await.discounts.periods, []);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_coupon_for_upgrades_is_used_with_the_payment_and_comes_back_when_nobody_pays() {
    let served = served().await;
    let world = &served.world;
    let only = catalog::Coupon {
        uses_max: 1,
        occasion: Occasion::Upgrades.into(),
        ..told(world, "BIGGER", 2000, Lasts::Periods)
    };
    let only = catalog::Coupon { periods: 2, ..only };
    let coupon: CouponId = only.id.parse().unwrap();
    served.promise(only);
    let (account, id, large) = half_way(&served, "").await;
    // Nothing is charged for a cheaper plan, so nothing can be taken off.
    let small = served.sell(500, Term::MONTH);
    let ask = proto::QuoteChangeRequest {
        subscription_id: id.to_string(),
        price_id: small.to_string(),
        coupon: "bigger".into(),
        ..proto::QuoteChangeRequest::default()
    };
    let problem = Problem::from(served.customer(account).quote_change(ask).await.unwrap_err());
    assert_eq!((problem.reason.as_ref(), problem.field.as_deref()), ("COUPON_WITHOUT_EFFECT", Some("coupon")));

    let lapses = changed(&served, account, id, large, "bigger").await.unwrap();
    assert_eq!(lapses.lines.iter().map(|line| line.amount.minor).collect::<Vec<_>>(), [1000, -200, -500]);
    assert_eq!(uses(world, coupon).await, 1);
    // Asked for again, the same use goes on; another customer finds none.
    changed(&served, account, id, large, "bigger").await.unwrap();
    assert_eq!((uses(world, coupon).await, world.invoice(lapses.id).await.state), (1, invoice::State::Void));
    world.advance(TimeDelta::hours(24)).await;
    assert_eq!(uses(world, coupon).await, 0);

    let invoice = changed(&served, account, id, large, "bigger").await.unwrap();
    world.pay(&invoice).await;
    assert_eq!(uses(world, coupon).await, 1);
    assert_eq!(world.subscription(id).await.discounts.coupon.unwrap().periods_used, 1);
    for total in [1600, 2000] {
        let renewal = renewal(world, id).await;
        assert_eq!(renewal.totals.total, eur(total));
        world.pay(&renewal).await;
    }
    world.assert_sound().await;
}

#[tokio::test]
async fn what_recurs_is_less_while_a_recurring_coupon_lasts_and_a_single_one_changes_nothing() {
    let world = world().await;
    let net = async |lasting| {
        let placed = ordered(&world, world.account(), offer(1190, Term::MONTH), &percent(&world, 5000, lasting)).await;
        world.pay(&world.invoice_of(&placed).await).await;
        let id = placed.order.subscription;
        world.pay(&renewal(&world, id).await).await;
        world.advance_to(world.subscription(id).await.period.unwrap().end()).await;
        let told = outbox(&world.database.pool).await;
        let ours = told
            .iter()
            .filter(|event| event.r#type == "billing.subscription.changed.v1" && event.aggregate_id == id.to_string());
        let nets: Vec<i64> = ours
            .map(payload::<proto::SubscriptionChanged>)
            .map(|changed| changed.recurring_net.unwrap().minor)
            .collect();
        (nets[0], nets[nets.len() - 1])
    };
    assert_eq!(net(Lasting::Once).await, (1000, 1000));
    assert_eq!(net(Lasting::Periods { count: 2 }).await, (500, 500));
    assert_eq!(net(Lasting::Forever).await, (500, 500));
}

#[tokio::test]
async fn secure_s14_another_brand_sees_no_use_of_a_coupon_and_gives_none_back() {
    let world = world().await;
    let shared = Coupon { uses_max: Some(1), ..percent(&world, 1000, Lasting::Once) };
    let placed = ordered(&world, world.account(), offer(1190, Term::MONTH), &shared).await;
    let own = world.subscription(placed.order.subscription).await.discounts.coupon.unwrap();
    for scope in [Scope::Platform, Scope::Brand(BrandId::new(world.now()))] {
        let mut tx = db::begin(&world.database.pool, scope).await.unwrap();
        assert_eq!(store::redemption::uses(&mut tx, &[shared.id]).await.unwrap(), []);
        store::redemption::give_back(&mut tx, std::slice::from_ref(&own), world.now()).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(uses(&world, shared.id).await, 1);
    world.assert_sound().await;
}
