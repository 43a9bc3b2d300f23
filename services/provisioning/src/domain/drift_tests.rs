use chrono::TimeDelta;

use super::*;
use crate::domain::Country;

const DAY: TimeDelta = TimeDelta::days(1);
const MONTH: Time = Time::Packages(30 * 86_400);

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_366_400, 0).unwrap()
}

fn wanted(goal: Goal) -> Wanted {
    Wanted {
        version: 7,
        goal,
        connections: 2,
        bouquets: vec![1, 2],
        outputs: vec![Output::Hls],
        package: Some(4),
        paid_through: noon() + DAY * 33,
        trial: false,
        isp_lock: None,
        country_lock: None,
        country: Country::parse("DE"),
    }
}

fn agreeing() -> Line {
    Line {
        id: "12".into(),
        username: "u1".into(),
        expires_at: Some(noon() + DAY * 33),
        enabled: true,
        banned: false,
        connections: 2,
        bouquets: vec![1, 2],
        outputs: Some(vec![Output::Hls]),
        package: Some(4),
        isp_locked: false,
        country: String::new(),
    }
}

fn kinds(goal: Goal, shown: Option<&Line>, time: Time) -> Vec<Kind> {
    compare(&wanted(goal), &LineFact::Seen(agreeing()), shown, time, noon()).into_iter().map(|one| one.kind).collect()
}

#[test]
fn a_line_as_it_is_wanted_is_no_difference() {
    for time in [Time::Absolute, MONTH] {
        assert_eq!(kinds(Goal::Active, Some(&agreeing()), time), []);
    }
    for goal in [Goal::Suspended, Goal::Terminated] {
        assert_eq!(kinds(goal, None, Time::Absolute), []);
        assert_eq!(kinds(goal, Some(&Line { enabled: false, ..agreeing() }), Time::Absolute), []);
        assert_eq!(kinds(goal, Some(&Line { banned: true, ..agreeing() }), Time::Absolute), []);
        assert_eq!(kinds(goal, Some(&Line { expires_at: Some(noon()), ..agreeing() }), Time::Absolute), []);
    }
}

#[test]
fn a_line_that_plays_unpaid_is_found_and_its_fields_do_not_matter() {
    let odd = Line { connections: 9, expires_at: None, ..agreeing() };
    for goal in [Goal::Suspended, Goal::Terminated] {
        assert_eq!(kinds(goal, Some(&odd), Time::Absolute), [Kind::UnpaidServed]);
    }
}

#[test]
fn a_paid_line_that_does_not_play_is_found_whatever_keeps_it() {
    assert_eq!(kinds(Goal::Active, None, Time::Absolute), [Kind::PaidDead]);
    for dead in [
        Line { enabled: false, ..agreeing() },
        Line { banned: true, ..agreeing() },
        Line { expires_at: Some(noon() - DAY), ..agreeing() },
    ] {
        assert_eq!(kinds(Goal::Active, Some(&dead), Time::Absolute), [Kind::PaidDead], "{dead:?}");
    }
    let both = Line { enabled: false, connections: 9, ..agreeing() };
    assert_eq!(kinds(Goal::Active, Some(&both), Time::Absolute), [Kind::PaidDead, Kind::Connections]);
}

#[test]
fn a_line_that_is_not_made_yet_is_no_difference() {
    for last in [LineFact::Never, LineFact::Removed] {
        assert_eq!(compare(&wanted(Goal::Active), &last, None, Time::Absolute, noon()), []);
    }
    let gone = compare(&wanted(Goal::Active), &LineFact::Missing, None, Time::Absolute, noon());
    assert_eq!(gone, [Finding::new(Kind::PaidDead, "a line", "no line")]);
}

#[test]
fn each_field_is_a_kind_of_its_own() {
    let of = |line: Line| kinds(Goal::Active, Some(&line), Time::Absolute);
    assert_eq!(of(Line { expires_at: Some(noon() + DAY * 99), ..agreeing() }), [Kind::Expiry]);
    assert_eq!(of(Line { expires_at: None, ..agreeing() }), [Kind::Expiry]);
    assert_eq!(of(Line { connections: 0, ..agreeing() }), [Kind::Connections]);
    assert_eq!(of(Line { bouquets: vec![1, 2, 3], ..agreeing() }), [Kind::Package]);
    assert_eq!(of(Line { outputs: Some(vec![]), ..agreeing() }), [Kind::Package]);
    assert_eq!(of(Line { outputs: None, ..agreeing() }), [], "what the panel does not say is no difference");
    assert_eq!(of(Line { package: Some(5), ..agreeing() }), [], "a label there");
    let locked = Wanted { isp_lock: Some(true), country_lock: Some(true), ..wanted(Goal::Active) };
    let found = compare(&locked, &LineFact::Seen(agreeing()), Some(&agreeing()), Time::Absolute, noon());
    assert_eq!(found[0].wanted, "bound to one internet provider; from DE");
    assert_eq!(found[0].observed, "any internet provider; from everywhere");
}

