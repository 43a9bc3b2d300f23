//! Plans that are sold in limited number, for a time, not any more, or once.

use billing::app::gift::redeem::{Redeem, Redeemed};
use billing::app::gift::{NewBatch, Worth};
use billing::domain::gift::{Batch, Kind};
use billing::domain::offer::Offer;
use billing::domain::subscription::{EndCause, State};
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, PriceId, Term, TermUnit};
use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1 as proto;
use ottery_proto::catalog::v1 as catalog;
use ottery_proto::catalog::v1::plan::State as Sale;
use ottery_testkit::actor;

use crate::calls::{Served, placing, quoting, served};
use crate::periods::{renew, to_price};
use crate::world::{eur, offer};

fn limited(count: u32) -> catalog::Plan {
    catalog::Plan {
        state: Sale::OnSale.into(),
        stock: Some(catalog::Stock { count: Some(count) }),
        ..catalog::Plan::default()
    }
}

impl Served {
    async fn quoted(&self, account: AccountId, price: PriceId) -> Result<proto::Quote, Problem> {
        let quote = self.customer(account).create_quote(quoting(price)).await;
        quote.map(tonic::Response::into_inner).map_err(Problem::from)
    }

    async fn ordered(&self, account: AccountId, quote: &proto::Quote) -> Result<proto::Order, Problem> {
        let placed = self.customer(account).place_order(placing(quote)).await.map_err(Problem::from)?;
        Ok(placed.into_inner().order.unwrap())
    }

    async fn taken(&self, offer: &Offer) -> u64 {
        let mut staff = self.client(actor::staff(self.world.brand, ["plan.read"]));
        let ask = proto::ListStockTakenRequest { plan_ids: vec![offer.plan_id.to_string()] };
        staff.list_stock_taken(ask).await.unwrap().into_inner().plans.first().map_or(0, |plan| plan.taken)
    }
}

#[tokio::test]
async fn of_two_buyers_of_the_last_one_who_order_at_once_one_gets_it_and_the_other_is_told() {
    let served = served().await;
    let sold = offer(1000, Term::MONTH);
    served.limit(&sold, limited(3));
    let price = served.sell_offer(sold.clone());
    let mut buyers = Vec::new();
    for _ in 0..8 {
        let account = served.world.account();
        buyers.push((account, served.quoted(account, price).await.unwrap()));
    }
    let orders = buyers.iter().map(|(account, quote)| served.ordered(*account, quote));
    let outcomes = futures::future::join_all(orders).await;
    let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!((outcomes.len() - refused.len(), served.taken(&sold).await), (3, 3));
    for problem in refused {
        assert_eq!((problem.reason.as_ref(), problem.field.as_deref()), ("SOLD_OUT", Some("price_id")));
        assert!(problem.message.contains("sold out; choose another"), "{}", problem.message);
    }
    // Who comes now is told before filling in anything, and nothing half-made is left behind.
    let late = served.quoted(served.world.account(), price).await.unwrap_err();
    assert_eq!(late.reason, "SOLD_OUT");
    let mut staff = served.client(actor::staff(served.world.brand, ["order.read"]));
    let orders = staff.list_orders(proto::ListOrdersRequest::default()).await.unwrap().into_inner().orders;
    assert_eq!(orders.len(), 3);
    served.world.assert_sound().await;
}

