//! Where coupons meet the calendar and the policies of plans: every credit is of what was paid, every preview is the charge.

use billing::domain::coupon::{Benefit, Lasting};
use billing::domain::offer::Offer;
use billing::domain::proration::{Effect, Warning};
use billing::store;
use chrono::TimeDelta;
use ottery_kernel::{ChangeTiming, Money, Term};
use ottery_proto::catalog::v1::coupon::Duration;
use ottery_testkit::actor;

use crate::coupons::{coupon, percent, told};
use crate::periods::{Changer, berlin, by_calendar, day, page, policy, prorated, renew, subscriber_with, to_price};
use crate::world::{eur, offer, world};

#[tokio::test]
async fn the_first_part_by_calendar_has_its_part_of_the_discount_and_is_a_period_of_the_coupon() {
    let world = world().await;
    let off = coupon(&world, Benefit::Fixed { amounts: vec![eur(620)] }, Lasting::Periods { count: 2 });
    let start = berlin("2027-01-17 00:00");
    let bought = subscriber_with(&world, by_calendar(3100, 1), start, Some(&off)).await;
    let first = world.billing.invoices(world.brand, None, Some(bought.id), page()).await.unwrap().0.remove(0);
    // 15 of 31 days: of the price, and of the discount.
    assert_eq!(first.lines.iter().map(|line| line.amount.minor).collect::<Vec<_>>(), [1500, -300]);
    assert_eq!((first.totals.total, first.lines[0].period.unwrap().end()), (eur(1200), berlin("2027-02-01 00:00")));
    // A whole term recurs with the whole discount.
    assert_eq!((bought.recurring_price(), bought.renewal_price()), (Ok(eur(2480)), Ok(eur(2480))));
    let february = renew(&world, &bought).await;
    assert_eq!(february.totals.total, eur(2480));
    let march = renew(&world, &world.subscription(bought.id).await).await;
    assert_eq!(march.totals.total, eur(3100), "the coupon was good for two paid periods");
    world.assert_sound().await;
}

#[tokio::test]
async fn the_quote_of_a_part_says_what_its_order_charges() {
    let world = world().await;
    world.host.clock.set(berlin("2027-01-17 00:00"));
    let half = percent(&world, 5000, Lasting::Once);
    let id = world.quote_with(Some(world.account()), by_calendar(3100, 1), false, Some(&half)).await;
    let mut tx = world.tx().await;
    let stored = store::quote::lock(&mut tx, id).await.unwrap().unwrap();
    let quote = stored.quote;
    assert_eq!((quote.due_now, quote.discount(), quote.renewal_total), (eur(750), Some(eur(750)), eur(3100)));
}

