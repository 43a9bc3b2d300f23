use chrono::{TimeDelta, TimeZone as _};
use ottery_kernel::{Currency, Term};
use proptest::prelude::*;

use super::*;
use crate::domain::calendar::Stretch;
use crate::domain::coupon::tests::{coupon, redeemed};
use crate::domain::coupon::{Benefit, Redeemed};
use crate::domain::portion::{self, Credited, Wanted};
use crate::domain::proration::tests::offer;
use crate::domain::quote::{Billed, stretch_lines};
use crate::domain::tax::Tax;

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

fn june() -> Period {
    let at = |month| Utc.with_ymd_and_hms(2026, month, 1, 0, 0, 0).unwrap();
    Period::try_new(at(6), at(7)).unwrap()
}

/// June from so many seconds before its end.
fn end_of_june(seconds: i64) -> Stretch {
    let june = june();
    Stretch { period: Period::try_new(june.end() - TimeDelta::seconds(seconds), june.end()).unwrap(), whole: june }
}

fn figures(billed: &Billed) -> (Totals, Vec<Figure>) {
    let totals = Totals::of(Currency::EUR, &billed.lines).unwrap();
    (totals, lines(&billed.lines, &totals, "VAT").unwrap())
}

fn sum(steps: &[Step]) -> i64 {
    steps.iter().map(|step| step.result.minor).sum()
}

fn texts(figure: &Figure) -> Vec<&str> {
    figure.steps.iter().map(|step| step.text.as_str()).collect()
}

#[test]
fn half_a_month_with_a_coupon_says_of_how_many_days_and_what_the_coupon_takes_off() {
    let used = redeemed(coupon(Benefit::Percent { bp: 2000 }));
    let billed =
        stretch_lines(&offer(3000, Term::MONTH), &end_of_june(15 * 86_400), &Tax::contained(1900), false, Some(&used))
            .unwrap();
    let (_, figures) = figures(&billed);
    assert_eq!((figures[0].kind, figures[0].amount), (Kind::Line, eur(1500)));
    assert_eq!(texts(&figures[0]), ["Price of Family, 1 month, for 15 of 30 days"]);
    assert_eq!(figures[0].steps[0].base, eur(3000));
    assert_eq!(texts(&figures[1]), ["19 % contained in 15.00 EUR: 1900/11900 of it"]);
    let discount = &figures[2];
    assert_eq!(discount.amount, eur(-300));
    assert_eq!(
        texts(discount),
        [
            "Taken away: Price of Family, 1 month, for 15 of 30 days",
            "Price of Family, 1 month, less 6.00 EUR that the coupon SUMMER takes off, for 15 of 30 days"
        ]
    );
    assert_eq!(discount.steps[1].coupon, "SUMMER");
}

#[test]
fn tax_that_lines_share_has_its_rounding_as_a_step_of_its_own() {
    // 9.99 contains 1.60, the reduced 6.66 contains 1.06; the discount of 3.33 alone would contain 0.53.
    let used = redeemed(coupon(Benefit::Fixed { amounts: vec![eur(333)] }));
    let billed =
        stretch_lines(&offer(999, Term::MONTH), &Stretch::term(june()), &Tax::contained(1900), false, Some(&used))
            .unwrap();
    let (_, figures) = figures(&billed);
    assert_eq!(figures[3].amount, eur(-54));
    assert_eq!(figures[3].steps.iter().map(|step| step.result.minor).collect::<Vec<_>>(), [-53, -1]);
    assert_eq!(figures[3].steps[1].kind, "rounding");
}

#[test]
fn a_line_without_derivation_was_stated() {
    let line = Line::priced("A box", eur(1190), &Tax::contained(1900), None).unwrap();
    let totals = Totals::of(Currency::EUR, std::slice::from_ref(&line)).unwrap();
    let figures = lines(&[line], &totals, "").unwrap();
    assert_eq!(texts(&figures[0]), ["As it was stated"]);
    assert_eq!(figures[1].name, "Tax in A box");
}

fn benefits() -> impl Strategy<Value = Option<Redeemed>> {
    prop_oneof![
        Just(None),
        (1_u32..=10_000).prop_map(|bp| Some(Benefit::Percent { bp })),
        (1_i64..20_000).prop_map(|minor| Some(Benefit::Fixed { amounts: vec![eur(minor)] })),
        (0_i64..20_000).prop_map(|minor| Some(Benefit::Price { amounts: vec![eur(minor)] })),
        Just(Some(Benefit::FreeSetup)),
    ]
    .prop_map(|benefit| benefit.map(|benefit| redeemed(coupon(benefit))))
}

proptest! {
    #[test]
    fn the_explained_steps_add_up_to_every_printed_amount(
        price in 0_i64..100_000, fee in 0_i64..10_000, with_setup in any::<bool>(), bp in 0_u32..3_000,
        seconds in 1_i64..=2_592_000, used in benefits(), paid in proptest::collection::vec(1_i64..1_000, 0..4),
        credited in 1_i64..=100,
    ) {
        let mut sold = offer(price, Term::MONTH);
        sold.setup_fee = (fee > 0).then_some(eur(fee));
        let billed = stretch_lines(&sold, &end_of_june(seconds), &Tax::contained(bp), with_setup, used.as_ref()).unwrap();
        let (totals, mut figures) = figures(&billed);
        for line in &billed.lines {
            // The derivation alone makes the amount: nothing is left for a step that says "rest".
            prop_assert_eq!(line.how.total(Currency::EUR).unwrap(), line.amount);
        }
        prop_assert!(figures.iter().all(|figure| figure.steps.iter().all(|step| step.kind != "tax_added")));
        let moved = figures.iter().flat_map(|figure| &figure.steps).filter(|step| step.kind == "rounding");
        for step in moved {
            prop_assert_eq!(step.result.minor.abs(), 1, "rounding moves one minor unit at most");
        }
        let pieces: Vec<_> = paid.iter().map(|minor| Settlement {
            source: "payment".into(), reference: "pay_1".into(), amount: eur(*minor), at: june().start(),
        }).collect();
        let remaining = eur((totals.total.minor - paid.iter().sum::<i64>()).max(0));
        figures.extend(settlement(totals.total, remaining, &pieces).unwrap());
        let amount = totals.total.minor * credited / 100;
        if amount > 0 {
            let before = Credited { amount: eur(0), tax: eur(0), lines: Vec::new() };
            let wanted = Wanted::Amount(eur(amount));
            let portion = portion::of(&billed.lines, totals, &before, &wanted).unwrap();
            let credit = Credit {
                number: "CN-1".into(), reference: "crn_1".into(), amount: portion.amount, tax: portion.tax,
                lines: portion.lines, before,
            };
            figures.extend(credit_note(&credit, &billed.lines, &totals, "VAT").unwrap());
        }
        figures.push(charge(totals.total, eur(totals.total.minor / 3)).unwrap());
        for figure in &figures {
            prop_assert_eq!(sum(&figure.steps), figure.amount.minor, "{:?}", figure);
        }
    }
}
