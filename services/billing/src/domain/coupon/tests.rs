use chrono::{TimeDelta, TimeZone};
use ottery_kernel::{Period, TermUnit};
use proptest::prelude::*;

use super::*;
use crate::domain::calendar::Stretch;
use crate::domain::line::Totals;
use crate::domain::proration::tests::offer;
use crate::domain::quote::{Billed, stretch_lines};
use crate::domain::tax::{Tax, inside};

pub fn coupon(benefit: Benefit) -> Coupon {
    Coupon {
        id: CouponId::new(DateTime::UNIX_EPOCH),
        code: "SUMMER".into(),
        benefit,
        lasting: Lasting::Once,
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

pub fn redeemed(coupon: Coupon) -> Redeemed {
    Redeemed { redemption: uuid::Uuid::nil(), coupon, periods_used: 0 }
}

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

fn january(from_day: u32) -> Period {
    let at = |month, day| Utc.with_ymd_and_hms(2026, month, day, 0, 0, 0).unwrap();
    Period::try_new(at(1, from_day), at(2, 1)).unwrap()
}

fn first_lines(offer: &Offer, bp: u32, with_setup: bool, coupon: Option<&Redeemed>) -> Result<Billed, MoneyError> {
    stretch_lines(offer, &Stretch::term(january(1)), &Tax::contained(bp), with_setup, coupon)
}

fn percent(bp: u32) -> Coupon {
    coupon(Benefit::Percent { bp })
}

fn off(benefit: Benefit, price: i64) -> i64 {
    coupon(benefit).off_price(&offer(price, Term::MONTH)).unwrap().minor
}

#[test]
fn each_kind_takes_off_what_it_says() {
    assert_eq!(off(Benefit::Percent { bp: 2000 }, 1190), 238);
    assert_eq!(off(Benefit::Fixed { amounts: vec![eur(500)] }, 1190), 500);
    assert_eq!(off(Benefit::Price { amounts: vec![eur(500)] }, 1190), 690);
    assert_eq!(off(Benefit::Price { amounts: vec![eur(2000)] }, 1190), 0, "an override never raises a price");
    assert_eq!(off(Benefit::FreeSetup, 1190), 0);
    assert_eq!(off(Benefit::Fixed { amounts: vec![Money::new(500, Currency::USD)] }, 1190), 0);
    let mut sold = offer(1190, Term::MONTH);
    sold.setup_fee = Some(eur(300));
    assert_eq!(coupon(Benefit::FreeSetup).off_setup(&sold), eur(300));
    assert_eq!(percent(10_000).off_setup(&sold), eur(0));
}

#[test]
fn a_share_is_rounded_to_the_nearest_unit_and_a_half_upwards() {
    // 33.33 % of 9.99 is 3.329…; half of 0.01 is 0.005; 12.5 % of 0.20 is 0.025.
    for (bp, price, expected) in
        [(3333, 999, 333), (5000, 1, 1), (1250, 20, 3), (1249, 20, 2), (1, 4999, 0), (1, 5000, 1)]
    {
        assert_eq!(off(Benefit::Percent { bp }, price), expected, "{bp} bp of {price}");
    }
}

#[test]
fn case_032_a_fixed_coupon_larger_than_the_price_is_capped_and_the_rest_is_lost() {
    let sold = offer(700, Term::MONTH);
    let used = redeemed(coupon(Benefit::Fixed { amounts: vec![eur(1000)] }));
    let billed = first_lines(&sold, 1900, false, Some(&used)).unwrap();
    let totals = Totals::of(Currency::EUR, &billed.lines).unwrap();
    assert_eq!((totals.subtotal, totals.tax, totals.total), (eur(0), eur(0), eur(0)));
    assert_eq!(billed.lines.iter().map(|line| line.amount.minor).collect::<Vec<_>>(), [700, -700]);
    // Nothing of the 3.00 is left for the renewal.
    let mut discounts = Discounts::with(Some(used));
    discounts.settle(&billed.applied, Some(DateTime::UNIX_EPOCH), None);
    let renewal = first_lines(&sold, 1900, false, discounts.coupon.as_ref()).unwrap();
    assert_eq!(Totals::of(Currency::EUR, &renewal.lines).unwrap().total, eur(700));
}

#[test]
fn case_021_the_discount_comes_first_and_the_tax_is_that_of_the_reduced_price() {
    // Taking the tax out of each line by itself would give 1.60 - 0.53 = 1.07; 6.66 contains 1.06.
    let used = redeemed(percent(3333));
    let sold = offer(999, Term::MONTH);
    let billed = first_lines(&sold, 1900, false, Some(&used)).unwrap();
    let totals = Totals::of(Currency::EUR, &billed.lines).unwrap();
    assert_eq!((totals.total, totals.tax), (eur(666), eur(106)));
    assert_eq!(totals.tax, inside(eur(666), 1900).unwrap());
    assert_eq!(billed.lines[1].description, "Coupon SUMMER (33.33 %)");
    // Asked again, it is the same: a discount is taken off the price, never off what a discount left.
    assert_eq!(first_lines(&sold, 1900, false, Some(&used)).unwrap(), billed);
}

#[test]
fn a_free_set_up_is_a_line_of_its_own() {
    let mut sold = offer(1190, Term::MONTH);
    sold.setup_fee = Some(eur(595));
    let used = redeemed(coupon(Benefit::FreeSetup));
    let billed = first_lines(&sold, 1900, true, Some(&used)).unwrap();
    assert_eq!(billed.lines.iter().map(|line| line.amount.minor).collect::<Vec<_>>(), [1190, 595, -595]);
    assert_eq!(Totals::of(Currency::EUR, &billed.lines).unwrap().tax, eur(190));
    assert_eq!((billed.applied.counts, billed.applied.off_period), (1, None));
    let later = first_lines(&sold, 1900, false, Some(&used)).unwrap();
    assert_eq!((later.lines.len(), later.applied), (1, Applied::default()));
}

#[test]
fn why_it_cannot_be_used_has_a_reason_of_its_own() {
    let noon = Utc.with_ymd_and_hms(2026, 6, 1, 12, 0, 0).unwrap();
    let sold = offer(1190, Term::MONTH);
    let reason = |coupon: &Coupon, occasion| coupon.check(occasion, &sold, noon).map_err(|refused| refused.reason());
    let with = |change: fn(&mut Coupon)| {
        let mut coupon = percent(2000);
        change(&mut coupon);
        coupon
    };
    assert_eq!(reason(&percent(2000), Occasion::Order), Ok(()));
    assert_eq!(reason(&percent(2000), Occasion::Upgrade), Err("COUPON_NOT_FOR_UPGRADES"));
    assert_eq!(reason(&with(|coupon| coupon.for_orders = false), Occasion::Order), Err("COUPON_NOT_FOR_ORDERS"));
    let other_plan = with(|coupon| coupon.plans = vec![PlanId::new(DateTime::UNIX_EPOCH)]);
    assert_eq!(reason(&other_plan, Occasion::Order), Err("COUPON_NOT_FOR_PLAN"));
    let yearly = with(|coupon| coupon.terms = vec![Term::YEAR, Term::try_new(2, TermUnit::Year).unwrap()]);
    assert_eq!(reason(&yearly, Occasion::Order), Err("COUPON_NOT_FOR_TERM"));
    assert!(yearly.check(Occasion::Order, &sold, noon).unwrap_err().to_string().contains("1 year, 2 years"));
    let dollars = with(|coupon| coupon.benefit = Benefit::Fixed { amounts: vec![Money::new(1, Currency::USD)] });
    assert_eq!(reason(&dollars, Occasion::Order), Err("COUPON_NOT_FOR_CURRENCY"));
    // Its window is half-open.
    let window = Coupon { starts_at: Some(noon), ends_at: Some(noon + TimeDelta::hours(1)), ..percent(2000) };
    let at = |seconds| window.check(Occasion::Order, &sold, noon + TimeDelta::seconds(seconds)).map_err(|r| r.reason());
    assert_eq!(at(-1), Err("COUPON_NOT_STARTED"));
    assert_eq!((at(0), at(3599)), (Ok(()), Ok(())));
    assert_eq!(at(3600), Err("COUPON_EXPIRED"));
}

#[test]
fn what_is_left_counts_paid_periods() {
    let mut used = redeemed(Coupon { lasting: Lasting::Periods { count: 3 }, ..percent(5000) });
    assert_eq!((used.left(1), used.left(9)), (1, 3));
    used.periods_used = 3;
    assert_eq!((used.left(1), used.off_next(&offer(1000, Term::MONTH)).unwrap()), (0, eur(0)));
    let mut always = redeemed(Coupon { lasting: Lasting::Forever, ..percent(5000) });
    always.periods_used = 900;
    assert_eq!(always.left(2), 2);
}

#[test]
fn a_coupon_that_makes_room_unused_is_given_back_and_a_used_one_is_not() {
    let first = redeemed(percent(1000));
    let second = Redeemed { redemption: uuid::Uuid::max(), ..redeemed(percent(2000)) };
    let applied = |redeemed: &Redeemed| Applied { redeemed: Some(redeemed.clone()), counts: 1, ..Applied::default() };
    let mut discounts = Discounts::with(Some(first.clone()));
    assert_eq!(discounts.settle(&applied(&second), None, None), Some(first.clone()));
    assert_eq!(discounts.settle(&applied(&first), None, None), None);
    assert_eq!(discounts.coupon.map(|own| (own.redemption, own.periods_used)), Some((first.redemption, 1)));
}

fn benefits() -> impl Strategy<Value = Benefit> {
    prop_oneof![
        (1_u32..=10_000).prop_map(|bp| Benefit::Percent { bp }),
        (1_i64..20_000_000).prop_map(|minor| Benefit::Fixed { amounts: vec![eur(minor)] }),
        (0_i64..20_000_000).prop_map(|minor| Benefit::Price { amounts: vec![eur(minor)] }),
        Just(Benefit::FreeSetup),
    ]
}

#[test]
fn a_bridge_has_its_part_of_the_discount_before_tax_and_counts_as_a_period() {
    // 15 of 31 days.
    let bridge = Stretch { period: january(17), whole: january(1) };
    let used = redeemed(coupon(Benefit::Fixed { amounts: vec![eur(620)] }));
    let Billed { lines, applied } =
        stretch_lines(&offer(3100, Term::MONTH), &bridge, &Tax::contained(1900), false, Some(&used)).unwrap();
    assert_eq!(lines.iter().map(|line| line.amount.minor).collect::<Vec<_>>(), [1500, -300]);
    let totals = Totals::of(Currency::EUR, &lines).unwrap();
    assert_eq!(totals.tax, inside(eur(1200), 1900).unwrap());
    assert_eq!((applied.counts, applied.off_period), (1, Some(eur(620))), "told for the whole term");
}

#[test]
fn a_bridge_too_short_for_a_discount_uses_nothing_up() {
    let moment = Period::try_new(january(1).end() - TimeDelta::seconds(1), january(1).end()).unwrap();
    let bridge = Stretch { period: moment, whole: january(1) };
    let billed =
        stretch_lines(&offer(3100, Term::MONTH), &bridge, &Tax::contained(1900), false, Some(&redeemed(percent(5000))))
            .unwrap();
    assert_eq!((billed.lines.len(), billed.applied), (1, Applied::default()));
}

proptest! {
    #[test]
    fn the_discount_of_a_bridge_never_exceeds_its_price(
        benefit in benefits(), price in 0_i64..10_000_000, bp in 0_u32..5_000, second in 0_i64..2_678_400,
    ) {
        let whole = january(1);
        let period = Period::try_new(whole.start() + TimeDelta::seconds(second), whole.end()).unwrap();
        let bridge = Stretch { period, whole };
        let sold = offer(price, Term::MONTH);
        let used = redeemed(coupon(benefit));
        let billed = stretch_lines(&sold, &bridge, &Tax::contained(bp), false, Some(&used)).unwrap();
        let total = Totals::of(Currency::EUR, &billed.lines).unwrap().total;
        prop_assert!(!total.is_negative() && total.minor <= bridge.cost(sold.price).unwrap().minor);
        // What a change at once would credit is exactly what was paid.
        let off = billed.applied.off_period.unwrap_or(eur(0));
        prop_assert_eq!(bridge.left(sold.price.checked_sub(off).unwrap(), period.start()).unwrap(), total);
    }

    #[test]
    fn a_discount_never_exceeds_the_price_and_sums_match_the_printed_lines(
        benefit in benefits(), price in 1_i64..10_000_000, fee in 0_i64..1_000_000, bp in 0_u32..5_000, with_setup in any::<bool>(),
    ) {
        let mut sold = offer(price, Term::MONTH);
        sold.setup_fee = Some(eur(fee));
        let used = redeemed(coupon(benefit));
        let off = used.coupon.off_price(&sold).unwrap();
        prop_assert!((0..=price).contains(&off.minor));
        let billed = first_lines(&sold, bp, with_setup, Some(&used)).unwrap();
        let totals = Totals::of(Currency::EUR, &billed.lines).unwrap();
        let off_setup = if with_setup { used.coupon.off_setup(&sold).minor } else { 0 };
        let full = price + if with_setup { fee } else { 0 };
        prop_assert_eq!(totals.total.minor, full - off.minor - off_setup);
        prop_assert!(!totals.total.is_negative() && !totals.tax.is_negative() && !totals.subtotal.is_negative());
        prop_assert_eq!(totals.total.minor, billed.lines.iter().map(|line| line.amount.minor).sum::<i64>());
        let rest = inside(eur(price - off.minor), bp).unwrap().minor;
        let setup = if with_setup { inside(eur(fee - off_setup), bp).unwrap().minor } else { 0 };
        prop_assert_eq!(totals.tax.minor, rest + setup);
        prop_assert_eq!(billed.applied.counts == 1, off.minor + off_setup > 0);
    }
}
