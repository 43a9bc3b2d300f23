use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

fn here(id: &str, reference: &str, standing: Standing, minor: i64) -> Ours {
    Ours {
        kind: Kind::Payment,
        id: id.into(),
        reference: reference.into(),
        standing,
        amount: eur(minor),
        booked: minor,
        fee: 30,
        is_expected: true,
    }
}

fn there(reference: &str, ours: &str, standing: Standing, minor: i64) -> Theirs {
    Theirs {
        kind: Kind::Payment,
        reference: reference.into(),
        parent: String::new(),
        ours: ours.into(),
        standing,
        amount: Some(eur(minor)),
        fee: Some(eur(30)),
    }
}

/// Which difference, the provider's id, and ours.
type Found = (Difference, String, String);

fn found(ours: &[Ours], theirs: &[Theirs]) -> Vec<Found> {
    let short = |finding: Finding| (finding.difference, finding.reference, finding.ours);
    compare(ours, theirs).into_iter().map(short).collect()
}

#[test]
fn what_is_the_same_on_both_sides_is_no_difference() {
    use Standing::{Moved, Pending, Void};
    let same = [
        (here("pay_1", "pi_1", Moved, 999), there("pi_1", "pay_1", Moved, 999)),
        (here("pay_1", "pi_1", Pending, 999), there("pi_1", "pay_1", Void, 999)),
        (here("pay_1", "", Pending, 999), there("pi_1", "pay_1", Void, 999)),
        (here("pay_1", "", Void, 999), there("pi_1", "pay_1", Pending, 999)),
    ];
    for (ours, theirs) in same {
        assert!(found(std::slice::from_ref(&ours), &[theirs]).is_empty(), "{ours:?}");
    }
    // A refused try beside the one that paid, and somebody else's refused try.
    let theirs = [there("pi_0", "pay_1", Void, 999), there("pi_1", "pay_1", Moved, 999), there("pi_9", "", Void, 5)];
    assert!(found(&[here("pay_1", "pi_1", Moved, 999)], &theirs).is_empty());
}

#[test]
fn what_came_later_by_a_payment_is_one_with_it_and_a_payment_taken_back_is_no_refund_there() {
    use Standing::{Moved, Void};
    let back = Ours { kind: Kind::Refund, ..here("ref_1", "inv_1:reversed", Moved, 1_000) };
    let refund = Ours { kind: Kind::Refund, ..here("ref_2", "re_1", Moved, 100) };
    let ours = as_counted_there(vec![
        here("pay_2", "inv_1~2", Moved, 250),
        here("pay_1", "inv_1", Moved, 1_000),
        here("pay_3", "inv_1~3", Moved, 50),
        here("pay_9", "inv_9~2", Moved, 7),
        back,
        refund.clone(),
    ]);
    let whole = Ours { booked: 1_300, fee: 90, ..here("pay_1", "inv_1", Moved, 1_300) };
    assert_eq!(ours, [whole, refund.clone()]);
    let counted = |minor| Theirs { fee: None, ..there("inv_1", "pay_1", Moved, minor) };
    assert!(found(&ours[..1], &[counted(1_300)]).is_empty());
    let differs = (Difference::Amount, "inv_1".to_owned(), "pay_1".to_owned());
    assert_eq!(found(&ours[..1], &[counted(1_301)]), [differs]);
    assert!(found(&ours[..1], &[Theirs { standing: Standing::TakenBack, amount: None, ..counted(0) }]).is_empty());
    assert_eq!(found(&ours[..1], &[Theirs { standing: Void, ..counted(1_300) }])[0].0, Difference::State);
}

#[test]
fn each_difference_is_found_by_its_name() {
    use Standing::{Moved, Pending, Void};
    let ours = || here("pay_1", "pi_1", Moved, 999);
    let theirs = || there("pi_1", "pay_1", Moved, 999);
    let usd = |minor| Some(Money::new(minor, Currency::USD));
    let both = |difference| vec![(difference, "pi_1".to_owned(), "pay_1".to_owned())];
    let table: Vec<(Vec<Ours>, Vec<Theirs>, Vec<Found>)> = vec![
        (vec![], vec![theirs()], both(Difference::OnlyThere)),
        (vec![ours()], vec![], both(Difference::OnlyHere)),
        (vec![ours()], vec![Theirs { amount: usd(999), fee: None, ..theirs() }], both(Difference::Currency)),
        (vec![ours()], vec![Theirs { standing: Void, ..theirs() }], both(Difference::State)),
        (vec![here("pay_1", "pi_1", Pending, 999)], vec![theirs()], both(Difference::State)),
        (vec![here("pay_1", "", Pending, 999)], vec![theirs()], both(Difference::State)),
        (vec![here("pay_1", "pi_1", Moved, 998)], vec![theirs()], both(Difference::Amount)),
        (vec![Ours { booked: 1_000, ..ours() }], vec![theirs()], both(Difference::Amount)),
        (vec![Ours { fee: 0, ..ours() }], vec![theirs()], both(Difference::Fee)),
        (vec![Ours { fee: 0, ..ours() }], vec![Theirs { fee: None, ..theirs() }], vec![]),
        // An amount nobody can read is no amount of ours.
        (vec![ours()], vec![Theirs { amount: None, ..theirs() }], both(Difference::Currency)),
        // What happened before the report begins is not missing in it.
        (vec![Ours { is_expected: false, ..ours() }], vec![], vec![]),
    ];
    for (ours, theirs, expected) in table {
        assert_eq!(found(&ours, &theirs), expected, "{ours:?} {theirs:?}");
    }
}

