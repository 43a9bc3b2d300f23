use chrono::{TimeDelta, TimeZone};
use chrono_tz::Tz;
use ottery_kernel::{AnchorDay, Term};
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
        calendar: Calendar::default(),
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

/// The first payment, by the rule of the plan.
fn begin(subscription: &mut Subscription, now: DateTime<Utc>) {
    let offer = &subscription.offer;
    subscription.start_paid(offer.anchor.begin(now, Tz::UTC, offer.term).unwrap());
}

fn started() -> Subscription {
    let mut subscription = subscription();
    subscription.apply(Command::Activate, noon()).unwrap();
    begin(&mut subscription, noon());
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
    begin(&mut subscription, day(1, 30));
    assert_eq!(subscription.paid_through, Some(day(2, 28)));
    subscription.extend(subscription.offer.clone(), day(2, 28)).unwrap();
    assert_eq!(subscription.paid_through, Some(day(3, 30)));
}

#[test]
fn case_003_a_year_from_29_february_ends_on_the_28th_and_in_leap_years_on_the_29th() {
    let at = |year, day| Utc.with_ymd_and_hms(year, 2, day, 12, 0, 0).unwrap();
    let mut subscription = Subscription { offer: offer(1, Term::YEAR), ..subscription() };
    begin(&mut subscription, at(2028, 29));
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
    assert_eq!(subscription.paid_left(day(2, 20)).len(), 2);
    assert!(!subscription.roll(day(2, 20)));
    assert!(subscription.roll(day(2, 28)));
    assert_eq!(subscription.period.unwrap().start(), day(2, 28));
    assert!(!subscription.roll(day(2, 28)));
}

#[test]
fn what_is_over_when_it_is_put_aside_is_not_given_back_though_nobody_has_entered_it() {
    for (paused, left) in [(day(3, 30), TimeDelta::days(1)), (day(6, 1), TimeDelta::zero())] {
        let mut subscription = started();
        // Paid ahead until 31 March; the scheduler has not come by since.
        subscription.extend(subscription.offer.clone(), day(2, 20)).unwrap();
        subscription.pause(None, paused).unwrap();
        let again = paused + TimeDelta::days(20);
        subscription.apply(Command::Unpause, again).unwrap();
        subscription.take_up(again).unwrap();
        assert_eq!(subscription.paid_through, Some(again + left), "{paused}");
    }
}

#[test]
fn a_new_term_at_the_renewal_counts_from_the_end_of_what_is_paid() {
    let mut subscription = started();
    subscription.next_offer = Some(offer(9000, Term::YEAR));
    let next = subscription.next_stretch().unwrap().unwrap().stretch.period;
    assert_eq!(next.start(), day(2, 28));
    subscription.extend(subscription.renewal_offer().into_owned(), day(2, 28)).unwrap();
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
    is_reseller_stop: bool,
    is_unpaid_stop: bool,
    is_paused: bool,
}

impl Model {
    fn is_served(self) -> bool {
        self.has_begun
            && !self.is_over
            && !self.is_blocked
            && !self.is_reseller_stop
            && !self.is_unpaid_stop
            && !self.is_paused
    }

