use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::domain::SubscriptionState::{self, *};

fn day(n: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + n)
}

fn account() -> AccountId {
    AccountId::from_uuid(Uuid::from_u128(7))
}

fn event(subscription: u128, version: i64, state: SubscriptionState, minor: i64, at: i64) -> Event {
    Event {
        account: account(),
        subscription: SubscriptionId::from_uuid(Uuid::from_u128(subscription)),
        version,
        state,
        mrr: Money { minor, currency: Currency::EUR },
        effective_at: day(at),
    }
}

fn told(events: &[Event]) -> Vec<(MovementKind, i64, i64)> {
    movements(account(), events)
        .into_iter()
        .map(|movement| (movement.kind, movement.delta.minor, (movement.effective_at - day(0)).num_days()))
        .collect()
}

/// metrics, 2.4: neither an order nor a trial is revenue.
#[test]
fn revenue_begins_with_the_first_paid_period() {
    let life = [event(1, 1, Pending, 0, 0), event(1, 2, Trialing, 0, 0), event(1, 3, Active, 1200, 7)];
    assert_eq!(told(&life), [(MovementKind::New, 1200, 7)]);
}

/// metrics, 2.3: a second subscription is expansion, ending one of two is contraction, ending the last one churn.
#[test]
fn movements_are_those_of_the_customer_and_not_of_a_subscription() {
    let life = [
        event(1, 1, Active, 1000, 0),
        event(2, 1, Active, 500, 5),
        event(1, 2, Ended, 0, 10),
        event(2, 2, Ended, 0, 20),
        event(3, 1, Active, 1200, 40),
    ];
    assert_eq!(
        told(&life),
        [
            (MovementKind::New, 1000, 0),
            (MovementKind::Expansion, 500, 5),
            (MovementKind::Contraction, -1000, 10),
            (MovementKind::Churn, -500, 20),
            (MovementKind::Reactivation, 1200, 40),
        ]
    );
}

/// metrics, 2.3: a pure exchange of plans at the same amount is no movement; the same instant is netted.
#[test]
fn an_exchange_at_the_same_instant_is_netted() {
    let life = [event(1, 1, Active, 1000, 0), event(1, 2, Ended, 0, 9), event(2, 1, Active, 1000, 9)];
    assert_eq!(told(&life), [(MovementKind::New, 1000, 0)]);
}

/// metrics, 2.6 with its example: fails on day 0, suspended on day 3, paid on day 15: nothing; paid on day 38: churn on day 30
/// and reactivation on day 38.
#[test]
fn a_failed_renewal_is_churn_only_after_thirty_days() {
    let failing = |paid_on| {
        vec![
            event(1, 1, Active, 899, -40),
            event(1, 2, PastDue, 0, 0),
            event(1, 3, Suspended, 0, 3),
            event(1, 4, Active, 899, paid_on),
        ]
    };
    assert_eq!(told(&failing(15)), [(MovementKind::New, 899, -40)]);
    assert_eq!(
        told(&failing(38)),
        [(MovementKind::New, 899, -40), (MovementKind::Churn, -899, 30), (MovementKind::Reactivation, 899, 38)]
    );
    let never_paid = &failing(15)[..3];
    assert_eq!(told(never_paid), [(MovementKind::New, 899, -40), (MovementKind::Churn, -899, 30)]);
    let ended_later = [never_paid, &[event(1, 4, Ended, 0, 33)]].concat();
    assert_eq!(told(&ended_later), [(MovementKind::New, 899, -40), (MovementKind::Churn, -899, 30)]);
}

/// metrics, 2.7: pausing is contraction, resuming expansion, ending while paused churn of nothing.
#[test]
fn a_pause_is_no_churn() {
    let life = [event(1, 1, Active, 1000, 0), event(1, 2, Paused, 0, 5), event(1, 3, Active, 1000, 9)];
    assert_eq!(
        told(&life),
        [(MovementKind::New, 1000, 0), (MovementKind::Contraction, -1000, 5), (MovementKind::Expansion, 1000, 9)]
    );
    let ended = [life[0], life[1], event(1, 3, Ended, 0, 9)];
    assert_eq!(told(&ended), [(MovementKind::New, 1000, 0), (MovementKind::Contraction, -1000, 5)]);
}

/// metrics, 2.9: joining and leaving in one month are both shown.
#[test]
fn a_short_visit_shows_both_ways() {
    let life = [event(1, 1, Active, 1000, 0), event(1, 2, Ended, 0, 3)];
    assert_eq!(told(&life), [(MovementKind::New, 1000, 0), (MovementKind::Churn, -1000, 3)]);
}

fn lives() -> impl Strategy<Value = Vec<Event>> {
    let states = prop::sample::select(vec![Pending, Trialing, Active, PastDue, Suspended, Paused, Ended]);
    let change = (states, 0..3000_i64, 0..25_i64);
    prop::collection::vec(prop::collection::vec(change, 1..8), 1..4).prop_map(|lives| {
        let mut events = Vec::new();
        for (subscription, changes) in (1..).zip(lives) {
            let mut at = 0;
            for (version, (state, minor, pause)) in (1..).zip(changes) {
                at += pause;
                let minor = if state == Active { minor } else { 0 };
                events.push(event(subscription, version, state, minor, at));
            }
        }
        events
    })
}

proptest! {
    /// metrics, 7.2: the order of arrival does not matter.
    #[test]
    fn any_order_of_arrival_gives_the_same_movements((events, shuffled) in lives().prop_flat_map(|events| {
        (Just(events.clone()), Just(events).prop_shuffle())
    })) {
        prop_assert_eq!(movements(account(), &events), movements(account(), &shuffled));
    }

    /// metrics, 7.3: the sum of movements equals a direct scan of subscriptions, at every instant.
    #[test]
    fn movements_add_up_to_what_subscriptions_are_worth(events in lives(), at in 0..200_i64) {
        let sum: i64 = movements(account(), &events)
            .iter()
            .filter(|movement| movement.effective_at <= day(at))
            .map(|movement| movement.delta.minor)
            .sum();
        let scan: i64 = (1..4)
            .map(|subscription| {
                let own: Vec<Event> =
                    events.iter().filter(|event| event.subscription.as_uuid() == Uuid::from_u128(subscription)).copied().collect();
                match worth_at(&steps(&own), day(at)) {
                    Worth::Paying(mrr) => mrr.minor,
                    Worth::Nothing | Worth::Paused => 0,
                }
            })
            .sum();
        prop_assert_eq!(sum, scan);
    }

    /// Signs: what comes is positive, what goes is negative.
    #[test]
    fn every_kind_has_its_sign(events in lives()) {
        for movement in movements(account(), &events) {
            let is_loss = matches!(movement.kind, MovementKind::Churn | MovementKind::Contraction);
            prop_assert_eq!(movement.delta.minor < 0, is_loss);
        }
    }
}