#[tokio::test]
async fn a_full_charge_has_the_coupon_and_what_is_lost_is_what_was_paid() {
    use ChangeTiming::{AtRenewal, FullPriceReset};
    let sold = policy(FullPriceReset, AtRenewal, FullPriceReset, offer(3100, Term::MONTH));
    let changer = Changer::with_coupon(sold, Some(Lasting::Forever)).await;
    let world = changer.world();
    let large = changer.served.sell_offer(offer(5000, Term::MONTH));
    world.advance_to(berlin("2027-01-26 00:00")).await;
    let (shown, paid) = changer.change(large).await;
    assert_eq!((shown.change.effect, paid), (Effect::NowRestarting, 2500));
    assert!(matches!(shown.change.warnings[..], [Warning::UnusedLost(Money { minor: 769, .. })]), "{shown:?}");
    let changed = world.subscription(changer.id).await;
    assert_eq!(changed.discounts.off(world.now()), Some(eur(2500)));
    assert_eq!(renew(world, &changed).await.totals.total, eur(2500));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_lower_price_at_once_credits_no_more_than_was_paid() {
    let changer = Changer::with_coupon(prorated(3100), Some(Lasting::Once)).await;
    let world = changer.world();
    let small = changer.served.sell_offer(prorated(1000));
    let period = world.subscription(changer.id).await.period.unwrap();
    world.advance_to(period.start() + period.duration() / 2).await;
    // 15.50 were paid; half of them is left, less half a month of 10.00 at the half the month was bought with.
    let (shown, _) = changer.change(small).await;
    assert_eq!((shown.change.unused_credit, shown.change.new_charge), (eur(775), eur(250)));
    assert_eq!(changer.wallet().await, 525);
    let renewal = renew(world, &world.subscription(changer.id).await).await;
    assert_eq!(renewal.totals.total, eur(1000), "the coupon was good once");
    world.assert_sound().await;
}

#[tokio::test]
async fn a_free_month_is_credited_with_nothing() {
    let served = crate::calls::served().await;
    let free = percent(&served.world, 10_000, Lasting::Once);
    let bought = subscriber_with(&served.world, prorated(3100), berlin("2027-01-10 09:00"), Some(&free)).await;
    let world = &served.world;
    let small = served.sell_offer(prorated(1000));
    let owner = Some(bought.account);
    let shown = world.billing.quote_change(world.brand, bought.id, owner, &to_price(small, "")).await.unwrap();
    assert_eq!((shown.change.effect, shown.change.credit, shown.change.due_now), (Effect::Now, eur(0), eur(0)));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_new_coupon_makes_a_change_free_and_never_gives_money_back() {
    let changer = Changer::with(prorated(1000)).await;
    let world = changer.world();
    changer.served.promise(told(world, "FREE", 10_000, Duration::Once));
    let (small, large) = (changer.served.sell_offer(prorated(400)), changer.served.sell_offer(prorated(2000)));
    let owner = Some(world.subscription(changer.id).await.account);
    let shown = world.billing.quote_change(world.brand, changer.id, owner, &to_price(large, "FREE")).await.unwrap();
    assert_eq!((shown.change.unused_credit, shown.change.new_charge), (eur(1000), eur(1000)));
    assert_eq!((shown.change.due_now, shown.change.credit), (eur(0), eur(0)));
    let refused =
        world.billing.quote_change(world.brand, changer.id, owner, &to_price(small, "FREE")).await.unwrap_err();
    assert_eq!(refused.reason, "COUPON_WITHOUT_EFFECT");
}

#[tokio::test]
async fn a_pause_keeps_what_the_running_period_was_bought_for() {
    let sold = Offer { pause_days_max: 30, ..prorated(3100) };
    let changer = Changer::with_coupon(sold, Some(Lasting::Once)).await;
    let world = changer.world();
    let bought = world.subscription(changer.id).await;
    let (owner, me) = (Some(bought.account), actor::customer(world.brand, bought.account));
    let period = bought.period.unwrap();
    world.advance_to(period.start() + period.duration() / 2).await;
    world.billing.pause(world.brand, bought.id, owner, 10, &me).await.unwrap();
    world.advance(TimeDelta::days(5)).await;
    world.billing.unpause(world.brand, bought.id, owner, &me).await.unwrap();
    let large = changer.served.sell_offer(prorated(6200));
    let (shown, paid) = changer.change(large).await;
    // Half a month that cost 15.50 is left, whenever it is used.
    assert_eq!((shown.change.unused_credit, shown.change.new_charge, paid), (eur(775), eur(1550), 775));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_new_day_costs_what_was_shown_with_the_coupon_counted_in() {
    let world = world().await;
    let half = percent(&world, 5000, Lasting::Forever);
    let bought = subscriber_with(&world, offer(2800, Term::MONTH), berlin("2027-01-10 09:00"), Some(&half)).await;
    let me = actor::customer(world.brand, bought.account);
    let asked = world.billing.move_anchor(world.brand, bought.id, Some(bought.account), day(1), &me).await;
    let (moved, shown) = asked.unwrap();
    // 18 days and 15 hours of the 28 days of February, at 14.00.
    assert_eq!((shown.amount, moved.renewal_price()), (eur(931), Ok(eur(931))));
    assert_eq!(renew(&world, &bought).await.totals.total, eur(931));
    assert_eq!(renew(&world, &bought).await.totals.total, eur(1400));
    world.assert_sound().await;
}
