use chrono::{TimeDelta, TimeZone};
use chrono_tz::Tz;
use ottery_kernel::Term;
use proptest::prelude::*;

use super::*;
use crate::domain::proration::tests::offer;

fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 31, 12, 0, 0).unwrap()
}

fn subscription() -> Subscription {
    Subscription {
        id: SubscriptionId::new(noon()),
        account: AccountId::new(noon()),
        order: OrderId::new(noon()),
        state: State::Pending,
        since: noon(),
        offer: offer(1000, Term::MONTH),
        next_offer: None,
        discounts: Discounts::default(),
        is_trial: false,
        is_setup_due: false,
        anchor: None,
        periods_paid: 0,
        period: None,
        paid_through: None,
        cancel_at: None,
        created_at: noon(),
        ended_at: None,
        method: None,
        version: 0,
        entitlement_version: 0,
    }
}

fn started() -> Subscription {
    let mut subscription = subscription();
    subscription.apply(Command::Activate, noon()).unwrap();
    subscription.start_paid(BillingAnchor::at(noon(), Tz::UTC)).unwrap();
    subscription
}

fn day(month: u32, day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, month, day, 12, 0, 0).unwrap()
}

#[test]
fn case_001_renewals_from_the_31st_end_on_the_last_of_short_months_and_return_to_the_31st() {
    let mut subscription = started();
    let mut ends = vec![subscription.paid_through.unwrap()];
    for _ in 0..3 {
        let now = subscription.paid_through.unwrap();
        subscription.extend(subscription.offer.clone(), now).unwrap();
        ends.push(subscription.paid_through.unwrap());
    }
    assert_eq!(ends, [day(2, 28), day(3, 31), day(4, 30), day(5, 31)]);
}

#[test]
fn case_002_a_month_from_30_january_is_28_february_and_then_30_march() {
    let mut subscription = subscription();
    subscription.start_paid(BillingAnchor::at(day(1, 30), Tz::UTC)).unwrap();
    assert_eq!(subscription.paid_through, Some(day(2, 28)));
    subscription.extend(subscription.offer.clone(), day(2, 28)).unwrap();
    assert_eq!(subscription.paid_through, Some(day(3, 30)));
}

#[test]
fn case_003_a_year_from_29_february_ends_on_the_28th_and_in_leap_years_on_the_29th() {
    let at = |year, day| Utc.with_ymd_and_hms(year, 2, day, 12, 0, 0).unwrap();
    let mut subscription = Subscription { offer: offer(1, Term::YEAR), ..subscription() };
    subscription.start_paid(BillingAnchor::at(at(2028, 29), Tz::UTC)).unwrap();
    assert_eq!(subscription.paid_through, Some(at(2029, 28)));
    for _ in 0..3 {
        subscription.extend(subscription.offer.clone(), subscription.paid_through.unwrap()).unwrap();
    }
    assert_eq!(subscription.paid_through, Some(at(2032, 29)));
}

#[test]
fn case_013_paying_early_extends_from_the_current_end_and_the_running_period_goes_on() {
    let mut subscription = started();
    let running = subscription.period;
    subscription.extend(subscription.offer.clone(), day(2, 20)).unwrap();
    assert_eq!(subscription.period, running);
    assert_eq!(subscription.paid_through, Some(day(3, 31)));
    assert_eq!(subscription.paid_periods(day(2, 20)).unwrap().len(), 2);
    assert!(!subscription.roll(day(2, 20)).unwrap());
    assert!(subscription.roll(day(2, 28)).unwrap());
    assert_eq!(subscription.period.unwrap().start(), day(2, 28));
    assert!(!subscription.roll(day(2, 28)).unwrap());
}

#[test]
fn a_new_term_at_the_renewal_counts_from_the_end_of_what_is_paid() {
    let mut subscription = started();
    subscription.next_offer = Some(offer(9000, Term::YEAR));
    let next = subscription.next_period().unwrap().unwrap();
    assert_eq!(next.start(), day(2, 28));
    subscription.extend(subscription.renewal_offer().clone(), day(2, 28)).unwrap();
    assert_eq!(subscription.period, Some(next));
    assert_eq!(subscription.paid_through, Some(next.end()));
    assert_eq!(subscription.next_offer, None);
}

#[test]
fn doing_it_twice_is_an_answer_and_an_ended_subscription_stays_ended() {
    let mut subscription = started();
    assert_eq!(subscription.apply(Command::Activate, day(2, 1)), Ok(false));
    assert_eq!(subscription.apply(Command::End(EndCause::Cancelled), day(2, 2)), Ok(true));
    assert_eq!(subscription.apply(Command::End(EndCause::Staff), day(2, 3)), Ok(false));
    assert_eq!(subscription.ended_at, Some(day(2, 2)));
    let refused = subscription.apply(Command::Activate, day(2, 4)).unwrap_err();
    assert_eq!(refused.to_string(), "a subscription that is over cannot be activated");
}