    fn on(&mut self, command: Command) {
        if self.is_over {
            return;
        }
        match command {
            Command::StartTrial if !self.has_begun => (self.has_begun, self.is_trial) = (true, true),
            Command::Activate if !self.is_blocked && !self.is_reseller_stop && !self.is_paused => {
                *self = Self { has_begun: true, is_paid: true, ..Self::default() };
            }
            Command::MissPayment { .. } if self.is_served() && !self.is_trial => self.is_paid = false,
            Command::Suspend(SuspendCause::Unpaid) if self.is_served() => {
                *self = Self { has_begun: true, is_unpaid_stop: true, ..Self::default() };
            }
            Command::Suspend(SuspendCause::Staff) if self.has_begun && !self.is_blocked => {
                *self = Self { has_begun: true, is_blocked: true, ..Self::default() };
            }
            Command::Suspend(SuspendCause::Reseller) if self.is_served() => {
                *self = Self { has_begun: true, is_reseller_stop: true, ..Self::default() };
            }
            Command::Lift { is_paid, .. } if self.is_blocked || self.is_reseller_stop || self.is_unpaid_stop => {
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
        State::Suspended { cause: SuspendCause::Reseller } => Model { is_reseller_stop: true, ..begun },
        State::Paused => Model { is_paused: true, ..begun },
        State::Ended { .. } => Model { is_over: true, ..Model::default() },
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        1 => Just(Command::StartTrial),
        3 => Just(Command::Activate),
        3 => Just(Command::MissPayment { grace_until: noon() }),
        1 => Just(Command::Prolong { grace_until: noon() }),
        2 => prop_oneof![Just(SuspendCause::Unpaid), Just(SuspendCause::Staff), Just(SuspendCause::Reseller)]
            .prop_map(Command::Suspend),
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
            let billed = subscription.next_stretch().unwrap().unwrap().stretch.period;
            prop_assert_eq!(billed.start(), end);
            subscription.extend(subscription.offer.clone(), end - TimeDelta::hours(hours_early)).unwrap();
            prop_assert_eq!(subscription.paid_through, Some(billed.end()));
            subscription.roll(end);
            prop_assert_eq!(subscription.period, Some(billed));
        }
    }
}

/// What happens to a subscription, in a life.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Hours(i64),
    Renewed,
    RenewedLate(i64),
    PaidAfterSuspension(i64),
    Paused(i64),
    MovedTo(u32),
    MovedToZone(Tz),
    TermAtRenewal(Term),
    Restarted(Term),
}

fn any_term() -> impl Strategy<Value = Term> {
    use ottery_kernel::TermUnit::{Day, Month, Week, Year};
    let terms = [(1, Month), (1, Month), (3, Month), (1, Year), (1, Week), (30, Day), (1, Day)];
    proptest::sample::select(terms.map(|(count, unit)| Term::try_new(count, unit).unwrap()).to_vec())
}

fn any_happening() -> impl Strategy<Value = Happens> {
    let zones =
        [Tz::UTC, Tz::Europe__Madrid, Tz::Pacific__Pago_Pago, Tz::Pacific__Kiritimati, Tz::Australia__Lord_Howe];
    prop_oneof![
        4 => (1_i64..2_000).prop_map(Happens::Hours),
        6 => Just(Happens::Renewed),
        3 => (0_i64..1_000).prop_map(Happens::RenewedLate),
        1 => (0_i64..1_000).prop_map(Happens::PaidAfterSuspension),
        2 => (0_i64..3_000).prop_map(Happens::Paused),
        2 => (1_u32..32).prop_map(Happens::MovedTo),
        1 => proptest::sample::select(zones.to_vec()).prop_map(Happens::MovedToZone),
        2 => any_term().prop_map(Happens::TermAtRenewal),
        1 => any_term().prop_map(Happens::Restarted),
    ]
}

/// A subscription, its present, and how far its customer was served.
struct Life {
    subscription: Subscription,
    now: DateTime<Utc>,
    running: Period,
}

impl Life {
    fn begin(rule: AnchorRule, term: Term) -> Self {
        let offer = Offer { anchor: rule, ..offer(1000, term) };
        let mut subscription = Subscription { offer, ..subscription() };
        subscription.apply(Command::Activate, noon()).unwrap();
        begin(&mut subscription, noon());
        let running = subscription.period.unwrap();
        Self { subscription, now: noon(), running }
    }

    /// Bills and pays the next stretch; it must begin where the paid time ends and be granted as it was billed.
    fn renew(&mut self) {
        let end = self.subscription.paid_through.unwrap();
        let next = self.subscription.next_stretch().unwrap().unwrap();
        let price = self.subscription.renewal_offer().price;
        assert_eq!(next.stretch.period.start(), end, "billed from where the paid time ends");
        let cost = next.stretch.cost(price).unwrap();
        assert!(cost.minor <= price.minor && (next.stretch.is_bridge() || cost == price), "{next:?} for {cost}");
        let offer = self.subscription.renewal_offer().into_owned();
        self.subscription.extend(offer, self.now).unwrap();
        assert_eq!(self.subscription.paid_through, Some(next.stretch.period.end()), "granted as billed");
        assert_eq!(self.subscription.next_offer, None);
    }