#[test]
fn a_second_payment_for_what_was_paid_is_only_there() {
    let theirs = [there("pi_1", "pay_1", Standing::Moved, 999), there("pi_2", "pay_1", Standing::Moved, 999)];
    let second = vec![(Difference::OnlyThere, "pi_2".to_owned(), "pay_1".to_owned())];
    assert_eq!(found(&[here("pay_1", "pi_1", Standing::Moved, 999)], &theirs), second);
    // Of two for something that nobody knows the id of, one settles it.
    let unsettled = found(&[here("pay_1", "", Standing::Pending, 999)], &theirs);
    assert_eq!(unsettled[0].0, Difference::State);
    assert_eq!(unsettled[1..], second);
}

#[test]
fn a_refund_that_names_nothing_is_about_the_payment_it_is_of() {
    let refund = |parent: &str| Theirs {
        kind: Kind::Refund,
        parent: parent.into(),
        fee: None,
        ..there("re_1", "", Standing::Moved, 300)
    };
    // Of a payment from long ago, which is in no report and is not missing there.
    let payment = Ours { is_expected: false, ..here("pay_1", "pi_1", Standing::Moved, 999) };
    let ours = compare(std::slice::from_ref(&payment), &[refund("pi_1")]);
    assert_eq!((ours.len(), ours[0].ours.as_str(), ours[0].is_foreign()), (1, "pay_1", false));
    let foreign = compare(std::slice::from_ref(&payment), &[refund("pi_2")]);
    assert_eq!((foreign.len(), foreign[0].is_foreign()), (1, true));
    assert!(totals(&[payment], &[refund("pi_1")]).iter().all(|total| total.ours == (0, 0)));
}

#[test]
fn an_objection_that_is_not_decided_counts_as_one() {
    let dispute = |theirs: Theirs| Theirs { kind: Kind::Dispute, fee: None, ..theirs };
    let listed = dispute(there("dp_1", "", Standing::Pending, 999));
    assert_eq!(found(&[], std::slice::from_ref(&listed))[0].0, Difference::OnlyThere);
    let known = Ours { kind: Kind::Dispute, ..here("dsp_1", "dp_1", Standing::Pending, 999) };
    assert!(found(std::slice::from_ref(&known), std::slice::from_ref(&listed)).is_empty());
    assert_eq!(found(std::slice::from_ref(&known), &[])[0].0, Difference::OnlyHere);
    assert_eq!(found(&[known], &[Theirs { standing: Standing::Moved, ..listed }])[0].0, Difference::State);
}

#[test]
fn what_the_report_does_not_name_is_asked_for() {
    let ours = [
        here("pay_1", "pi_1", Standing::Moved, 1),
        here("pay_2", "pi_2", Standing::Moved, 1),
        Ours { is_expected: false, ..here("pay_3", "pi_3", Standing::Moved, 1) },
        here("pay_4", "", Standing::Pending, 1),
    ];
    let asked = unlisted(&ours, &[there("pi_1", "pay_1", Standing::Moved, 1)]);
    assert_eq!(asked.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["pay_2"]);
}

#[test]
fn value_is_the_money_in_question() {
    let finding = |difference, theirs, ours| Finding {
        kind: Kind::Payment,
        difference,
        reference: "pi_1".into(),
        parent: String::new(),
        ours: "pay_1".into(),
        theirs_amount: theirs,
        ours_amount: ours,
    };
    let table = [
        (finding(Difference::OnlyThere, Some(eur(999)), None), Some(eur(999))),
        (finding(Difference::OnlyHere, None, Some(eur(500))), Some(eur(500))),
        (finding(Difference::Amount, Some(eur(999)), Some(eur(1_099))), Some(eur(100))),
        (finding(Difference::Fee, Some(eur(45)), Some(eur(30))), Some(eur(15))),
        (finding(Difference::State, None, None), None),
    ];
    for (finding, expected) in table {
        assert_eq!(finding.value(), expected, "{finding:?}");
        assert!(finding.summary("stripe").contains("pi_1"));
    }
}

#[test]
fn totals_count_what_moved_on_each_side() {
    let ours = [here("pay_1", "pi_1", Standing::Moved, 999), here("pay_2", "", Standing::Pending, 50)];
    let dollars = Theirs {
        amount: Some(Money::new(7, Currency::USD)),
        kind: Kind::Refund,
        ..there("re_1", "", Standing::Moved, 0)
    };
    let theirs = [there("pi_1", "pay_1", Standing::Moved, 999), there("pi_2", "", Standing::Moved, 1), dollars];
    let sums = totals(&ours, &theirs);
    assert_eq!(sums.len(), 2);
    assert_eq!((sums[0].kind, sums[0].theirs, sums[0].ours), (Kind::Payment, (2, 1_000), (1, 999)));
    assert_eq!((sums[1].currency, sums[1].theirs, sums[1].ours), (Currency::USD, (1, 7), (0, 0)));
}