#[tokio::test]
async fn case_048_an_order_that_is_cancelled_or_lapses_gives_its_place_back_and_a_paid_one_keeps_it() {
    let served = served().await;
    let world = &served.world;
    let sold = offer(1000, Term::MONTH);
    served.limit(&sold, limited(1));
    let price = served.sell_offer(sold.clone());
    let buy = async || {
        let account = world.account();
        let quote = served.quoted(account, price).await.unwrap();
        (account, served.ordered(account, &quote).await.unwrap())
    };
    let (account, order) = buy().await;
    assert_eq!(served.quoted(world.account(), price).await.unwrap_err().reason, "SOLD_OUT");
    let ask = proto::CancelSubscriptionRequest { subscription_id: order.subscription_id, ..Default::default() };
    served.customer(account).cancel_subscription(ask).await.unwrap();
    let invoice = world.invoice(order.invoice_id.parse().unwrap()).await;
    assert_eq!((invoice.state, served.taken(&sold).await), (billing::domain::invoice::State::Void, 0));
    // Nobody pays the next one: it lapses by itself.
    let (_, order) = buy().await;
    let id = order.subscription_id.parse().unwrap();
    for _ in 0..60 {
        world.advance(TimeDelta::days(1)).await;
    }
    assert_eq!(world.subscription(id).await.state, State::Ended { cause: EndCause::Abandoned });
    assert_eq!(served.taken(&sold).await, 0);
    let (_, order) = buy().await;
    world.pay(&world.invoice(order.invoice_id.parse().unwrap()).await).await;
    let id = order.subscription_id.parse().unwrap();
    world.billing.terminate(world.brand, id, "moved away", &actor::owner(world.brand)).await.unwrap();
    assert_eq!(served.taken(&sold).await, 1, "sold is sold");
    world.assert_sound().await;
}

#[tokio::test]
async fn nobody_changes_to_a_plan_of_which_none_is_left() {
    let served = served().await;
    let world = &served.world;
    let bought = world.subscriber(1000, Term::MONTH).await;
    let sold = offer(2000, Term::MONTH);
    served.limit(&sold, limited(0));
    let price = served.sell_offer(sold);
    let asked = world.billing.quote_change(world.brand, bought.id, Some(bought.account), &to_price(price, "")).await;
    assert_eq!(asked.unwrap_err().reason, "SOLD_OUT");
}

#[tokio::test]
async fn a_plan_is_sold_within_its_window_and_a_quote_that_was_made_in_time_holds() {
    let served = served().await;
    let world = &served.world;
    let sold = offer(1000, Term::MONTH);
    let at = |at: DateTime<Utc>| Some(billing::contract::timestamp(at));
    let (from, until) = (world.now() + TimeDelta::days(1), world.now() + TimeDelta::days(2));
    let window = catalog::SaleWindow { from: at(from), until: at(until) };
    served.limit(&sold, catalog::Plan { state: Sale::OnSale.into(), sale: Some(window), ..Default::default() });
    let price = served.sell_offer(sold);
    let account = world.account();
    let early = served.quoted(account, price).await.unwrap_err();
    assert_eq!((early.reason.as_ref(), early.field.as_deref()), ("SALE_NOT_STARTED", Some("price_id")));
    world.host.clock.set(from);
    served.quoted(account, price).await.unwrap();
    world.host.clock.set(until - TimeDelta::minutes(1));
    let quote = served.quoted(account, price).await.unwrap();
    world.host.clock.set(until);
    assert_eq!(served.quoted(account, price).await.unwrap_err().reason, "SALE_OVER");
    served.ordered(account, &quote).await.unwrap();
}

