use ottery_kernel::Currency;
use proptest::prelude::*;

use super::*;
use crate::domain::coin::{GRACE, LIFETIME};

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

fn sat(units: u128) -> CoinAmount {
    CoinAmount::new(units, Coin::Bitcoin)
}

/// Ten euros at 50 000: 20 000 satoshi.
fn waiting() -> Deposit {
    let lock = Lock::new("50000".parse().unwrap(), eur(1_000), Coin::Bitcoin, noon()).unwrap();
    Deposit { coin: Coin::Bitcoin, owed: eur(1_000), locks: vec![lock], transfers: Vec::new(), is_settled: false }
}

fn mined(height: u64) -> Place {
    Place::Mined { height, block: format!("block-{height}") }
}

fn told(reference: &str, units: u128, place: Place) -> Observed {
    Observed { reference: reference.to_owned(), amount: sat(units), place, mined_at: None }
}

impl Deposit {
    /// One look; what follows is written down as the worker does.
    fn look(&mut self, told: &[Observed], tip: u64, now: DateTime<Utc>) -> Verdict {
        for change in observe(&self.transfers, told, now) {
            match change {
                Change::New(transfer) => self.transfers.push(transfer),
                Change::Moved { reference, place } => self.one(&reference).place = place,
            }
        }
        let verdict = self.judge(tip, now).unwrap();
        let settled = verdict.settle.iter().flat_map(|settle| settle.references.clone());
        for reference in settled.chain(verdict.apart.iter().map(|(reference, _)| reference.clone())) {
            self.one(&reference).is_booked = true;
        }
        self.is_settled |= verdict.settle.is_some();
        verdict
    }

    fn one(&mut self, reference: &str) -> &mut Transfer {
        self.transfers.iter_mut().find(|one| one.reference == reference).unwrap()
    }
}

fn minutes(count: i64) -> DateTime<Utc> {
    noon() + TimeDelta::minutes(count)
}

#[test]
fn nothing_has_come() {
    let mut deposit = waiting();
    assert_eq!(deposit.look(&[], 100, minutes(1)).standing, Standing::Waiting { until: minutes(15) });
    assert_eq!(deposit.look(&[], 100, minutes(16)).standing, Standing::Expired);
    assert!(!deposit.look(&[], 100, minutes(16)).is_over);
    assert!(deposit.look(&[], 100, minutes(15 + 24 * 60)).is_over);
}

#[test]
fn an_exact_payment_is_seen_and_then_paid() {
    let mut deposit = waiting();
    let verdict = deposit.look(&[told("a:0", 20_000, Place::Mempool)], 100, minutes(3));
    assert_eq!(verdict.standing, Standing::Seen { confirmations: 0, needed: 1, is_late: false });
    assert_eq!(verdict.settle, None, "what is in no block is no money");
    // It is mined long after the price ran out: when it was seen counts.
    let verdict = deposit.look(&[told("a:0", 20_000, mined(101))], 101, minutes(200));
    assert_eq!(verdict.standing, Standing::Paid { over: eur(0) });
    let settle = Settle { received: eur(1_000), forgiven: eur(0), references: vec!["a:0".to_owned()] };
    assert_eq!(verdict.settle, Some(settle));
    let verdict = deposit.look(&[told("a:0", 20_000, mined(101))], 112, minutes(400));
    assert_eq!((verdict.settle, verdict.apart, verdict.is_deep), (None, Vec::new(), true));
}

#[test]
fn a_large_payment_waits_for_more_blocks() {
    let mut deposit = Deposit { owed: eur(50_000), ..waiting() };
    deposit.locks = vec![Lock::new("50000".parse().unwrap(), eur(50_000), Coin::Bitcoin, noon()).unwrap()];
    for tip in 101..=105 {
        let verdict = deposit.look(&[told("a:0", 1_000_000, mined(101))], tip, minutes(5));
        let confirmations = u32::try_from(tip - 100).unwrap();
        assert_eq!(verdict.standing, Standing::Seen { confirmations, needed: 6, is_late: false });
    }
    assert!(deposit.look(&[told("a:0", 1_000_000, mined(101))], 106, minutes(5)).settle.is_some());
}