#[test]
fn paying_never_lifts_what_staff_has_suspended() {
    let suspended = State::Suspended { cause: SuspendCause::Staff };
    assert_eq!(suspended.on(Command::Activate), Ok(Outcome::AlreadyThere));
    let unpaid = State::Suspended { cause: SuspendCause::Unpaid };
    assert_eq!(unpaid.on(Command::Activate), Ok(Outcome::Moved(State::Active)));
    let lift = Command::Lift { is_paid: false, grace_until: day(3, 3) };
    assert_eq!(suspended.on(lift), Ok(Outcome::Moved(State::PastDue { grace_until: day(3, 3) })));
}

/// What a reader would expect, told by what the customer has and not by pairs of states and commands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Model {
    has_begun: bool,
    is_over: bool,
    is_trial: bool,
    is_paid: bool,
    is_blocked: bool,
    is_unpaid_stop: bool,
    is_paused: bool,
}

impl Model {
    fn is_served(self) -> bool {
        self.has_begun && !self.is_over && !self.is_blocked && !self.is_unpaid_stop && !self.is_paused
    }

    fn on(&mut self, command: Command) {
        if self.is_over {
            return;
        }
        match command {
            Command::StartTrial if !self.has_begun => (self.has_begun, self.is_trial) = (true, true),
            Command::Activate if !self.is_blocked && !self.is_paused => {
                *self = Self { has_begun: true, is_paid: true, ..Self::default() };
            }
            Command::MissPayment { .. } if self.is_served() && !self.is_trial => self.is_paid = false,
            Command::Suspend(SuspendCause::Unpaid) if self.is_served() => {
                *self = Self { has_begun: true, is_unpaid_stop: true, ..Self::default() };
            }
            Command::Suspend(SuspendCause::Staff) if self.has_begun && !self.is_blocked => {
                *self = Self { has_begun: true, is_blocked: true, ..Self::default() };
            }
            Command::Lift { is_paid, .. } if self.is_blocked || self.is_unpaid_stop => {
                *self = Self { has_begun: true, is_paid, ..Self::default() };
            }
            Command::Pause if self.is_served() && self.is_paid => (self.is_paused, self.is_paid) = (true, false),
            Command::Unpause if self.is_paused => (self.is_paused, self.is_paid) = (false, true),
            Command::End(_) => *self = Self { is_over: true, ..Self::default() },
            _ => {}
        }
    }
}

fn seen(state: State) -> Model {
    let begun = Model { has_begun: true, ..Model::default() };
    match state {
        State::Pending => Model::default(),
        State::Trialing => Model { is_trial: true, ..begun },
        State::Active => Model { is_paid: true, ..begun },
        State::PastDue { .. } => begun,
        State::Suspended { cause: SuspendCause::Unpaid } => Model { is_unpaid_stop: true, ..begun },
        State::Suspended { cause: SuspendCause::Staff } => Model { is_blocked: true, ..begun },
        State::Paused => Model { is_paused: true, ..begun },
        State::Ended { .. } => Model { is_over: true, ..Model::default() },
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        1 => Just(Command::StartTrial),
        3 => Just(Command::Activate),
        3 => Just(Command::MissPayment { grace_until: noon() }),
        2 => prop_oneof![Just(SuspendCause::Unpaid), Just(SuspendCause::Staff)].prop_map(Command::Suspend),
        1 => any::<bool>().prop_map(|is_paid| Command::Lift { is_paid, grace_until: noon() }),
        1 => Just(Command::Pause),
        1 => Just(Command::Unpause),
        1 => Just(Command::End(EndCause::Staff)),
    ]
}

proptest! {
    #[test]
    fn every_sequence_of_commands_ends_where_the_reference_model_does(commands in proptest::collection::vec(any_command(), 1..40)) {
        let (mut state, mut model) = (State::Pending, Model::default());
        for command in commands {
            let answer = state.on(command);
            if let Ok(Outcome::Moved(moved)) = answer {
                prop_assert_ne!(moved, state, "a move that moves nothing");
                state = moved;
            }
            model.on(command);
            prop_assert_eq!(seen(state), model, "after {:?}, which was answered {:?}", command, answer);
            let columns = State::from_columns(state.as_str(), state.cause_str(), state.grace_until());
            prop_assert_eq!(columns, Some(state));
        }
    }

    #[test]
    fn the_paid_time_only_grows_and_periods_touch(renewals in 1_u32..40, hours_early in 0_i64..72) {
        let mut subscription = started();
        for _ in 0..renewals {
            let end = subscription.paid_through.unwrap();
            let billed = subscription.next_period().unwrap().unwrap();
            prop_assert_eq!(billed.start(), end);
            subscription.extend(subscription.offer.clone(), end - TimeDelta::hours(hours_early)).unwrap();
            prop_assert_eq!(subscription.paid_through, Some(billed.end()));
            subscription.roll(end).unwrap();
            prop_assert_eq!(subscription.period, Some(billed));
        }
    }
}
