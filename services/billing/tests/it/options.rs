//! Options by the unit: from the quote over the invoice to what the panel is told, and back.

use billing::app::change::{ChangeTo, Urls};
use billing::domain::address::Address;
use billing::domain::offer::Offer;
use billing::domain::option::{Choice, Effect, Quantity};
use billing::domain::proration;
use billing::domain::subscription::Subscription;
use chrono::TimeDelta;
use ottery_kernel::{SubscriptionId, Term};
use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1 as proto;
use ottery_testkit::actor;
use ottery_testkit::recorder::{outbox, payload};

use crate::calls::{Served, placing, quoting, served};
use crate::periods::{Changer, berlin, renew, to_price};
use crate::world::{World, eur, offer};

/// Two streams are included; up to six, each more at 3.00 and 1.00 once. A country lock costs 0.50.
pub fn with_options(minor: i64, term: Term) -> Offer {
    let streams = Choice {
        key: "streams".into(),
        name: "Streams at a time".into(),
        effect: Effect::Connections,
        min: 2,
        max: 6,
        step: 1,
        included: 2,
        unit_price: eur(300),
        setup_fee: eur(100),
        quantity: 2,
    };
    let lock = Choice {
        key: "lock".into(),
        name: "Country lock".into(),
        effect: Effect::None,
        min: 0,
        max: 1,
        included: 0,
        unit_price: eur(50),
        setup_fee: eur(0),
        quantity: 0,
        ..streams.clone()
    };
    Offer { options: vec![streams, lock], ..offer(minor, term) }
}

fn wants(pairs: &[(&str, u32)]) -> Vec<proto::OptionQuantity> {
    pairs.iter().map(|(key, quantity)| proto::OptionQuantity { key: (*key).into(), quantity: *quantity }).collect()
}

fn to_options(pairs: &[(&str, u32)]) -> ChangeTo {
    let options = pairs.iter().map(|(key, quantity)| Quantity { key: (*key).into(), quantity: *quantity }).collect();
    ChangeTo { price: None, options, add: Vec::new(), drop: Vec::new(), coupon: String::new(), urls: Urls::default() }
}