#[tokio::test]
async fn case_111_an_archived_plan_renews_for_who_has_it_and_nobody_new_can_buy() {
    let served = served().await;
    let world = &served.world;
    let sold = offer(1000, Term::MONTH);
    let price = served.sell_offer(sold.clone());
    let account = world.account();
    let quote = served.quoted(account, price).await.unwrap();
    let order = served.ordered(account, &quote).await.unwrap();
    world.pay(&world.invoice(order.invoice_id.parse().unwrap()).await).await;
    served.limit(&sold, catalog::Plan { state: Sale::Archived.into(), ..catalog::Plan::default() });
    assert_eq!(served.quoted(world.account(), price).await.unwrap_err().reason, "PLAN_NOT_ON_SALE");
    let bought = world.subscription(order.subscription_id.parse().unwrap()).await;
    assert_eq!(renew(world, &bought).await.totals.total, eur(1000));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_pass_says_it_ends_ends_and_does_not_renew() {
    let served = served().await;
    let world = &served.world;
    let ten_days = Term::try_new(10, TermUnit::Day).unwrap();
    let price = served.sell_offer(Offer { once: true, ..offer(700, ten_days) });
    let account = world.account();
    let quote = served.quoted(account, price).await.unwrap();
    assert!(quote.once);
    assert_eq!((quote.renewal_total.clone().unwrap().minor, quote.due_now.clone().unwrap().minor), (0, 700));
    let order = served.ordered(account, &quote).await.unwrap();
    world.pay(&world.invoice(order.invoice_id.parse().unwrap()).await).await;
    let bought = world.subscription(order.subscription_id.parse().unwrap()).await;
    let end = world.now() + TimeDelta::days(10);
    assert_eq!((bought.paid_through, bought.cancel_at), (Some(end), Some(end)));
    assert_eq!((bought.renewal_price(), bought.recurring_price()), (Ok(eur(0)), Ok(eur(0))));
    let me = actor::customer(world.brand, account);
    let refused = world.billing.resume(world.brand, bought.id, Some(account), &me).await.unwrap_err();
    assert_eq!(refused.reason, "PASS_ENDS");
    world.advance_to(end - TimeDelta::hours(1)).await;
    assert_eq!(world.open_invoice(bought.id).await, None);
    world.advance_to(end).await;
    assert_eq!(world.subscription(bought.id).await.state, State::Ended { cause: EndCause::Cancelled });
    world.assert_sound().await;
}

#[tokio::test]
async fn a_pass_that_becomes_a_plan_renews_from_then_on() {
    let served = served().await;
    let world = &served.world;
    let pass = served.sell_offer(Offer { once: true, ..offer(1000, Term::MONTH) });
    let plan = served.sell_offer(offer(1000, Term::MONTH));
    let cheaper = served.sell_offer(offer(500, Term::MONTH));
    let account = world.account();
    let quote = served.quoted(account, pass).await.unwrap();
    let order = served.ordered(account, &quote).await.unwrap();
    world.pay(&world.invoice(order.invoice_id.parse().unwrap()).await).await;
    let id = order.subscription_id.parse().unwrap();
    let change =
        async |price| world.billing.change_plan(world.brand, id, Some(account), to_price(price, ""), None).await;
    assert_eq!(change(cheaper).await.unwrap_err().reason, "PASS_ENDS", "it would wait for a renewal that never comes");
    change(plan).await.unwrap();
    let bought = world.subscription(id).await;
    assert_eq!((bought.cancel_at, bought.renewal_price()), (None, Ok(eur(1000))));
    assert_eq!(renew(world, &bought).await.totals.total, eur(1000));
    world.assert_sound().await;
}

impl Served {
    /// So many codes for a plan.
    async fn codes(&self, price: PriceId, count: u32, expires_at: Option<DateTime<Utc>>) -> Result<Batch, Problem> {
        let world = &self.world;
        let new = NewBatch {
            name: "A month".into(),
            kind: Kind::Sold,
            worth: Worth::Plan(price),
            count,
            prefix: String::new(),
            per_person_max: 0,
            expires_at,
        };
        world.billing.create_gifts(&actor::owner(world.brand), world.brand, new, None).await
    }

    async fn printed(&self, batch: &Batch) -> Vec<String> {
        let world = &self.world;
        let csv = world.billing.download_gifts(&actor::owner(world.brand), world.brand, batch.id).await.unwrap();
        csv.lines().skip(1).map(|row| row.split(',').next().unwrap().to_owned()).collect()
    }

    async fn redeemed(&self, code: &str) -> Result<Redeemed, Problem> {
        let (world, account) = (&self.world, self.world.account());
        let buyer = crate::world::placing(uuid::Uuid::nil(), account).buyer;
        let redeem = Redeem { code: code.to_owned(), account, buyer };
        world.billing.redeem_gift(&actor::customer(world.brand, account), world.brand, redeem).await
    }
}

#[tokio::test]
async fn codes_for_a_plan_hold_its_places_until_they_are_redeemed_void_or_expired() {
    let served = served().await;
    let world = &served.world;
    let sold = offer(1000, Term::MONTH);
    served.limit(&sold, limited(5));
    let price = served.sell_offer(sold.clone());
    let end = world.now() + TimeDelta::days(10);
    let batch = served.codes(price, 3, Some(end)).await.unwrap();
    assert_eq!((batch.holds, served.taken(&sold).await), (Some(sold.plan_id), 3));
    world.assert_sound().await;
    let many = served.codes(price, 3, None).await.unwrap_err();
    assert_eq!((many.reason.as_ref(), many.field.as_deref()), ("SOLD_OUT", Some("count")));
    assert!(many.message.contains("2 of 5 are left; make fewer codes"), "{}", many.message);
    assert_eq!(served.taken(&sold).await, 3, "all or none");

    // Two more are bought in the shop: it is sold out, and every code is still good.
    for _ in 0..2 {
        let account = world.account();
        let quote = served.quoted(account, price).await.unwrap();
        let order = served.ordered(account, &quote).await.unwrap();
        world.pay(&world.invoice(order.invoice_id.parse().unwrap()).await).await;
    }
    assert_eq!(served.quoted(world.account(), price).await.unwrap_err().reason, "SOLD_OUT");
    let codes = served.printed(&batch).await;
    assert!(matches!(served.redeemed(&codes[0]).await.unwrap(), Redeemed::Plan { .. }));
    assert_eq!(served.taken(&sold).await, 5, "the place is the subscription's now");
    world.assert_sound().await;

    let page = billing::store::Page { before: None, limit: 10 };
    let (_, stored) = world.billing.gift_codes(world.brand, batch.id, page).await.unwrap();
    let free = stored.iter().find(|code| code.is_free() && codes[1].ends_with(&code.last_four)).unwrap();
    world.billing.void_gift(&actor::owner(world.brand), world.brand, free.id, "lost").await.unwrap();
    assert_eq!(served.taken(&sold).await, 4);
    world.host.clock.set(end);
    world.billing.expire_gifts(world.brand).await.unwrap();
    assert_eq!(served.taken(&sold).await, 3, "two of the shop, one by a code");
    world.assert_sound().await;
    let again = served.codes(price, 2, None).await.unwrap();
    assert_eq!(served.taken(&sold).await, 5);
    world.billing.void_gifts(&actor::owner(world.brand), world.brand, again.id, "over").await.unwrap();
    world.billing.void_gifts(&actor::owner(world.brand), world.brand, again.id, "over").await.unwrap();
    assert_eq!(served.taken(&sold).await, 3, "given back once");
    world.assert_sound().await;
}

#[tokio::test]
async fn codes_and_orders_that_want_the_last_places_at_once_never_get_more_than_there_are() {
    let served = served().await;
    let world = &served.world;
    let sold = offer(1000, Term::MONTH);
    served.limit(&sold, limited(7));
    let price = served.sell_offer(sold.clone());
    let mut buyers = Vec::new();
    for _ in 0..6 {
        let account = world.account();
        buyers.push((account, served.quoted(account, price).await.unwrap()));
    }
    let orders = futures::future::join_all(buyers.iter().map(|(account, quote)| served.ordered(*account, quote)));
    let batches = futures::future::join_all((0..6).map(|_| served.codes(price, 2, None)));
    let (orders, batches) = tokio::join!(orders, batches);
    let made: Vec<Batch> = batches.into_iter().filter_map(Result::ok).collect();
    let placed = orders.iter().filter(|order| order.is_ok()).count();
    let taken = served.taken(&sold).await;
    assert_eq!(taken, u64::try_from(placed + 2 * made.len()).unwrap());
    assert!((6..=7).contains(&taken), "{taken}: all that fits, and no more");
    world.assert_sound().await;

    // One code that many try at once takes its place along once.
    let others = offer(1000, Term::MONTH);
    served.limit(&others, limited(1));
    let batch = served.codes(served.sell_offer(others.clone()), 1, None).await.unwrap();
    let code = served.printed(&batch).await.remove(0);
    let tries = futures::future::join_all((0..10).map(|_| served.redeemed(&code))).await;
    assert_eq!((tries.iter().filter(|one| one.is_ok()).count(), served.taken(&others).await), (1, 1));
    world.assert_sound().await;
}