#[test]
fn a_short_payment_is_completed_by_a_second_one() {
    let mut deposit = waiting();
    let first = told("a:0", 12_000, mined(101));
    let verdict = deposit.look(std::slice::from_ref(&first), 101, minutes(3));
    assert_eq!(verdict.standing, Standing::Short { seen: eur(600), missing: eur(400), is_late: false });
    // A fresh price for the rest, at the same address.
    deposit.locks.push(Lock::new("40000".parse().unwrap(), eur(400), Coin::Bitcoin, minutes(30)).unwrap());
    let second = told("b:1", 10_000, mined(103));
    let verdict = deposit.look(&[first, second], 103, minutes(31));
    assert_eq!(verdict.settle.map(|settle| (settle.received, settle.references.len())), Some((eur(1_000), 2)));
}

#[test]
fn a_fee_that_a_wallet_subtracted_is_forgiven_and_more_is_not() {
    for (units, forgiven) in [(20_000, Some(0)), (19_900, Some(5)), (19_899, None)] {
        let mut deposit = waiting();
        let verdict = deposit.look(&[told("a:0", units, mined(101))], 101, minutes(3));
        let found = verdict.settle.map(|settle| {
            assert_eq!(settle.received, eur(1_000));
            settle.forgiven.minor
        });
        assert_eq!(found, forgiven, "{units}");
    }
}

#[test]
fn what_is_too_much_is_the_customers() {
    let mut deposit = waiting();
    let verdict = deposit.look(&[told("a:0", 25_000, mined(101))], 101, minutes(3));
    assert_eq!(verdict.standing, Standing::Paid { over: eur(250) });
    assert_eq!(verdict.settle.unwrap().received, eur(1_250));
    // And what comes after that is booked apart, once.
    let both = [told("a:0", 25_000, mined(101)), told("b:0", 2_000, mined(102))];
    assert_eq!(deposit.look(&both, 102, minutes(9)).apart, [("b:0".to_owned(), eur(100))]);
    assert_eq!(deposit.look(&both, 103, minutes(10)).apart, []);
}

#[test]
fn a_late_payment_is_worth_what_it_was_when_it_was_seen() {
    let after = noon() + LIFETIME + GRACE + TimeDelta::seconds(1);
    // (market price when seen, is it enough)
    for (market, settles) in [("51000", true), ("49500", true), ("49400", false)] {
        let mut deposit = waiting();
        let seen = [told("a:0", 20_000, mined(101))];
        let verdict = deposit.look(&seen, 101, after);
        assert_eq!(verdict.settle, None, "nobody knows what it is worth yet");
        assert_eq!(deposit.unpriced(), ["a:0"]);
        deposit.one("a:0").market = Some(market.parse().unwrap());
        let verdict = deposit.look(&seen, 101, after);
        assert_eq!(verdict.settle.is_some(), settles, "{market}");
        if !settles {
            let short = Standing::Short { seen: eur(988), missing: eur(12), is_late: true };
            assert_eq!(verdict.standing, short);
        }
    }
}

#[test]
fn a_payment_made_while_nobody_looked_counts_from_its_block() {
    let mut deposit = waiting();
    let seen = Observed { mined_at: Some(minutes(10)), ..told("a:0", 20_000, mined(101)) };
    let verdict = deposit.look(&[seen], 140, minutes(600));
    assert_eq!(verdict.standing, Standing::Paid { over: eur(0) });
}

#[test]
fn a_replaced_transfer_is_no_money_and_its_replacement_is() {
    let mut deposit = waiting();
    deposit.look(&[told("a:0", 20_000, Place::Mempool)], 100, minutes(2));
    let verdict = deposit.look(&[], 100, minutes(3));
    assert_eq!(verdict.standing, Standing::Waiting { until: minutes(15) }, "replaced by one that pays somebody else");
    let verdict = deposit.look(&[told("b:0", 20_000, mined(101))], 101, minutes(4));
    assert_eq!(verdict.settle.unwrap().references, ["b:0"]);
    assert_eq!(deposit.one("a:0").place, Place::Gone);
}

