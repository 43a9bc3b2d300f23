//! A lower price that staff gives one subscription for a time.

use billing::app::price_override::Give;
use billing::domain::subscription::Subscription;
use chrono::TimeDelta;
use ottery_kernel::{Currency, Money, Term};
use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1 as proto;
use ottery_testkit::actor;
use ottery_testkit::recorder::outbox;

use crate::calls::served;
use crate::periods::{berlin, renew};
use crate::world::{World, eur, world};

fn give(minor: i64, until: Option<chrono::DateTime<chrono::Utc>>) -> Give {
    Give { price: Some(eur(minor)), until, reason: "outage in May".into() }
}

async fn ask(world: &World, bought: &Subscription, give: Give) -> Result<Subscription, Problem> {
    world.billing.override_price(world.brand, bought.id, give, &actor::owner(world.brand)).await
}

#[tokio::test]
async fn a_given_price_rules_the_renewals_until_its_end_and_the_plans_price_those_after() {
    let world = world().await;
    world.host.clock.set(berlin("2027-01-10 09:00"));
    let bought = world.subscriber(1000, Term::MONTH).await;
    // Two renewals begin before it is over: 10 February and 10 March.
    let given = ask(&world, &bought, give(700, Some(berlin("2027-04-10 09:00")))).await.unwrap();
    assert_eq!((given.offer.price, given.renewal_price()), (eur(1000), Ok(eur(700))));
    for expected in [700, 700, 1000, 1000] {
        assert_eq!(renew(&world, &bought).await.totals.total, eur(expected));
    }
    let after = world.subscription(bought.id).await;
    assert_eq!((after.offer.price, after.offer.regular), (eur(1000), None));
    let events = outbox(&world.database.pool).await;
    let audited = events.iter().filter(|event| event.r#type.ends_with("audit.recorded.v1")).count();
    assert_eq!(audited, 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_given_price_is_taken_back_and_a_change_credits_what_was_really_paid() {
    let world = world().await;
    world.host.clock.set(berlin("2027-01-10 09:00"));
    let bought = world.subscriber(1000, Term::MONTH).await;
    ask(&world, &bought, give(600, None)).await.unwrap();
    assert_eq!(renew(&world, &bought).await.totals.total, eur(600));
    let paid = world.subscription(bought.id).await;
    assert_eq!((paid.offer.price, paid.offer.regular), (eur(600), Some(eur(1000))));
    let take = Give { price: None, until: None, reason: "was promised for a month".into() };
    let back = ask(&world, &bought, take).await.unwrap();
    assert_eq!(back.renewal_price(), Ok(eur(1000)));
    assert_eq!(renew(&world, &bought).await.totals.total, eur(1000));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_price_that_is_higher_foreign_too_late_or_without_a_reason_is_refused() {
    let world = world().await;
    let bought = world.subscriber(1000, Term::MONTH).await;
    let refused = async |give| {
        let problem = ask(&world, &bought, give).await.unwrap_err();
        (problem.reason.into_owned(), problem.field.unwrap_or_default())
    };
    let pair = |reason: &str, field: &str| (reason.to_owned(), field.to_owned());
    assert_eq!(refused(give(1001, None)).await, pair("OVERRIDE_RANGE", "price"));
    assert_eq!(refused(give(-1, None)).await, pair("OVERRIDE_RANGE", "price"));
    assert_eq!(refused(give(500, bought.paid_through)).await, pair("OVERRIDE_OVER", "until"));
    let silent = Give { reason: " ".into(), ..give(500, None) };
    assert_eq!(refused(silent).await, pair("MISSING", "reason"));
    let dollars = Give { price: Some(Money::new(500, Currency::USD)), ..give(0, None) };
    assert_eq!(refused(dollars).await, pair("CURRENCY_DIFFERS", "price.currency"));
    assert_eq!(world.subscription(bought.id).await, bought);
    // What is billed already keeps its price.
    world.advance_to(bought.paid_through.unwrap() - TimeDelta::hours(72)).await;
    assert_eq!(refused(give(500, None)).await.0, "INVOICE_OPEN");
    world.assert_sound().await;
}

#[tokio::test]
async fn only_staff_with_the_right_gives_prices() {
    let served = served().await;
    let bought = served.world.subscriber(1000, Term::MONTH).await;
    let ask = proto::OverridePriceRequest {
        subscription_id: bought.id.to_string(),
        price: Some(billing::contract::money(eur(100))),
        until: None,
        reason: "friend".into(),
    };
    let customer = served.customer(bought.account).override_price(ask.clone()).await.unwrap_err();
    assert_eq!(customer.code(), tonic::Code::PermissionDenied);
    let mut reader = served.client(actor::staff(served.world.brand, ["subscription.read"]));
    assert_eq!(reader.override_price(ask.clone()).await.unwrap_err().code(), tonic::Code::PermissionDenied);
    let mut staff = served.client(actor::staff(served.world.brand, ["subscription.manage"]));
    let given = staff.override_price(ask).await.unwrap().into_inner();
    assert_eq!((given.renewal_total.unwrap().minor, given.price_override.unwrap().price.unwrap().minor), (100, 100));
}