#[test]
fn half_a_second_is_no_difference() {
    let later = wanted(Goal::Active).paid_through + TimeDelta::milliseconds(400);
    let precise = Wanted { paid_through: later, ..wanted(Goal::Active) };
    assert_eq!(compare(&precise, &LineFact::Never, Some(&agreeing()), Time::Absolute, noon()), []);
}

#[test]
fn on_a_key_that_buys_packages_what_was_bought_counts() {
    // Packages end when they end: 40 days where 33 were paid for.
    let bought = Line { expires_at: Some(noon() + DAY * 40), connections: 1, ..agreeing() };
    let compared = |shown: &Line| {
        let found = compare(&wanted(Goal::Active), &LineFact::Seen(bought.clone()), Some(shown), MONTH, noon());
        found.into_iter().map(|one| one.kind).collect::<Vec<_>>()
    };
    assert_eq!(compared(&bought), []);
    assert_eq!(compared(&Line { expires_at: Some(noon() + DAY * 400), ..bought.clone() }), [Kind::Expiry]);
    assert_eq!(compared(&Line { package: Some(5), ..bought.clone() }), [Kind::Package]);
    assert_eq!(compared(&Line { connections: 5, ..bought.clone() }), [Kind::Connections]);
    for kind in Kind::ALL {
        let switch = matches!(kind, Kind::UnpaidServed | Kind::PaidDead);
        assert_eq!(kind.is_repairable(false), switch, "{kind:?}");
        assert_eq!(kind.is_repairable(true), kind != Kind::Stranger, "{kind:?}");
    }
}

fn resting() -> Flight {
    Flight {
        is_open: false,
        is_verifying: false,
        is_due: false,
        is_stuck: false,
        wanted_version: 7,
        observed_version: 7,
        observed_at: Some(noon() - DAY),
    }
}

#[test]
fn nothing_in_flight_is_settled() {
    assert!(resting().is_settled(noon()));
    for moving in [
        Flight { is_open: true, ..resting() },
        Flight { is_verifying: true, ..resting() },
        Flight { is_due: true, ..resting() },
        Flight { wanted_version: 8, ..resting() },
        // The panel was called between our reading and now: what was read is old.
        Flight { observed_at: Some(noon()), ..resting() },
    ] {
        assert!(!moving.is_settled(noon()), "{moving:?}");
    }
    assert!(Flight { wanted_version: 8, is_stuck: true, ..resting() }.is_settled(noon()), "nothing moves by itself");
}

fn finding(kind: Kind) -> Finding {
    Finding::new(kind, "2 streams", "9 streams")
}

#[test]
fn rules_decide_what_is_new_and_a_stranger_is_never_touched() {
    let new = |kind, rule, absolute| sighted(None, &finding(kind), 7, rule, absolute);
    assert_eq!(new(Kind::Connections, Rule::Ask, true), Seen::New(State::Open));
    assert_eq!(new(Kind::Connections, Rule::Repair, true), Seen::New(State::Repaired));
    assert_eq!(new(Kind::Connections, Rule::Repair, false), Seen::New(State::Open), "nothing is bought for it");
    assert_eq!(new(Kind::Connections, Rule::Adopt, true), Seen::New(State::Adopted));
    for rule in [Rule::Ask, Rule::Repair, Rule::Adopt] {
        assert_eq!(new(Kind::Stranger, rule, true), Seen::New(State::Open), "{rule:?}");
    }
    assert_eq!(new(Kind::Stranger, Rule::Ignore, true), Seen::New(State::Ignored));
}

#[test]
fn what_is_known_stays_decided_until_it_moves() {
    let known = |state| Known { state, observed: "9 streams".into(), wanted_version: 7 };
    let again = |known: &Known, version| sighted(Some(known), &finding(Kind::Connections), version, Rule::Ask, true);
    assert_eq!(again(&known(State::Open), 7), Seen::Same);
    assert_eq!(again(&known(State::Ignored), 9), Seen::Same, "ignored is ignored, whatever it becomes");
    assert_eq!(again(&known(State::Adopted), 7), Seen::Same);
    assert_eq!(again(&known(State::Adopted), 8), Seen::Moved(State::Open), "what is wanted moved on");
    let other = Known { observed: "8 streams".into(), ..known(State::Adopted) };
    assert_eq!(again(&other, 7), Seen::Moved(State::Open), "the panel moved on");
    let repaired = known(State::Repaired);
    assert_eq!(sighted(Some(&repaired), &finding(Kind::Connections), 7, Rule::Repair, true), Seen::Returned);
}

#[test]
fn words_are_read_as_they_are_written() {
    assert!(Kind::ALL.into_iter().all(|kind| Kind::parse(kind.as_str()) == Some(kind)));
    assert!(Rule::ALL.into_iter().all(|rule| Rule::parse(rule.as_str()) == Some(rule)));
    assert!(State::ALL.into_iter().all(|state| State::parse(state.as_str()) == Some(state)));
}