#[test]
fn a_block_that_is_undone_is_noticed_and_the_transfer_is_waited_for() {
    let mut deposit = waiting();
    assert!(deposit.look(&[told("a:0", 20_000, mined(101))], 101, minutes(3)).settle.is_some());
    // After the fork it is nowhere, then in the mempool, then in another block of the same height.
    let other = Place::Mined { height: 101, block: "another".to_owned() };
    assert_eq!(deposit.look(&[], 102, minutes(4)).undone, ["a:0"]);
    assert_eq!(deposit.look(&[told("a:0", 20_000, Place::Mempool)], 102, minutes(5)).undone, ["a:0"]);
    let verdict = deposit.look(&[told("a:0", 20_000, other.clone())], 103, minutes(6));
    assert_eq!((verdict.undone, verdict.settle, verdict.apart), (Vec::new(), None, Vec::new()));
    assert_eq!(deposit.one("a:0").place, other);
}

#[test]
fn an_undone_block_before_it_was_enough_books_nothing() {
    let mut deposit = Deposit { owed: eur(3_000), ..waiting() };
    deposit.locks = vec![Lock::new("50000".parse().unwrap(), eur(3_000), Coin::Bitcoin, noon()).unwrap()];
    let verdict = deposit.look(&[told("a:0", 60_000, mined(101))], 101, minutes(3));
    assert_eq!(verdict.standing, Standing::Seen { confirmations: 1, needed: 2, is_late: false });
    let verdict = deposit.look(&[told("a:0", 60_000, Place::Mempool)], 102, minutes(4));
    assert_eq!(verdict.standing, Standing::Seen { confirmations: 0, needed: 2, is_late: false });
    assert!(deposit.look(&[told("a:0", 60_000, mined(103))], 104, minutes(5)).settle.is_some());
}

#[test]
fn a_short_payment_nobody_completes_is_kept_for_the_customer() {
    let mut deposit = waiting();
    let seen = [told("a:0", 12_000, mined(101))];
    let last = minutes(15) + PATIENCE;
    assert_eq!(deposit.look(&seen, 101, minutes(3)).settle, None);
    assert_eq!(deposit.look(&seen, 101, last - TimeDelta::seconds(1)).settle, None);
    let verdict = deposit.look(&seen, 101, last);
    assert_eq!(verdict.settle.unwrap().received, eur(600));
    assert_eq!(verdict.standing, Standing::Kept { amount: eur(600) });
    assert_eq!(deposit.look(&seen, 101, last).standing, Standing::Kept { amount: eur(600) });
}

proptest! {
    /// Whatever a chain shows, in whatever order: the payment is booked once, only of what is deep enough, and every booked transfer
    /// is booked once.
    #[test]
    fn nothing_is_booked_twice(
        steps in proptest::collection::vec(
            proptest::collection::vec((0_usize..4, 0_u64..4), 0..4), 1..12
        ),
        units in proptest::collection::vec(1_000_u128..40_000, 4),
    ) {
        let mut deposit = waiting();
        let mut tip = 100;
        let (mut settled, mut booked) = (0, Vec::<String>::new());
        for (at, step) in steps.iter().enumerate() {
            tip += 1;
            let mut seen: Vec<Observed> = Vec::new();
            for (which, depth) in step {
                let place = if *depth == 0 { Place::Mempool } else { mined(tip + 1 - depth) };
                let one = told(&format!("{which}:0"), units[*which], place);
                if !seen.iter().any(|other| other.reference == one.reference) {
                    seen.push(one);
                }
            }
            let verdict = deposit.look(&seen, tip, minutes(i64::try_from(at).unwrap()));
            if let Some(settle) = &verdict.settle {
                settled += 1;
                prop_assert!(settle.received.minor >= 1_000);
                for reference in &settle.references {
                    prop_assert!(seen.iter().any(|one| &one.reference == reference && one.place != Place::Mempool));
                }
                booked.extend(settle.references.clone());
            }
            booked.extend(verdict.apart.iter().map(|(reference, _)| reference.clone()));
        }
        let mut once = booked.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert!(settled <= 1);
        prop_assert_eq!(once.len(), booked.len());
    }
}