    fn on(&mut self, happens: Happens) {
        let end = self.subscription.paid_through.unwrap();
        let zone = self.subscription.anchor.unwrap().zone;
        let mut begins_anew = false;
        match happens {
            Happens::Hours(hours) => {
                self.now += TimeDelta::hours(hours);
                self.subscription.roll(self.now);
            }
            Happens::Renewed => self.renew(),
            Happens::RenewedLate(hours) => {
                self.now = self.now.max(end + TimeDelta::hours(hours));
                self.subscription.roll(self.now);
                self.renew();
            }
            Happens::PaidAfterSuspension(hours) => {
                let next = self.subscription.next_stretch().unwrap().unwrap();
                let length = next.stretch.period.duration();
                self.subscription.offer = self.subscription.renewal_offer().into_owned();
                self.now = self.now.max(next.stretch.period.end() + TimeDelta::hours(hours));
                self.subscription.start_late(next.stretch, zone, self.now).unwrap();
                if next.stretch.is_bridge() {
                    assert_eq!(self.subscription.period.unwrap().duration(), length, "as much as was paid for");
                }
                begins_anew = true;
            }
            Happens::Paused(hours) => {
                if self.subscription.paid_left(self.now).is_empty() {
                    return;
                }
                let left = self.subscription.period.unwrap().remaining(self.now);
                let stretches = self.subscription.paid_left(self.now).len();
                self.subscription.pause(None, self.now).unwrap();
                self.now += TimeDelta::hours(hours);
                self.subscription.apply(Command::Unpause, self.now).unwrap();
                self.subscription.take_up(self.now).unwrap();
                assert_eq!(self.subscription.period.unwrap().remaining(self.now), left, "the rest is kept");
                assert_eq!(self.subscription.paid_left(self.now).len(), stretches, "what was paid ahead is kept");
                begins_anew = true;
            }
            Happens::MovedTo(day) => {
                let day = AnchorDay::try_new(day).unwrap();
                self.subscription.calendar.moved = Some(Move { day: Some(day), zone });
            }
            Happens::MovedToZone(zone) => self.subscription.calendar.moved = Some(Move { day: None, zone }),
            Happens::TermAtRenewal(term) => {
                self.subscription.next_offer = Some(Offer { term, ..self.subscription.offer.clone() });
            }
            Happens::Restarted(term) => {
                self.subscription.offer.term = term;
                self.subscription.next_offer = None;
                let offer = &self.subscription.offer;
                self.subscription.start_paid(offer.anchor.begin(self.now, zone, offer.term).unwrap());
                begins_anew = true;
            }
        }
        let running = self.subscription.period.unwrap();
        if running != self.running {
            let earliest = if begins_anew { self.now } else { self.running.end() };
            assert!(running.start() >= earliest, "{running} is served again after {}", self.running);
            self.running = running;
        }
    }

    /// The paid stretches follow each other without gap or overlap, from the running one to the end of what is paid.
    fn is_sound(&self) {
        let subscription = &self.subscription;
        let mut end = subscription.period.unwrap().start();
        for stretch in &subscription.calendar.paid {
            assert_eq!(stretch.period.start(), end, "a gap or an overlap");
            end = stretch.period.end();
        }
        assert_eq!(subscription.paid_through, Some(end));
        let columns = serde_json::to_value(&subscription.calendar).unwrap();
        assert_eq!(serde_json::from_value::<Calendar>(columns).unwrap(), subscription.calendar);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_period_is_billed_twice_or_skipped_in_any_life(
        day in proptest::option::of(1_u32..32), term in any_term(), life in proptest::collection::vec(any_happening(), 1..60),
    ) {
        let rule = day.map_or(AnchorRule::Anniversary, |day| AnchorRule::Day(AnchorDay::try_new(day).unwrap()));
        let mut lived = Life::begin(rule, term);
        for happens in life {
            lived.on(happens);
            lived.is_sound();
        }
    }
}