/// What the panel was told last.
pub async fn entitlement(world: &World) -> proto::EntitlementChanged {
    let events = outbox(&world.database.pool).await;
    payload(events.iter().rfind(|event| event.r#type == "billing.entitlement.changed.v1").unwrap())
}

/// A customer with four streams for 10.00 and twice 3.00 a month.
async fn four_streams(served: &Served) -> Subscription {
    let world = &served.world;
    world.host.clock.set(berlin("2027-01-10 09:00"));
    let price = served.sell_offer(with_options(1000, Term::MONTH));
    let mut me = served.customer(world.account());
    let ask = proto::CreateQuoteRequest { options: wants(&[("streams", 4)]), ..quoting(price) };
    let quote = me.create_quote(ask).await.unwrap().into_inner();
    let order = me.place_order(placing(&quote)).await.unwrap().into_inner().order.unwrap();
    world.pay(&world.invoice(order.invoice_id.parse().unwrap()).await).await;
    world.subscription(order.subscription_id.parse().unwrap()).await
}

#[tokio::test]
async fn options_are_on_the_quote_the_invoice_the_renewal_and_reach_the_panel() {
    let served = served().await;
    let world = &served.world;
    let price = served.sell_offer(with_options(1000, Term::MONTH));
    let mut me = served.customer(world.account());
    let ask = proto::CreateQuoteRequest { options: wants(&[("streams", 4), ("lock", 1)]), ..quoting(price) };
    let quote = me.create_quote(ask).await.unwrap().into_inner();
    let shown = |lines: &[proto::InvoiceLine]| -> Vec<(String, u32, i64)> {
        lines.iter().map(|line| (line.description.clone(), line.quantity, line.amount.clone().unwrap().minor)).collect()
    };
    let expected = [
        ("Family, 1 month".to_owned(), 1, 1000),
        ("Streams at a time, 1 month".to_owned(), 2, 600),
        ("Country lock, 1 month".to_owned(), 1, 50),
        ("Set-up: Streams at a time".to_owned(), 2, 200),
    ];
    assert_eq!(shown(&quote.lines), expected);
    let minor = |amount: Option<ottery_proto::common::v1::Money>| amount.unwrap().minor;
    assert_eq!(
        (minor(quote.due_now.clone()), minor(quote.renewal_total.clone()), minor(quote.regular_total.clone())),
        (1850, 1650, 1650)
    );
    assert_eq!(quote.options.iter().map(|option| option.quantity).collect::<Vec<_>>(), [4, 1]);

    let order = me.place_order(placing(&quote)).await.unwrap().into_inner().order.unwrap();
    let invoice = me.get_invoice(proto::GetInvoiceRequest { invoice_id: order.invoice_id.clone() }).await;
    assert_eq!(shown(&invoice.unwrap().into_inner().lines), expected);
    world.pay(&world.invoice(order.invoice_id.parse().unwrap()).await).await;
    let told = entitlement(world).await;
    assert_eq!((told.connections, told.options), (4, wants(&[("streams", 4), ("lock", 1)])));

    let id: SubscriptionId = order.subscription_id.parse().unwrap();
    let seen = proto::GetSubscriptionRequest { subscription_id: id.to_string() };
    let seen = me.get_subscription(seen).await.unwrap().into_inner();
    assert_eq!((minor(seen.price), minor(seen.term_price), minor(seen.renewal_total)), (1000, 1650, 1650));
    let renewal = renew(world, &world.subscription(id).await).await;
    let lines: Vec<_> = renewal.lines.iter().map(|line| (line.quantity, line.amount)).collect();
    assert_eq!(lines, [(1, eur(1000)), (2, eur(600)), (1, eur(50))], "set-up is charged once");
    assert_eq!(world.subscription(id).await.recurring_price(), Ok(eur(1650)));
    world.assert_sound().await;
}

#[tokio::test]
async fn the_panel_hears_where_the_customer_is_billed_and_of_a_move_with_the_next_period() {
    let served = served().await;
    let bought = four_streams(&served).await;
    let world = &served.world;
    assert_eq!(entitlement(world).await.country, "DE");
    let address = Address { country: "FR".into(), ..Address::default() };
    let me = actor::customer(world.brand, bought.account);
    world.billing.put_billing_address(world.brand, bought.account, address, 0, &me).await.unwrap();
    let told = entitlement(world).await;
    assert_eq!((told.country.as_str(), told.version), ("DE", bought.entitlement_version), "nothing new was said");
    renew(world, &bought).await;
    let told = entitlement(world).await;
    assert_eq!(told.country, "FR");
    assert!(told.version > bought.entitlement_version);

    // Nobody says where this one is.
    let price = served.sell_offer(with_options(1000, Term::MONTH));
    let mut nobody = served.customer(world.account());
    let quote = nobody.create_quote(quoting(price)).await.unwrap().into_inner();
    let ask = proto::PlaceOrderRequest { country: String::new(), ..placing(&quote) };
    let order = nobody.place_order(ask).await.unwrap().into_inner().order.unwrap();
    world.pay(&world.invoice(order.invoice_id.parse().unwrap()).await).await;
    let told = entitlement(world).await;
    assert_eq!((told.subscription_id, told.country.as_str()), (order.subscription_id, ""));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_choice_that_cannot_be_made_is_refused_with_what_can() {
    let served = served().await;
    let price = served.sell_offer(with_options(1000, Term::MONTH));
    let ask = async |options| {
        let ask = proto::CreateQuoteRequest { options, ..quoting(price) };
        Problem::from(served.customer(served.world.account()).create_quote(ask).await.unwrap_err())
    };
    let many = ask(wants(&[("streams", 7)])).await;
    assert_eq!((many.reason.as_ref(), many.field.as_deref()), ("OPTION_QUANTITY", Some("options")));
    assert!(many.message.contains("2 to 6"), "{}", many.message);
    assert_eq!(ask(wants(&[("dvr", 1)])).await.reason, "OPTION_UNKNOWN");
    assert_eq!(ask(wants(&[("lock", 1), ("lock", 1)])).await.reason, "OPTION_TWICE");
}

#[tokio::test]
async fn streams_are_added_at_once_at_what_was_shown_and_the_panel_hears_when_they_are_paid() {
    let served = served().await;
    let bought = four_streams(&served).await;
    let (world, owner) = (&served.world, Some(bought.account));
    let period = bought.period.unwrap();
    world.advance_to(period.start() + period.duration() / 2).await;
    let to = to_options(&[("streams", 5)]);
    let shown = world.billing.quote_change(world.brand, bought.id, owner, &to).await.unwrap();
    // Half a month of 3.00, and 1.00 once.
    assert_eq!((shown.change.effect, shown.change.due_now), (proration::Effect::Now, eur(250)));
    assert_eq!(world.subscription(bought.id).await, bought, "a preview changes nothing");
    let changed = world.billing.change_plan(world.brand, bought.id, owner, to, None).await.unwrap();
    let invoice = world.invoice(changed.invoice.unwrap()).await;
    assert_eq!((invoice.totals.total, &invoice.lines), (shown.change.due_now, &shown.lines));
    assert_eq!(entitlement(world).await.connections, 4, "not before it is paid");
    world.pay(&invoice).await;
    let after = world.subscription(bought.id).await;
    assert_eq!((after.period, after.paid_through), (bought.period, bought.paid_through));
    let told = entitlement(world).await;
    assert_eq!((told.connections, told.version), (5, bought.entitlement_version + 1));
    assert_eq!(renew(world, &after).await.totals.total, eur(1900));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_108_fewer_streams_are_warned_of_stay_until_the_renewal_and_can_be_taken_back() {
    let served = served().await;
    let bought = four_streams(&served).await;
    let (world, owner) = (&served.world, Some(bought.account));
    let change = async |to: &ChangeTo| {
        let shown = world.billing.quote_change(world.brand, bought.id, owner, to).await.unwrap();
        let changed = world.billing.change_plan(world.brand, bought.id, owner, to.clone(), None).await.unwrap();
        assert_eq!(changed.invoice, None);
        shown
    };
    let shown = change(&to_options(&[("streams", 3)])).await;
    assert_eq!((shown.change.effect, shown.change.due_now), (proration::Effect::AtRenewal, eur(0)));
    assert_eq!(shown.change.warnings, [proration::Warning::FewerConnections { from: 4, to: 3 }]);
    let waiting = world.subscription(bought.id).await;
    assert_eq!((waiting.offer.connections, waiting.renewal_price()), (4, Ok(eur(1300))));
    // Another thought: everything stays.
    change(&to_options(&[("streams", 4)])).await;
    assert_eq!(world.subscription(bought.id).await.renewal_price(), Ok(eur(1600)));
    change(&to_options(&[("streams", 2)])).await;
    assert_eq!(entitlement(world).await.connections, 4);
    let renewal = renew(world, &waiting).await;
    assert_eq!((renewal.totals.total, renewal.lines.len()), (eur(1000), 1));
    assert_eq!(entitlement(world).await.connections, 2);
    world.assert_sound().await;
}

#[tokio::test]
async fn more_of_one_and_fewer_of_another_are_two_changes_and_nothing_is_no_change() {
    let served = served().await;
    let bought = four_streams(&served).await;
    let world = &served.world;
    let refused = async |to: ChangeTo| {
        let asked = world.billing.quote_change(world.brand, bought.id, Some(bought.account), &to).await;
        asked.unwrap_err().reason.into_owned()
    };
    assert_eq!(refused(to_options(&[("streams", 3), ("lock", 1)])).await, "OPTIONS_MIXED");
    assert_eq!(refused(to_options(&[("streams", 4)])).await, "SAME_PRICE");
    assert_eq!(refused(to_options(&[("streams", 9)])).await, "OPTION_QUANTITY");
    assert_eq!(refused(to_options(&[])).await, "MISSING");
    let to = to_options(&[("lock", 1)]);
    let stranger = world.billing.quote_change(world.brand, bought.id, Some(world.account()), &to);
    assert_eq!(stranger.await.unwrap_err().reason, "SUBSCRIPTION_NOT_FOUND");
}

#[tokio::test]
async fn another_plan_takes_the_streams_along_and_charges_set_up_only_for_new_ones() {
    let first = with_options(1000, Term::MONTH).choose(&[Quantity { key: "streams".into(), quantity: 4 }]).unwrap();
    let changer = Changer::with(first).await;
    let world = changer.world();
    let large = changer.served.sell_offer(with_options(2000, Term::MONTH));
    let period = world.subscription(changer.id).await.period.unwrap();
    world.advance_to(period.start() + period.duration() / 2).await;
    let (shown, paid) = changer.change(large).await;
    assert_eq!((shown.change.setup_charge, paid), (eur(0), 500));
    assert_eq!(world.subscription(changer.id).await.offer.connections, 4);
    // One more stream comes with the next change of plan.
    let larger = changer.served.sell_offer(with_options(3000, Term::MONTH));
    let owner = Some(world.subscription(changer.id).await.account);
    let to = ChangeTo { options: to_options(&[("streams", 5)]).options, ..to_price(larger, "") };
    let shown = world.billing.quote_change(world.brand, changer.id, owner, &to).await.unwrap();
    assert_eq!((shown.change.setup_charge, shown.change.due_now), (eur(100), eur(500 + 150 + 100)));
    assert_eq!(shown.lines.iter().map(|line| line.amount.minor).sum::<i64>(), 750);
    world.assert_sound().await;
}

#[tokio::test]
async fn streams_added_in_a_trial_are_free_until_its_end_and_then_charged_with_their_set_up() {
    let served = served().await;
    let world = &served.world;
    let sold = with_options(1000, Term::MONTH);
    let account = world.account();
    let placed = world.trial(account, sold).await.unwrap();
    let id = placed.order.subscription;
    let to = to_options(&[("streams", 3)]);
    let changed = world.billing.change_plan(world.brand, id, Some(account), to, None).await.unwrap();
    assert_eq!((changed.invoice, changed.subscription.offer.connections), (None, 3));
    assert_eq!(entitlement(world).await.connections, 3);
    world.advance(TimeDelta::days(3)).await;
    let first = world.open_invoice(id).await.expect("the trial is over");
    assert_eq!(first.lines.iter().map(|line| line.amount.minor).collect::<Vec<_>>(), [1000, 300, 100]);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_110_an_announced_price_counts_the_options_and_other_quantities_do_not_put_it_off() {
    let served = served().await;
    let bought = four_streams(&served).await;
    let world = &served.world;
    let staff = actor::owner(world.brand);
    let mut dearer = with_options(1200, Term::MONTH);
    dearer.plan_id = bought.offer.plan_id;
    dearer.options[0].unit_price = eur(350);
    let to = served.sell_offer(dearer);
    let ask = crate::periods::announcing(to, 7, false);
    let outcome = world.billing.change_price(world.brand, ask, &staff).await.unwrap();
    assert_eq!((outcome.rows[0].old, outcome.rows[0].new), (eur(1600), eur(1900)));
    let waits = to_options(&[("streams", 3)]);
    world.billing.change_plan(world.brand, bought.id, Some(bought.account), waits, None).await.unwrap();
    let renewal = renew(world, &bought).await;
    assert_eq!((renewal.totals.total, entitlement(world).await.connections), (eur(1550), 3));
    world.assert_sound().await;
}