#[test]
fn a_failure_is_tried_again_ever_later() {
    let gaps: Vec<_> = [1, 2, 3, 4, 5, u32::MAX].map(|tries| gap(tries).num_minutes()).into();
    assert_eq!(gaps, [5, 10, 20, 40, 40, 40]);
}

#[test]
fn stored_words_read_back() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_text(kind.as_str()), Some(kind));
    }
    for difference in Difference::ALL {
        assert_eq!(Difference::from_text(difference.as_str()), Some(difference));
        assert!(difference.task().ends_with(difference.as_str()));
    }
    for standing in [Standing::Pending, Standing::Moved, Standing::Void] {
        assert_eq!(Standing::from_text(standing.as_str()), Some(standing));
    }
}

/// What is done to one object that was the same on both sides.
#[derive(Clone, Copy, Debug)]
enum Harm {
    None,
    Forged,
    Erased,
    Recoined,
    LostEvent,
    TakenBack,
    Repriced,
    Rebooked,
    Refeed,
    RepricedAndRefeed,
    Duplicated,
    RefusedBefore,
}

fn harms() -> impl Strategy<Value = Harm> {
    prop_oneof![
        4 => Just(Harm::None),
        1 => Just(Harm::Forged),
        1 => Just(Harm::Erased),
        1 => Just(Harm::Recoined),
        1 => Just(Harm::LostEvent),
        1 => Just(Harm::TakenBack),
        1 => Just(Harm::Repriced),
        1 => Just(Harm::Rebooked),
        1 => Just(Harm::Refeed),
        1 => Just(Harm::RepricedAndRefeed),
        1 => Just(Harm::Duplicated),
        1 => Just(Harm::RefusedBefore),
    ]
}

proptest! {
    #[test]
    fn every_difference_is_found_exactly_once(
        objects in prop::collection::vec((harms(), 1_i64..1_000_000, 1_i64..1_000, prop::bool::ANY), 0..60),
        turn in 0_usize..60,
    ) {
        let (mut ours, mut theirs, mut expected) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (number, (harm, minor, by, is_refund)) in objects.into_iter().enumerate() {
            let kind = if is_refund { Kind::Refund } else { Kind::Payment };
            // The same ids for both kinds: they must not be mixed up.
            let (id, reference) = (format!("our_{number}"), format!("their_{number}"));
            let mut a = Ours { kind, ..here(&id, &reference, Standing::Moved, minor) };
            let mut b = Theirs { kind, ..there(&reference, &id, Standing::Moved, minor) };
            let mut expect = |difference, reference: &str| {
                expected.insert((kind, difference, reference.to_owned(), id.clone()));
            };
            match harm {
                Harm::None => {}
                Harm::Forged => { expect(Difference::OnlyThere, &reference); theirs.push(b); continue; }
                Harm::Erased => { expect(Difference::OnlyHere, &reference); ours.push(a); continue; }
                Harm::Recoined => {
                    b.amount = Some(Money::new(minor, Currency::USD));
                    b.fee = Some(Money::new(30 + by, Currency::USD));
                    expect(Difference::Currency, &reference);
                }
                Harm::LostEvent => {
                    a.reference.clear();
                    a.standing = Standing::Pending;
                    a.booked = 0;
                    expect(Difference::State, &reference);
                }
                Harm::TakenBack => { b.standing = Standing::Void; expect(Difference::State, &reference); }
                Harm::Repriced => { b.amount = Some(eur(minor + by)); expect(Difference::Amount, &reference); }
                Harm::Rebooked => { a.booked -= by; expect(Difference::Amount, &reference); }
                Harm::Refeed => { a.fee += by; expect(Difference::Fee, &reference); }
                Harm::RepricedAndRefeed => {
                    b.amount = Some(eur(minor + by));
                    a.fee += by;
                    expect(Difference::Amount, &reference);
                    expect(Difference::Fee, &reference);
                }
                Harm::Duplicated => {
                    let second = format!("{reference}_again");
                    expect(Difference::OnlyThere, &second);
                    theirs.push(Theirs { reference: second, ..b.clone() });
                }
                Harm::RefusedBefore => theirs.push(Theirs {
                    reference: format!("{reference}_refused"),
                    standing: Standing::Void,
                    ..b.clone()
                }),
            }
            ours.push(a);
            theirs.push(b);
        }
        // In whatever order either side names them.
        if !ours.is_empty() { let by = turn % ours.len(); ours.rotate_left(by); }
        if !theirs.is_empty() { let by = turn % theirs.len(); theirs.rotate_right(by); }
        let findings = compare(&ours, &theirs);
        let keys: BTreeSet<Key> = findings.iter().map(Finding::key).collect();
        prop_assert_eq!(keys.len(), findings.len(), "one of them twice");
        prop_assert_eq!(keys, expected);
    }
}
